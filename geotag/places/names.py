"""The country, the nearest town, its region and the time zone of positions, offline."""

from __future__ import annotations

import functools
from importlib import resources
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geotag.errors import MissingDependencyError
from geotag.places.sphere import metres, to_vectors
from geotag.records import Location

# Positions this near to each other (in degrees) are named once.
_DIGITS = 3
_CELL = 1.0  # degrees of a cell of the index
_REACH_M = 50_000.0
_OTHER_CODES = {"XKO": "XK"}  # Kosovo has no code of ISO's


class PlaceName(NamedTuple):
    """What a position is called; empty where nothing is known, as on the high seas.

    `town` is the nearest one of the country, `distance_m` away.
    """

    town: str = ""
    distance_m: float | None = None
    region: str = ""
    country: str = ""
    time_zone: str = ""


class Gazetteer:
    """Names positions: the country by its area first, then the nearest town of that country.

    Raises MissingDependencyError where the extra `places` is not installed.
    """

    def __init__(self) -> None:
        try:
            import countrycheck
            import tzfpy
        except ImportError:
            raise MissingDependencyError("naming places", "places") from None
        self._countries, self._zones = countrycheck.CountryCheck(), tzfpy
        self._towns = _load_towns()
        self._name = functools.lru_cache(maxsize=1 << 16)(self._of_point)

    def name(self, place: Location) -> PlaceName:
        """What a position is called."""
        return self._name(round(place.latitude, _DIGITS), round(place.longitude, _DIGITS))

    def _of_point(self, latitude: float, longitude: float) -> PlaceName:
        zone = self._zones.get_tz(longitude, latitude) or ""
        found = self._countries.check(longitude, latitude)
        if found.country is None:
            return PlaceName(time_zone=zone)
        code = found.iso2 or _OTHER_CODES.get(found.country, "")
        nearest = self._towns.nearest(latitude, longitude, code)
        town, region, away = nearest if nearest is not None else ("", "", None)
        return PlaceName(town, away, region, found.name or "", zone)


class _Towns(NamedTuple):
    """Towns in cells of one degree: `rows` in the order of `cells`, which number the degrees."""

    points: NDArray[np.float64]
    countries: NDArray[np.uint16]
    regions: NDArray[np.uint16]
    names: list[str]
    region_names: list[str]
    cells: NDArray[np.int64]
    rows: NDArray[np.int64]

    def nearest(
        self, latitude: float, longitude: float, country: str
    ) -> tuple[str, str, float] | None:
        """The nearest town of a country within 50 km, its region, and how far away it is."""
        if len(country) != 2:
            return None
        code = _code(country)
        here = to_vectors(latitude, longitude)
        best: tuple[float, int] | None = None
        for ring in (1, 2):
            rows = self._around(latitude, longitude, ring)
            rows = rows[self.countries[rows] == code]
            if len(rows):
                away = metres(self.points[rows], here)
                at = int(np.argmin(away))
                best = float(away[at]), int(rows[at])
                # Beyond a ring of cells another town may be nearer only if this one is far off.
                if best[0] <= _cell_metres(latitude) * ring:
                    break
        if best is None or best[0] > _REACH_M:
            return None
        distance, row = best
        return self.names[row], self.region_names[self.regions[row]], round(distance)

    def _around(self, latitude: float, longitude: float, ring: int) -> NDArray[np.int64]:
        """The towns in the cells around a position; more cells of longitude near the poles."""
        wide = min(180, int(ring / max(0.01, np.cos(np.radians(latitude)))) + 1)
        north, east = _cell_of(latitude, longitude)
        found = []
        for row in range(max(0, north - ring), min(179, north + ring) + 1):
            for first, last in _columns(east, wide):
                bounds = (row * 360 + first, row * 360 + last + 1)
                low, high = np.searchsorted(self.cells, bounds)
                found.append(self.rows[low:high])
        return np.concatenate(found)


def _columns(east: int, wide: int) -> list[tuple[int, int]]:
    """The columns so many to both sides of one, across the antimeridian as well."""
    low, high = east - wide, east + wide
    if high - low >= 359:
        return [(0, 359)]
    if low < 0:
        return [(0, high), (low + 360, 359)]
    return [(low, high)] if high < 360 else [(low, 359), (0, high - 360)]


def _cell_metres(latitude: float) -> float:
    """The least extent of a cell and its share of the ring."""
    return 111_000.0 * _CELL * min(1.0, max(0.3, float(np.cos(np.radians(latitude)))))


def _cell_of(latitude: float, longitude: float) -> tuple[int, int]:
    return min(179, int(latitude + 90)), int(longitude + 180) % 360


def _code(country: str) -> int:
    first, second = country.encode("ascii", "replace")
    return first * 256 + second


def _load_towns() -> _Towns:
    with (
        resources.files("geotag.places").joinpath("towns.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as stored,
    ):
        latitude, longitude = stored["latitude"] / 1e4, stored["longitude"] / 1e4
        letters = stored["country"].astype(np.uint16).reshape(-1, 2)
        regions = stored["region"]
        names = stored["names"].tobytes().decode().split("\n")
        region_names = stored["regions"].tobytes().decode().split("\n")
    north = np.minimum(179, (latitude + 90).astype(np.int64))
    cells = north * 360 + (longitude + 180).astype(np.int64) % 360
    rows = np.argsort(cells, kind="stable")
    return _Towns(
        to_vectors(latitude, longitude),
        letters[:, 0] * np.uint16(256) + letters[:, 1],
        regions,
        names,
        region_names,
        cells[rows],
        rows,
    )
