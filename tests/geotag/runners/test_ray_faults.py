"""Commands on Ray whose processes are killed, or have no room, in the middle of a scan."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from geotag.errors import EngineError
from geotag.runners.cluster import joined_cluster
from tests.conftest import WritePhoto, gps_ifd

pytestmark = pytest.mark.slow

# Runs first in the driver and in its workers: shards are small, take a while, and are told; and
# where it is asked for, no worker has room for its model.
SITE = """
import os, time
from pathlib import Path
import geotag.runners.ray as ray
import geotag.runners.remote as remote

ray.SHARD = 4
real = remote.Reader.read

def read(self, photos):
    Path(os.environ["GEOTAG_TEST_SHARDS"], str(time.time_ns())).touch()
    time.sleep(1)
    return real(self, photos)

remote.Reader.read = read

if "GEOTAG_TEST_FULL" in os.environ:
    import resource
    begin = remote._Worker.__init__

    def without_room(*arguments):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            begin(*arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    remote._Worker.__init__ = without_room
"""
PHOTOS = 41


class Scans:
    """Scans of a library in processes of their own, on a Ray that each starts for itself."""

    def __init__(self, base: Path, model: Path) -> None:
        self.base, self.table, self.shards = base, base / "tags.csv", base / "shards"
        self.shards.mkdir()
        site = base / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(SITE)
        self.command = [sys.executable, "-m", "geotag", "scan", str(base / "photos")]
        self.command += ["--model", str(model)]
        self.environment = os.environ | {
            "PYTHONPATH": f"{site}{os.pathsep}{os.getcwd()}", "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "disabled", "RAY_raylet_start_wait_time_s": "180",
            "GEOTAG_TEST_SHARDS": str(self.shards),
        }  # fmt: skip

    def start(self, out: object, *options: str, **environment: str) -> subprocess.Popen[str]:
        """A scan whose group of processes is its own, as a service's is."""
        # It heeds Ctrl-C even where what runs the tests in the background does not.
        heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        return subprocess.Popen(
            [*self.command, "--runner", "ray", "--out", str(out), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8-sig",
            env=self.environment | environment,
            start_new_session=True,
            preexec_fn=heed,
        )

    def begin(self, out: object, *options: str) -> subprocess.Popen[str]:
        """A scan of which some shards are read."""
        process = self.start(out, *options)
        for _ in range(1200):
            if len(list(self.shards.iterdir())) > 2:
                return process
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        raise AssertionError("no shard was read")

    def finish(self) -> str:
        """A scan on this machine alone, to the end: what it says."""
        local = [*self.command, "--out", str(self.table)]
        done = subprocess.run(local, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 3, done.stderr  # one photo is broken
        assert_whole(self.table.read_text("utf-8-sig"))
        return done.stderr


def assert_whole(table: str) -> None:
    """A row for each photo, one of them damaged, and nothing else."""
    rows = list(csv.DictReader(io.StringIO(table)))
    assert len({row["path"] for row in rows}) == len(rows) == PHOTOS
    assert [row["error"] for row in rows if row["error"]] == ["damaged: cannot be decoded as JPEG"]
    assert all(row["schema_version"] for row in rows)


@pytest.fixture
def scans(tmp_path: Path, write_photo: WritePhoto, model_path: Path) -> Iterator[Scans]:
    """Forty photos of all kinds, and a broken one."""
    pytest.importorskip("ray", reason="ray is not installed")
    for n in range(PHOTOS - 1):
        colour = ("eiffel_tower", "taj_mahal", "stonehenge", "")[n % 4]
        gps = gps_ifd(48.0 + n / 100, 2.0) if n % 5 == 0 else None
        write_photo(f"{n:02d}.jpg", colour, seed=n, gps=gps)
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    yield Scans(tmp_path, model_path)


def descendants(root: int) -> dict[int, str]:
    """The processes that a process started, and theirs, with their commands."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
    found, size = {root}, 0
    while len(found) > size:
        size = len(found)
        found |= {process for process, parent in parents.items() if parent in found}
    return {process: command_of(process) for process in found - {root}}


def command_of(process: int) -> str:
    """Empty for one that has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""


def kill(processes: dict[int, str], name: str) -> None:
    killed = [process for process, command in processes.items() if name in command]
    assert killed
    for process in killed:
        os.kill(process, signal.SIGKILL)


def assert_gone(processes: dict[int, str]) -> None:
    """Each of them has ended, or does so soon."""
    for _ in range(600):
        left = {p: command for p, command in processes.items() if command_of(p) == command != ""}
        if not left:
            return
        time.sleep(0.1)
    raise AssertionError(left)


def test_of_a_worker_that_is_killed_nothing_gets_into_a_table_on_standard_output(
    scans: Scans,
) -> None:
    process = scans.begin("-")
    processes = descendants(process.pid)
    kill(processes, "ray::Reader")
    table, said = process.communicate(timeout=300)
    assert process.returncode == 3, said
    assert "a worker was lost; its 4 photos are read again" in said
    assert_whole(table)
    assert_gone(processes)


@pytest.mark.parametrize("name", ["gcs/gcs_server", "raylet/raylet"])
def test_a_cluster_that_goes_away_is_told_and_what_was_read_is_kept(
    scans: Scans, name: str
) -> None:
    process = scans.begin(scans.table)
    processes = descendants(process.pid)
    kill(processes, name)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "the Ray cluster has gone away" in said.splitlines()[-1]
    assert "Traceback" not in said
    assert not scans.table.exists()
    assert_gone(processes)
    assert " 0 known from before" not in scans.finish()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_where_ray_ends_the_process_itself_a_line_says_so(scans: Scans, number: int) -> None:
    with cluster(scans.environment) as (address, raylet):
        process = scans.begin(scans.table, "--address", address)
        os.kill(raylet, number)
        _, said = process.communicate(timeout=300)
    assert process.returncode == 1
    told = [line for line in said.splitlines() if line.startswith("geotag: ")]
    assert told, said  # threads of Ray's may log behind it
    assert "what was read is kept" in told[-1]
    assert "Traceback" not in said
    scans.finish()


@contextmanager
def cluster(environment: dict[str, str]) -> Iterator[tuple[str, int]]:
    """A cluster of this machine that scans join: its address, and the process of its part here."""
    with TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder:
        start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--port=0"]
        start += ["--num-cpus=2", "--include-dashboard=false", f"--temp-dir={folder}"]
        environment = environment | {"RAY_TMPDIR": folder}
        done = subprocess.run(start, env=environment, capture_output=True, text=True, check=True)
        address = re.search(r"--address='([^']+)'", done.stdout)
        assert address is not None, done.stdout
        numbers = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
        processes = {n: command for n in numbers if folder in (command := command_of(n))}
        try:
            (raylet,) = (n for n, command in processes.items() if "raylet/raylet" in command)
            yield address[1], raylet
        finally:
            for process in processes:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)


def test_without_room_for_its_files_ray_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    full = shutil.disk_usage("/")._replace(free=2**16)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: full)
    monkeypatch.setenv("RAY_TMPDIR", "/somewhere")
    with (
        pytest.raises(EngineError, match="in /somewhere, which has less left"),
        joined_cluster(None),
    ):
        pass


# Ray ends whatever works from this share of the machine's memory on.
SHORT = {"RAY_memory_usage_threshold": "0.0001", "RAY_memory_monitor_refresh_ms": "50"}


@pytest.mark.parametrize(
    ("environment", "words"),
    [({"GEOTAG_TEST_FULL": "1"}, ("File too large", "TMPDIR")), (SHORT, ("short of memory",))],
)
def test_where_no_worker_can_start_the_scan_ends_with_the_reason(
    scans: Scans, environment: dict[str, str], words: tuple[str, ...]
) -> None:
    process = scans.start(scans.table, **environment)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 1
    assert said.splitlines()[-1].startswith("geotag: no worker starts on the Ray cluster: ")
    assert all(word in said.splitlines()[-1] for word in words)
    assert not scans.table.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_processes_of_a_service_keeps_what_was_read(
    scans: Scans, number: int
) -> None:
    process = scans.begin(scans.table)
    processes = descendants(process.pid)
    for each in [process.pid, *processes]:
        with suppress(ProcessLookupError):
            os.kill(each, number)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 128 + number, said
    assert "Traceback" not in said and "a worker was" not in said
    rows = list(csv.DictReader(io.StringIO(scans.table.read_text("utf-8-sig"))))
    assert 0 < len(rows) < PHOTOS
    assert_gone(processes)
    assert f" {len(rows)} known from before" in scans.finish()
