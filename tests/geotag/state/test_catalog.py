"""The catalog: what counts as known, what is tried again, and what happens to a damaged one."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from geotag.errors import CatalogError, DamagedCatalogError, LockedError
from geotag.records import (
    Failure,
    FailureKind,
    Location,
    Metadata,
    Photo,
    Prediction,
    Reading,
    Score,
    Status,
)
from geotag.state.catalog import Catalog, Decision, Need, back_off, open_catalog
from geotag.state.database import SCHEMA_VERSION
from geotag.state.journal import Journal, Write
from geotag.state.locks import file_lock
from geotag.state.rows import format_row, parse_row

MODEL = "a" * 64
TOWER = Prediction((Score("eiffel_tower", 0.9), Score("taj_mahal", 0.05)), 0.97)
MEASURED = Metadata(Location(48.5, 2.25, -0.0), "2020-01-01T00:00:00", 6, "Canon EOS")


def photo(name: str, size: int = 10, version: str = "1") -> Photo:
    return Photo(f"/photos/{name}", size, version)


def classified(name: str, content_key: str = "key", version: str = "1") -> Reading:
    return Reading(photo(name, version=version), Metadata(), TOWER, None, content_key)


def failed(name: str, kind: FailureKind) -> Reading:
    return Reading(photo(name), Metadata(), failure=Failure(kind, "why"))


def pending(catalog: Catalog, need: Need | None = None) -> list[str]:
    need = need or Need(MODEL)
    names = [found.uri.removeprefix("/photos/") for found in catalog.pending(need)]
    assert len(names) == catalog.count_pending(need)
    return names


def later(path: Path, seconds: float) -> Catalog:
    """The catalog as another scan opens it so much later."""
    catalog = open_catalog(path)
    catalog._now += seconds
    return catalog


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tags.csv.geotag"


@pytest.mark.parametrize(
    "reading",
    [
        classified("a.jpg"),
        Reading(photo("a.jpg"), MEASURED),
        Reading(photo("a.jpg"), MEASURED, TOWER, None, "key"),
        failed("a.jpg", FailureKind.PERMANENT),
        Reading(photo("n\udcff\u2028.jpg", 2**40), Metadata(camera="É\0")),
    ],
)
def test_rows_come_back_as_they_were(path: Path, reading: Reading) -> None:
    with open_catalog(path) as catalog:
        catalog.note_listed([reading.photo])
        catalog.record([reading], MODEL)
        assert list(catalog.readings()) == [reading]
    row = format_row(reading, MODEL)
    for at in range(len(row)):
        changed = (*row[:at], "other", *row[at + 1 :])
        with pytest.raises(DamagedCatalogError):
            parse_row(changed)


def test_new_and_changed_photos_are_pending_in_byte_order(path: Path) -> None:
    with open_catalog(path) as catalog:
        catalog.record([classified("same"), classified("size"), classified("version")], MODEL)
    with open_catalog(path) as catalog:
        listed = [photo("z"), photo("same"), photo("size", 11), photo("version", version="2")]
        assert catalog.note_listed(listed) == 4
        assert pending(catalog) == ["size", "version", "z"]


def test_another_model_looks_again_at_what_it_would_classify(path: Path) -> None:
    with open_catalog(path) as catalog:
        measured, broken = Reading(photo("gps"), MEASURED), failed("bad", FailureKind.PERMANENT)
        catalog.note_listed([photo("gps"), photo("bad"), photo("tower")])
        catalog.record([measured, broken, classified("tower")], MODEL)
        assert pending(catalog) == []
        assert pending(catalog, Need("b" * 64)) == ["tower"]
        assert pending(catalog, Need(MODEL, classify_all=True)) == ["gps"]


def test_rescan_reads_all_again_but_each_only_once(path: Path) -> None:
    with open_catalog(path) as catalog:
        catalog.record([classified("a"), classified("b")], MODEL)
    with open_catalog(path) as catalog:
        catalog.note_listed([photo("a"), photo("b")])
        assert pending(catalog) == []
        assert pending(catalog, Need(MODEL, rescan=True)) == ["a", "b"]
        catalog.record([classified("a")], MODEL)
        assert pending(catalog, Need(MODEL, rescan=True)) == ["b"]


def test_the_back_off_doubles_up_to_less_than_a_day() -> None:
    waits = [back_off(attempts) for attempts in range(1, 40)]
    assert waits[:5] == [0, 60, 120, 240, 480]
    assert waits == sorted(waits)
    assert waits[-1] == 20 * 3600


def test_a_passing_failure_is_tried_again_and_a_lasting_one_is_not(path: Path) -> None:
    listed = [photo("busy"), photo("bad")]
    seconds = 0.0
    for attempts in range(1, 4):
        with later(path, seconds) as catalog:
            catalog.note_listed(listed)
            assert "busy" in pending(catalog)
            readings = [failed("busy", FailureKind.TRANSIENT)]
            if attempts == 1:
                readings.append(failed("bad", FailureKind.PERMANENT))
            catalog.record(readings, MODEL)
            assert catalog.failures() == {"permanent": 1, "transient": 1}
        if attempts > 1:
            with later(path, seconds + back_off(attempts) - 10) as catalog:
                catalog.note_listed(listed)
                assert pending(catalog) == []
                assert catalog.count_waiting() == 1
        seconds += back_off(attempts) + 10
    with later(path, seconds) as catalog:
        catalog.note_listed([photo("busy", version="2"), photo("bad", version="2")])
        assert pending(catalog) == ["bad", "busy"]


def test_content_is_known_under_another_name(path: Path) -> None:
    with open_catalog(path) as catalog:
        catalog.record([classified("old")], MODEL)
    with open_catalog(path) as catalog:
        catalog.note_listed([photo("new"), photo("longer", 11), photo("old")])
        (moved,) = catalog.perhaps_moved()
        assert moved == photo("new")
        assert catalog.prediction_of(moved, "key", MODEL) == TOWER
        assert catalog.prediction_of(moved, "another", MODEL) is None
        assert catalog.prediction_of(moved, "key", "b" * 64) is None


def test_a_new_threshold_changes_only_decisions_made_at_another(path: Path) -> None:
    def at(threshold: float) -> Decision:
        return Decision(Status.TAGGED if threshold < 0.9 else Status.UNCERTAIN, None, threshold)

    with open_catalog(path) as catalog:
        catalog.note_listed([photo("a"), photo("gps")])
        catalog.record([classified("a")], MODEL, lambda _: at(0.5))
        gps = Reading(photo("gps"), MEASURED)
        catalog.record([gps], MODEL, lambda _: Decision(Status.HAS_GPS))
        assert catalog.statuses() == {Status.TAGGED: 1, Status.HAS_GPS: 1}
        assert catalog.decide_again(lambda _: at(0.5), 0.5) == 0
        before = catalog.revision
        assert catalog.decide_again(lambda _: at(0.95), 0.95) == 1
        assert catalog.statuses() == {Status.UNCERTAIN: 1, Status.HAS_GPS: 1}
        assert catalog.revision > before


def test_prune_forgets_what_is_gone_below_the_roots_alone(path: Path) -> None:
    with open_catalog(path) as catalog:
        names = ["a/1", "a/2", "a0", "b/1", "a"]
        catalog.record([classified(name) for name in names], MODEL)
        catalog.note_listed([photo("a/1")])
        assert catalog.prune([b"/photos/a"]) == 2
        catalog.note_listed([photo(name) for name in names])
        assert pending(catalog) == ["a", "a/2"]


def test_the_same_listing_has_the_same_fingerprint(path: Path) -> None:
    prints = []
    for listed in ([photo("a"), photo("b")], [photo("a"), photo("b")], [photo("a")],
                   [photo("a", version="2"), photo("b")]):  # fmt: skip
        with open_catalog(path) as catalog:
            catalog.note_listed(listed)
            prints.append(catalog.fingerprint)
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_one_at_a_time(path: Path) -> None:
    with open_catalog(path), pytest.raises(LockedError) as caught:
        open_catalog(path)
    assert caught.value.exit_code == 75
    with open_catalog(path):
        pass
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_lock_of_a_dead_process_is_free(path: Path) -> None:
    code = (
        "import os, pathlib, signal, sys\n"
        "from geotag.state.locks import file_lock\n"
        "with file_lock(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True); signal.pause()\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(LockedError, match=f"process {holder.pid}"), file_lock(path):
        pass
    holder.kill()
    holder.wait()
    with file_lock(path):
        pass


def test_a_full_disk_has_room_for_an_empty_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with file_lock(path), pytest.raises(LockedError), file_lock(path):
        pass


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="--catalog"):
        open_catalog(tmp_path / "missing" / "c.geotag")


@pytest.mark.parametrize("damage", ["header", "middle", "cut", "text"])
def test_a_damaged_catalog_is_set_aside_and_begun_anew(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    with open_catalog(path) as catalog:
        catalog.record([classified(f"{n:05d}.jpg") for n in range(3000)], MODEL)
    data = bytearray(path.read_bytes())
    if damage == "header":
        data[:100] = b"\0" * 100
    elif damage == "middle":
        for page in range(2, len(data) // 4096, 3):
            data[page * 4096 : page * 4096 + 64] = b"\xaa" * 64
    elif damage == "cut":
        del data[len(data) // 2 :]
    else:
        data = bytearray(b"no database at all")
    path.write_bytes(data)
    with open_catalog(path) as catalog:
        catalog.note_listed([photo("00001.jpg")])
        assert pending(catalog) == ["00001.jpg"]
    (aside,) = path.parent.glob("*.damaged-*")
    assert aside.read_bytes() == data
    assert "damaged; set aside as" in caplog.text


def test_the_journal_of_writes_outlives_a_damaged_catalog(path: Path) -> None:
    with open_catalog(path) as catalog:
        catalog.record([classified(f"{n:05d}.jpg") for n in range(3000)], MODEL)
        journal = Journal(catalog.connection)
        journal.begin("run", "write tags.csv")
        journal.prepare("run", Write("/photos/a", "/photos/t", "old", 1, "new", b"n", b"o"))
        writes = list(journal.writes("run"))
    data = bytearray(path.read_bytes())
    with sqlite3.connect(path) as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'photos'"
        ).fetchone()
    connection.close()
    data[(root - 1) * 4096 : (root - 1) * 4096 + 512] = b"\xaa" * 512
    path.write_bytes(data)
    with open_catalog(path) as catalog:
        catalog.note_listed([photo("00001.jpg")])
        assert pending(catalog) == ["00001.jpg"]
        assert list(Journal(catalog.connection).writes("run")) == writes != []


def test_a_changed_cell_is_damage_too(path: Path) -> None:
    with open_catalog(path) as catalog:
        catalog.record([classified("a.jpg")], MODEL)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE photos SET top = replace(top, '0.9', '0.1')")
    connection.commit()
    connection.close()
    with pytest.raises(DamagedCatalogError), open_catalog(path) as catalog:
        catalog.note_listed([photo("a.jpg")])
        list(catalog.readings())
    assert len(list(path.parent.glob("*.damaged-*"))) == 1
    with open_catalog(path) as catalog:
        catalog.note_listed([photo("a.jpg")])
        assert pending(catalog) == ["a.jpg"]


def test_a_file_that_is_no_catalog_is_left_alone(tmp_path: Path) -> None:
    photo_file, database = tmp_path / "photo.jpg", tmp_path / "other.db"
    photo_file.write_bytes(b"\xff\xd8\xff\xe0 not a catalog")
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    for file in (photo_file, database):
        before = file.read_bytes()
        with pytest.raises(CatalogError, match="not a geotag catalog"):
            open_catalog(file)
        assert file.read_bytes() == before
        assert sorted(tmp_path.iterdir()) == sorted([photo_file, database])


def test_a_catalog_of_a_newer_geotag_is_left_alone(path: Path) -> None:
    open_catalog(path).connection.close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(CatalogError, match="newer geotag"):
        open_catalog(path)
    assert path.read_bytes() == before


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
        CREATE TABLE write_runs (id TEXT);
        INSERT INTO write_runs VALUES ('kept');
        PRAGMA user_version = 1;
        PRAGMA application_id = 1734700916;
        """
    )
    connection.close()
    with open_catalog(path) as catalog:
        catalog.note_listed([photo("a")])
        assert pending(catalog) == ["a"]
        assert catalog.connection.execute("SELECT id FROM write_runs").fetchall() == [("kept",)]
    assert os.listdir(path.parent) == [path.name]
