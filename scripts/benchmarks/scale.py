"""How a scan fares in a bucket of a million, ten million and a hundred million photos.

The bucket is a stub on this machine that makes up its keys (many_keys.py), so its figures say what
geotag needs itself; `--latency` adds what a bucket far away takes to answer. Each case runs for
`--seconds` and is then stopped: nothing is extrapolated. The unchanged night is that of `--known`
photos, to its end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import click

from benchmarks.options import JSON
from benchmarks.timing import peak
from geotag.metadata.header import READER_VERSION
from geotag.records import Location, Metadata, Reading
from geotag.sources import Library
from geotag.sources.base import Filters
from geotag.state.catalog import open_catalog

_SOURCE = "s3://photos"


class Case(NamedTuple):
    """A bucket of so many keys that answers after so many seconds, and how long to scan it."""

    keys: int
    latency: float
    seconds: float


# Run by itself: benchmarks stand on geotag, not on its pipeline.
_FIRST_PHOTO = """
import json, resource, sys, time
from geotag.errors import StoppedError
from geotag.pipeline import Progress, scan_library

began, first, read = time.monotonic(), None, 0

class Watch(Progress):
    def advanced(self, readings):
        global first, read
        first = first or time.monotonic() - began
        read += readings

    def stop_requested(self):
        return time.monotonic() - began > float(sys.argv[3])

try:
    scan_library([sys.argv[1]], sys.argv[2], None, Watch())
except StoppedError:
    pass
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"first photo s": first, "read": read, "peak MB": peak}))
"""


def _first_photo(case: Case) -> dict[str, Any]:
    with _served(case), TemporaryDirectory() as folder:
        table = str(Path(folder, "t.parquet"))
        command = [sys.executable, "-c", _FIRST_PHOTO, _SOURCE, table, str(case.seconds)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"keys": case.keys} | figures


def _listing(case: Case) -> dict[str, Any]:
    with _served(case), TemporaryDirectory() as folder:
        began, count = time.monotonic(), 0
        with open_catalog(Path(folder, "c.geotag")) as catalog:
            for batch in catalog.noting(Library([_SOURCE], Filters()).photos()):
                count += len(batch)
                if time.monotonic() - began > case.seconds:
                    break
    seconds = time.monotonic() - began
    return {
        "keys": case.keys, "listed": count, "listed a second": count / seconds,
        "peak MB": peak(),
    }  # fmt: skip


def _night(case: Case) -> dict[str, Any]:
    with _served(case), TemporaryDirectory() as folder:
        table = Path(folder, "t.parquet")
        with open_catalog(f"{table}.geotag") as catalog:
            catalog.begin_scan(READER_VERSION)
            here = Metadata(Location(48.85, 2.35))
            for batch in catalog.noting(Library([_SOURCE], Filters()).photos()):
                catalog.record((Reading(photo, here) for photo in batch), None)
        told = Path(folder, "summary.json")
        for _ in range(2):
            command = [sys.executable, "-m", "geotag", "scan", _SOURCE, "--out", str(table)]
            subprocess.run([*command, "--quiet", "--summary", str(told)], check=True)
        summary = json.loads(told.read_text())
        seconds = summary["seconds"]
        size = os.path.getsize(f"{table}.geotag")
    assert (summary["read"], summary["exported"]) == (0, False)
    return {
        "keys": case.keys, "unchanged night s": seconds, "a second": case.keys / seconds,
        "catalog bytes a photo": size / case.keys, "peak MB": peak(),
    }  # fmt: skip


@contextmanager
def _served(case: Case) -> Iterator[None]:
    command = [sys.executable, str(Path(__file__).with_name("many_keys.py"))]
    command += [str(case.keys), str(case.latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        os.environ |= {
            "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{int(server.stdout.readline())}",
            "AWS_DEFAULT_REGION": "us-east-1",
        }  # fmt: skip
        try:
            yield
        finally:
            server.kill()


@click.command(help=__doc__)
@click.option("--keys", multiple=True, default=(10**6, 10**7, 10**8), help="Sizes of the bucket.")
@click.option("--seconds", default=25.0, show_default=True, help="How long each case may take.")
@click.option("--latency", default=0.05, show_default=True, help="Seconds for each listing.")
@click.option("--known", default=20_000, show_default=True, help="Photos of the unchanged night.")
@JSON
def command(
    keys: tuple[int, ...], seconds: float, latency: float, known: int, out: Path | None
) -> None:
    cases = [
        (measure, Case(count, latency, seconds))
        for count in keys
        for measure in (_first_photo, _listing)
    ]
    cases.append((_night, Case(known, latency, seconds)))
    figures = []
    for measure, case in cases:
        # A process of its own: its memory is that of this case alone.
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            figures.append(pool.submit(measure, case).result())
        print(", ".join(f"{k} {v:,.1f}" for k, v in figures[-1].items() if v), flush=True)
    if out is not None:
        out.write_text(json.dumps(figures, indent=1))
