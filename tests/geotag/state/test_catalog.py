"""The catalog: what counts as known, what is tried again, and what happens to a damaged one."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
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
)
from geotag.state.catalog import Catalog, Criteria, back_off, open_catalog
from geotag.state.journal import Journal, State, Write
from geotag.state.locks import file_lock
from geotag.state.queries import decided_with
from geotag.state.rows import format_row, parse_row
from geotag.state.schema import VERSION

MODEL = "a" * 64
TOWER = Prediction((Score("eiffel_tower", 0.9), Score("taj_mahal", 0.05)), 0.97)
MEASURED = Metadata(Location(48.5, 2.25, -0.0), "2020-01-01T00:00:00", 6, "Canon EOS")


def photo(name: str, size: int = 10, version: str = "1") -> Photo:
    return Photo(f"/photos/{name}", size, version)


def classified(name: str, content_key: str = "key", version: str = "1") -> Reading:
    return Reading(photo(name, version=version), Metadata(), TOWER, None, content_key)


def failed(name: str, kind: FailureKind) -> Reading:
    return Reading(photo(name), Metadata(), failure=Failure(kind, "why"))


def pending(catalog: Catalog, criteria: Criteria | None = None) -> list[str]:
    count = catalog.find_pending(criteria or Criteria(MODEL))
    names = [found.uri.removeprefix("/photos/") for found in catalog.pending()]
    assert len(names) == count
    return names


def later(path: Path, seconds: float) -> Catalog:
    """The catalog as another scan opens it so much later."""
    return open_catalog(path, now=1e9 + seconds)


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


def test_new_and_changed_photos_are_pending_the_new_ones_first(path: Path) -> None:
    with open_catalog(path) as catalog:
        assert pending(catalog) == []
        catalog.record([classified("same"), classified("size"), classified("version")], MODEL)
    with open_catalog(path) as catalog:
        listed = [photo("z"), photo("y"), photo("same"), photo("size", 11)]
        listed += [photo("version", version="2")]
        assert catalog.note_listed(listed) == 5
        assert pending(catalog) == ["y", "z", "size", "version"]


def test_another_model_looks_again_at_what_it_would_classify(path: Path) -> None:
    with open_catalog(path) as catalog:
        measured, broken = Reading(photo("gps"), MEASURED), failed("bad", FailureKind.PERMANENT)
        catalog.record([measured, broken, classified("tower")], MODEL)
    with open_catalog(path) as catalog:
        catalog.note_listed([photo("gps"), photo("bad"), photo("tower")])
        assert pending(catalog) == []
        assert pending(catalog, Criteria("b" * 64)) == ["tower"]
        assert pending(catalog, Criteria(MODEL, classify_all=True)) == ["gps"]


def test_rescan_reads_all_again_but_each_only_once(path: Path) -> None:
    with open_catalog(path) as catalog:
        catalog.record([classified("a"), classified("b")], MODEL)
    with open_catalog(path) as catalog:
        catalog.note_listed([photo("a"), photo("b")])
        assert pending(catalog) == []
        assert pending(catalog, Criteria(MODEL, rescan=True)) == ["a", "b"]
        catalog.record([classified("a")], MODEL)
        assert [found.uri for found in catalog.pending()] == ["/photos/b"]


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
            kinds = {r.failure.kind for r in catalog.readings() if r.failure is not None}
            assert kinds == {FailureKind.PERMANENT, FailureKind.TRANSIENT}
        if attempts > 1:
            with later(path, seconds + back_off(attempts) - 10) as catalog:
                catalog.note_listed(listed)
                assert pending(catalog) == []
                assert catalog.count_waiting() == 1
        seconds += back_off(attempts) + 10
    with later(path, seconds) as catalog:
        catalog.note_listed([photo("busy", version="2"), photo("bad", version="2")])
        assert pending(catalog) == ["bad", "busy"]


def test_a_clock_that_was_ahead_delays_no_retry(path: Path) -> None:
    for _ in range(3):
        with later(path, 365 * 86400) as catalog:
            catalog.note_listed([photo("busy")])
            catalog.record([failed("busy", FailureKind.TRANSIENT)], MODEL)
    with later(path, 0) as catalog:
        catalog.note_listed([photo("busy")])
        assert pending(catalog) == ["busy"]


def test_content_is_known_under_another_name(path: Path) -> None:
    with open_catalog(path) as catalog:
        catalog.record([classified("old")], MODEL)
        seen = classified("grey", "another key")._replace(
            prediction=Prediction((Score("eiffel_tower", 0.1),), 0.2), prefilter=0.5
        )
        catalog.record([seen], MODEL)
    with open_catalog(path) as catalog:
        catalog.note_listed([photo("new"), photo("longer", 11), photo("old")])
        (moved,) = catalog.perhaps_moved()
        assert moved == photo("new")
        assert catalog.reading_of(moved, "key", Criteria(MODEL)) == classified("old")
        assert catalog.reading_of(moved, "unknown", Criteria(MODEL)) is None
        assert catalog.reading_of(moved, "key", Criteria("b" * 64)) is None
        assert catalog.reading_of(moved, "another key", Criteria(MODEL, prefilter=0.3)) == seen
        assert catalog.reading_of(moved, "another key", Criteria(MODEL, prefilter=0.2)) is None


def test_prune_forgets_what_is_not_listed_and_gone(path: Path) -> None:
    with open_catalog(path) as catalog:
        names = ["a/1", "a/2", "b/1"]
        catalog.record([classified(name) for name in names], MODEL)
        catalog.record([failed("a/3", FailureKind.TRANSIENT)], MODEL)
        catalog.note_listed([photo("a/1")])
        assert catalog.prune(lambda uri: uri.startswith("/photos/a/")) == 2
        catalog.note_listed([photo(name) for name in [*names, "a/3"]])
        kept = [reading.photo.uri for reading in catalog.readings()]
        assert kept == ["/photos/a/1", "/photos/b/1"]
        assert pending(catalog) == ["a/2", "a/3"]


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


def test_a_file_system_that_cannot_lock_is_told_from_a_lock_that_is_held(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(CatalogError, match="files cannot be locked here") as caught:
        open_catalog(path)
    assert caught.value.exit_code == 1


def as_nobody(act: Callable[[], object]) -> str:
    """What an act says as a user without rights, in a process of its own."""
    if os.getuid() != 0:
        pytest.skip("another user can only be played by root")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgid(65534)
        os.setuid(65534)
        try:
            act()
            os.write(writer, b"done")
        except BaseException as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as file:
        said = file.read()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def public(path: Path) -> Path:
    """A catalog in a folder that everybody may write to."""
    for folder in (path.parent, *path.parent.parents[:3]):
        folder.chmod(0o777)
    return path


def test_a_lock_that_another_user_left_is_no_lock(public: Path) -> None:
    lock = Path(f"{public}.lock")
    lock.write_text("123")
    lock.chmod(0o644)

    def open_it() -> None:
        with open_catalog(public):
            pass

    assert as_nobody(open_it) == "done"
    lock.write_text("123")
    with file_lock(public):
        assert "LockedError" in as_nobody(open_it)
    lock.write_text("123")
    lock.chmod(0o600)
    said = as_nobody(open_it)
    assert said.startswith("CatalogError") and "another user" in said and "remove it" in said


def test_a_catalog_that_cannot_be_written_says_so(public: Path) -> None:
    def record() -> None:
        with open_catalog(public) as catalog:
            catalog.record([classified("a")], MODEL)

    record()
    public.chmod(0o444)
    assert "read-only" in as_nobody(record)
    public.chmod(0o666)
    public.parent.chmod(0o555)
    assert "the lock file cannot be made (Permission denied)" in as_nobody(record)
    public.parent.chmod(0o777)
    assert as_nobody(record) == "done"
    assert not list(public.parent.glob("*.damaged-*"))


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
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
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
        catalog.note_listed([photo("a")])
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
        catalog.note_listed(listed)
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
        catalog.note_listed(listed)
        assert pending(catalog, Criteria(OLD_MODEL, prefilter=0.5)) == ["busy.jpg"]


def test_what_an_older_reader_read_is_read_again_with_its_prediction_kept(path: Path) -> None:
    now = Criteria(MODEL, reader=2)
    with open_catalog(path) as catalog:
        catalog.note_listed([photo("gps"), photo("old")])
        assert pending(catalog, Criteria(MODEL, reader=1)) == ["gps", "old"]
        catalog.record([Reading(photo("gps"), MEASURED), classified("old", "")], MODEL)
    with open_catalog(path) as catalog:
        catalog.note_listed([photo("gps"), photo("old")])
        assert pending(catalog, Criteria(MODEL, reader=1)) == []
        assert pending(catalog, now) == ["gps", "old"]
        assert list(catalog.perhaps_moved()) == [photo("old")]
        assert catalog.reading_of(photo("old"), "", now) == classified("old", "")
        assert catalog.reading_of(photo("old", 11), "", now) is None
        catalog.record([Reading(photo("gps"), MEASURED), classified("old", "")], MODEL)
    with open_catalog(path) as catalog:
        catalog.note_listed([photo("gps"), photo("old")])
        assert pending(catalog, now) == []


def test_photos_of_a_catalog_of_the_third_version_are_read_again_with_predictions_kept(
    path: Path,
) -> None:
    with open_catalog(path) as catalog:
        catalog.record([classified("old")], MODEL)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("ALTER TABLE photos DROP COLUMN reader")
        connection.execute("PRAGMA user_version = 3")
    with open_catalog(path) as catalog:
        catalog.note_listed([photo("old")])
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
    assert made_by == (OLD_MODEL, 0.9)
    assert decided_with(catalog_2, table, f"lenet-{OLD_MODEL[:12]}") == made_by
    assert os.listdir(catalog_2.parent) == [catalog_2.name]


def test_a_catalog_of_the_second_version_from_which_nothing_was_written(catalog_2: Path) -> None:
    connection = sqlite3.connect(catalog_2)
    connection.executescript("DROP TABLE answers; DROP TABLE writes; DROP TABLE write_runs")
    connection.close()
    with open_catalog(catalog_2) as catalog:
        catalog.note_listed([photo("measured.jpg", 7013, "1000000000000000004")])
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
        catalog.note_listed([photo("measured.jpg", 7013, "1000000000000000004")])
        assert pending(catalog, Criteria(OLD_MODEL)) == ["measured.jpg"]


def test_what_cannot_be_read_now_replaces_nothing_that_is_known(path: Path) -> None:
    measured = Reading(photo("gps"), MEASURED)
    known = [measured, classified("tower"), failed("bad", FailureKind.PERMANENT)]
    with later(path, 0) as catalog:
        catalog.record(known, MODEL)
    with later(path, 60) as catalog:
        names = ["gps", "tower", "bad"]
        catalog.note_listed([photo(name, version="2") for name in names])
        catalog.record(
            [failed(name, FailureKind.TRANSIENT)._replace(photo=photo(name, version="2"))
             for name in names], MODEL,
        )  # fmt: skip
        failure = Failure(FailureKind.TRANSIENT, "why")
        assert list(catalog.readings()) == [
            Reading(photo("bad", version="2"), Metadata(), failure=failure),
            measured._replace(failure=failure, is_outdated=True),
            classified("tower")._replace(failure=failure, is_outdated=True),
        ]
    with later(path, 70) as catalog:
        catalog.note_listed([photo(name) for name in names])
        assert pending(catalog) == ["bad", "gps", "tower"]
        again = [measured, classified("tower"), Reading(photo("bad"), MEASURED)]
        catalog.record(again, MODEL)
        assert sorted(catalog.readings()) == sorted(again)
