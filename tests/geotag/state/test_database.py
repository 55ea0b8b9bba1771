"""Opening a catalog: one run at a time, without rights, damaged, and what is no catalog."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from geotag.errors import CatalogError, DamagedCatalogError, LockedError
from geotag.state.catalog import open_catalog
from geotag.state.decided import decided_with
from geotag.state.decisions import decisions_in
from geotag.state.journal import Journal, Write
from geotag.state.locks import file_lock
from geotag.state.queries import recognised_in
from geotag.state.schema import VERSION
from geotag.state.unopened import known_readings
from tests.geotag.state.samples import (
    MODEL,
    classified,
    note_listed,
    pending,
    photo,
)


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


@pytest.mark.parametrize("call", ["fcntl.flock", "os.read"])
def test_a_share_that_denies_what_another_machine_has_locked(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Linux answers so for locks and locked bytes on Windows shares (flock(2), "CIFS details")."""
    Path(f"{path}.lock").write_text("123")

    def denied(descriptor: int, *arguments: int) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(call, denied)
    with pytest.raises(LockedError, match="another run is using this catalog"):
        open_catalog(path)


def test_the_lock_of_another_user_on_a_share_that_locks_no_files_open_for_reading(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(CatalogError, match=r"the lock file of another user .*: remove it"):
        open_catalog(path)


def test_a_lock_that_a_power_cut_left_full_of_zeros_is_free(path: Path) -> None:
    Path(f"{path}.lock").write_bytes(bytes(5))
    with open_catalog(path):
        pass


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


@pytest.mark.parametrize("kind", ["link", "dangling", "hard link", "pipe", "folder", "other file"])
def test_what_only_has_the_name_of_a_lock_is_left_alone(path: Path, kind: str) -> None:
    """In a folder that others can write to, it may lead to any file of this user."""
    other, lock = path.parent / "precious", Path(f"{path}.lock")
    other.write_text("precious")
    match kind:
        case "link":
            lock.symlink_to(other)
        case "dangling":
            lock.symlink_to(path.parent / "new")
        case "hard link":
            os.link(other, lock)
        case "pipe":
            os.mkfifo(lock)
        case "folder":
            lock.mkdir()
        case _:
            lock.write_text("mine")
    before = {*path.parent.iterdir()}
    with pytest.raises(CatalogError, match=r"\.lock: .*remove it, or name another place"):
        open_catalog(path)
    assert other.read_text() == "precious"
    assert {*path.parent.iterdir()} == before


def test_a_catalog_in_use_is_not_taken_for_an_empty_one(path: Path) -> None:
    """Nor for a damaged one, by what only looks at it."""
    with open_catalog(path) as catalog:
        catalog.record([classified("a")], MODEL)
        for look in (
            lambda: list(known_readings(path)),
            lambda: decisions_in(path),
            lambda: recognised_in(path, [b"/a"]),
            lambda: decided_with(path, path.parent / "t.csv", "model-0123456789ab"),
        ):
            with pytest.raises(LockedError, match="another run is using this catalog"):
                look()


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


_KILLED = """
import os, pathlib, sys
from geotag.state.catalog import open_catalog
from tests.geotag.state.samples import MODEL, classified
with open_catalog(pathlib.Path(sys.argv[1])) as catalog:
    catalog.record([classified("late")], MODEL)
    os.kill(os.getpid(), 9)
"""


def test_what_a_killed_run_wrote_last_is_read_from_a_folder_that_cannot_be_written(
    public: Path,
) -> None:
    with open_catalog(public) as catalog:
        catalog.record([classified("early")], MODEL)
    subprocess.run([sys.executable, "-c", _KILLED, public], check=False)
    log, known = Path(f"{public}-wal"), ["/photos/early", "/photos/late"]
    assert log.stat().st_size

    def look() -> None:
        assert [reading.photo.uri for reading in known_readings(public)] == known

    public.parent.chmod(0o555)
    before = {*public.parent.iterdir()}
    assert as_nobody(look) == "done"
    assert {*public.parent.iterdir()} == before
    log.write_bytes(b"")
    known.remove("/photos/late")
    assert as_nobody(look) == "done"


def test_a_catalog_in_use_is_not_copied(public: Path) -> None:
    with open_catalog(public) as catalog:
        catalog.record([classified("a")], MODEL)
        public.parent.chmod(0o555)
        assert "LockedError" in as_nobody(lambda: list(known_readings(public)))
        public.parent.chmod(0o777)


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
        note_listed(catalog, [photo("00001.jpg")])
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
        note_listed(catalog, [photo("00001.jpg")])
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
        note_listed(catalog, [photo("a.jpg")])
        list(catalog.readings())
    assert len(list(path.parent.glob("*.damaged-*"))) == 1
    with open_catalog(path) as catalog:
        note_listed(catalog, [photo("a.jpg")])
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
