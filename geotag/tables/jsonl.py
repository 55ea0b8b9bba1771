"""Tables as JSON lines: one object a row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from geotag.errors import TableError
from geotag.records import Outcome
from geotag.tables.base import CELL_LIMIT, FLOATS, SCHEMA_VERSION, finite


class JsonlFormat:
    """UTF-8; empty cells are null, top_k is a list."""

    def write(self, file: BinaryIO, rows: Iterable[Outcome]) -> None:
        for row in rows:
            file.write(json.dumps(json_cells(row), ensure_ascii=False).encode() + b"\n")

    def read(self, path: Path) -> Iterator[Mapping[str, Any]]:
        """The rows of a table; blank lines are passed over."""
        try:
            with path.open("rb") as file:
                number = 0
                while line := file.readline(CELL_LIMIT):
                    number += 1
                    if line.strip():
                        yield parse_object(line, f"{path}, line {number}")
        except OSError as error:
            raise TableError(f"{path}: cannot be read ({error.strerror})") from error


def json_cells(row: Outcome) -> dict[str, Any]:
    """A row as a JSON object: empty cells are null, top_k is a list."""
    cells: dict[str, Any] = {k: v if v != "" else None for k, v in row._asdict().items()}
    cells |= {name: finite(cells[name]) for name in FLOATS}  # JSON has no others
    cells["top_k"] = [entry._asdict() for entry in row.top_k]
    cells["schema_version"] = SCHEMA_VERSION
    return cells


def parse_object(line: bytes, place: str) -> Mapping[str, Any]:
    """A line that holds one JSON object. Raises TableError that names `place`."""
    try:
        cells = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = error if isinstance(error, json.JSONDecodeError) else "nested too deep, or no text"
        raise TableError(f"{place}: not JSON ({reason})") from error
    if not isinstance(cells, dict):
        raise TableError(f"{place}: not a JSON object")
    return cells
