"""Tables as CSV (RFC 4180), safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from geotag.errors import TableError
from geotag.records import Outcome
from geotag.tables.base import (
    COLUMNS,
    FLOATS,
    SCHEMA_VERSION,
    format_top_k,
    guard_cell,
    unguard_cell,
)

_DELIMITERS = ",;\t"  # what spreadsheets put between cells, by the country
_CELL_LIMIT = min(sys.maxsize, 2**24)


class CsvFormat:
    """UTF-8, comma, quotes where needed; text that a spreadsheet would run gets an apostrophe."""

    def write(self, file: BinaryIO, rows: Iterable[Outcome]) -> None:
        """Write a header line and one line for each row."""
        text = io.TextIOWrapper(file, "utf-8", newline="", write_through=False)
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        writer.writerows(map(_cells, rows))
        text.flush()
        text.detach()

    def read(self, path: Path) -> Iterator[Mapping[str, Any]]:
        """The rows of a table, also one that a spreadsheet saved again."""
        csv.field_size_limit(_CELL_LIMIT)
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                head = file.readline(_CELL_LIMIT)
                if not head:
                    raise TableError(f"{path}: empty; is this a table that geotag wrote?")
                file.seek(0)
                delimiter = max(_DELIMITERS, key=head.count)
                for row in csv.DictReader(file, delimiter=delimiter):
                    cells = {k: unguard_cell(v) for k, v in row.items() if k and v is not None}
                    if delimiter != ",":  # as where the comma stands before decimals
                        cells |= {k: cells[k].replace(",", ".") for k in FLOATS & cells.keys()}
                    yield cells
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise TableError(f"{path}: cannot be read as CSV ({error})") from error


def _cells(row: Outcome) -> tuple[object, ...]:
    return (
        guard_cell(row.path),
        row.status.value,
        *row[2:5],
        row.position_source,
        row.radius_m,
        guard_cell(row.landmark),
        row.category_id,
        row.confidence,
        guard_cell(row.city),
        guard_cell(row.country),
        row.taken_at,
        guard_cell(row.camera),
        format_top_k(row.top_k),
        guard_cell(row.model),
        guard_cell(row.error),
        SCHEMA_VERSION,
    )
