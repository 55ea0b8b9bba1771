"""Tables as CSV (RFC 4180), safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from geotag.errors import TableError
from geotag.records import Outcome
from geotag.tables.base import (
    CELL_LIMIT,
    COLUMNS,
    FLOATS,
    INTEGERS,
    SCHEMA_VERSION,
    format_top_k,
    guard_cell,
    shown,
    unguard_cell,
)

_STATUS, _TOP_K = map(Outcome._fields.index, ("status", "top_k"))
_DELIMITERS = ",;\t"  # what spreadsheets put between cells, by the country
_REMEDY = (
    "save it as UTF-8: in Excel as “CSV UTF-8”, in LibreOffice with the character set Unicode "
    "(UTF-8)"
)
_NUMBERS = FLOATS | INTEGERS
_LINES_BEFORE = 100
_HINT = re.compile(r'"?sep=."?\s*')
# Cells that a photo's file cannot be told by; a name of a file may look like anything.
_WORDS = ("landmark", "city", "country")
# What spreadsheets take UTF-8 for when nobody tells them.
_OTHERS = ("cp1252", "mac_roman")


class CsvFormat:
    """Comma, quotes where needed, UTF-8; with the mark by which Excel knows UTF-8 in a file."""

    def __init__(self, with_mark: bool = True) -> None:
        self.encoding = "utf-8-sig" if with_mark else "utf-8"

    def write(self, file: BinaryIO, rows: Iterable[Outcome]) -> None:
        """Write a header line and one line for each row."""
        text = io.TextIOWrapper(file, self.encoding, newline="", write_through=False)
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        writer.writerows(map(_cells, rows))
        text.flush()
        text.detach()

    def read(self, path: Path) -> Iterator[Mapping[str, Any]]:
        """The rows of a table, also one that a spreadsheet saved again."""
        csv.field_size_limit(CELL_LIMIT)
        number = 0
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                head = _head(file)
                if not head:
                    raise TableError(f"{path}: empty; is this a table that geotag wrote?")
                delimiter = max(_DELIMITERS, key=head.count)
                reader = csv.DictReader(chain((head,), file), delimiter=delimiter)
                reader.fieldnames = _names(reader.fieldnames or (), path)
                for number, row in enumerate(reader, 1):
                    cells = {k: unguard_cell(v) for k, v in row.items() if k and v is not None}
                    if not any(map(str.strip, cells.values())):  # as spreadsheets leave them
                        continue
                    if delimiter != ",":  # as where the comma stands before decimals
                        cells |= {k: cells[k].replace(",", ".") for k in _NUMBERS & cells.keys()}
                    _check_words(cells, f"{path}, row {number}")
                    yield cells
        except UnicodeDecodeError:
            raise TableError(f"{path}: not UTF-8 from row {number + 1} on; {_REMEDY}") from None
        except csv.Error as error:
            raise TableError(f"{path}, row {number + 1}: not CSV ({error})") from error
        except OSError as error:
            raise TableError(f"{path}: cannot be read ({error.strerror or error})") from error


def _head(file: TextIO) -> str:
    """The line with the names of the columns: blank ones may be before it, and Excel's hint."""
    for _ in range(_LINES_BEFORE):
        line = file.readline(CELL_LIMIT).lstrip("\ufeff")
        if not line or not (_HINT.fullmatch(line) or not line.strip(_DELIMITERS + ' "\r\n')):
            return line
    return ""


def _names(columns: Iterable[str], path: Path) -> list[str]:
    """The columns by the names that geotag gives them, whatever their case."""
    names = [name.strip() for name in columns]
    names = [name.lower() if name.lower() in COLUMNS else name for name in names]
    if "path" not in names:
        raise TableError(f"{path}: it has no column path; is this a table that geotag wrote?")
    for name in COLUMNS:
        if names.count(name) > 1:
            raise TableError(f"{path}: several columns are named {name}: rename or remove one")
    return names


def _check_words(cells: Mapping[str, str], place: str) -> None:
    """Raise TableError for text that was UTF-8 and went through another encoding."""
    for name in _WORDS:
        text = cells.get(name, "")
        meant = text if text.isascii() else unmangled(text)
        if meant != text:
            raise TableError(
                f"{place}: the {name} {shown(text)} is {shown(meant)} opened in the wrong "
                f"encoding; scan again for a new table, open it as UTF-8, and {_REMEDY}"
            )


def unmangled(text: str) -> str:
    """The text that a spreadsheet made this of by taking UTF-8 for something else; or the same."""
    for encoding in _OTHERS:
        try:
            return b"".join(_encoded(letter, encoding) for letter in text).decode()
        except UnicodeError:
            continue
    return text


def _encoded(letter: str, encoding: str) -> bytes:
    """Windows keeps the bytes to which it gives no letter."""
    return bytes([ord(letter)]) if "\x80" <= letter <= "\x9f" else letter.encode(encoding)


def _cells(row: Outcome) -> tuple[object, ...]:
    cells = [guard_cell(cell) if type(cell) is str else cell for cell in row]
    cells[_STATUS], cells[_TOP_K] = row.status.value, guard_cell(format_top_k(row.top_k))
    return (*cells, SCHEMA_VERSION)
