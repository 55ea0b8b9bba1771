"""What a catalog holds that is not open: nothing is locked or written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geotag.errors import CatalogError
from geotag.records import Reading
from geotag.state.database import opened_to_read
from geotag.state.placed import PlacedPhotos
from geotag.state.queries import CLOCK_OFFSETS
from geotag.state.rows import parse_row
from geotag.state.schema import READING_COLUMNS, has_table

_READINGS = f"SELECT {', '.join(READING_COLUMNS)} FROM photos ORDER BY uri"


def known_readings(path: Path) -> Iterator[Reading]:
    """What is known of all its photos. Raises CatalogError."""
    with _reader(path) as reader:
        for row in reader.execute(_READINGS):
            yield parse_row(tuple(row))


@contextmanager
def known_library(path: Path) -> Iterator[PlacedPhotos]:
    """All its photos by the day, to be read a few days at a time, once each row is found sound.
    Raises CatalogError."""
    for _ in known_readings(path):
        pass
    with _reader(path) as reader:
        reader.execute("CREATE TEMP VIEW listed AS SELECT uri FROM photos")
        yield PlacedPhotos(reader)


def known_clock_offsets(path: Path) -> dict[str, float]:
    """How far ahead of local time cameras' clocks were, in seconds, by camera, as the user said in
    the last scan with places. Raises CatalogError."""
    with _reader(path) as reader:
        rows = list(reader.execute(CLOCK_OFFSETS)) if has_table(reader, "clock_offsets") else []
    return {c: s for c, s in rows if isinstance(c, str) and isinstance(s, float)}


@contextmanager
def _reader(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with opened_to_read(path) as reader:
            yield reader
    except sqlite3.Error as error:
        raise CatalogError(
            f"{path}: cannot be read as a catalog of this version ({error}); scan the library again"
        ) from error
