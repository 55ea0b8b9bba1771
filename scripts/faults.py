"""Scans a library under each of many faults, and counts the rows against the photos.

python scripts/faults.py

Half of the library is known from the night before, the other half is new. One night has the fault,
the next ones have none. Prints a table in Markdown; exits with 1 when a row was lost or wrong.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from PIL import Image
from soak import save_model

from geotag.records import Outcome
from geotag.tables import read_table

_TOP = Path(__file__).resolve().parents[1]
_FOLDERS = ("2023", "2024", "été")
_PHOTOS = 24
_NIGHTS = 8  # within which all must be well again
_SIDECAR = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="10,30.0N" exif:GPSLongitude="20,30.0E"
/></rdf:RDF></x:xmpmeta>"""
# Every third photo or folder is hit. What a fault replaces is called `real`.
_START = """
import errno, os, signal, sys, time
calls = 0
def hit(path):
    return int.from_bytes(os.path.basename(os.fsencode(path)), "big") % 3 == 0
def fail(number, path=None):
    raise OSError(number, os.strerror(number), path)
"""
_RUN = """
from geotag.cli import main
main(sys.argv[1:])
"""


def _opening(number: str, condition: str = "hit(path)") -> str:
    return f"""
real = os.open
def opening(path, *more, **named):
    is_photo = os.fsencode(path).endswith((b".jpg", b".xmp"))
    return fail(errno.{number}, path) if is_photo and {condition} else real(path, *more, **named)
os.open = opening
"""


def _after(calls: int, signal: str) -> str:
    return f"""
real = os.pread
def reading(*arguments):
    global calls
    calls += 1
    if calls == {calls}:
        os.kill(os.getpid(), signal.{signal})
    return real(*arguments)
os.pread = reading
"""


def _decoding(action: str) -> str:
    return f"""
import PIL.ImageFile as f
real = f.ImageFile.load
def load(image):
    global calls
    calls += 1
    if calls % 3 == 2:
        {action}
    return real(image)
f.ImageFile.load = load
"""


class Fault(NamedTuple):
    """What goes wrong: code that runs first in the process or in those that decode, more options,
    or a folder of the library that is not there. What it makes of a photo may last until the photo
    changes."""

    name: str
    code: str = ""
    options: tuple[str, ...] = ()
    unmounted: str = ""
    decoder: str = ""


FAULTS = (
    Fault("none"),
    Fault("photos and sidecars cannot be read (EIO)", _opening("EIO")),
    Fault("... no permission (EACCES)", _opening("EACCES")),
    Fault("... gone since they were listed (ENOENT)", _opening("ENOENT")),
    Fault("... too many files are open (EMFILE)", _opening("EMFILE")),
    Fault("... the network share is stale (ESTALE)", _opening("ESTALE")),
    Fault("no sidecar can be read", _opening("EIO", 'os.fsencode(path).endswith(b".xmp")')),
    Fault(
        "reads fail half-way",
        "real = os.pread\ndef reading(*arguments):\n    global calls\n    calls += 1\n"
        "    return fail(errno.EIO) if calls % 3 == 0 else real(*arguments)\nos.pread = reading\n",
    ),
    Fault(
        "photos cannot be looked at (stat: EIO)",
        "real = os.stat\ndef looking(path, *more, **named):\n"
        "    is_photo = isinstance(path, bytes) and path.endswith((b'.jpg', b'.xmp'))\n"
        "    return fail(errno.EIO, path) if is_photo and hit(path) else "
        "real(path, *more, **named)\nos.stat = looking\n",
    ),
    Fault(
        "a folder cannot be listed",
        "real = os.scandir\ndef listing(path='.'):\n"
        "    is_hit = os.fsencode(path).endswith(b'2024')\n"
        "    return fail(errno.EIO, path) if is_hit else real(path)\nos.scandir = listing\n",
    ),
    Fault("the library is not mounted", unmounted="."),
    Fault("... with --prune", options=("--prune",), unmounted="."),
    Fault("a folder inside is not mounted", unmounted="2024"),
    Fault("SIGTERM", _after(9, "SIGTERM")),
    Fault("SIGHUP", _after(9, "SIGHUP")),
    Fault("SIGKILL", _after(9, "SIGKILL")),
    Fault("the decoder raises RuntimeError", decoder=_decoding("raise RuntimeError")),
    Fault("... EOFError", decoder=_decoding("raise EOFError")),
    Fault("... MemoryError", decoder=_decoding("raise MemoryError")),
    Fault("the decoder crashes (SIGSEGV)", decoder=_decoding("os.kill(os.getpid(), 11)")),
    Fault("... is killed from outside (SIGKILL)", decoder=_decoding("os.kill(os.getpid(), 9)")),
    Fault(
        "the table's disk is full",
        "def full(descriptor):\n    fail(errno.ENOSPC)\nos.fsync = full\n",
    ),
    Fault(
        "no file may grow (quota)",
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n",
    ),
    Fault(
        "no threads can be started",
        'import threading\ndef start(thread):\n    raise RuntimeError("can\'t start new thread")\n'
        "threading.Thread.start = start\n",
    ),
    Fault("the clock is ten years ahead", "real = time.time\ntime.time = lambda: real() + 3e8\n"),
    Fault("the clock stands at 1970", "time.time = lambda: 0.0\n"),
    Fault("--limit 5", options=("--limit", "5")),
    Fault("--max-time 0", options=("--max-time", "0")),
)


class Night(NamedTuple):
    """What a scan left: its exit code and the table."""

    code: int
    rows: dict[str, Outcome]
    doubles: int


class Trial:
    """A library with its table and catalog, of which half is known."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.photos, self.table = base / "photos", base / "state" / "tags.csv"
        self.model = save_model(base / "model.safetensors")
        self.environment = os.environ | {
            "PYTHONPATH": f"{base / 'site'}{os.pathsep}{_TOP}", "XDG_CACHE_HOME": str(base / "c"),
            "XDG_STATE_HOME": str(base / "s"), "XDG_CONFIG_HOME": str(base / "c"),
        }  # fmt: skip
        self._add(range(0, _PHOTOS, 2))
        self.table.parent.mkdir()
        self.known = self.scan().rows
        shutil.copytree(self.table.parent, base / "before")
        self._add(range(1, _PHOTOS, 2))
        self.clean = self.scan().rows

    def _add(self, numbers: range) -> None:
        for number in numbers:
            noise = np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(noise).save(buffer, "JPEG")
            path = self.photos / _FOLDERS[number % 3] / f"{number:02d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(buffer.getvalue())
            if number % 5 == 0:
                path.with_suffix(".xmp").write_text(_SIDECAR)

    def scan(self, fault: Fault = FAULTS[0]) -> Night:
        away, missing = self.base / "away", self.photos / fault.unmounted
        if fault.unmounted:
            missing.rename(away)
            missing.mkdir()
        arguments = [
            "scan", str(self.photos), "--out", str(self.table), "--model", str(self.model),
            "--threshold", "0", "--workers", "2", "-q", *fault.options,
        ]  # fmt: skip
        site = self.base / "site"
        site.mkdir(exist_ok=True)
        (site / "sitecustomize.py").write_text(_START + fault.decoder if fault.decoder else "")
        code = subprocess.run(
            [sys.executable, "-c", _START + fault.code + _RUN, *arguments],
            cwd=_TOP, env=self.environment, capture_output=True, timeout=300,
        ).returncode  # fmt: skip
        if fault.unmounted:
            missing.rmdir()
            away.rename(missing)
        rows = list(read_table(self.table)) if self.table.exists() else []
        found = {os.path.relpath(row.path, self.photos): row for row in rows}
        return Night(code, found, len(rows) - len(found))

    def judge(self, fault: Fault) -> tuple[str, int]:
        """A line of the table, and how many rows were lost or wrong."""
        shutil.rmtree(self.table.parent)
        shutil.copytree(self.base / "before", self.table.parent)
        night = self.scan(fault)
        lost = self.known.keys() - night.rows.keys()
        wrong = [name for name, row in night.rows.items() if not self._is_right(name, row)]
        bad = len(lost) + len(wrong) + night.doubles + len(night.rows.keys() - self.clean.keys())
        reasons = sum(bool(row.error) for row in night.rows.values())
        nights, rows = 0, night.rows
        after = Fault("", options=fault.options if fault.options[:1] == ("--limit",) else ())
        if fault.decoder:  # what is damaged is so until it changes, or is asked for
            after = Fault("", options=("--rescan",))
        while rows != self.clean and nights < _NIGHTS:
            rows, nights = self.scan(after).rows, nights + 1
        well = f"{nights}" if rows == self.clean else "never"
        bad += rows != self.clean
        cells = (fault.name, night.code, len(night.rows), reasons, bad, well)
        return f"| {' | '.join(map(str, cells))} |", bad

    def _is_right(self, name: str, row: Outcome) -> bool:
        """A row is that of a night without faults, or says why it is not: what was known stays."""
        expected = self.known.get(name, row._replace(error=""))
        kept = row._replace(error="") == expected
        return row == self.clean.get(name) or (
            bool(row.error) and kept and self._is_empty(name, row)
        )

    def _is_empty(self, name: str, row: Outcome) -> bool:
        """Of a photo that nobody knew, nothing is said."""
        return name in self.known or (row.latitude is None and not row.landmark)


@click.command()
@click.option("--only", default="", help="Only faults with this in their name.")
def main(only: str) -> None:
    """Scan under each fault and print what came of the rows."""
    with tempfile.TemporaryDirectory(prefix="geotag-faults-") as base:
        trial = Trial(Path(base))
        click.echo(f"{len(trial.known)} of {len(trial.clean)} photos known before")
        click.echo(
            "| fault | exit code | rows | with a reason | lost or wrong | nights until well |"
        )
        click.echo("|---|---:|---:|---:|---:|---:|")
        counts: Counter[str] = Counter()
        for fault in FAULTS:
            if only in fault.name:
                line, bad = trial.judge(fault)
                click.echo(line)
                counts.update(faults=1, bad=bad)
    click.echo(f"{counts['faults']} faults, {counts['bad']} rows lost or wrong")
    sys.exit(1 if counts["bad"] else 0)


if __name__ == "__main__":
    main()
