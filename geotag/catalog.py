"""The SQLite state of a library: what was seen, what was read, what failed and why."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

from geotag.errors import CatalogError, LockedError
from geotag.records import (
    Failure,
    FailureKind,
    Location,
    Metadata,
    Photo,
    Prediction,
    Reading,
    Score,
)

SCHEMA_VERSION = 1
_BATCH = 1000
# "geotag" as a number, so that `file` and SQLite itself can tell whose database this is.
_APPLICATION_ID = 0x67656F74

_SCHEMA = """
CREATE TABLE photos (
    uri BLOB PRIMARY KEY,
    size INTEGER NOT NULL,
    version TEXT NOT NULL,
    latitude REAL, longitude REAL, altitude REAL,
    taken_at TEXT, orientation INTEGER NOT NULL, camera TEXT,
    model TEXT, top TEXT, landmark_probability REAL,
    failure_kind TEXT, failure_reason TEXT
) WITHOUT ROWID;
"""
# What this run's sources list; gone when the connection closes.
_LISTED = """
CREATE TEMP TABLE listed (
    uri BLOB PRIMARY KEY, size INTEGER NOT NULL, version TEXT NOT NULL, sidecars TEXT
) WITHOUT ROWID;
"""
_PENDING = """
FROM listed LEFT JOIN photos USING (uri)
WHERE photos.uri IS NULL
   OR photos.size != listed.size OR photos.version != listed.version
   OR photos.failure_kind IS 'transient'
   OR (photos.failure_kind IS NULL AND photos.model IS NOT :model
       AND (photos.latitude IS NULL OR :classify_all))
"""
_COLUMNS = (
    "uri, size, version, latitude, longitude, altitude, taken_at, orientation, camera, "
    "model, top, landmark_probability, failure_kind, failure_reason"
)


class Catalog:
    """One open catalog; no other process can open it until it is closed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def __enter__(self) -> Catalog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.connection.close()

    def note_listed(self, photos: Iterable[Photo]) -> int:
        """Note which photos this run's sources hold; returns how many there are."""
        rows = (
            (os.fsencode(p.uri), p.size, p.version, json.dumps(p.sidecars) if p.sidecars else None)
            for p in photos
        )
        self._write_all("INSERT OR REPLACE INTO listed VALUES (?, ?, ?, ?)", rows)
        (count,) = self.connection.execute("SELECT count(*) FROM listed").fetchone()
        return int(count)

    def count_pending(self, model: str | None, classify_all: bool = False) -> int:
        """How many listed photos must be read."""
        arguments = {"model": model, "classify_all": classify_all}
        (count,) = self.connection.execute(f"SELECT count(*) {_PENDING}", arguments).fetchone()
        return int(count)

    def pending(self, model: str | None, classify_all: bool = False) -> Iterator[Photo]:
        """The listed photos that are new, changed, failed for the time being or that another
        model looked at, in byte order. `record` may be called while this runs."""
        last = b""
        arguments: dict[str, Any] = {"model": model, "classify_all": classify_all}
        query = (
            f"SELECT listed.uri, listed.size, listed.version, listed.sidecars {_PENDING}"
        ).replace("WHERE", "WHERE listed.uri > :last AND (") + ") ORDER BY listed.uri LIMIT 1000"
        while True:
            rows = self.connection.execute(query, arguments | {"last": last}).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            for uri, size, version, sidecars in rows:
                yield Photo(os.fsdecode(uri), size, version, tuple(json.loads(sidecars or "[]")))

    def record(self, readings: Iterable[Reading], model: str | None) -> None:
        """Keep what was read, durably, in one transaction."""
        marks = ", ".join("?" * 14)
        self._write_all(
            f"INSERT OR REPLACE INTO photos ({_COLUMNS}) VALUES ({marks})",
            (_format_row(reading, model) for reading in readings),
        )

    def readings(self) -> Iterator[Reading]:
        """What is known of the listed photos, in byte order; those never read are left out."""
        columns = _COLUMNS.replace("uri", "photos.uri", 1)
        columns = columns.replace("size", "photos.size", 1).replace("version", "photos.version", 1)
        cursor = self.connection.execute(
            f"SELECT {columns} FROM listed JOIN photos USING (uri) ORDER BY listed.uri"
        )
        for row in cursor:
            yield _parse_row(row)

    def _write_all(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        remaining = iter(rows)
        try:
            with self.connection:
                while batch := list(islice(remaining, _BATCH)):
                    self.connection.executemany(statement, batch)
        except sqlite3.Error as error:
            raise CatalogError(
                f"the catalog cannot be written ({error}); what was recorded before is kept: "
                "make room or fix its folder, then run the same command again"
            ) from error


def open_catalog(path: Path | None) -> Catalog:
    """Open or create a catalog and lock it (None: a private one that vanishes when closed).

    Raises LockedError while another run holds it, CatalogError when it cannot be used.
    """
    try:
        connection = sqlite3.connect(path if path is not None else "", timeout=0.2)
    except sqlite3.Error as error:
        raise CatalogError(f"{path}: cannot be opened ({error})") from error
    try:
        _prepare(connection, path)
    except sqlite3.Error as error:
        connection.close()
        if "locked" in str(error):
            raise LockedError(f"{path}: another run is using this catalog") from error
        raise CatalogError(
            f"{path}: not a usable catalog ({error}); move it away to start afresh"
        ) from error
    except BaseException:
        connection.close()
        raise
    return Catalog(connection)


def _prepare(connection: sqlite3.Connection, path: Path | None) -> None:
    # Exclusive mode locks other runs out until we close or die, and needs no shared memory file.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("BEGIN EXCLUSIVE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        connection.execute(_SCHEMA)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    elif version != SCHEMA_VERSION:
        raise CatalogError(
            f"{path}: written by another version of geotag (schema {version}, this one knows "
            f"{SCHEMA_VERSION}); use that version, or another --catalog"
        )
    connection.execute("COMMIT")
    connection.execute(_LISTED)


def _format_row(reading: Reading, model: str | None) -> tuple[Any, ...]:
    photo, metadata, prediction, failure = reading
    return (
        os.fsencode(photo.uri),
        photo.size,
        photo.version,
        *(metadata.location or (None, None, None)),
        metadata.taken_at,
        metadata.orientation,
        metadata.camera,
        model if prediction is not None else None,
        json.dumps(prediction.top) if prediction is not None else None,
        prediction.landmark_probability if prediction is not None else None,
        failure.kind.value if failure is not None else None,
        failure.reason if failure is not None else None,
    )


def _parse_row(row: tuple[Any, ...]) -> Reading:
    (uri, size, version, latitude, longitude, altitude, taken_at, orientation, camera) = row[:9]
    _, top, landmark_probability, failure_kind, failure_reason = row[9:]
    return Reading(
        Photo(os.fsdecode(uri), size, version),
        Metadata(
            Location(latitude, longitude, altitude) if latitude is not None else None,
            taken_at,
            orientation,
            camera,
        ),
        Prediction(tuple(Score(*pair) for pair in json.loads(top)), landmark_probability)
        if top is not None
        else None,
        Failure(FailureKind(failure_kind), failure_reason) if failure_kind is not None else None,
    )
