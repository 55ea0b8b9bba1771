"""Where photos were taken by what the rest of the library tells, kept in an open catalog.

What is kept of each part of a library comes with a digest of all that it was worked out from.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import groupby
from typing import Any

from geotag.errors import DamagedCatalogError
from geotag.places.sighting import (
    ClockPiece,
    Clocks,
    ClockSource,
    Method,
    Neighbour,
    Placed,
    Placement,
    Reason,
)
from geotag.places.windows import Window
from geotag.records import Location, Metadata, Photo, Reading
from geotag.state.database import sqlite_errors
from geotag.state.rows import parse_capture, parse_row
from geotag.state.schema import READING_COLUMNS, has_table

# The photos by the day that their clocks showed, as Python numbers days; 0 where they showed none.
_DATED = """
CREATE TEMP TABLE IF NOT EXISTS dated (
    day INTEGER NOT NULL, uri BLOB NOT NULL, checksum INTEGER, scan INTEGER, PRIMARY KEY (day, uri)
) WITHOUT ROWID
"""
_FIND_DATED = """
INSERT INTO dated
SELECT CASE WHEN date(shown) = shown AND shown > '0001'
    THEN CAST(julianday(shown) - 1721424.5 AS INTEGER) ELSE 0 END AS day, uri, checksum, scan
FROM (SELECT substr(capture, 3, 10) AS shown, uri, checksum, scan
    FROM listed CROSS JOIN photos USING (uri))
ORDER BY day, uri
"""
_READINGS = """
SELECT day, uri, latitude, longitude, capture FROM dated CROSS JOIN photos USING (uri)
WHERE day >= ? AND day < ? ORDER BY day, uri
"""
_READING = f"SELECT {', '.join(READING_COLUMNS)} FROM photos WHERE uri = ?"
_REASONS = {
    (text, zlib.crc32(text.encode())): reason
    for text, reason in ((json.dumps([reason]), reason) for reason in Reason)
}
_METHODS = {method.value: method for method in Method}
_PLACED_PAGE = """
SELECT uri, cells, checksum FROM placements WHERE uri >= ? ORDER BY uri LIMIT ?
"""
_PAGE = 500
_LAST = b"\xff" * 8  # behind any name, which is text, if not always valid
_DAMAGED = "the catalog is damaged (what is kept of where photos were taken)"


class PlacedPhotos(Mapping[str, Placement | Reason]):
    """The placements in an open catalog, and why photos have none, by URI; all methods raise
    CatalogError."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._page: dict[bytes, list[Any]] = {}
        self._low, self._high = _LAST, b""

    def days(self) -> dict[int, tuple[int, bytes]]:
        """How many of the listed photos are of each day, and a digest of what is known of them."""
        with sqlite_errors(), self._connection as connection:
            connection.execute(_DATED)
            connection.execute("DELETE FROM dated")
            connection.execute(_FIND_DATED)
            rows = connection.execute("SELECT * FROM dated ORDER BY day, uri")
            return {day: _digest(photos) for day, photos in groupby(rows, key=lambda row: row[0])}

    def readings(self, window: Window) -> Iterator[tuple[int, Reading]]:
        """The photos of some days with these, as `days` found them: where and by what each was
        taken, and nothing else of it."""
        with sqlite_errors():
            for day, *cells in self._connection.execute(_READINGS, window):
                yield day, _parse_reading(*cells)

    def reading(self, uri: str) -> Reading | None:
        """What is known of a photo."""
        with sqlite_errors():
            row = self._connection.execute(_READING, (os.fsencode(uri),)).fetchone()
        return parse_row(tuple(row)) if row is not None else None

    def windows(self) -> dict[Window, bytes]:
        """Of which parts the placements are kept, each with the digest of what they come of."""
        with sqlite_errors():
            rows = self._connection.execute("SELECT first, last, digest FROM windows").fetchall()
        return {Window(first, last): digest for first, last, digest in rows}

    @property
    def clocks(self) -> Iterator[Clocks]:
        """What was found of clocks in each part, in order of time."""
        with sqlite_errors():
            if not has_table(self._connection, "windows"):  # of an older version
                return
            for (text,) in self._connection.execute("SELECT clocks FROM windows ORDER BY first"):
                yield _parse_clocks(text)

    def forget(self, window: Window) -> None:
        """Drop what is kept of a part."""
        self._low, self._high = _LAST, b""
        with sqlite_errors(), self._connection as connection:
            connection.execute("DELETE FROM placements WHERE first = ?", (window.first,))
            connection.execute("DELETE FROM windows WHERE first = ?", (window.first,))

    def keep(self, window: Window, digest: bytes, placed: Placed) -> None:
        """Keep what became of a part."""
        rows = (_format(uri, window, each) for uri, each in placed.placements.items())
        told = (*window, digest, json.dumps(placed.clocks))
        self._low, self._high = _LAST, b""
        with sqlite_errors(), self._connection as connection:
            connection.executemany("INSERT OR REPLACE INTO placements VALUES (?, ?, ?, ?)", rows)
            connection.execute("INSERT INTO windows VALUES (?, ?, ?, ?)", told)

    def __getitem__(self, uri: str) -> Placement | Reason:
        found: Placement | Reason | None = self.get(uri)
        if found is None:
            raise KeyError(uri)
        return found

    def get(self, uri: str, default: Any = None) -> Any:
        """What became of a photo. One after the other in byte order they are read in pages."""
        key = os.fsencode(uri)
        if not self._low <= key <= self._high:
            self._load(key)
        row = self._page.get(key)
        return _parse(*row) if row is not None else default

    def _load(self, low: bytes = b"") -> None:
        """The rows from one on, as many as fit a page."""
        with sqlite_errors():
            rows = self._connection.execute(_PLACED_PAGE, (low, _PAGE)).fetchall()
        self._page = {uri: cells for uri, *cells in rows}
        self._low, self._high = low, rows[-1][0] if len(rows) == _PAGE else _LAST

    def __iter__(self) -> Iterator[str]:
        with sqlite_errors():
            for (uri,) in self._connection.execute("SELECT uri FROM placements ORDER BY uri"):
                yield os.fsdecode(uri)

    def __len__(self) -> int:
        with sqlite_errors():
            (count,) = self._connection.execute("SELECT count(*) FROM placements").fetchone()
        return int(count)


def _digest(rows: Iterable[tuple[Any, ...]]) -> tuple[int, bytes]:
    """How many photos there are, and the digest of what is known of them: the checksums of their
    rows, and in which scan these were written."""
    count, found = 0, blake2b(digest_size=32)
    for _, uri, checksum, scan in rows:
        found.update(f"{checksum} {scan} {len(uri)} ".encode() + uri)
        count += 1
    return count, found.digest()


def _parse_reading(uri: bytes, latitude: object, longitude: object, capture: str) -> Reading:
    """Raises DamagedCatalogError."""
    location = None
    try:
        if latitude is not None or longitude is not None:
            location = _location(latitude, longitude)
        metadata = Metadata(location, capture=parse_capture(capture))
        return Reading(Photo(os.fsdecode(uri), 0, ""), metadata)
    except (TypeError, ValueError, RecursionError):
        raise DamagedCatalogError(f"the catalog is damaged (the row of {uri!r:.500})") from None


def _location(latitude: Any, longitude: Any) -> Location:
    """Raises TypeError and ValueError for what is no position on Earth."""
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        raise ValueError
    return Location(latitude, longitude)


def _format(uri: str, window: Window, placed: Placement | Reason) -> tuple[bytes, int, str, int]:
    if isinstance(placed, Reason):
        cells: list[Any] = [placed]
    else:
        (latitude, longitude, _), *rest = placed
        cells = [latitude, longitude, *rest]
    text = json.dumps(cells)
    return os.fsencode(uri), window.first, text, zlib.crc32(text.encode())


def _parse(text: str, checksum: int) -> Placement | Reason:
    """The reverse. Raises DamagedCatalogError."""
    if (reason := _REASONS.get((text, checksum))) is not None:
        return reason
    try:
        if zlib.crc32(text.encode()) == checksum:
            return _parse_cells(json.loads(text))
    except (AttributeError, TypeError, ValueError, LookupError, RecursionError):
        pass
    raise DamagedCatalogError(_DAMAGED)


def _parse_cells(cells: list[Any]) -> Placement:
    """Raises TypeError, ValueError and LookupError for what was never kept."""
    latitude, longitude, radius, method, utc, neighbours, by_picture = cells
    total = radius + (utc or 0.0)
    for photo, seconds, metres in neighbours:
        total += seconds + metres
        if not isinstance(photo, str):
            raise TypeError
    if not (math.isfinite(total) and radius >= 0):
        raise ValueError
    return Placement(
        _location(latitude, longitude), radius, _METHODS[method], utc,
        tuple([Neighbour(*each) for each in neighbours]), bool(by_picture),
    )  # fmt: skip


def _parse_clocks(text: str) -> Clocks:
    """Raises DamagedCatalogError."""
    try:
        return {
            str(device): tuple(
                ClockPiece(*piece)._replace(source=ClockSource(piece[4]), likely=tuple(piece[7]))
                for piece in pieces
            )
            for device, pieces in json.loads(text).items()
        }
    except (AttributeError, TypeError, ValueError, LookupError, RecursionError):
        raise DamagedCatalogError(_DAMAGED) from None
