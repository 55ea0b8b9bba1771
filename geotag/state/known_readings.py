"""The readings of a catalog that is not open: nothing is locked or written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from geotag.errors import CatalogError
from geotag.records import Reading
from geotag.state.database import opened_to_read
from geotag.state.rows import parse_row
from geotag.state.schema import READING_COLUMNS

_QUERY = f"SELECT {', '.join(READING_COLUMNS)} FROM photos ORDER BY uri"


def known_readings(path: Path) -> Iterator[Reading]:
    """What is known of all its photos. Raises CatalogError."""
    try:
        with opened_to_read(path) as reader:
            for row in reader.execute(_QUERY):
                yield parse_row(tuple(row))
    except sqlite3.Error as error:
        raise CatalogError(
            f"{path}: cannot be read as a catalog of this version ({error}); scan the library again"
        ) from error
