"""Catalogs of older versions are migrated, with all that must not be lost."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from geotag.decision import Thresholds
from geotag.records import (
    Failure,
    FailureKind,
    Location,
    Metadata,
    Reading,
)
from geotag.state.catalog import Criteria, open_catalog
from geotag.state.decided import Decided, decided_with
from geotag.state.journal import Journal, State
from tests.geotag.state.samples import (
    MEASURED,
    MODEL,
    classified,
    note_listed,
    pending,
    photo,
)


def test_a_catalog_of_the_first_version_is_migrated(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        CREATE TABLE photos (
            uri BLOB PRIMARY KEY, size INTEGER NOT NULL, version TEXT NOT NULL,
            latitude REAL, longitude REAL, altitude REAL, taken_at TEXT,
            orientation INTEGER NOT NULL, camera TEXT, model TEXT, top TEXT,
            landmark_probability REAL, failure_kind TEXT, failure_reason TEXT
        ) WITHOUT ROWID;
        INSERT INTO photos (uri, size, version, orientation) VALUES ('/photos/a', 10, '1', 1);
        CREATE TABLE write_runs (
            id TEXT PRIMARY KEY, started_at TEXT NOT NULL, finished_at TEXT,
            description TEXT NOT NULL
        ) WITHOUT ROWID;
        INSERT INTO write_runs VALUES ('kept', '2020-01-01T00:00:00+00:00', NULL, 'write');
        PRAGMA user_version = 1;
        PRAGMA application_id = 1734700916;
        """
    )
    connection.close()
    with open_catalog(path) as catalog:
        note_listed(catalog, [photo("a")])
        assert pending(catalog) == ["a"]
        assert [run.id for run in Journal(catalog.connection).runs()] == ["kept"]
    assert os.listdir(path.parent) == [path.name]


OLD_MODEL = "310fdff8679aff277e69c4e90a36f85c40e582d8230f85ca5ee0c24c9525502d"


@pytest.fixture
def catalog_2(path: Path) -> Path:
    """A catalog that a geotag of schema version 2 made: it scanned eight photos, of which one could
    not be read for the time being, wrote three tags, and took one back that the user cleared."""
    connection = sqlite3.connect(path)
    connection.executescript(Path(__file__).with_name("catalog_2.sql").read_text())
    connection.close()
    return path


def test_a_catalog_of_the_second_version_is_migrated_and_no_photo_read_again(
    catalog_2: Path,
) -> None:
    stamps = {
        "bare.jpg": 6950, "busy.jpg": 6867, "caf\udce9.jpg": 10104, "empty.jpg": 0,
        "measured.jpg": 7013, "thumbnail.jpg": 37275, "tower.jpg": 10179, "wrong.jpg": 10140,
    }  # fmt: skip
    listed = [photo(n, s, str(10**18 + at)) for at, (n, s) in enumerate(stamps.items())]
    retry_at = 1795704240
    with open_catalog(catalog_2, now=retry_at - 1) as catalog:
        note_listed(catalog, listed)
        assert pending(catalog, Criteria(OLD_MODEL, prefilter=0.5)) == []
        assert catalog.count_waiting() == 1
        # Without a prefilter, and with a stricter one, some photos need a full look.
        assert pending(catalog, Criteria(OLD_MODEL, prefilter=0)) == ["bare.jpg", "thumbnail.jpg"]
        readings = {r.photo.uri.removeprefix("/photos/"): r for r in catalog.readings()}
        cleared = [r.photo.uri for r in readings.values() if catalog.cleared.is_cleared(r[0].uri)]
    assert cleared == ["/photos/wrong.jpg"]
    best = {n: r.prediction.top[0].slug for n, r in readings.items() if r.prediction is not None}
    assert best == {
        "bare.jpg": "stonehenge", "caf\udce9.jpg": "stonehenge", "thumbnail.jpg": "stonehenge",
        "tower.jpg": "eiffel_tower", "wrong.jpg": "taj_mahal",
    }  # fmt: skip
    assert [readings[n].prefilter for n in ("bare.jpg", "thumbnail.jpg", "tower.jpg")] == [
        0.05, 0.5, 0
    ]  # fmt: skip
    assert readings["measured.jpg"].metadata == Metadata(
        Location(-33.8568, 151.2153, 30.0), "2020-05-01T12:00:00", 1, "Canon EOS 5D"
    )
    failures = {n: r.failure for n, r in readings.items() if r.failure is not None}
    assert failures == {
        "busy.jpg": Failure(FailureKind.TRANSIENT, "cannot be read (Input/output error)"),
        "empty.jpg": Failure(FailureKind.PERMANENT, "the file is empty"),
    }
    with open_catalog(catalog_2, now=retry_at + 1) as catalog:
        note_listed(catalog, listed)
        assert pending(catalog, Criteria(OLD_MODEL, prefilter=0.5)) == ["busy.jpg"]


def test_what_an_older_reader_read_is_read_again_with_its_prediction_kept(path: Path) -> None:
    now = Criteria(MODEL, reader=2)
    with open_catalog(path) as catalog:
        note_listed(catalog, [photo("gps"), photo("old")])
        assert pending(catalog, Criteria(MODEL, reader=1)) == ["gps", "old"]
        catalog.record([Reading(photo("gps"), MEASURED), classified("old", "")], MODEL)
    with open_catalog(path) as catalog:
        note_listed(catalog, [photo("gps"), photo("old")])
        assert pending(catalog, Criteria(MODEL, reader=1)) == []
        assert pending(catalog, now) == ["gps", "old"]
        assert list(catalog.perhaps_moved(2)) == [photo("old")]
        assert catalog.reading_of(photo("old"), "", now) == classified("old", "")
        assert catalog.reading_of(photo("old", 11), "", now) is None
        catalog.record([Reading(photo("gps"), MEASURED), classified("old", "")], MODEL)
    with open_catalog(path) as catalog:
        note_listed(catalog, [photo("gps"), photo("old")])
        assert pending(catalog, now) == []


def test_photos_of_a_catalog_of_the_third_version_are_read_again_with_predictions_kept(
    path: Path,
) -> None:
    with open_catalog(path) as catalog:
        catalog.record([classified("old")], MODEL)
    with closing(sqlite3.connect(path)) as connection, connection:
        for column in ("reader", "fingerprint"):
            connection.execute(f"ALTER TABLE photos DROP COLUMN {column}")
        connection.execute("ALTER TABLE tables DROP COLUMN here")
        connection.execute("PRAGMA user_version = 3")
    with open_catalog(path) as catalog:
        note_listed(catalog, [photo("old")])
        assert list(catalog.readings()) == [classified("old")]
        assert pending(catalog, Criteria(MODEL, reader=1)) == ["old"]


def test_the_journal_of_a_catalog_of_the_second_version_is_as_it_was(catalog_2: Path) -> None:
    table = Path("/photos/tags.csv")
    made_by = decided_with(catalog_2, table, f"lenet-{OLD_MODEL[:12]}")
    before = sqlite3.connect(catalog_2).execute("SELECT * FROM writes ORDER BY id").fetchall()
    with open_catalog(catalog_2) as catalog:
        journal = Journal(catalog.connection)
        assert [run.files for run in journal.runs()] == [{State.WRITTEN: 3}, {State.WRITTEN: 1}]
        writes = [write for run in journal.runs() for write in journal.writes(run.id)]
        assert {Path(write.path).name for write in writes} == {
            "caf\udce9.jpg", "tower.jpg", "wrong.jpg"
        }  # fmt: skip
        after = catalog.connection.execute("SELECT * FROM writes ORDER BY id").fetchall()
    assert len(before) == 4 and after == before
    assert made_by == Decided(OLD_MODEL, 0.9, Thresholds(0.0))
    assert decided_with(catalog_2, table, f"lenet-{OLD_MODEL[:12]}") == made_by
    assert os.listdir(catalog_2.parent) == [catalog_2.name]


def test_a_catalog_of_the_second_version_from_which_nothing_was_written(catalog_2: Path) -> None:
    connection = sqlite3.connect(catalog_2)
    connection.executescript("DROP TABLE answers; DROP TABLE writes; DROP TABLE write_runs")
    connection.close()
    with open_catalog(catalog_2) as catalog:
        note_listed(catalog, [photo("measured.jpg", 7013, "1000000000000000004")])
        assert pending(catalog, Criteria(OLD_MODEL)) == []
        assert Journal(catalog.connection).runs() == []
        catalog.cleared.clear("run", "/photos/tower.jpg", "key")
    with open_catalog(catalog_2) as catalog:
        assert catalog.cleared.is_cleared("/photos/tower.jpg")


def test_a_damaged_row_of_the_second_version_is_read_again(catalog_2: Path) -> None:
    connection = sqlite3.connect(catalog_2)
    with connection:
        connection.execute("UPDATE photos SET latitude = 1.5 WHERE latitude IS NOT NULL")
    connection.close()
    with open_catalog(catalog_2) as catalog:
        note_listed(catalog, [photo("measured.jpg", 7013, "1000000000000000004")])
        assert pending(catalog, Criteria(OLD_MODEL)) == ["measured.jpg"]
