"""The table: its columns, cells and what every table format offers."""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from geotag.categories import MAX_RADIUS_M
from geotag.decision import TOP_K_LIMIT
from geotag.errors import TableError
from geotag.records import Outcome, Status, TopCategory

SCHEMA_VERSION = 2
COLUMNS = (*Outcome._fields, "schema_version")
FLOATS = frozenset(("latitude", "longitude", "altitude", "radius_m", "confidence"))
INTEGERS = frozenset(("category_id", "schema_version"))
CELL_LIMIT = 2**24
_WHOLE_LIMIT = 2**53  # up to here floats hold whole numbers exactly
_SHOWN = 60
# What makes a spreadsheet run a cell (OWASP, "CSV Injection"): a sign at the start of the cell,
# also behind blanks and quotes, or a tab or an end of a line there. Where a spreadsheet splits
# lines at semicolons or tabs, each of these, and each end of a line, begins a cell.
_GUARD = "'"
_SIGNS = "[=+\\-@＝＋－＠']"
_ENDS = re.compile(r"[;\t\r\n]")
_BLANKS = r'[;\s"\x00-\x1f\x7f\u200b-\u200f\ufeff]'
# Whole runs of blanks, without a second try inside: time in proportion to the text.
_BEFORE_SIGN = re.compile(rf"(?<!{_BLANKS})({_BLANKS}*+)(?={_SIGNS})")
_BEFORE_GUARD = re.compile(rf"(?<!{_BLANKS})({_BLANKS}*+){_GUARD}(?={_SIGNS})")
_PLAIN_START = re.compile(r"[\w/\[]")


class MapFormat(Protocol):
    """One format that is written for other programs: rows to bytes."""

    def write(self, file: BinaryIO, rows: Iterable[Outcome]) -> None:
        """Write all rows, streaming."""
        ...


class TableFormat(MapFormat, Protocol):
    """One table format: rows to bytes and back."""

    def read(self, path: Path) -> Iterator[Mapping[str, Any]]:
        """The cells of each row by column name, as the format holds them. Raises TableError."""
        ...


def format_top_k(top_k: tuple[TopCategory, ...]) -> str:
    """The top_k cell: JSON, most likely first; empty for a photo that was not classified."""
    return json.dumps([entry._asdict() for entry in top_k], ensure_ascii=False) if top_k else ""


def finite(number: float | None) -> float | None:
    """The number; none where it is not finite."""
    return number if number is not None and math.isfinite(number) else None


def degrees(row: Outcome) -> tuple[float, float] | None:
    """A row's latitude and longitude to a centimetre; none where it has no position on Earth."""
    latitude, longitude = row.latitude, row.longitude
    if latitude is None or longitude is None:
        return None
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        return None
    return round(latitude, 7), round(longitude, 7)


def guard_cell(text: str) -> str:
    """Text in which no spreadsheet finds a formula: an apostrophe before each that may be one."""
    if not text or (_PLAIN_START.match(text) and not _ENDS.search(text)):
        return text  # as most are
    guarded = _BEFORE_SIGN.sub(lambda run: run[0] + _GUARD if _begins_cell(run) else run[0], text)
    return _GUARD + guarded if text[0] in "\t\r\n" else guarded


def unguard_cell(text: str) -> str:
    if _GUARD not in text:
        return text
    if text[0] == _GUARD and text[1:2] in ("\t", "\r", "\n"):
        text = text[1:]
    return _BEFORE_GUARD.sub(lambda run: run[1] if _begins_cell(run) else run[0], text)


def _begins_cell(run: re.Match[str]) -> bool:
    """Whether what follows a run of blanks begins a cell, here or in another country."""
    return run.start() == 0 or _ENDS.search(run[1]) is not None


def shown(value: object) -> str:
    """A value from a table as a message quotes it: short, on one line."""
    text = value if isinstance(value, str) else str(value) if _is_number(value) else ""
    short = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:_SHOWN])
    short += "…" if len(text) > _SHOWN else ""
    return f'"{short}"' if short else f"a {type(value).__name__}"


def parse_row(cells: Mapping[str, Any], place: str) -> Outcome:
    """A row as a record; columns may be missing or in any order, but for the path.

    Raises TableError that names `place` (file and row) and the cell that is wrong.
    """
    path = cells.get("path")
    if not path or not isinstance(path, str):
        raise TableError(f"{place}: no path; is this a table that geotag wrote?")
    try:
        known = {name: cells[name] for name in Outcome._fields if name in cells}
        values = {name: _parse_cell(name, value) for name, value in known.items()}
    except ValueError as error:
        raise TableError(f"{place}: {error}") from error
    values.setdefault("status", Status.UNCERTAIN)
    return Outcome(**values)


def _parse_cell(name: str, value: Any) -> Any:
    empty = value is None or value == "" or (isinstance(value, float) and math.isnan(value))
    if name == "top_k":
        return () if empty else _parse_top_k(value)
    if name == "status":  # a row that a person added has none
        return Status.UNCERTAIN if empty else _parse_status(value)
    if name in FLOATS or name in INTEGERS:
        return None if empty else _parse_number(name, value)
    return "" if empty else _parse_text(name, value)


def _parse_status(value: Any) -> Status:
    if isinstance(value, str) and (text := value.strip().lower()) in set(Status):
        return Status(text)
    raise ValueError(f"{shown(value)} is not a status")


def _parse_text(name: str, value: Any) -> str:
    """Text, or what a spreadsheet or pandas made of text that looks like a number or a time."""
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    if not isinstance(value, str) and not _is_number(value):
        raise ValueError(f"{name} is not text but {shown(value)}")
    text = str(value)
    if len(text) > CELL_LIMIT or _has_surrogates(text):
        raise ValueError(f"{name} is not valid text")
    return text


def _has_surrogates(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _parse_number(name: str, value: Any) -> float | int:
    try:
        is_text = isinstance(value, str) and "_" not in value  # Python's 1_000 is a slip of the pen
        number = float(value) if is_text or _is_number(value) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} is not a number: {shown(value)}")
    if name in INTEGERS:
        if not number.is_integer() or abs(number) > _WHOLE_LIMIT:
            raise ValueError(f"{name} is not a whole number: {shown(value)}")
        return int(number)
    if name == "confidence" and not 0 <= number <= 1:
        raise ValueError(f"confidence is not between 0 and 1: {shown(value)}")
    if name == "radius_m" and not 0 <= number <= MAX_RADIUS_M:
        raise ValueError(f"radius_m is not between 0 and {MAX_RADIUS_M}: {shown(value)}")
    return number


def _parse_top_k(value: Any) -> tuple[TopCategory, ...]:
    try:
        entries = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        raise ValueError(f"top_k is not JSON: {shown(value)}") from None
    if not isinstance(entries, list) or len(entries) > TOP_K_LIMIT:
        raise ValueError(f"top_k is not a list of up to {TOP_K_LIMIT} landmarks")
    return tuple(map(_parse_entry, entries))


def _parse_entry(entry: Any) -> TopCategory:
    if not isinstance(entry, dict) or not entry.keys() >= set(TopCategory._fields):
        raise ValueError(f"an entry of top_k lacks one of {', '.join(TopCategory._fields)}")
    return TopCategory(
        int(_parse_number("category_id", entry["category_id"])),
        _parse_text("slug", entry["slug"]),
        _parse_text("landmark", entry["landmark"]),
        _parse_number("confidence", entry["confidence"]),
    )
