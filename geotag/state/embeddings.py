"""The embeddings of photos, kept from scan to scan beside the file that they are written to."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from geotag.errors import DamagedCatalogError
from geotag.records import Photo, Prediction, Reading
from geotag.state.catalog import Catalog
from geotag.state.database import distrust, errors_of
from geotag.state.remote import RemoteCatalog, remote_catalog
from geotag.state.schema import checksum
from geotag.stores import is_remote
from geotag.tables import table_state
from geotag.tables.embeddings import Embedded, write_embeddings

SUFFIX = ".kept"
_LAYOUT = """
CREATE TABLE IF NOT EXISTS embeddings (
    uri BLOB PRIMARY KEY, size INTEGER, version TEXT, model TEXT, vector BLOB, checksum INTEGER
);
CREATE TABLE IF NOT EXISTS written (signature TEXT, state TEXT);
"""
_log = logging.getLogger(__name__)


class KeptEmbeddings:
    """What is known of a catalog's photos by one model (its SHA-256), for the file `out`.

    It stands beside the catalog, for it is ten times as large, and can be made again.
    """

    def __init__(self, database: _Database, catalog: Catalog, out: str, model: str) -> None:
        self.connection, self._remote = database
        self.catalog = catalog
        self.out = out
        self.model = model

    def keep(self, readings: Iterable[Reading]) -> None:
        """Keep those of the photos that the network saw, durably."""
        seen = ((r.photo, r.prediction) for r in readings if r.prediction is not None)
        self._keep((photo, self._data(found)) for photo, found in seen if found.embedding)

    def _data(self, prediction: Prediction) -> bytes:
        """What is kept of a photo."""
        return prediction.embedding

    def carry(self, old: Photo, new: Photo) -> bool:
        """Let a photo of the same picture have the same; whether it is known, as it is not of one
        that was classified without."""
        vector = self._find(os.fsencode(old.uri), old.size, old.version)
        if vector is not None and old != new:
            self._keep([(new, vector)])
        return vector is not None

    def prune(self) -> None:
        """Forget the photos that the catalog does not know."""
        known = self.catalog.connection
        with errors_of(self.out + SUFFIX), self.connection:
            gone = [
                row
                for row in self.connection.execute("SELECT uri FROM embeddings")
                if not known.execute("SELECT 1 FROM photos WHERE uri = ?", row).fetchone()
            ]
            self.connection.executemany("DELETE FROM embeddings WHERE uri = ?", gone)

    def export(self, name: str) -> None:
        """Write the file of the listed photos' embeddings by the model of this name, unless it is
        there and would be the same: rows in byte order of the photos' names, as the table's.

        Raises TableError.
        """
        signature = f"{self.catalog.fingerprint} {self.catalog.revision} {self.model}"
        with errors_of(self.out + SUFFIX):
            last = self.connection.execute("SELECT * FROM written").fetchone()
        if last == (signature, table_state(self.out)):
            return
        write_embeddings(self.out, self.rows, name)
        with errors_of(self.out + SUFFIX), self.connection as connection:
            connection.execute("DELETE FROM written")
            state = table_state(self.out)
            connection.execute("INSERT INTO written VALUES (?, ?)", (signature, state))

    def rows(self) -> Iterator[Embedded]:
        """Those of the listed photos that are known."""
        for photo in self.catalog.listed():
            vector = self._find(os.fsencode(photo.uri), photo.size, photo.version)
            if vector is not None:
                yield Embedded(photo.uri, vector)

    def has(self, uri: bytes, size: int, version: str) -> bool:
        """Whether there is one of this version of a photo."""
        return self._find(uri, size, version) is not None

    def _find(self, uri: bytes, size: int, version: str) -> bytes | None:
        key = (uri, size, version, self.model)
        with errors_of(self.out + SUFFIX):
            row = self.connection.execute(
                "SELECT vector, checksum FROM embeddings "
                "WHERE uri = ? AND size = ? AND version = ? AND model = ?",
                key,
            ).fetchone()
        is_sound = row is not None and checksum((*key, row[0])) == row[1]
        return row[0] if is_sound else None

    def _keep(self, found: Iterable[tuple[Photo, bytes]]) -> None:
        rows = (
            (os.fsencode(photo.uri), photo.size, photo.version, self.model, vector)
            for photo, vector in found
        )
        with errors_of(self.out + SUFFIX), self.connection:
            self.connection.executemany(
                "INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?, ?, ?, ?)",
                ((*cells, checksum(cells)) for cells in rows),
            )
        if self._remote is not None and self._remote.due:
            self._remote.save_from(self.connection)


class KeptPictures(KeptEmbeddings):
    """What tells which photos show the same, for this library alone: an embedding as int8, and a
    fingerprint behind it."""

    def _data(self, prediction: Prediction) -> bytes:
        return picture_data(prediction)


def picture_data(prediction: Prediction) -> bytes:
    """What a picture is compared by."""
    import numpy as np

    embedding = np.frombuffer(prediction.embedding, "<f2").astype(np.float32)
    scaled = embedding * (127 / max(float(np.abs(embedding).max()), 1e-6))
    data: bytes = np.rint(scaled).astype(np.int8).tobytes()
    return data + prediction.fingerprint


class Embeddings(NamedTuple):
    """What is asked for of photos that are classified: embeddings for a file, and what tells which
    photos show the same. Where neither is, nothing is kept or written."""

    for_file: KeptEmbeddings | None = None
    for_match: KeptPictures | None = None

    @property
    def _parts(self) -> list[KeptEmbeddings]:
        return [part for part in self if part is not None]

    def keep(self, readings: Iterable[Reading]) -> None:
        """Keep what readings hold, durably."""
        found = list(readings)
        for part in self._parts:
            part.keep(found)

    def carry(self, old: Photo, new: Photo) -> bool:
        """Let a photo of the same picture have the same; whether what is asked for is known."""
        return all(part.carry(old, new) for part in self._parts)

    def has(self, uri: bytes, size: int, version: str) -> bool:
        """Whether what is asked for is known of a version of a photo."""
        return all(part.has(uri, size, version) for part in self._parts)

    def pictures(self) -> Iterator[Embedded]:
        """What tells which of the listed photos show the same, where that is kept."""
        return self.for_match.rows() if self.for_match is not None else iter(())

    def prune(self) -> None:
        """Forget the photos that the catalog does not know."""
        for part in self._parts:
            part.prune()

    def export(self, name: str) -> None:
        """Write the file, where one is asked for, as KeptEmbeddings do."""
        if self.for_file is not None:
            self.for_file.export(name)


@contextmanager
def opened_embeddings(
    catalog: Catalog, model: str, out: str | None = None, place: str | None = None
) -> Iterator[Embeddings]:
    """What is kept by a model: for the file `out`, and beside the catalog at `place`; nothing where
    these are None. A damaged file is begun anew.

    Raises LockedError while another run holds it, CatalogError when it cannot be used.
    """
    with ExitStack() as stack:

        def opened(name: str) -> _Database:
            return stack.enter_context(_opened(name + SUFFIX))

        embeddings = Embeddings(
            KeptEmbeddings(opened(out), catalog, out, model) if out is not None else None,
            KeptPictures(opened(place), catalog, place, model) if place is not None else None,
        )
        catalog.connection.create_function("has_embedding", 3, embeddings.has)
        yield embeddings


class _Database(NamedTuple):
    """What is kept in a file, and where that is a copy of."""

    connection: sqlite3.Connection
    remote: RemoteCatalog | None


@contextmanager
def _opened(place: str) -> Iterator[_Database]:
    """A file, or an object that is fetched, and put back where it was changed."""
    with ExitStack() as stack:
        remote = stack.enter_context(remote_catalog(place)) if is_remote(place) else None
        path = Path(place) if remote is None else remote.path
        connection = stack.enter_context(closing(_whole(path)))
        try:
            yield _Database(connection, remote)
        finally:
            if remote is not None and connection.total_changes:
                remote.save_from(connection)


def _whole(path: Path) -> sqlite3.Connection:
    try:
        return _open(path)
    except DamagedCatalogError:
        _log.warning("%s: damaged; its embeddings are made again", path)
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(FileNotFoundError):
                os.unlink(f"{path}{suffix}")
        return _open(path)


def _open(path: Path) -> sqlite3.Connection:
    with errors_of(str(path)):
        connection = sqlite3.connect(path, timeout=0, check_same_thread=False)
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            distrust(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_LAYOUT)
            connection.execute("SELECT uri, size, version, model, vector, checksum FROM embeddings")
        except BaseException:
            connection.close()
            raise
    return connection
