"""A catalog's SQLite file: made, checked, migrated, and set aside when it is damaged."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from geotag.errors import CatalogError, DamagedCatalogError, LockedError
from geotag.state import schema

SUFFIX = ".geotag"
# "geotag" as a number, so that `file` and SQLite itself can tell whose database this is.
APPLICATION_ID = 0x67656F74
_APPLICATION_ID_AT = 68  # of SQLite's file header
_log = logging.getLogger(__name__)


def open_database(path: Path | None) -> sqlite3.Connection:
    """Open or create a catalog's database (None: a private one that vanishes when closed).

    A damaged one is renamed, reported and begun anew. Raises LockedError while another process
    has it open, CatalogError when it cannot be used or is no catalog.
    """
    try:
        return _open(path)
    except DamagedCatalogError as error:
        if path is None or not is_catalog(path):
            raise CatalogError(
                f"{path}: not a geotag catalog; name another file with --catalog"
            ) from error
        return begin_anew(path)


def begin_anew(path: Path) -> sqlite3.Connection:
    """Set a damaged catalog aside and open an empty one. Raises CatalogError."""
    aside = set_aside(path)
    connection = _open(path)
    _carry_over(aside, connection)
    return connection


def _carry_over(aside: Path, connection: sqlite3.Connection) -> None:
    """What can still be read of the journal of writes and of the landmarks that were cleared:
    photos can be read again, but these stand nowhere else. Each entry of the journal is checked
    against the photo before it is used."""
    try:
        with opened_to_read(aside) as old:
            for copy in schema.KEPT:
                if schema.has_table(old, copy.source):
                    for cells in old.execute(copy.select):
                        with connection:
                            connection.execute(copy.insert, cells)
    except (sqlite3.Error, ValueError):
        _log.warning("%s: its journal of writes could not be carried over whole", aside)


@contextmanager
def opened_to_read(path: Path) -> Iterator[sqlite3.Connection]:
    """A catalog's file as it is: nothing is locked or written. Raises sqlite3.Error."""
    # Without a log of late writes nothing is beside it, and nothing shall come to be.
    mode = "mode=ro" if Path(f"{path}-wal").exists() else "mode=ro&immutable=1"
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)) as connection:
        yield connection


def set_aside(path: Path) -> Path:
    """Rename a damaged catalog, log where it is now, and return that. Raises CatalogError."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    try:
        for suffix in ("-wal", "-shm", "-journal"):
            with suppress(FileNotFoundError):
                os.replace(f"{path}{suffix}", f"{aside}{suffix}")
        os.replace(path, aside)
    except OSError as error:
        raise CatalogError(
            f"{path}: damaged, and cannot be moved away ({error.strerror})"
        ) from error
    _log.warning("%s: damaged; set aside as %s, and all photos are read again", path, aside.name)
    return aside


def is_catalog(path: Path) -> bool:
    """Whether a file is a catalog by its name or its header, however damaged the rest."""
    if path.name.endswith(SUFFIX):
        return True
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError:
        return False
    mark = header[_APPLICATION_ID_AT : _APPLICATION_ID_AT + 4]
    return mark == APPLICATION_ID.to_bytes(4, "big")


def _open(path: Path | None) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path if path is not None else "", timeout=0.2)
    except sqlite3.Error as error:
        raise CatalogError(f"{path}: cannot be opened ({error})") from error
    try:
        _prepare(connection, path)
    except sqlite3.OperationalError as error:
        connection.close()
        if "locked" in str(error):
            raise LockedError(f"{path}: another run is using this catalog") from error
        raise CatalogError(f"{path}: not a usable catalog ({error})") from error
    except sqlite3.DatabaseError as error:
        connection.close()
        raise DamagedCatalogError(f"{path}: damaged ({error})") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path | None) -> None:
    # Exclusive mode keeps other programs out until we close or die, and needs no shared memory.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    if version > schema.VERSION and owner == APPLICATION_ID:
        raise CatalogError(
            f"{path}: written by a newer geotag (schema {version}, this one knows "
            f"{schema.VERSION}); use that version, or another --catalog"
        )
    if owner != APPLICATION_ID and path is not None and _is_foreign(connection, path):
        raise CatalogError(
            f"{path}: another program's database, not a geotag catalog; "
            "name another file with --catalog"
        )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("BEGIN EXCLUSIVE")
    _check(connection, path)
    schema.migrate(connection, version)
    if owner != APPLICATION_ID:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("COMMIT")


def _is_foreign(connection: sqlite3.Connection, path: Path) -> bool:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return bool(tables) and not path.name.endswith(SUFFIX)


def _check(connection: sqlite3.Connection, path: Path | None) -> None:
    """Structure only: what the cells hold is covered by the checksum of each row."""
    (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if result != "ok":
        raise DamagedCatalogError(f"{path}: damaged ({result})")


@contextmanager
def sqlite_errors() -> Iterator[None]:
    """SQLite's errors as ours: a damaged file is told from one that cannot be written."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise CatalogError(
            f"the catalog cannot be used ({error}); what was recorded before is kept: "
            "make room or fix its folder, then run the same command again"
        ) from error
    except sqlite3.DatabaseError as error:
        raise DamagedCatalogError(f"the catalog is damaged ({error})") from error
