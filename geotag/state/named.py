"""What positions are called, kept in an open catalog."""

from __future__ import annotations

import json
import sqlite3
import zlib
from typing import TYPE_CHECKING

from geotag.errors import DamagedCatalogError
from geotag.state.database import sqlite_errors

if TYPE_CHECKING:
    from geotag.places.names import FoundName

_GET = "SELECT cells, checksum FROM names WHERE north = ? AND east = ? AND rules = ?"
_ADD = "INSERT OR REPLACE INTO names VALUES (?, ?, ?, ?, ?)"
_TOGETHER = 1000  # are written in one transaction


class KeptNames:
    """The names in an open catalog; all methods raise CatalogError."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._new = list[tuple[int, int, int, str, int]]()

    def get(self, at: tuple[int, int], rules: int) -> FoundName | None:
        """What a position (thousandths of a degree) is called; None where that is not kept."""
        with sqlite_errors():
            row = self._connection.execute(_GET, (*at, rules)).fetchone()
        if row is None:
            return None
        from geotag.places.names import FoundName  # only now: numpy is heavy

        text, checksum = row
        if isinstance(text, str) and zlib.crc32(text.encode()) == checksum:
            return FoundName(*json.loads(text))
        raise DamagedCatalogError("the catalog is damaged (what is kept of the names of places)")

    def add(self, at: tuple[int, int], rules: int, name: FoundName) -> None:
        """Keep what a position is called, at the latest with `save`."""
        text = json.dumps(name)
        self._new.append((*at, rules, text, zlib.crc32(text.encode())))
        if len(self._new) == _TOGETHER:
            self.save()

    def save(self) -> None:
        """Write what is not written yet."""
        with sqlite_errors(), self._connection as connection:
            connection.executemany(_ADD, self._new)
        self._new.clear()
