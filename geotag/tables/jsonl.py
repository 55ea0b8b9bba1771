"""Tables as JSON lines: one object a row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from geotag.errors import TableError
from geotag.records import Outcome
from geotag.tables.base import CELL_LIMIT, SCHEMA_VERSION


class JsonlFormat:
    """UTF-8; empty cells are null, top_k is a list."""

    def write(self, file: BinaryIO, rows: Iterable[Outcome]) -> None:
        """Write one line for each row."""
        for row in rows:
            cells = {k: v if v != "" else None for k, v in row._asdict().items()}
            cells["top_k"] = [entry._asdict() for entry in row.top_k]
            cells["schema_version"] = SCHEMA_VERSION
            file.write(json.dumps(cells, ensure_ascii=False).encode() + b"\n")

    def read(self, path: Path) -> Iterator[Mapping[str, Any]]:
        """The rows of a table; blank lines are passed over."""
        try:
            with path.open("rb") as file:
                number = 0
                while line := file.readline(CELL_LIMIT):
                    number += 1
                    if line.strip():
                        yield _parse_line(line, f"{path}, line {number}")
        except OSError as error:
            raise TableError(f"{path}: cannot be read ({error.strerror})") from error


def _parse_line(line: bytes, place: str) -> Mapping[str, Any]:
    try:
        cells = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = error if isinstance(error, json.JSONDecodeError) else "nested too deep or no text"
        raise TableError(f"{place}: not JSON ({reason})") from error
    if not isinstance(cells, dict):
        raise TableError(f"{place}: not a JSON object")
    return cells
