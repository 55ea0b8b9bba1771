"""The country, the nearest town, its region and the time zone of positions, offline."""

from __future__ import annotations

import functools
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from importlib.metadata import version
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from geotag.errors import MissingDependencyError
from geotag.places.sphere import metres, to_vectors
from geotag.records import Location

_Loaded = TypeVar("_Loaded")
# Positions are named once for each of so many parts of a degree.
_CELLS = 1000
# The index has cells of half a degree: so many rows and columns of them.
_PER_DEGREE = 2
_ROWS, _COLUMNS = 180 * _PER_DEGREE, 360 * _PER_DEGREE
_REACH_M = 50_000.0
# What is beyond a ring of cells is this far away, per ring.
_CELL_M = 0.8 * 111_000.0 / _PER_DEGREE
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


class FoundName(NamedTuple):
    """What was found at a position: as a PlaceName, with the country's code and English name."""

    town: str = ""
    distance_m: float | None = None
    region: str = ""
    code: str = ""
    english: str = ""
    time_zone: str = ""


class Names(Protocol):
    """Where names are kept that were found before, by latitude and longitude in thousandths of a
    degree; `rules` are the same as long as the same ones would be found."""

    def get(self, at: tuple[int, int], rules: int) -> FoundName | None:
        """None for one that is not kept."""

    def add(self, at: tuple[int, int], rules: int, name: FoundName) -> None:
        """Keep one."""


class Gazetteer:
    """Names positions: the country by its area first, then the nearest town of that country.

    Raises MissingDependencyError where the extra `places` is not installed.
    """

    def __init__(
        self, country_names: Mapping[str, str] | None = None, kept: Names | None = None
    ) -> None:
        """`country_names` are by ISO 3166-1 code; countries that it lacks have English ones."""
        self._country_names, self._kept = country_names or {}, kept
        try:
            import countrycheck
            import tzfpy
        except ImportError:
            raise MissingDependencyError("naming places", "places") from None
        self._countries, self._zones = countrycheck.CountryCheck, tzfpy
        self._rules = _rules(tzfpy.data_version(), version("countrycheck"))
        self._name = functools.lru_cache(maxsize=1 << 14)(self._of_cell)

    def name(self, place: Location) -> PlaceName:
        """What a position is called."""
        return self._name(round(place.latitude * _CELLS), round(place.longitude * _CELLS))

    def _of_cell(self, north: int, east: int) -> PlaceName:
        at = north, east
        found = self._kept.get(at, self._rules) if self._kept is not None else None
        if found is None:
            found = self._of_point(north / _CELLS, east / _CELLS)
            if self._kept is not None:
                self._kept.add(at, self._rules, found)
        country = self._country_names.get(found.code, found.english)
        return PlaceName(found.town, found.distance_m, found.region, country, found.time_zone)

    def _of_point(self, latitude: float, longitude: float) -> FoundName:
        zone = self._zones.get_tz(longitude, latitude) or ""
        found = _loaded(self._countries).check(longitude, latitude)
        if found.country is None:
            return FoundName(time_zone=zone)
        code = found.iso2 or _OTHER_CODES.get(found.country, "")
        nearest = _loaded(_load_towns).nearest(latitude, longitude, code)
        town, region, away = nearest if nearest is not None else ("", "", None)
        return FoundName(town, away, region, code, found.name or "", zone)


@functools.cache
def _rules(*versions: str) -> int:
    """What changes whenever the same positions would be named otherwise."""
    towns = resources.files("geotag.places").joinpath("towns.npz").read_bytes()
    code = resources.files("geotag.places").joinpath("names.py").read_bytes()
    return zlib.crc32(repr(versions).encode(), zlib.crc32(code, zlib.crc32(towns)))


class Town(NamedTuple):
    """A town of the gazetteer; `country` is its ISO 3166 code. WGS-84 degrees.

    `size` is the number of binary digits of its population, 0 where that is not known.
    """

    name: str
    region: str
    country: str
    latitude: float
    longitude: float
    size: int = 0


@functools.cache
def load_town_names() -> tuple[Town, ...]:
    """All towns of the gazetteer, by country and place."""
    with _stored_towns() as stored:
        codes = stored["country"].tobytes().decode("ascii")
        names, regions = _lines(stored["names"]), _lines(stored["regions"])
        columns = (stored[name].tolist() for name in ("region", "latitude", "longitude", "size"))
        rows = zip(names, *columns, strict=True)
        return tuple(
            Town(name, regions[region], codes[2 * at : 2 * at + 2], north / 1e4, east / 1e4, size)
            for at, (name, region, north, east, size) in enumerate(rows)
        )


class _Towns(NamedTuple):
    """Towns in the order of their cells, which begin at `starts`."""

    points: NDArray[np.float64]
    countries: NDArray[np.uint16]
    regions: NDArray[np.uint16]
    names: list[str]
    region_names: list[str]
    starts: list[int]

    def nearest(
        self, latitude: float, longitude: float, country: str
    ) -> tuple[str, str, float] | None:
        """The nearest town of a country within 50 km, its region, and how far away it is."""
        if len(country) != 2:
            return None
        code = _code(country)
        here = np.array(_vector(latitude, longitude))
        best: tuple[float, int] | None = None
        for ring in (1, 2):
            row = self._nearest_of(self._around(latitude, longitude, ring), here, code)
            if row >= 0:
                best = float(metres(self.points[row], here)), row
                # Beyond a ring of cells another town may be nearer only if this one is far off.
                if best[0] <= _CELL_M * ring:
                    break
        if best is None or best[0] > _REACH_M:
            return None
        distance, row = best
        return self.names[row], self.region_names[self.regions[row]], round(distance)

    def _nearest_of(
        self, stretches: Iterable[tuple[int, int]], here: NDArray[np.float64], country: int
    ) -> int:
        """The row of the nearest town of a country, -1 for none: the greatest cosine."""
        best, found = -2.0, -1
        for low, high in stretches:
            if low < high:
                cosine = self.points[low:high] @ here
                cosine[self.countries[low:high] != country] = -2.0
                at = int(cosine.argmax())
                if cosine[at] > best:
                    best, found = float(cosine[at]), low + at
        return found

    def _around(self, latitude: float, longitude: float, ring: int) -> Iterator[tuple[int, int]]:
        """The rows in the cells around a position; more cells of longitude near the poles."""
        wide = min(_COLUMNS // 2, int(ring / max(0.01, math.cos(math.radians(latitude)))) + 1)
        north, east = _cell_of(latitude, longitude)
        for row in range(max(0, north - ring), min(_ROWS - 1, north + ring) + 1):
            for first, last in _columns(east, wide):
                yield self.starts[row * _COLUMNS + first], self.starts[row * _COLUMNS + last + 1]


def _vector(latitude: float, longitude: float) -> tuple[float, float, float]:
    phi, lam = math.radians(latitude), math.radians(longitude)
    return math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi)


def _columns(east: int, wide: int) -> list[tuple[int, int]]:
    """The columns so many to both sides of one, across the antimeridian as well."""
    low, high, last = east - wide, east + wide, _COLUMNS - 1
    if high - low >= last:
        return [(0, last)]
    if low < 0:
        return [(0, high), (low + _COLUMNS, last)]
    return [(low, high)] if high <= last else [(low, last), (0, high - _COLUMNS)]


def _cell_of(latitude: float, longitude: float) -> tuple[int, int]:
    north = min(_ROWS - 1, int((latitude + 90) * _PER_DEGREE))
    return north, int((longitude + 180) * _PER_DEGREE) % _COLUMNS


def _code(country: str) -> int:
    first, second = country.encode("ascii", "replace")
    return first * 256 + second


@contextmanager
def _stored_towns() -> Iterator[Any]:
    with (
        resources.files("geotag.places").joinpath("towns.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as stored,
    ):
        yield stored


def _lines(stored: NDArray[np.uint8]) -> list[str]:
    return stored.tobytes().decode().split("\n")


@functools.cache
def _loaded(load: Callable[[], _Loaded]) -> _Loaded:
    """What takes long to load and never changes: once for all scans of a process."""
    return load()


def _load_towns() -> _Towns:
    with _stored_towns() as stored:
        latitude, longitude = stored["latitude"] / 1e4, stored["longitude"] / 1e4
        letters = stored["country"].astype(np.uint16).reshape(-1, 2)
        regions = stored["region"]
        names, region_names = _lines(stored["names"]), _lines(stored["regions"])
    north = np.minimum(_ROWS - 1, ((latitude + 90) * _PER_DEGREE).astype(np.int64))
    cells = north * _COLUMNS + ((longitude + 180) * _PER_DEGREE).astype(np.int64) % _COLUMNS
    rows = np.argsort(cells, kind="stable")
    return _Towns(
        to_vectors(latitude[rows], longitude[rows]),
        (letters[:, 0] * np.uint16(256) + letters[:, 1])[rows],
        regions[rows],
        [names[row] for row in rows],
        region_names,
        np.searchsorted(cells[rows], np.arange(_ROWS * _COLUMNS + 1)).tolist(),
    )
