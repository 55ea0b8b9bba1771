"""The table: its columns, cells and what every table format offers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from geotag.errors import TableError
from geotag.records import Outcome, Status, TopCategory

SCHEMA_VERSION = 1
COLUMNS = (*Outcome._fields, "schema_version")
FLOATS = frozenset(("latitude", "longitude", "altitude", "radius_m", "confidence"))
INTEGERS = frozenset(("category_id", "schema_version"))
# What makes a spreadsheet run a cell (OWASP, "CSV Injection"), and the sign that we put before it.
_RUNS = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
_GUARD = "'"


class TableFormat(Protocol):
    """One table format: rows to bytes and back."""

    def write(self, file: BinaryIO, rows: Iterable[Outcome]) -> None:
        """Write all rows, streaming."""
        ...

    def read(self, path: Path) -> Iterator[Mapping[str, Any]]:
        """The cells of each row by column name, as the format holds them. Raises TableError."""
        ...


def format_top_k(top_k: tuple[TopCategory, ...]) -> str:
    """The top_k cell: JSON, most likely first; empty for a photo that was not classified."""
    return json.dumps([entry._asdict() for entry in top_k], ensure_ascii=False) if top_k else ""


def guard_cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula: a leading apostrophe where one would."""
    return _GUARD + text if text.startswith(_RUNS) else text


def unguard_cell(text: str) -> str:
    """The reverse of `guard_cell`."""
    return text[1:] if text.startswith(_GUARD) and text[1:].startswith(_RUNS) else text


def parse_row(cells: Mapping[str, Any], place: str) -> Outcome:
    """A row as a record; columns may be missing or in any order, but for the path.

    Raises TableError that names `place` (file and row) and the cell that is wrong.
    """
    path = cells.get("path")
    if not path or not isinstance(path, str):
        raise TableError(f"{place}: no path; is this a table that geotag wrote?")
    known = {name: cells[name] for name in Outcome._fields if name in cells}
    try:
        values = {name: _parse_cell(name, value) for name, value in known.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise TableError(f"{place}: {error}") from error
    values.setdefault("status", Status.UNCERTAIN)
    return Outcome(**values)


def _parse_cell(name: str, value: Any) -> Any:
    empty = value is None or value == "" or (isinstance(value, float) and math.isnan(value))
    if name == "top_k":
        return () if empty else _parse_top_k(value)
    if name == "status":
        if value not in {status.value for status in Status}:
            raise ValueError(f"unknown status {value!r}")
        return Status(value)
    if name in FLOATS or name in INTEGERS:
        return None if empty else _parse_number(name, value)
    return "" if empty else str(value)


def _parse_number(name: str, value: Any) -> float | int:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is not a number: {value!r}") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} is not a finite number: {value!r}")
    if name in INTEGERS:
        if not number.is_integer():
            raise ValueError(f"{name} is not a whole number: {value!r}")
        return int(number)
    if name == "confidence" and not 0 <= number <= 1:
        raise ValueError(f"confidence is not between 0 and 1: {value!r}")
    return number


def _parse_top_k(value: Any) -> tuple[TopCategory, ...]:
    entries = json.loads(value) if isinstance(value, str) else value
    return tuple(
        TopCategory(
            int(entry["category_id"]),
            str(entry["slug"]),
            str(entry["landmark"]),
            float(entry["confidence"]),
        )
        for entry in entries
    )
