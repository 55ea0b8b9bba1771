"""The embeddings of photos, kept from scan to scan beside the file that they are written to."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from geotag.errors import DamagedCatalogError
from geotag.records import Photo, Reading
from geotag.state.catalog import Catalog
from geotag.state.database import distrust, errors_of
from geotag.state.schema import checksum
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


class Embeddings:
    """Where none are asked for: nothing is kept or written."""

    def keep(self, readings: Iterable[Reading]) -> None:
        """Keep what readings hold, durably."""

    def carry(self, old: Photo, new: Photo) -> bool:
        """Let a photo of the same picture have the same; whether what is asked for is known."""
        return True

    def prune(self) -> None:
        """Forget the photos that the catalog does not know."""

    def export(self, name: str) -> None:
        """Write the file of the listed photos' embeddings by the model of this name, unless it is
        there and would be the same. Raises TableError."""


class KeptEmbeddings(Embeddings):
    """What is known of a catalog's photos by one model (its SHA-256), for the file `out`.

    It stands beside the catalog, for it is ten times as large, and can be made again.
    """

    def __init__(
        self, connection: sqlite3.Connection, catalog: Catalog, out: str, model: str
    ) -> None:
        self.connection = connection
        self.catalog = catalog
        self.out = out
        self.model = model
        catalog.connection.create_function("has_embedding", 3, self._has)

    def keep(self, readings: Iterable[Reading]) -> None:
        """Those of the photos that the network saw."""
        found = ((r.photo, r.prediction.embedding) for r in readings if r.prediction is not None)
        self._keep((photo, vector) for photo, vector in found if vector)

    def carry(self, old: Photo, new: Photo) -> bool:
        """Not known is what was classified without."""
        vector = self._find(os.fsencode(old.uri), old.size, old.version)
        if vector is not None and old != new:
            self._keep([(new, vector)])
        return vector is not None

    def prune(self) -> None:
        """Each photo is looked for in the catalog."""
        known = self.catalog.connection
        with errors_of(self.out + SUFFIX), self.connection:
            gone = [
                row
                for row in self.connection.execute("SELECT uri FROM embeddings")
                if not known.execute("SELECT 1 FROM photos WHERE uri = ?", row).fetchone()
            ]
            self.connection.executemany("DELETE FROM embeddings WHERE uri = ?", gone)

    def export(self, name: str) -> None:
        """The rows are in byte order of the photos' names, as the table's."""
        signature = f"{self.catalog.fingerprint} {self.catalog.revision} {self.model}"
        with errors_of(self.out + SUFFIX):
            last = self.connection.execute("SELECT * FROM written").fetchone()
        if last == (signature, table_state(self.out)):
            return
        write_embeddings(self.out, self._rows, name)
        with errors_of(self.out + SUFFIX), self.connection as connection:
            connection.execute("DELETE FROM written")
            state = table_state(self.out)
            connection.execute("INSERT INTO written VALUES (?, ?)", (signature, state))

    def _rows(self) -> Iterator[Embedded]:
        for photo in self.catalog.listed():
            vector = self._find(os.fsencode(photo.uri), photo.size, photo.version)
            if vector is not None:
                yield Embedded(photo.uri, vector)

    def _has(self, uri: bytes, size: int, version: str) -> bool:
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


@contextmanager
def opened_embeddings(out: str, catalog: Catalog, model: str) -> Iterator[Embeddings]:
    """Those of a file; a damaged memory is begun anew.

    Raises LockedError while another run holds it, CatalogError when it cannot be used.
    """
    path = Path(out + SUFFIX)
    try:
        connection = _open(path)
    except DamagedCatalogError:
        _log.warning("%s: damaged; its embeddings are made again", path)
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(FileNotFoundError):
                os.unlink(f"{path}{suffix}")
        connection = _open(path)
    with closing(connection):
        yield KeptEmbeddings(connection, catalog, out, model)


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
