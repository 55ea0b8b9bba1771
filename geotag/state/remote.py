"""A catalog, or another database, in a bucket: leased, fetched, and put back by conditional
writes."""

from __future__ import annotations

import json
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

from geotag.errors import CatalogError, LockedError
from geotag.files.temporary import TemporaryFolder
from geotag.state.database import SUFFIX, errors_of
from geotag.state.locks import LOCK_SUFFIX
from geotag.stores import store_of
from geotag.stores.base import (
    AbsentError,
    ChangedError,
    Object,
    Store,
    StoreError,
    download,
    temporary_room,
)

# A lease is renewed well before it ends; that of a dead holder is free when it has ended.
LEASE_SECONDS = 300.0
RENEWALS = 5
# How often the catalog goes to the bucket while a scan runs: what a crash may cost.
SAVE_SECONDS = 300.0
_LOCK_LIMIT = 4096
_log = logging.getLogger(__name__)


class RemoteCatalog:
    """The local copy of a catalog in a bucket, at `path`, while the lease is held."""

    def __init__(self, uri: str, store: Store, folder: Path, lease: Lease) -> None:
        self.uri = uri
        self.path = folder / (uri.rpartition("/")[2] or f"catalog{SUFFIX}")
        self._store = store
        self._lease = lease
        self._due = time.monotonic() + SAVE_SECONDS
        self._version = self._fetch()

    def _fetch(self) -> str | None:
        with _reported(self.uri, "fetched"):
            return download(self._store, self.uri, self.path)

    @property
    def due(self) -> bool:
        """Whether the copy in the bucket is so old that a crash would cost much."""
        return time.monotonic() > self._due

    def save_from(self, connection: sqlite3.Connection) -> None:
        """As `save`, while it is open."""
        with errors_of(self.uri):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self.save()

    def save(self) -> None:
        """Put the local file into the bucket, unless someone else has written there.

        Damaged catalogs that were set aside go beside it. Raises LockedError or CatalogError.
        """
        if self._lease.lost:
            raise LockedError(f"{self.uri}: another run took over this catalog")
        with _reported(self.uri, "written"):
            for aside in sorted(self.path.parent.glob(f"{self.path.name}.damaged-*")):
                self._store.put(self.uri + aside.name.removeprefix(self.path.name), aside)
                aside.unlink()
            if self.path.exists():
                self._version = self._store.put_if(self.uri, self.path, self._version)
            else:
                self._store.delete(self.uri)
        self._due = time.monotonic() + SAVE_SECONDS


@contextmanager
def remote_catalog(uri: str) -> Iterator[RemoteCatalog]:
    """Lease and fetch a catalog. Raises LockedError while another run holds it."""
    store = store_of(uri)
    with TemporaryFolder() as folder:
        lease = Lease(uri, store, Path(folder) / "lease")
        with lease.held():
            yield RemoteCatalog(uri, store, Path(folder), lease)


class Lease:
    """A lock object beside the catalog that names its holder and the time it ends."""

    def __init__(self, uri: str, store: Store, file: Path) -> None:
        self.uri = uri
        self.lost = False
        self._lock = uri + LOCK_SUFFIX
        self._store = store
        self._file = file
        self._holder = secrets.token_hex(16)
        self._version = ""
        self._released = Event()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Acquire, renew in the background, and release."""
        with _reported(self._lock, "written"):
            self._acquire()
        renewal = Thread(target=self._renew, name="lease", daemon=True)
        try:
            renewal.start()
            yield
        finally:
            self._released.set()
            if renewal.ident is not None:  # where threads may be started
                renewal.join()
            if not self.lost:
                with suppress(StoreError):
                    self._store.delete(self._lock)

    def _acquire(self) -> None:
        present = self._store.stat(self._lock)
        if present is not None and not _is_free(self._store, present, self._now()):
            raise LockedError(f"{self.uri}: another run is using this catalog")
        self._write(present.version if present is not None else None)
        # Servers that know no conditional writes let two through: the last one has it.
        if _read_lock(self._store, self._lock).get("holder") != self._holder:
            raise LockedError(f"{self.uri}: another run is using this catalog")

    def _now(self) -> float:
        """By the clock of the store, as the time of what is written there just now; by that of
        this machine where the store tells none."""
        probe = f"{self._lock}.{self._holder}"
        self._file.touch()
        self._store.put(probe, self._file)
        written = self._store.stat(probe)
        self._store.delete(probe)
        return written.modified if written and written.modified else time.time()

    def _write(self, version: str | None) -> None:
        fields = {
            "holder": self._holder,
            "until": time.time() + LEASE_SECONDS,
            "system": _system(),
            "process": os.getpid(),
        }
        with temporary_room(self._file.parent):
            self._file.write_text(json.dumps(fields))
        self._version = self._store.put_if(self._lock, self._file, version)

    def _renew(self) -> None:
        while not self._released.wait(LEASE_SECONDS / RENEWALS):
            try:
                # One that somebody cleared away is still ours, unless another run took it.
                is_there = self._store.stat(self._lock) is not None
                self._write(self._version if is_there else None)
            except ChangedError:
                self.lost = True
                return
            except StoreError as error:
                _log.warning("%s: the lease was not renewed (%s)", self.uri, error)


def _is_free(store: Store, lock: Object, now: float) -> bool:
    """Whether a lease has ended, or was held by a process of this system that is dead.

    It ends by the store's clock, in which `now` is: that of its holder, and ours, may be others.
    Raises StoreError where that cannot be told now.
    """
    fields = _read_lock(store, lock.uri)
    until, system, process = (fields.get(name) for name in ("until", "system", "process"))
    if lock.modified:
        until = lock.modified + LEASE_SECONDS
    if not isinstance(until, (int, float)) or until < now:
        return True
    is_here = bool(system) and system == _system()
    return is_here and isinstance(process, int) and not _is_alive(process)


def _system() -> str:
    """Where a process number means this process: containers have numbers of their own, often below
    the same host name. Empty where that cannot be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except (OSError, ValueError):
        return ""


def _read_lock(store: Store, lock: str) -> dict[str, Any]:
    """What it says; nothing where it was released or is none of ours. Raises StoreError."""
    try:
        fields = json.loads(store.get(lock, 0, _LOCK_LIMIT).data)
    except (AbsentError, ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return True


@contextmanager
def _reported(uri: str, done: str) -> Iterator[None]:
    try:
        yield
    except ChangedError as error:
        raise LockedError(f"{uri}: another run has written here meanwhile") from error
    except StoreError as error:
        raise CatalogError(
            f"{uri}: cannot be {done} ({error}); what came to the bucket before is kept: "
            "run the same command again"
        ) from error
