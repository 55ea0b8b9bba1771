"""The catalog's tables, and the migrations that bring an older catalog's up to them."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from typing import Any, NamedTuple

# What was read of the photos, and which of them could not be read for the time being.
_PHOTOS = """
CREATE TABLE photos (
    uri BLOB PRIMARY KEY,
    size INTEGER NOT NULL,
    version TEXT NOT NULL,
    content_key TEXT,
    latitude REAL, longitude REAL, altitude REAL,
    taken_at TEXT, orientation INTEGER NOT NULL, camera TEXT,
    position_unclear TEXT, capture TEXT,
    model TEXT, prefilter REAL, top TEXT, landmark_probability REAL,
    failure_reason TEXT,
    checksum INTEGER,
    scan INTEGER,
    reader INTEGER,
    fingerprint BLOB
) WITHOUT ROWID;
CREATE INDEX photos_by_content ON photos (size, content_key) WHERE content_key IS NOT NULL;
CREATE TABLE retries (
    uri BLOB PRIMARY KEY,
    size INTEGER NOT NULL,
    version TEXT NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    retry_at REAL NOT NULL,
    scan INTEGER
) WITHOUT ROWID;
"""
# The scans, and the tables that they wrote; the revision grows whenever a table may change.
_SCANS = """
CREATE TABLE IF NOT EXISTS scans (
    id INTEGER PRIMARY KEY, started REAL NOT NULL, finished REAL, summary TEXT
);
CREATE TABLE tables (
    out TEXT PRIMARY KEY,
    signature TEXT NOT NULL,
    state TEXT NOT NULL,
    counts TEXT,
    sources TEXT,
    model TEXT,
    threshold REAL,
    here TEXT
);
CREATE TABLE IF NOT EXISTS revision (number INTEGER NOT NULL);
INSERT INTO revision SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM revision);
"""
# The journal of writes, and which landmarks the user cleared: these stand nowhere else. Of the
# entries for a photo in `cleared` the last one counts, so that a run can be reverted.
_KEPT = """
CREATE TABLE IF NOT EXISTS write_runs (
    id TEXT PRIMARY KEY,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    description TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS writes (
    id INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL REFERENCES write_runs (id),
    path BLOB NOT NULL,
    temporary BLOB NOT NULL,
    state TEXT NOT NULL,
    old_sha256 TEXT NOT NULL,
    old_mtime_ns INTEGER,
    new_sha256 TEXT NOT NULL,
    new_blocks BLOB NOT NULL,
    old_blocks BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS writes_by_run ON writes (run_id);
CREATE TABLE cleared (
    id INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL,
    uri BLOB NOT NULL,
    picture TEXT NOT NULL,
    is_cleared INTEGER NOT NULL,
    is_done INTEGER NOT NULL
);
"""
# What the user decided in a review; of the decisions for a photo the last one counts. Those of one
# step were made together, and are taken back together.
_DECISIONS = """
CREATE TABLE IF NOT EXISTS decisions (
    id INTEGER PRIMARY KEY,
    step INTEGER NOT NULL,
    uri BLOB NOT NULL,
    verdict TEXT NOT NULL,
    landmark TEXT NOT NULL,
    slug TEXT NOT NULL,
    latitude REAL, longitude REAL, radius_m REAL,
    city TEXT NOT NULL,
    country TEXT NOT NULL,
    decided_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS decisions_by_uri ON decisions (uri)
"""


# What the user said of cameras' clocks: how far ahead of local time they were.
_CLOCK_OFFSETS = """
CREATE TABLE IF NOT EXISTS clock_offsets (camera TEXT PRIMARY KEY, seconds REAL NOT NULL)
"""
# Where photos were taken by what the rest of the library tells, by the part of it (days) that they
# belong to; of these parts what the placements come of, and what was found of clocks; and what
# positions are called, in thousandths of a degree.
_PLACED = """
CREATE TABLE IF NOT EXISTS placements (
    uri BLOB PRIMARY KEY, first INTEGER NOT NULL, cells TEXT NOT NULL, checksum INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS windows (
    first INTEGER PRIMARY KEY, last INTEGER NOT NULL, digest BLOB NOT NULL, clocks TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS names (
    north INTEGER NOT NULL, east INTEGER NOT NULL, rules INTEGER NOT NULL, cells TEXT NOT NULL,
    checksum INTEGER NOT NULL, PRIMARY KEY (north, east)
) WITHOUT ROWID
"""


class Copy(NamedTuple):
    """A table to fill from one of an older or damaged catalog, whose columns are named alike or
    stand in the same order."""

    table: str
    source: str
    columns: str

    @property
    def select(self) -> str:
        """The statement that reads the source's rows."""
        return f"SELECT {self.columns} FROM {self.source}"

    @property
    def insert(self) -> str:
        """The statement that takes over one row."""
        marks = ", ".join("?" * (self.columns.count(",") + 1))
        return f"INSERT INTO {self.table} VALUES ({marks})"


_ANSWERS = Copy("cleared", "answers", "id, run_id, uri, picture, is_refusal, is_done")
KEPT = (
    Copy("write_runs", "write_runs", "id, started_at, finished_at, description"),
    Copy(
        "writes",
        "writes",
        "id, run_id, path, temporary, state, old_sha256, old_mtime_ns, new_sha256, new_blocks, "
        "old_blocks",
    ),
    Copy("cleared", "cleared", "id, run_id, uri, picture, is_cleared, is_done"),
    _ANSWERS,  # of version 2
    Copy(
        "decisions",
        "decisions",
        "id, step, uri, verdict, landmark, slug, latitude, longitude, radius_m, city, country, "
        "decided_at",
    ),
)

# The columns of `photos` that come of a reading, in the order that their checksum covers.
READING_COLUMNS = (
    "uri", "size", "version", "content_key", "latitude", "longitude", "altitude", "taken_at",
    "orientation", "camera", "position_unclear", "capture", "model", "prefilter", "top",
    "landmark_probability", "failure_reason", "checksum",
)  # fmt: skip


def checksum(cells: tuple[Any, ...]) -> int:
    return zlib.crc32(repr(cells).encode("utf-8", "backslashreplace"))


def _create(connection: sqlite3.Connection) -> None:
    parts = (_PHOTOS + _SCANS + _KEPT + _DECISIONS, _CLOCK_OFFSETS, _PLACED)
    _run(connection, ";".join(parts))


def _from_1(connection: sqlite3.Connection) -> None:
    """Version 1 had no checksums: its photos are read again."""
    _run(connection, "DROP TABLE photos; DROP TABLE IF EXISTS tables;")
    _create(connection)


def _from_2(connection: sqlite3.Connection) -> None:
    """Version 2 kept decisions with the readings, and each journal made its own tables."""
    _run(
        connection,
        "DROP INDEX photos_by_content; ALTER TABLE photos RENAME TO photos_2;"
        "ALTER TABLE tables RENAME TO tables_2;",
    )
    _create(connection)
    marks = ", ".join("?" * len(READING_COLUMNS))
    connection.executemany(
        f"INSERT INTO photos ({', '.join(READING_COLUMNS)}, scan) VALUES ({marks}, ?)",
        _photos_of_2(connection),
    )
    _run(
        connection,
        """
        INSERT INTO retries SELECT uri, size, version, failure_reason, attempts, retry_at, scan
        FROM photos_2 WHERE failure_kind = 'transient' AND retry_at IS NOT NULL;
        INSERT INTO tables (out, signature, state, model, threshold)
        SELECT out, '', state, model, threshold FROM tables_2 LEFT JOIN (
            SELECT max(model) AS model, max(threshold) AS threshold FROM photos_2
            WHERE status = 'tagged' HAVING count(DISTINCT model || ' ' || threshold) = 1);
        DROP TABLE photos_2; DROP TABLE tables_2;
        """,
    )
    if has_table(connection, "answers"):
        _run(connection, f"INSERT INTO cleared {_ANSWERS.select}; DROP TABLE answers;")


def has_table(connection: sqlite3.Connection, name: str) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(query, (name,)).fetchone() is not None


def _photos_of_2(connection: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    """The photos as they are kept now; those whose checksum is wrong are left out, to be read
    again."""
    old = connection.execute(
        "SELECT uri, size, version, content_key, latitude, longitude, altitude, taken_at, "
        "orientation, camera, model, top, landmark_probability, failure_kind, failure_reason, "
        "checksum, scan FROM photos_2"
    )
    for *cells, sum_, scan in old:
        if checksum(tuple(cells)) != sum_:
            continue
        *read, model, top, landmark_probability, kind, reason = cells
        # The name of a model of which only the prefilter was run ended with "~" and the probability
        # of a landmark that the photo stayed below.
        model, _, prefilter = (model or "").partition("~")
        new = (
            *read, None, None, model or None, float(prefilter) if prefilter else None, top,
            landmark_probability, reason if kind == "permanent" else None,
        )  # fmt: skip
        yield *new, checksum(new), scan


def _from_3(connection: sqlite3.Connection) -> None:
    """Version 3 did not know which reader had read a photo: its metadata are read again."""
    connection.execute("ALTER TABLE photos ADD COLUMN reader INTEGER")
    _from_4(connection)


def _from_4(connection: sqlite3.Connection) -> None:
    """Version 4 knew no reviews."""
    _run(connection, _DECISIONS)
    _from_5(connection)


def _from_5(connection: sqlite3.Connection) -> None:
    """Version 5 forgot what the user said of clocks."""
    _run(connection, _CLOCK_OFFSETS)
    _from_6(connection)


def _from_6(connection: sqlite3.Connection) -> None:
    """Version 6 kept no fingerprints, so that its photos count one by one, and did not know what a
    tag took in a library."""
    connection.execute("ALTER TABLE photos ADD COLUMN fingerprint BLOB")
    connection.execute("ALTER TABLE tables ADD COLUMN here TEXT")
    _from_7(connection)


def _from_7(connection: sqlite3.Connection) -> None:
    """Version 7 placed all photos anew each time."""
    _run(connection, _PLACED)


# From each version to this one; a new file is of version 0.
_MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {
    0: _create, 1: _from_1, 2: _from_2, 3: _from_3, 4: _from_4, 5: _from_5,
    6: _from_6, 7: _from_7,
}  # fmt: skip
VERSION = 8


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring a catalog of an earlier version up to date, within a transaction that is open."""
    if version < VERSION:
        if version not in _MIGRATIONS:
            raise sqlite3.DatabaseError(f"there is no version {version}")
        _MIGRATIONS[version](connection)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def is_sound(connection: sqlite3.Connection) -> bool:
    """Whether a catalog has all tables, columns and indexes, and nothing that runs by itself."""
    found = _layout(connection)
    (active,) = connection.execute(
        "SELECT count(*) FROM sqlite_master WHERE type IN ('trigger', 'view')"
    ).fetchone()
    return not active and _layout_of_new() <= found


@cache
def _layout_of_new() -> frozenset[tuple[Any, ...]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        _create(connection)
        return _layout(connection)


def _layout(connection: sqlite3.Connection) -> frozenset[tuple[Any, ...]]:
    """All indexes and all tables' columns: name, type, whether they may be empty, key."""
    return frozenset(
        connection.execute(
            'SELECT m.type, m.name, c.name, c.type, c."notnull", c.pk, c.hidden '
            "FROM sqlite_master AS m LEFT JOIN pragma_table_xinfo(m.name) AS c "
            "WHERE m.type IN ('table', 'index') AND m.name NOT LIKE 'sqlite_%'"
        )
    )


def _run(connection: sqlite3.Connection, script: str) -> None:
    """Several statements; `executescript` would commit."""
    for statement in script.split(";"):
        connection.execute(statement)
