"""What the user said of cameras' clocks, in the last scan with places."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from geotag.errors import CatalogError
from geotag.state.database import opened_to_read, sqlite_errors
from geotag.state.schema import has_table

_QUERY = "SELECT camera, seconds FROM clock_offsets ORDER BY camera"


def note_clock_offsets(connection: sqlite3.Connection, offsets: Mapping[str, float]) -> bool:
    """Keep them in place of those of before; whether they differ. Raises CatalogError."""
    with sqlite_errors(), connection:
        if dict(connection.execute(_QUERY)) == offsets:
            return False
        connection.execute("DELETE FROM clock_offsets")
        connection.executemany("INSERT INTO clock_offsets VALUES (?, ?)", offsets.items())
    return True


def known_clock_offsets(path: Path) -> dict[str, float]:
    """How far ahead of local time cameras' clocks were, in seconds, by camera; from a catalog that
    is not open, of which nothing is locked or written. Raises CatalogError."""
    try:
        with opened_to_read(path) as reader:
            rows = list(reader.execute(_QUERY)) if has_table(reader, "clock_offsets") else []
    except sqlite3.Error as error:
        raise CatalogError(f"{path}: cannot be read as a catalog ({error})") from error
    return {c: s for c, s in rows if isinstance(c, str) and isinstance(s, float)}
