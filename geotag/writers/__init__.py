"""Where results go: one dict of suffixes to table formats."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from geotag.atomic import atomic_file
from geotag.errors import TableError, UsageError
from geotag.records import Outcome
from geotag.writers.base import TableFormat, parse_row
from geotag.writers.csv import CsvFormat
from geotag.writers.jsonl import JsonlFormat
from geotag.writers.parquet import ParquetFormat

TABLES: dict[str, Callable[[], TableFormat]] = {
    ".csv": CsvFormat,
    ".jsonl": JsonlFormat,
    ".parquet": ParquetFormat,
}
STDOUT = "-"


def table_format(path: str) -> TableFormat:
    """The format by suffix; standard output is CSV. Raises UsageError for another suffix."""
    suffix = ".csv" if path == STDOUT else Path(path).suffix.lower()
    if suffix not in TABLES:
        raise UsageError(f"{path}: the suffix must be one of {', '.join(TABLES)}")
    return TABLES[suffix]()


def write_table(path: str, rows: Iterable[Outcome]) -> None:
    """Write a table whole or not at all (`-`: to standard output). Raises TableError."""
    layout = table_format(path)
    try:
        if path == STDOUT:
            layout.write(sys.stdout.buffer, rows)
            sys.stdout.buffer.flush()
        else:
            with atomic_file(Path(path)) as file:
                layout.write(file, rows)
    except OSError as error:
        raise TableError(f"{path}: cannot be written ({error.strerror or error})") from error


def write_text(path: str, text: str) -> None:
    """Write a small text whole or not at all. Raises TableError."""
    try:
        with atomic_file(Path(path)) as file:
            file.write(text.encode())
    except OSError as error:
        raise TableError(f"{path}: cannot be written ({error.strerror or error})") from error


def table_state(path: str) -> str:
    """Changes whenever the table's file does; empty when there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"


def read_table(path: Path) -> Iterator[Outcome]:
    """The rows of a table that geotag wrote, also one edited by hand. Raises TableError."""
    for number, cells in enumerate(table_format(str(path)).read(path), 1):
        yield parse_row(cells, f"{path}, row {number}")
