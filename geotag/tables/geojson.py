"""Tables as GeoJSON (RFC 7946): one Feature a row, on a line of its own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from geotag.errors import TableError
from geotag.records import Outcome
from geotag.tables.base import CELL_LIMIT, degrees
from geotag.tables.jsonl import json_cells, parse_object

_HEAD = b'{"type": "FeatureCollection", "features": ['
_HEAD_LINES = 20  # that other programs may write before the features
_NOT_OURS = "not a FeatureCollection with each Feature on a line of its own, as geotag writes it"


class GeojsonFormat:
    """UTF-8; all columns are properties, and the geometry is null where there is no position.

    When a table is read, its properties count, not its geometries.
    """

    def write(self, file: BinaryIO, rows: Iterable[Outcome]) -> None:
        file.write(_HEAD)
        separator = b"\n"
        for row in rows:
            file.write(separator + json.dumps(_feature(row), ensure_ascii=False).encode())
            separator = b",\n"
        file.write(b"\n]}\n")

    def read(self, path: Path) -> Iterator[Mapping[str, Any]]:
        """The rows of a table, also one that QGIS or GDAL saved again, a line at a time."""
        try:
            with path.open("rb") as file:
                number = _skip_head(file, path)
                while line := file.readline(CELL_LIMIT).strip():
                    number += 1
                    if line.startswith(b"]"):
                        return
                    yield _properties(line.removesuffix(b","), f"{path}, line {number}")
                raise TableError(f"{path}: ends after line {number}, before its last Feature does")
        except OSError as error:
            raise TableError(f"{path}: cannot be read ({error.strerror})") from error


def _feature(row: Outcome) -> dict[str, Any]:
    place = degrees(row)
    geometry = {"type": "Point", "coordinates": [place[1], place[0]]} if place else None
    return {"type": "Feature", "geometry": geometry, "properties": json_cells(row)}


def _skip_head(file: BinaryIO, path: Path) -> int:
    """Go to the first feature; returns how many lines stand before it."""
    for number in range(1, _HEAD_LINES + 1):
        if file.readline(CELL_LIMIT).rstrip().endswith(b'"features": ['):
            return number
    raise TableError(f"{path}: {_NOT_OURS}")


def _properties(line: bytes, place: str) -> Mapping[str, Any]:
    cells = parse_object(line, place).get("properties")
    if not isinstance(cells, dict):
        raise TableError(f"{place}: a Feature without properties; is this a table of geotag's?")
    return cells
