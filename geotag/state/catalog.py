"""The state of a library: what was seen, what was read, what was decided, what failed and why."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from geotag.errors import DamagedCatalogError
from geotag.files.paths import format_path
from geotag.records import (
    FailureKind,
    Photo,
    Prediction,
    Reading,
    Status,
)
from geotag.state.answers import Answers
from geotag.state.database import begin_anew, open_database, sqlite_errors
from geotag.state.locks import file_lock
from geotag.state.queries import LISTED, PENDING, PERHAPS_MOVED
from geotag.state.remote import RemoteCatalog, remote_catalog
from geotag.state.rows import READ_COLUMNS, format_row, model_of, parse_row
from geotag.stores import is_remote

_BATCH = 1000
# A photo that failed for the time being: the next scan tries again at once, later ones only when
# a minute, two, four ... have passed, but a nightly run always does.
_BACK_OFF_SECONDS = 60
_BACK_OFF_LIMIT = 20 * 3600

_DECIDED_COLUMNS = "status, category, threshold, attempts, retry_at, scan"
_PAGE = 1000


class Need(NamedTuple):
    """What counts as known: read for this model (its SHA-256), and not to be read again anyway.

    `glance` is the probability of a landmark that counts where there was but a glance; 0: none.
    """

    model: str | None
    classify_all: bool = False
    rescan: bool = False
    glance: float = 0.0


class Decision(NamedTuple):
    """What was decided of a photo, and at which least confidence."""

    status: Status
    category: str | None = None
    threshold: float | None = None


Decide = Callable[[Reading], Decision]


class Catalog:
    """One open catalog; no other process can open it until it is closed."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        closing: ExitStack | None = None,
        remote: RemoteCatalog | None = None,
    ) -> None:
        self.connection = connection
        self.fingerprint = ""
        self.changed = False
        self._remote = remote
        self._closing = closing or ExitStack()
        self._now = time.time()
        connection.execute(LISTED)
        with sqlite_errors(), connection:
            self._scan = connection.execute(
                "INSERT INTO scans (started) VALUES (?)", (self._now,)
            ).lastrowid
        self.answers = Answers(connection)

    def __enter__(self) -> Catalog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.__exit__(kind, error, traceback)

    def note_listed(self, photos: Iterable[Photo]) -> int:
        """Note which photos this run's sources hold; returns how many there are.

        Sets `fingerprint`, which is the same for the same photos in the same order.
        """
        digest = hashlib.blake2b(digest_size=16)
        self._write_all("INSERT OR REPLACE INTO listed VALUES (?, ?, ?, ?)", _rows(photos, digest))
        self.fingerprint = digest.hexdigest()
        return self._count("SELECT count(*) FROM listed")

    def count_pending(self, need: Need) -> int:
        """How many listed photos must be read."""
        return self._count(f"SELECT count(*) {PENDING}", self._arguments(need))

    def count_waiting(self) -> int:
        """How many listed photos failed for the time being and are not yet due again."""
        return self._count(
            "SELECT count(*) FROM listed JOIN photos USING (uri) "
            "WHERE failure_kind = 'transient' AND retry_at > :now",
            {"now": self._now},
        )

    def pending(self, need: Need) -> Iterator[Photo]:
        """The listed photos that are new, changed, failed for the time being or that another
        model looked at, in byte order. `record` may be called while this runs."""
        return self._pages(PENDING, self._arguments(need))

    def perhaps_moved(self) -> Iterator[Photo]:
        """New or changed photos as long as one that was classified, in byte order."""
        return self._pages(PERHAPS_MOVED, {})

    def prediction_of(self, photo: Photo, content_key: str, model: str) -> Prediction | None:
        """What a model saw in a photo of the same content, under whatever name."""
        with sqlite_errors():
            row = self.connection.execute(
                f"SELECT {READ_COLUMNS} FROM photos "
                "WHERE size = ? AND content_key = ? AND model = ? LIMIT 1",
                (photo.size, content_key, model),
            ).fetchone()
        return parse_row(row).prediction if row is not None else None

    def record(
        self, readings: Iterable[Reading], model: str | None, decide: Decide | None = None
    ) -> None:
        """Keep what was read and decided, durably, in one transaction."""
        columns = f"{READ_COLUMNS}, {_DECIDED_COLUMNS}"
        marks = ", ".join("?" * (columns.count(",") + 1))
        self._write_all(
            f"INSERT OR REPLACE INTO photos ({columns}) VALUES ({marks})",
            (format_row(reading, model) + self._decided(reading, decide) for reading in readings),
            revise=True,
        )
        if self._remote is not None and self._remote.due:
            with sqlite_errors():
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._remote.save()

    def follow(self, old: Photo, new: Photo) -> None:
        """Carry what is known of a photo over to its new size and version.

        For a photo whose metadata geotag itself changed: its picture needs no other look.
        """
        with sqlite_errors():
            row = self.connection.execute(
                f"SELECT {READ_COLUMNS} FROM photos WHERE uri = ? AND size = ? AND version = ?",
                (os.fsencode(old.uri), old.size, old.version),
            ).fetchone()
        if row is None or old.uri != new.uri:
            return
        cells = format_row(parse_row(row)._replace(photo=new, content_key=""), model_of(row))
        names = ", ".join(f"{name} = ?" for name in READ_COLUMNS.split(", "))
        self._write_all(f"UPDATE photos SET {names} WHERE uri = ?", iter([(*cells, cells[0])]))
        self.changed = True

    def decide_again(self, decide: Decide, threshold: float) -> int:
        """Bring decisions that were made at another threshold up to date; returns how many."""
        query = (
            f"SELECT {READ_COLUMNS} FROM photos WHERE top IS NOT NULL "
            "AND threshold IS NOT :threshold AND uri > :last ORDER BY uri LIMIT :page"
        )
        count, last = 0, b""
        while True:
            with sqlite_errors():
                arguments = {"threshold": threshold, "last": last, "page": _PAGE}
                rows = self.connection.execute(query, arguments).fetchall()
            if not rows:
                return count
            last = rows[-1][0]
            count += len(rows)
            self._write_all(
                "UPDATE photos SET status = ?, category = ?, threshold = ? WHERE uri = ?",
                ((*decide(parse_row(row)), row[0]) for row in rows),
                revise=True,
            )

    def readings(self) -> Iterator[Reading]:
        """What is known of the listed photos, in byte order; those never read are left out."""
        columns = ", ".join(f"photos.{name}" for name in READ_COLUMNS.split(", "))
        with sqlite_errors():
            cursor = self.connection.execute(
                f"SELECT {columns} FROM listed CROSS JOIN photos USING (uri) ORDER BY listed.uri"
            )
            for row in cursor:
                yield parse_row(row)

    def statuses(self) -> dict[Status, int]:
        """How many listed photos came to what, as decided last."""
        counts = self._grouped("status")
        return {status: counts[status.value] for status in Status if status.value in counts}

    def failures(self) -> dict[str, int]:
        """How many listed photos failed, by kind of failure."""
        return self._grouped("failure_kind")

    def prune(self, roots: Iterable[bytes]) -> int:
        """Forget the photos below these roots that are not listed; returns how many."""
        forgotten = 0
        with sqlite_errors(), self.connection:
            for root in roots:
                below = root.rstrip(b"/")
                forgotten += self.connection.execute(
                    "DELETE FROM photos WHERE (uri = ? OR (uri >= ? AND uri < ?)) "
                    "AND uri NOT IN (SELECT uri FROM listed)",
                    (root, below + b"/", below + b"0"),  # "0" is what follows "/"
                ).rowcount
        self.changed = self.changed or forgotten > 0
        return forgotten

    @property
    def revision(self) -> int:
        """A number that grows whenever readings or decisions change."""
        return self._count("SELECT number FROM revision")

    def exported(self, out: str) -> tuple[str, str] | None:
        """The signature and state of a table as it was written last; None for one never written."""
        with sqlite_errors():
            row = self.connection.execute(
                "SELECT signature, state FROM tables WHERE out = ?", (format_path(out),)
            ).fetchone()
        return (str(row[0]), str(row[1])) if row is not None else None

    def note_exported(self, out: str, signature: str, state: str) -> None:
        """Remember what a table was written from, and how the file was left."""
        self._write_all(
            "INSERT OR REPLACE INTO tables VALUES (?, ?, ?)",
            iter([(format_path(out), signature, state)]),
        )
        self.changed = True

    def note_finished(self, summary: str) -> None:
        """Keep the summary (JSON) of this scan."""
        self._write_all(
            "UPDATE scans SET finished = ?, summary = ? WHERE id = ?",
            iter([(time.time(), summary, self._scan)]),
        )

    def _decided(self, reading: Reading, decide: Decide | None) -> tuple[Any, ...]:
        attempts, retry_at = 0, None
        if reading.failure is not None and reading.failure.kind is FailureKind.TRANSIENT:
            attempts = self._attempts(reading.photo) + 1
            retry_at = self._now + back_off(attempts)
        status, category, threshold = decide(reading) if decide is not None else (None, None, None)
        return (status, category, threshold, attempts, retry_at, self._scan)

    def _attempts(self, photo: Photo) -> int:
        row = self.connection.execute(
            "SELECT attempts FROM photos WHERE uri = ? AND version = ?",
            (os.fsencode(photo.uri), photo.version),
        ).fetchone()
        return int(row[0]) if row is not None else 0

    def _arguments(self, need: Need) -> dict[str, Any]:
        # A glance under another gate counts as long as what it saw falls short of this one too.
        glanced = f"{need.model}~%" if need.model else ""
        return {**need._asdict(), "glanced": glanced, "now": self._now, "scan": self._scan}

    def _count(self, query: str, arguments: dict[str, Any] | None = None) -> int:
        with sqlite_errors():
            (count,) = self.connection.execute(query, arguments or {}).fetchone()
        return int(count)

    def _grouped(self, column: str) -> dict[str, int]:
        with sqlite_errors():
            rows = self.connection.execute(
                f"SELECT {column}, count(*) FROM listed CROSS JOIN photos USING (uri) "
                f"WHERE {column} IS NOT NULL GROUP BY {column}"
            ).fetchall()
        return {str(name): int(count) for name, count in rows}

    def _pages(self, query: str, arguments: dict[str, Any]) -> Iterator[Photo]:
        """The photos of a query in pages, so that writes may come in between."""
        page = (
            f"SELECT listed.uri, listed.size, listed.version, listed.sidecars {query} "
            "AND listed.uri > :last ORDER BY listed.uri LIMIT :page"
        )
        last = b""
        while True:
            with sqlite_errors():
                bound = {**arguments, "last": last, "page": _PAGE}
                rows = self.connection.execute(page, bound).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            for uri, size, version, sidecars in rows:
                yield Photo(os.fsdecode(uri), size, version, tuple(json.loads(sidecars or "[]")))

    def _write_all(
        self, statement: str, rows: Iterable[tuple[Any, ...]], revise: bool = False
    ) -> None:
        remaining = iter(rows)
        with sqlite_errors(), self.connection:
            while batch := list(islice(remaining, _BATCH)):
                self.connection.executemany(statement, batch)
            if revise:
                self.connection.execute("UPDATE revision SET number = number + 1")
                self.changed = True


def open_catalog(place: str | Path | None) -> Catalog:
    """Open or create a catalog and lock it (None: a private one that vanishes when closed).

    A place in a bucket is fetched, and written back when the catalog is closed. Raises LockedError
    while another run holds it, CatalogError when it cannot be used.
    """
    with ExitStack() as stack:
        if place is None:
            connection = open_database(None)
            stack.callback(connection.close)
            return Catalog(connection, stack.pop_all())
        if is_remote(str(place)):
            return _open_remote(str(place), stack)
        path = Path(place)
        stack.enter_context(file_lock(path))
        stack.push(_aside_when_damaged(path))
        connection = open_database(path)
        stack.callback(connection.close)
        return Catalog(connection, stack.pop_all())


def _open_remote(uri: str, stack: ExitStack) -> Catalog:
    remote = stack.enter_context(remote_catalog(uri))
    catalog: Catalog | None = None

    def save_at_the_end() -> None:
        if catalog is None or catalog.changed or not remote.path.exists():
            remote.save()

    stack.callback(save_at_the_end)
    stack.push(_aside_when_damaged(remote.path))
    connection = open_database(remote.path)
    stack.callback(connection.close)
    catalog = Catalog(connection, stack.pop_all(), remote)
    return catalog


def _aside_when_damaged(path: Path) -> Callable[..., None]:
    def leave(kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, DamagedCatalogError):
            begin_anew(path).close()

    return leave


def back_off(attempts: int) -> float:
    """Seconds until a photo that failed so many times in a row is tried again."""
    if attempts <= 1:
        return 0
    return min(_BACK_OFF_SECONDS * 2.0 ** min(attempts - 2, 30), _BACK_OFF_LIMIT)


def _rows(photos: Iterable[Photo], digest: Any) -> Iterator[tuple[Any, ...]]:
    for uri, size, version, sidecars in photos:
        name = os.fsencode(uri)
        digest.update(b"%b\0%d\0%b\0" % (name, size, version.encode()))
        yield name, size, version, json.dumps(sidecars) if sidecars else None
