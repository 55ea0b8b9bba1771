"""The state of a library: what was seen, what was read, what failed and why, what was written."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

from geotag.errors import CatalogError, DamagedCatalogError
from geotag.files.paths import format_path
from geotag.records import Failure, FailureKind, Likeliest, Photo, Reading
from geotag.state.cleared import ClearedLandmarks
from geotag.state.database import aside_when_damaged, open_database, sqlite_errors
from geotag.state.exports import Export, read_export, write_export
from geotag.state.listed import ListedPhotos
from geotag.state.locks import file_lock
from geotag.state.named import KeptNames
from geotag.state.placed import PlacedPhotos
from geotag.state.queries import (
    BEST,
    CLASSIFIED,
    CLOCK_OFFSETS,
    COUNT_WAITING,
    FIND_PENDING,
    LISTED,
    MOVED_PAGE,
    PENDING,
    PENDING_PAGE,
    READINGS,
)
from geotag.state.remote import RemoteCatalog, remote_catalog
from geotag.state.retries import LONGEST_WAIT, MOST_ATTEMPTS, back_off
from geotag.state.rows import format_row, is_passing, parse_row
from geotag.state.schema import READING_COLUMNS
from geotag.state.unseen import range_below
from geotag.stores import check_place, is_remote

_PAGE = 1000
_MINUTE = len("2023-05-12T10:03")
_PRINT = 32  # bytes of a fingerprint

_COLUMNS = f"{', '.join(READING_COLUMNS)}, scan, reader, fingerprint"
_MARKS = ", ".join("?" * (len(READING_COLUMNS) + 3))
_RECORD = f"INSERT OR REPLACE INTO photos ({_COLUMNS}) VALUES ({_MARKS})"
# What could not be read for the time being replaces nothing that is known.
_RECORD_UNREAD = (
    f"INSERT INTO photos ({_COLUMNS}) VALUES ({_MARKS}) ON CONFLICT (uri) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", ")[1:])
    + " WHERE top IS NULL AND (latitude IS NULL OR excluded.latitude IS NOT NULL)"
)
_RETRY = "INSERT OR REPLACE INTO retries VALUES (?, ?, ?, ?, ?, ?, ?)"
_NO_RETRY = "DELETE FROM retries WHERE uri = ?"


class Criteria(NamedTuple):
    """What a photo's reading must meet to count as up to date.

    It is by `model` (its SHA-256); one of the prefilter alone found a probability of a landmark
    below `prefilter`. With `rescan` no reading of an earlier scan is. Metadata that an earlier
    version of the `reader` read are not.
    """

    model: str
    classify_all: bool = False
    rescan: bool = False
    prefilter: float = 0.0
    reader: int = 0


class Catalog:
    """One open catalog; no other process can open it until it is closed."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        remote: RemoteCatalog | None = None,
        now: float | None = None,
    ) -> None:
        self.connection = connection
        self.changed = False
        self._remote = remote
        self._closing = ExitStack()
        self._now = time.time() if now is None else now
        with sqlite_errors(), connection:
            connection.execute(LISTED)
            connection.execute(PENDING)
            connection.create_function("has_embedding", 3, lambda *photo: True)
        self._scan: int | None = None  # its number, once it is known what it has to do
        self._reader = 0
        self.cleared = ClearedLandmarks(connection)
        self.placed, self.names = PlacedPhotos(connection), KeptNames(connection)
        self._listed = ListedPhotos(connection)

    def closed_by(self, stack: ExitStack) -> Catalog:
        """The same, which closes what the stack would have closed."""
        self._closing = stack.pop_all()
        return self

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *error: Any) -> None:
        self._closing.__exit__(*error)

    def noting(self, photos: Iterable[Photo]) -> Iterator[list[Photo]]:
        """Note which photos this run's sources hold; each batch comes back once it is noted."""
        return self._listed.note(photos)

    def count_listed(self) -> int:
        """How many photos this run's sources hold, as far as they are noted."""
        return self._count("SELECT count(*) FROM listed")

    @property
    def fingerprint(self) -> str:
        """The same for the same photos, once they are all noted."""
        return self._listed.fingerprint

    def unknown(self, photos: Iterable[Photo]) -> Iterator[Photo]:
        """Those of which nothing is known yet, neither by name nor perhaps by content."""
        return self._listed.unknown(photos, self._scan)

    def find_pending(self, criteria: Criteria) -> int:
        """Find the listed photos that are new, changed, due for another try or whose reading does
        not meet the criteria; returns how many there are."""
        arguments = {**criteria._asdict(), **self._clock()}
        self.begin_scan(criteria.reader)
        with sqlite_errors(), self.connection:
            self.connection.execute("DELETE FROM pending")
            self.connection.execute(FIND_PENDING, arguments)
        return self._count("SELECT count(*) FROM pending")

    def begin_scan(self, reader: int) -> None:
        """Begin a new scan, unless it has begun; `reader` is the version that reads metadata."""
        self._reader = reader
        if self._scan is None:
            with sqlite_errors(), self.connection:
                self._scan = self.connection.execute(
                    "INSERT INTO scans (started) VALUES (?)", (self._now,)
                ).lastrowid

    def pending(self) -> Iterator[Photo]:
        """The photos that `find_pending` found, less those recorded since: those never tried in
        byte order, then those whose last try is the longest ago. `record` may be called meanwhile.
        """
        return self._pages(PENDING_PAGE)

    def count_waiting(self) -> int:
        """How many listed photos failed for the time being and are not yet due again."""
        return self._count(COUNT_WAITING, self._clock())

    def perhaps_moved(self, most: int) -> Iterator[Photo]:
        """New or changed photos as long as one that was classified, and those whose metadata alone
        must be read again, among the first ones of `pending`, in its order."""
        return self._pages(MOVED_PAGE, most)

    def reading_of(self, photo: Photo, content_key: str, criteria: Criteria) -> Reading | None:
        """A prediction that meets the criteria, of this version of the photo or, where a content
        key is given, of any photo of the same content, whatever its name."""
        same = "uri = ? AND size = ? AND version = ?"
        which: tuple[object, ...] = (os.fsencode(photo.uri), photo.size, photo.version)
        if content_key:
            same, which = "size = ? AND content_key = ?", (photo.size, content_key)
        with sqlite_errors():
            row = self.connection.execute(
                f"SELECT {', '.join(READING_COLUMNS)}, fingerprint FROM photos WHERE {same} "
                "AND model = ? AND (prefilter IS NULL OR landmark_probability < ?) LIMIT 1",
                (*which, criteria.model, criteria.prefilter),
            ).fetchone()
        return parse_row(row[:-1], _print(row[-1])) if row is not None else None

    def count_classified(self, model: str) -> int:
        """How many photos this model classified, or its prefilter did."""
        return self._count(CLASSIFIED, (model,))

    def best(self, model: str, least: float) -> Iterator[Likeliest]:
        """The likeliest landmark of each photo as this model read it, in byte order; at least of
        those that are so sure of it. What is damaged is left out."""
        with sqlite_errors():
            for top, camera, time_, print_ in self.connection.execute(BEST, (model, least)):
                with suppress(ValueError, TypeError, LookupError, RecursionError):
                    slug, confidence = json.loads(top)[0]
                    if least <= confidence <= 1:
                        moment = f"{camera} {time_[:_MINUTE]}" if time_ else ""
                        yield Likeliest(str(slug), float(confidence), moment, _print(print_))

    def record(self, readings: Iterable[Reading], model: str | None) -> None:
        """Keep what was read, durably, in one transaction; `model` made the predictions."""
        read: list[Reading] = []
        unread: list[Reading] = []
        for reading in readings:
            (unread if is_passing(reading.failure) else read).append(reading)
        with sqlite_errors(), self.connection as connection:
            for statement, group in ((_RECORD, read), (_RECORD_UNREAD, unread)):
                rows = (
                    (*format_row(r, model), self._scan, self._reader, _print_of(r)) for r in group
                )
                connection.executemany(statement, rows)
            if connection.execute("SELECT 1 FROM retries LIMIT 1").fetchone():
                connection.executemany(_NO_RETRY, ((os.fsencode(r.photo.uri),) for r in read))
            connection.executemany(_RETRY, map(self._retry, unread))
            connection.execute("UPDATE revision SET number = number + 1")
        self.changed = True
        if self._remote is not None and self._remote.due:
            self._remote.save_from(self.connection)

    def follow(self, old: Photo, new: Photo) -> None:
        """Carry what is known of a photo over to its new size and version.

        For a photo whose metadata geotag itself changed: its picture is the same.
        """
        with sqlite_errors():
            row = self.connection.execute(
                f"SELECT {', '.join(READING_COLUMNS)} FROM photos "
                "WHERE uri = ? AND size = ? AND version = ?",
                (os.fsencode(old.uri), old.size, old.version),
            ).fetchone()
        if row is None or old.uri != new.uri:
            return
        model = row[READING_COLUMNS.index("model")]
        cells = format_row(parse_row(row)._replace(photo=new, content_key=""), model)
        names = ", ".join(f"{name} = ?" for name in READING_COLUMNS)
        self._write(f"UPDATE photos SET {names} WHERE uri = ?", (*cells, cells[0]))
        self.changed = True

    def readings(self) -> Iterator[Reading]:
        """What is known of the listed photos, in byte order; those never read are left out."""
        with sqlite_errors():
            for *row, size, version, reason in self.connection.execute(READINGS):
                reading = parse_row(tuple(row))
                yield reading if reason is None else _unread(reading, size, version, str(reason))

    def prune(self, is_gone: Callable[[str], bool]) -> int:
        """Forget the photos that are not listed and by `is_gone` are gone; returns how many."""
        with sqlite_errors(), self.connection as connection:
            unlisted = connection.execute(
                "SELECT uri FROM photos WHERE uri NOT IN (SELECT uri FROM listed)"
            ).fetchall()
            gone = [(uri,) for (uri,) in unlisted if is_gone(os.fsdecode(uri))]
            for table in ("photos", "retries"):
                connection.executemany(f"DELETE FROM {table} WHERE uri = ?", gone)
        self.changed = self.changed or bool(gone)
        return len(gone)

    def count_below(self, root: str) -> int:
        """How many photos below a root are known."""
        query = "SELECT count(*) FROM photos WHERE uri = ? OR (uri >= ? AND uri < ?)"
        return self._count(query, range_below(os.fsencode(root)))

    def listed(self) -> Iterator[Photo]:
        with sqlite_errors():
            query = "SELECT uri, size, version FROM listed ORDER BY uri"
            for uri, size, version in self.connection.execute(query):
                yield Photo(os.fsdecode(uri), size, version)

    def count_rows(self) -> int:
        """How many rows a table of the listed photos would have."""
        return self._count("SELECT count(*) FROM listed CROSS JOIN photos USING (uri)")

    def count_known(self) -> int:
        """How many of the listed photos were known before this scan."""
        query = "SELECT count(*) FROM listed CROSS JOIN photos USING (uri) WHERE scan IS NOT ?"
        return self._count(query, (self._scan or 0,))

    @property
    def revision(self) -> int:
        """A number that grows whenever readings or decisions change."""
        return self._count("SELECT number FROM revision")

    def exported(self, out: str) -> Export | None:
        """How a table was written last; None for one never written."""
        return read_export(self.connection, out)

    def note_exported(self, out: str, export: Export) -> None:
        write_export(self.connection, out, export)
        self.changed = True

    def note_clock_offsets(self, offsets: Mapping[str, float]) -> None:
        """Remember what the user says of cameras' clocks, in place of what was said before."""
        with sqlite_errors(), self.connection as connection:
            if dict(connection.execute(CLOCK_OFFSETS)) != offsets:
                connection.execute("DELETE FROM clock_offsets")
                connection.executemany("INSERT INTO clock_offsets VALUES (?, ?)", offsets.items())
                self.changed = True

    def has_other_tables(self, out: str) -> bool:
        """Whether other tables than this one were written from this catalog."""
        return self._count("SELECT count(*) FROM tables WHERE out != ?", (format_path(out),)) > 0

    def note_finished(self, summary: str) -> None:
        """Keep the summary (JSON) of this scan."""
        self._write(
            "UPDATE scans SET finished = ?, summary = ? WHERE id = ?",
            (time.time(), summary, self._scan),
        )

    def _retry(self, reading: Reading) -> tuple[Any, ...]:
        """The row of a photo that could not be read for the time being."""
        photo, reason = reading.photo, reading.failure.reason if reading.failure else ""
        tried = (os.fsencode(photo.uri), photo.size, photo.version)
        row = self.connection.execute(
            "SELECT attempts FROM retries WHERE uri = ? AND size = ? AND version = ?", tried
        ).fetchone()
        attempts = row[0] if row is not None and isinstance(row[0], int) else 0
        attempts = min(attempts, MOST_ATTEMPTS) + 1
        return (*tried, reason, attempts, self._now + back_off(attempts), self._scan)

    def _clock(self) -> dict[str, Any]:
        return {"now": self._now, "longest_wait": LONGEST_WAIT}

    def _count(self, query: str, arguments: dict[str, Any] | tuple[Any, ...] = ()) -> int:
        with sqlite_errors():
            row = self.connection.execute(query, arguments).fetchone()
        if row is None or not isinstance(row[0], (int, float)):
            raise DamagedCatalogError("the catalog is damaged (a number in it is none)")
        return int(row[0])

    def _pages(self, query: str, most: int = 0) -> Iterator[Photo]:
        """The photos of a query in pages, so that writes may come in between."""
        last = 0
        while True:
            with sqlite_errors():
                bound = {"last": last, "most": most, "page": _PAGE, "reader": self._reader}
                rows = self.connection.execute(query, {**bound, "scan": self._scan}).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            for _, uri, size, version, sidecars in rows:
                yield Photo(os.fsdecode(uri), size, version, tuple(json.loads(sidecars or "[]")))

    def _write(self, statement: str, cells: tuple[Any, ...]) -> None:
        with sqlite_errors(), self.connection:
            self.connection.execute(statement, cells)


def open_catalog(place: str | Path | None, now: float | None = None) -> Catalog:
    """Open or create a catalog and lock it (None: a private one that vanishes when closed).

    A place in a bucket is fetched, and written back when the catalog is closed. `now` is the time
    by which photos are due again, of the clock unless given. Raises LockedError while another run
    holds it, CatalogError when it cannot be used.
    """
    remote: RemoteCatalog | None = None
    catalog: Catalog | None = None

    def save_at_the_end() -> None:
        if remote and (catalog is None or catalog.changed or not remote.path.exists()):
            remote.save()

    with ExitStack() as stack:
        path = None if place is None else Path(place)
        if path is not None:
            check_place(str(place))
            if is_remote(str(place)):
                remote = stack.enter_context(remote_catalog(str(place)))
                path = remote.path
                stack.callback(save_at_the_end)
            else:
                if path.exists() and not path.is_file():
                    raise CatalogError(f"{path}: not a file; name another one with --catalog")
                stack.enter_context(file_lock(path))
            stack.push(aside_when_damaged(path))
        connection = open_database(path)
        stack.callback(connection.close)
        catalog = Catalog(connection, remote, now)
        return catalog.closed_by(stack)


def _print_of(reading: Reading) -> bytes | None:
    return reading.prediction.fingerprint or None if reading.prediction is not None else None


def _print(cell: object) -> bytes:
    """A fingerprint; none of what is damaged."""
    return cell if isinstance(cell, bytes) and len(cell) == _PRINT else b""


def _unread(known: Reading, size: int, version: str, reason: str) -> Reading:
    """What is known of a photo whose last try failed; it is outdated if the photo changed since.

    A server that does not answer tells no version: that is no sign of a change.
    """
    changed = version not in ("", known.photo.version) or size not in (-1, known.photo.size)
    return known._replace(failure=Failure(FailureKind.TRANSIENT, reason), is_outdated=changed)
