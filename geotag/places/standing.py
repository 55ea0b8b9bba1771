"""The landmark of the table at which a photo with a measured position was taken. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from math import floor

from geotag.places.distance import distance_m
from geotag.records import Category, Location, Outcome, Status

METHOD = "position"
# Degrees of latitude are never shorter.
_METRES_A_DEGREE = 110_000.0


def landmark_finder(
    landmarks: Iterable[Category],
) -> Callable[[Location], Category | None]:
    """What finds the landmark within whose radius a position lies.

    Where several do, it is the one that is nearest by its own radius.
    """
    table = defaultdict[int, list[Category]](list)
    for each in landmarks:
        reach = each.radius_m / _METRES_A_DEGREE
        for degree in range(floor(each.latitude - reach), floor(each.latitude + reach) + 1):
            table[degree].append(each)

    def find(place: Location) -> Category | None:
        best, least = None, 1.0
        for each in table.get(floor(place.latitude), ()):
            if abs(place.latitude - each.latitude) * _METRES_A_DEGREE > each.radius_m:
                continue
            away = distance_m(place, Location(each.latitude, each.longitude))
            if away <= least * each.radius_m:
                best, least = each, away / each.radius_m
        return best

    return find


def with_landmark(row: Outcome, find: Callable[[Location], Category | None]) -> Outcome:
    """A measured photo that no landmark was seen in, with the one at which it was taken."""
    is_open = row.status is Status.HAS_GPS and row.category_id is None and not row.landmark
    if not is_open or row.latitude is None or row.longitude is None:
        return row
    landmark = find(Location(row.latitude, row.longitude))
    if landmark is None:
        return row
    return row._replace(
        landmark=landmark.name, category_id=landmark.id, city=landmark.city,
        country=landmark.country, method=METHOD,
        evidence=f"taken within {landmark.radius_m:.0f} m of it",
    )  # fmt: skip
