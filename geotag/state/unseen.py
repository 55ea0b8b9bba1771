"""Photos below folders that could not be looked into, or are empty now: their rows stay."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from geotag.state.database import sqlite_errors

_ALL_BELOW = "SELECT uri FROM photos WHERE uri = ? OR (uri >= ? AND uri < ?)"
# They count as up to date, and none is read.
_KEEP = """
INSERT OR IGNORE INTO listed (uri, size, version, is_seen)
SELECT uri, size, version, 0 FROM photos WHERE uri = ?
"""
_BELOW = "NOT is_seen AND (uri = ? OR (uri >= ? AND uri < ?))"
# Of the same size and time as one that is listed under a new name.
_MOVED = """
(size, version) IN (SELECT size, version FROM listed AS other
    WHERE other.is_seen AND other.uri NOT IN (SELECT uri FROM photos))
"""


def known_below(connection: sqlite3.Connection, folder: bytes) -> list[bytes]:
    """All photos below a folder that are known. Raises CatalogError."""
    with sqlite_errors():
        return [uri for (uri,) in connection.execute(_ALL_BELOW, range_below(folder))]


def keep_unseen(connection: sqlite3.Connection, photos: Iterable[bytes]) -> None:
    """Count known photos as listed, and as up to date. Raises CatalogError."""
    with sqlite_errors(), connection:
        connection.executemany(_KEEP, ((uri,) for uri in photos))


def drop_moved(connection: sqlite3.Connection, folder: bytes) -> int:
    """Keep those of an emptied folder no more that are elsewhere now, or none where most are.

    Returns how many are left. Raises CatalogError.
    """
    below = range_below(folder)
    with sqlite_errors(), connection:
        (kept, moved) = connection.execute(
            f"SELECT count(*), total({_MOVED}) FROM listed WHERE {_BELOW}", below
        ).fetchone()
        is_moved = moved * 2 > kept
        only = "" if is_moved else f" AND {_MOVED}"
        connection.execute(f"DELETE FROM listed WHERE {_BELOW}{only}", below)
    return 0 if is_moved else int(kept - moved)


def range_below(folder: bytes) -> tuple[bytes, bytes, bytes]:
    """A folder, and the least name below it and behind it: "0" is what follows "/"."""
    folder = folder.rstrip(b"/")
    return folder, folder + b"/", folder + b"0"
