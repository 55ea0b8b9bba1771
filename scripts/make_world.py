"""Makes geotag/report/static/world.json: the land, borders and names of the report's map.

python scripts/make_world.py COUNTRIES.JSON

COUNTRIES.JSON is countries-50m.json of the npm package world-atlas 2.0.2: Natural Earth 4.1 at
1:50 million (public domain, naturalearthdata.com) as TopoJSON.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

OUT = Path(__file__).resolve().parents[1] / "geotag" / "report" / "static" / "world.json"
STEPS = 50  # to a degree: some two kilometres
TOLERANCE = 0.06  # degrees that a simplified line may lie off
LEAST_AREA = 0.02  # square degrees of an island
Line = NDArray[np.float64]


@click.command(help=__doc__)
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("out", default=OUT, type=click.Path(dir_okay=False, path_type=Path))
def main(source: Path, out: Path) -> None:
    """Rings of land and lines of borders as whole steps, each point from the one before it."""
    topology = json.loads(source.read_text("utf-8"))
    arcs = [_degrees(arc, topology["transform"]) for arc in topology["arcs"]]
    simple = [_simplified(arc) for arc in arcs]
    countries = topology["objects"]["countries"]["geometries"]
    owners = Counter(
        number for country in countries for number in {_arc(at) for at in _flat(country["arcs"])}
    )
    rings = [_ring(ring, simple) for ring in _rings(topology["objects"]["land"])]
    land = [_encoded(ring) for ring in rings if _area(ring) >= LEAST_AREA]
    world = {
        "steps": STEPS,
        "land": land,
        "borders": [_encoded(simple[at]) for at, count in sorted(owners.items()) if count > 1],
        "names": [_label(country, arcs) for country in countries],
    }
    text = json.dumps(world, ensure_ascii=False, separators=(",", ":"))
    out.write_text(text, "utf-8")
    click.echo(f"{out}: {len(land)} rings of land, {len(text.encode()) / 1e3:.0f} KB")


def _degrees(arc: list[list[int]], transform: dict[str, list[float]]) -> Line:
    return _unwrapped(
        np.cumsum(np.array(arc), axis=0) * transform["scale"] + transform["translate"]
    )


def _unwrapped(line: Line) -> Line:
    """The same line without jumps from one end of the map to the other: it runs on beyond 180."""
    return np.column_stack([np.unwrap(line[:, 0], period=360), line[:, 1]])


def _simplified(line: Line) -> Line:
    """The points that a line within TOLERANCE needs (Douglas and Peucker)."""
    keep = np.zeros(len(line), bool)
    keep[[0, -1]] = True
    pending = [(0, len(line) - 1)]
    while pending:
        first, last = pending.pop()
        off = _distances(line[first + 1 : last], line[first], line[last])
        if len(off) and off.max() > TOLERANCE:
            middle = first + 1 + int(off.argmax())
            keep[middle] = True
            pending += [(first, middle), (middle, last)]
    kept: Line = line[keep]
    return kept


def _distances(points: Line, start: Line, end: Line) -> Line:
    """How far points lie from the line between two others, or from a ring's only end."""
    along = end - start
    length = float(np.hypot(*along))
    if length == 0:
        away: Line = np.hypot(*(points - start).T)
        return away
    across: Line = np.abs((points - start) @ np.array([-along[1], along[0]])) / length
    return across


def _flat(arcs: Any) -> Iterator[int]:
    for item in arcs:
        if isinstance(item, int):
            yield item
        else:
            yield from _flat(item)


def _arc(at: int) -> int:
    """The number of an arc; of one that runs backwards TopoJSON holds the complement."""
    return at if at >= 0 else ~at


def _rings(geometry: dict[str, Any]) -> Iterator[list[int]]:
    match geometry["type"]:
        case "GeometryCollection":
            for inner in geometry["geometries"]:
                yield from _rings(inner)
        case "MultiPolygon":
            for polygon in geometry["arcs"]:
                yield from polygon
        case "Polygon":
            yield from geometry["arcs"]


def _ring(numbers: list[int], arcs: list[Line]) -> Line:
    parts = [arcs[at] if at >= 0 else arcs[~at][::-1] for at in numbers]
    ring = _unwrapped(np.concatenate([parts[0], *(part[1:] for part in parts[1:])]))
    if abs(ring[-1, 0] - ring[0, 0]) > 180:  # Antarctica goes round the pole
        return np.concatenate([ring, [[ring[-1, 0], -90], [ring[0, 0], -90], ring[0]]])
    return ring


def _area(ring: Line) -> float:
    x, y = ring.T
    return abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2


def _encoded(line: Line) -> list[int]:
    """Longitude and latitude in turn: the first point, then the way to each next one."""
    steps = np.round(line * STEPS).astype(int)
    ways = np.diff(steps, axis=0)
    return [*map(int, steps[0]), *(int(step) for way in ways if way.any() for step in way)]


def _label(country: dict[str, Any], arcs: list[Line]) -> list[Any]:
    """A country's name, the centre of its largest part, and its size in square degrees."""
    largest = max((_ring(ring, arcs) for ring in _rings(country)), key=_area)
    x, y = largest.T
    cross = x[:-1] * y[1:] - x[1:] * y[:-1]
    area = float(cross.sum()) / 2
    longitude = float(((x[:-1] + x[1:]) * cross).sum()) / (6 * area)
    latitude = float(((y[:-1] + y[1:]) * cross).sum()) / (6 * area)
    name = country["properties"]["name"]
    return [name, *(round(number, 1) for number in (longitude, latitude, abs(area)))]


if __name__ == "__main__":
    main()
