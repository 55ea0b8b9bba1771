"""A catalog's SQLite file: made, checked, migrated, and set aside when it is damaged."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from traceback import clear_frames

from geotag.errors import CatalogError, DamagedCatalogError, LockedError
from geotag.files.temporary import TemporaryFolder
from geotag.state import schema
from geotag.state.locks import hold_to_read

SUFFIX = ".geotag"
# "geotag" as a number, so that `file` and SQLite itself can tell whose database this is.
APPLICATION_ID = 0x67656F74
_APPLICATION_ID_AT = 68  # of SQLite's file header
# No cell that geotag writes comes near.
_CELL_LIMIT = 64 * 2**20
_LATE = "-wal"  # behind its name: the log of late writes
_WAIT = 0.2  # seconds for another process that has it open, which keeps it as long as it runs
_READ_ONLY = (
    " cannot be written: its file, folder or file system is read-only; make it writable, or name "
    "another place with --catalog"
)
_IN_USE = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
# What says nothing of the file's contents: the disk is full or broken, memory is short.
_PASSING = frozenset(
    (
        sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_NOLFS,
    )
)  # fmt: skip
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


def aside_when_damaged(path: Path) -> Callable[..., None]:
    """What a with statement calls at its end: it begins anew where the error is that of damage."""

    def leave(kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, DamagedCatalogError):
            _let_go(error)
            begin_anew(path).close()

    return leave


def _let_go(error: BaseException | None) -> None:
    """Drop the queries that were under way: a closed connection keeps its lock as long as there
    is one, and frames of the error hold them."""
    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _carry_over(aside: Path, connection: sqlite3.Connection) -> None:
    """What can still be read of the journal of writes and of the landmarks that were cleared:
    photos can be read again, but these stand nowhere else. Each entry of the journal is checked
    against the photo before it is used."""
    lost = 0
    try:
        with opened_to_read(aside) as old:
            lost = sum(_copy(old, connection, copy) for copy in schema.KEPT)
    except (sqlite3.Error, ValueError):
        lost = 1
    if lost:
        _log.warning("%s: its journal of writes could not be carried over whole", aside)


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, copy: schema.Copy) -> int:
    """Take over what can be read of a table; returns how many rows could not be."""
    lost = 0
    try:
        for cells in old.execute(copy.select) if schema.has_table(old, copy.source) else ():
            try:
                with new:
                    new.execute(copy.insert, cells)
            except (sqlite3.Error, OverflowError):  # a row that breaks the table's rules
                lost += 1
    except (sqlite3.Error, ValueError):
        lost += 1
    return lost


@contextmanager
def opened_to_read(path: Path) -> Iterator[sqlite3.Connection]:
    """A catalog's file as it is: nothing is locked or written.

    Raises sqlite3.Error; LockedError while another process has it open, for that is no sign that
    it knows nothing; CatalogError where there is no room for a copy that it takes.
    """
    with _readable(path) as place, closing(_reader_of(place)) as connection:
        distrust(connection)
        connection.text_factory = lambda text: text.decode("utf-8", "backslashreplace")
        try:
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
            yield connection
        except sqlite3.OperationalError as error:
            if _code(error) in _IN_USE:
                raise LockedError(f"{path}: another run is using this catalog") from error
            raise


def _reader_of(place: Path) -> sqlite3.Connection:
    # Without a log of late writes nothing is beside it, and nothing shall come to be.
    mode = "mode=ro" if _has_late_writes(place) else "mode=ro&immutable=1"
    return sqlite3.connect(f"{place.absolute().as_uri()}?{mode}", timeout=_WAIT, uri=True)


def _has_late_writes(path: Path) -> bool:
    """Whether a run was killed before its last writes were in the file itself."""
    with suppress(OSError):
        return os.path.getsize(f"{path}{_LATE}") > 0
    return False


@contextmanager
def _readable(path: Path) -> Iterator[Path]:
    """A catalog as SQLite can read it: with late writes it takes a folder that can be written, so
    that otherwise, as on a mount that is read-only, both files are copied."""
    if not _has_late_writes(path) or os.access(path.parent, os.W_OK):
        yield path
        return
    with TemporaryFolder() as folder:
        copy = Path(folder, path.name)
        try:
            with path.open("rb") as file:
                hold_to_read(file.fileno(), path)
                shutil.copyfile(path, copy)
                shutil.copyfile(f"{path}{_LATE}", f"{copy}{_LATE}")
        except OSError as error:
            why = f"its late writes cannot be copied to {folder} ({error.strerror})"
            raise CatalogError(f"{path}: cannot be read, for {why}") from error
        yield copy


def distrust(connection: sqlite3.Connection) -> None:
    """The file may be anyone's: nothing that it brings along is run, nothing huge is read."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _CELL_LIMIT)


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
    if path is not None and path.exists() and not os.access(path, os.W_OK):
        raise CatalogError(f"{path}{_READ_ONLY}")  # of which SQLite says "disk I/O error"
    try:
        # From any thread, one at a time: a review's server answers in several, under a lock.
        place = path if path is not None else ""
        connection = sqlite3.connect(place, timeout=_WAIT, check_same_thread=False)
    except sqlite3.Error as error:
        raise CatalogError(f"{path}: cannot be opened ({error})") from error
    try:
        with errors_of(f"{path}"):
            _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path | None) -> None:
    # Exclusive mode keeps other programs out until we close or die, and needs no shared memory.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    distrust(connection)
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
    if not schema.is_sound(connection):
        raise DamagedCatalogError(f"{path}: damaged (its tables are not those of a catalog)")
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


def _code(error: Exception) -> int:
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


def sqlite_errors() -> AbstractContextManager[None]:
    """SQLite's errors as ours: a damaged file is told from one that cannot be used just now."""
    return errors_of("the catalog")


@contextmanager
def errors_of(catalog: str) -> Iterator[None]:
    """As `sqlite_errors`, of a file by its name."""
    try:
        yield
    except (sqlite3.Error, OverflowError) as error:
        code = _code(error)
        if code in _IN_USE:
            raise LockedError(f"{catalog}: another run is using this catalog") from error
        if code == sqlite3.SQLITE_READONLY:
            raise CatalogError(f"{catalog}{_READ_ONLY}") from error
        if code in _PASSING:
            raise CatalogError(
                f"{catalog} cannot be used ({error}); what was recorded before is kept: make room "
                "or mend its folder, then run the same command again"
            ) from error
        raise DamagedCatalogError(
            f"{catalog} is damaged ({error}): run the same command again to build it anew"
        ) from error
