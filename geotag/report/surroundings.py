"""What a report's map shows beside the photos: towns near them, and recorded tracks. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby, product
from typing import NamedTuple

from geotag.places.distance import distance_m
from geotag.places.names import Town
from geotag.places.private import Zone, is_private
from geotag.records import Location, Outcome

MOST_TOWNS = 2000
MOST_POINTS = 20_000  # of all tracks together
_CELL = 0.25  # degrees
_FIRST_STEP_M = 10.0

Line = list[tuple[float, float]]


class Surroundings(NamedTuple):
    """Towns, the most important for the photos first; tracks as lines of latitude and longitude,
    WGS-84 degrees; and what was found of devices' clocks, a sentence each."""

    towns: Sequence[Town] = ()
    tracks: Sequence[Line] = ()
    clocks: Sequence[str] = ()


def towns_near(rows: Iterable[Outcome], towns: Iterable[Town]) -> list[Town]:
    """The towns within some thirty kilometres of photos with a position, at most MOST_TOWNS: those
    that rows name, then those with the most photos around, and the largest."""
    photos: Counter[tuple[int, int]] = Counter()
    named: Counter[str] = Counter()
    for row in rows:
        if row.latitude is not None and row.longitude is not None:
            photos[_cell(row.latitude, row.longitude)] += 1
            named.update({row.place, row.city})
    around: Counter[tuple[int, int]] = Counter()
    for (north, east), count in photos.items():
        for up, right in product((-1, 0, 1), repeat=2):
            # Those in the midst of the photos before those around them.
            around[(north + up, east + right)] += count * (10 if up == right == 0 else 1)
    near = [(around[cell], town) for town in towns if (cell := _town_cell(town)) in around]
    near.sort(key=lambda pair: (-named[pair[1].name], -pair[0], -pair[1].size, pair[1]))
    return [town for _, town in near[:MOST_TOWNS]]


def track_lines(segments: Iterable[Line], zones: Sequence[Zone]) -> list[Line]:
    """Tracks as few points as needed, MOST_POINTS at most, and nothing of them in private zones."""
    lines = [line for segment in segments for line in _outside(segment, zones)]
    step = _FIRST_STEP_M
    while True:
        thinned = [_thinned(line, step) for line in lines]
        if sum(map(len, thinned)) <= MOST_POINTS or step > 1e6:
            break
        step *= 2
    kept = [line for line in thinned if len(line) > 1]
    return kept[:MOST_POINTS]


def _outside(line: Line, zones: Sequence[Zone]) -> Iterable[Line]:
    """The parts of a line that lie in no zone."""
    for is_in, points in groupby(line, lambda at: is_private(Location(*at), zones)):
        if not is_in:
            yield list(points)


def _thinned(line: Line, step_m: float) -> Line:
    """A line without points nearer than a step to the one before; its end stays."""
    kept = line[:1]
    for point in line[1:]:
        if distance_m(Location(*kept[-1]), Location(*point)) >= step_m:
            kept.append(point)
    if len(line) > 1 and kept[-1] != line[-1]:
        kept.append(line[-1])
    return kept


def _cell(latitude: float, longitude: float) -> tuple[int, int]:
    return int(latitude // _CELL), int(longitude // _CELL)


def _town_cell(town: Town) -> tuple[int, int]:
    return _cell(town.latitude, town.longitude)
