"""Finds landmarks and towns by their names, for a guess that is changed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple

from geotag.categories import load_categories
from geotag.places.aliases import Aliases, fold
from geotag.places.distance import distance_m
from geotag.places.languages import country_names
from geotag.places.names import Town, load_town_names
from geotag.records import Landmark, Location

MOST = 12
QUERY_LIMIT = 100
TOWN_RADIUS_M = 2000.0
_NEAR_M = 100_000.0
# How many times larger a town must be, in powers of two, to go before one whose name fits better.
_WORSE = (0, 2, 8)
_OTHER = 2  # the rank of another name of a town that begins so
_NEAR_DEGREES = 3.0  # where there is a town within, one beyond is rarely nearer


class Found(NamedTuple):
    """A landmark, or (without a slug) a town. WGS-84 degrees, metres."""

    landmark: str
    slug: str
    latitude: float
    longitude: float
    radius_m: float
    city: str
    country: str
    region: str = ""


class Places:
    """All landmarks of a model and of the table, and the gazetteer's towns."""

    def __init__(self, own: Iterable[Landmark] = ()) -> None:
        known = [*own, *load_categories()]
        self._landmarks = [found for one in known if (found := _of_landmark(one)) is not None]
        self._by_slug = {found.slug: found for found in self._landmarks}
        self._countries = country_names("en") | {one.country_code: one.country for one in known}

    def by_slug(self, slug: str) -> Found | None:
        """The landmark of a slug; None for one that is not known, or whose place is not."""
        return self._by_slug.get(slug)

    def find(self, query: str, near: Location | None = None) -> list[Found]:
        """The landmarks, then the towns whose names hold the query: those near a place first, then
        the largest, of which one whose name fits less well has to be much larger."""
        wanted = fold(query[:QUERY_LIMIT])
        if not wanted:
            return []
        landmarks = [
            (rank, found)
            for found in self._landmarks
            if (rank := _rank(wanted, fold(found.landmark))) is not None
        ]
        best = [found for _, found in sorted(landmarks, key=lambda pair: (pair[0], pair[1]))]
        towns = sorted(
            (*_order(rank, self._towns[number][1], near), number)
            for number, rank in self._fitting(wanted).items()
        )
        found = [*best[: MOST // 2], *(self.of_town(self._towns[t[-1]][1]) for t in towns[:MOST])]
        return found[:MOST]

    def _fitting(self, wanted: str) -> dict[int, int]:
        """How well the names of towns fit, by number; another name of a town fits less well."""
        ranks = {
            number: rank
            for number, (name, _) in enumerate(self._towns)
            if (rank := _rank(wanted, name)) is not None
        }
        for number, is_whole in self._aliases.find(wanted):
            ranks[number] = min(ranks.get(number, _OTHER), 1 if is_whole else _OTHER)
        return ranks

    def nearest_town(self, place: Location) -> Town:
        """The town whose centre is nearest to a position."""
        towns = [town for _, town in self._towns]
        near = [town for town in towns if abs(town.latitude - place.latitude) < _NEAR_DEGREES]
        return min(near or towns, key=lambda town: _away(town, place))

    def of_town(self, town: Town) -> Found:
        """A town as a place to choose; its country by name."""
        country = self._countries.get(town.country, "")
        place = town.latitude, town.longitude
        return Found(town.name, "", *place, TOWN_RADIUS_M, town.name, country, town.region)

    @cached_property
    def _towns(self) -> list[tuple[str, Town]]:
        return [(fold(town.name), town) for town in load_town_names()]

    @cached_property
    def _aliases(self) -> Aliases:
        return Aliases()


def _rank(wanted: str, name: str) -> int | None:
    """How well a name fits: 0 the same, 1 begins so, 2 a word does; None where nothing does."""
    if not name.startswith(wanted):
        return 2 if f" {wanted}" in name else None
    return int(name != wanted)


def _order(rank: int, town: Town, near: Location | None) -> tuple[bool, int, int, float]:
    away = _away(town, near)
    return away > _NEAR_M, _WORSE[rank] - town.size, rank, away


def _away(town: Town, near: Location | None) -> float:
    return distance_m(Location(town.latitude, town.longitude), near) if near is not None else 0.0


def _of_landmark(one: Landmark) -> Found | None:
    if one.latitude is None or one.longitude is None:
        return None
    around = one.radius_m or 0.0
    place = one.latitude, one.longitude
    return Found(one.name, one.slug, *place, around, one.city, one.country, one.region)
