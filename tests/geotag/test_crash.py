"""A write that is killed at any step: each photo has its old or its new bytes, the journal knows
which, and revert still works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from geotag.state.catalog import open_catalog
from geotag.state.journal import Journal, State
from geotag.writing.result import Action
from geotag.writing.revert import revert_run, settle
from geotag.writing.writeback import WriteOptions, write_run
from tests.geotag.crash_driver import rows
from tests.geotag.writing.kinds import made
from tests.geotag.writing.samples import picture, save, xmp_packet

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
ROOT = Path(__file__).resolve().parents[2]

Files = dict[str, tuple[bytes, int]]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A library: a photo for embedded tags, one whose sidecar exists, one that has none."""
    photos = tmp_path / "template" / "photos"
    photos.mkdir(parents=True)
    (photos / "a.jpg").write_bytes(made("everything.jpg"))
    (photos / "b.png").write_bytes(save(picture(), "PNG"))
    (photos / "b.png.xmp").write_bytes(xmp_packet())
    (photos / "c.png").write_bytes(save(picture(), "PNG"))
    for path in photos.iterdir():
        os.utime(path, ns=(10**18, 10**18 + 7))
    return tmp_path


def files(folder: Path) -> Files:
    return {
        p.name: (p.read_bytes(), p.stat().st_mtime_ns)
        for p in sorted((folder / "photos").iterdir())
    }


def crash(base: Path, mode: str, stride: int, random_kills: int) -> list[Path]:
    """Run the driver; returns the folders that its victims left."""
    command = [sys.executable, "-m", "tests.geotag.crash_driver", str(base), mode]
    done = subprocess.run(
        [*command, str(stride), str(random_kills)], cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return sorted(path for path in base.glob(f"{mode}-*") if path.name != f"{mode}-whole")


def check_each_file_is_old_or_new(base: Path, victim: Path, mode: str) -> None:
    old = files(base / "template")
    written = files(base / "write-whole")
    now = {n: data for n, (data, _) in files(victim).items() if not n.startswith(".geotag-")}
    assert old.keys() <= now.keys() <= written.keys()
    for name, data in now.items():
        new = written[name][0]
        # Run ids differ from run to run, so of new bytes the size and the ends are compared.
        is_new = len(data) == len(new) and data[:40] == new[:40] and b"Eiffel Tower" in data
        assert data == old.get(name, (None, 0))[0] or is_new, (victim.name, name)


def check_journal_and_revert(base: Path, victim: Path) -> None:
    old = files(base / "template")
    with open_catalog(victim / "t.csv.geotag") as catalog:
        check_settled(Journal(catalog.connection), victim, old)


def check_settled(journal: Journal, victim: Path, old: Files) -> None:
    settle(journal)
    now = files(victim)
    assert not [name for name in now if name.startswith(".geotag-")], victim.name
    changed = {name for name in now if now[name][0] != old.get(name, (None, 0))[0]}
    runs = journal.runs()
    writes = [write for run in runs for write in journal.writes(run.id)]
    assert not [w for w in writes if w.state in (State.PREPARED, State.REVERTING)]
    assert {Path(w.path).name for w in writes if w.state is State.WRITTEN} == changed
    for run in runs:
        assert {r.action for r in revert_run(journal, run.id)} <= {Action.REVERTED}
    assert files(victim) == old


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["write", "revert"])
def test_killed_now_and_then(base: Path, mode: str) -> None:
    """A sample of the steps; the slow test kills at each one."""
    if mode == "revert":
        crash(base, "write", 10**6, 0)
    victims = crash(base, mode, 9, 8)
    for victim in victims:
        check_each_file_is_old_or_new(base, victim, mode)
        check_journal_and_revert(base, victim)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["write", "revert"])
def test_killed_at_each_step_and_at_random_times(base: Path, mode: str) -> None:
    if mode == "revert":
        crash(base, "write", 10**6, 0)
    victims = crash(base, mode, 1, 100)
    for victim in victims:
        check_each_file_is_old_or_new(base, victim, mode)
        check_journal_and_revert(base, victim)
    print(f"{mode}: {len(victims)} kills survived")
    assert len(victims) > 200


def test_write_goes_on_after_a_crash(base: Path) -> None:
    for victim in crash(base, "write", 25, 0)[:6]:
        with open_catalog(victim / "t.csv.geotag") as catalog:
            options = WriteOptions(position=True)
            results = list(write_run(rows(victim), catalog, options, "again"))
            assert {r.action for r in results} <= {Action.WRITTEN, Action.UNCHANGED}, results
            journal = Journal(catalog.connection)
            for run in reversed(journal.runs()):
                assert {r.action for r in revert_run(journal, run.id)} <= {Action.REVERTED}
        assert files(victim) == files(base / "template")


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A file system with room for the library and little more; skips where none can be had."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    try:
        done = subprocess.run(mount, capture_output=True)
    except OSError:
        pytest.skip("no mount command")
    if done.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    return disk


def test_full_disk_is_a_reason_and_harms_nothing(base: Path, small_disk: Path) -> None:
    try:
        for path in (base / "template" / "photos").iterdir():
            (small_disk / "photos").mkdir(exist_ok=True)
            (small_disk / "photos" / path.name).write_bytes(path.read_bytes())
        before = files(small_disk)
        room = os.statvfs(small_disk)
        filler = small_disk / "filler"
        filler.write_bytes(bytes(room.f_bavail * room.f_frsize))
        with open_catalog(base / "elsewhere.geotag") as catalog:
            results = list(write_run(rows(small_disk), catalog, WriteOptions(), "full"))
            found = [(r.action, r.reason) for r in results]
            assert found == [(Action.FAILED, "the disk is full")] * 3
            assert files(small_disk) == before
            filler.unlink()
            results = list(write_run(rows(small_disk), catalog, WriteOptions(), "room again"))
            assert {r.action for r in results} == {Action.WRITTEN}
    finally:
        subprocess.run(["umount", str(small_disk)], check=False)
