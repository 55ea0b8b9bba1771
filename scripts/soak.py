"""Scans, writes and reverts for a long time, killed now and then, over a library that changes.

python scripts/soak.py --minutes 60

After each round the rows are counted against the photos that are there, and after each revert the
bytes of all photos are those that were put there. Exits with 1 when anything was lost.
"""

from __future__ import annotations

import io
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from PIL import Image

from geotag.model.checkpoint import save_checkpoint
from geotag.model.spec import ModelSpec, Threshold
from geotag.tables import read_table

_TOP = Path(__file__).resolve().parents[1]
_KILLS = 3  # at most so many of one command; then it may come to its end
_RUN = re.compile(r"(\S+)  .*?  (\d+) files? written(?:, (\d+) of them reverted)?(.*)")
_FLAT = 1.2


class Usage(NamedTuple):
    """What a scan held at most."""

    memory_mib: float
    descriptors: int


class Library:
    """Photos and what their bytes should be; sidecars that geotag writes are no part of it."""

    def __init__(self, folder: Path, chance: random.Random, photos: int) -> None:
        self.folder = folder
        self.expected: dict[str, bytes] = {}
        self._chance = chance
        self._made = 0
        for _ in range(photos):
            self._add()

    def edit(self) -> str:
        """One change such as people make; returns what it was."""
        kind = self._chance.choice(("touch", "replace", "rename", "delete", "add", "add"))
        if kind == "add" or len(self.expected) < 8:
            self._add()
            return "add"
        name = self._chance.choice(sorted(self.expected))
        path = self.folder / name
        if kind == "touch":
            os.utime(path)
        elif kind == "replace":
            self._put(name)
        elif kind == "delete":
            path.unlink()
            del self.expected[name]
        else:
            new = f"{self._folder()}/moved-{self._made:05d}{path.suffix}"
            self._made += 1
            (self.folder / new).parent.mkdir(exist_ok=True)
            path.rename(self.folder / new)
            del self.expected[name]
            self.expected[new] = (self.folder / new).read_bytes()
        return kind

    def problems(self) -> list[str]:
        """What is lost, changed or left over, each in words."""
        files = {str(p.relative_to(self.folder)) for p in self.folder.rglob("*") if p.is_file()}
        found = [f"lost: {name}" for name in sorted(self.expected.keys() - files)]
        found += [f"left over: {name}" for name in sorted(files - self.expected.keys())]
        for name in sorted(files & self.expected.keys()):
            if (self.folder / name).read_bytes() != self.expected[name]:
                found.append(f"changed: {name}")
        return found

    def _add(self) -> None:
        suffix = self._chance.choice((".jpg", ".jpg", ".jpg", ".png", ".webp"))
        self._put(f"{self._folder()}/{self._made:05d}{suffix}")
        self._made += 1

    def _put(self, name: str) -> None:
        noise = np.random.default_rng(self._chance.getrandbits(32))
        picture = Image.fromarray(noise.integers(0, 256, (48, 64, 3), np.uint8))
        buffer = io.BytesIO()
        picture.save(buffer, {".jpg": "JPEG"}.get(Path(name).suffix, Path(name).suffix[1:]))
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getvalue())
        self.expected[name] = buffer.getvalue()

    def _folder(self) -> str:
        return self._chance.choice(("2023", "2024", "été"))


class Soak:
    """The rounds, and what is counted of them."""

    def __init__(self, base: Path, seed: int, photos: int) -> None:
        self.chance = random.Random(seed)
        self.library = Library(base / "photos", self.chance, photos)
        self.base = base
        self.table = base / "tags.csv"
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self.scans: list[Usage] = []
        self._left: set[str] = set()
        self._seconds: dict[str, float] = {}
        self._environment = os.environ | {
            "PYTHONPATH": str(_TOP), "TMPDIR": str(base / "tmp"),
            "XDG_CACHE_HOME": str(base / "cache"), "XDG_STATE_HOME": str(base / "state"),
        }  # fmt: skip
        (base / "tmp").mkdir()
        self._model = save_model(base / "soak.safetensors")

    def round(self) -> None:
        """Change, scan, write, change again at times, revert all, and count."""
        self._edit(self.chance.randrange(5))
        self._scan()
        write = ("write", str(self.table), "-q")
        if self.chance.random() < 0.2:  # as when the power fails, and the revert finds it so
            self._run(write, self.chance.uniform(0, self._seconds.get("write", 4)))
            self.counts["writes left as they were when killed"] += 1
        else:
            self._until_done(write, "the write", (0,))
        self.counts["tags written"] += self._written()
        edited = self.chance.random() < 0.3
        self._edit(self.chance.randrange(1, 3) if edited else 0)
        self._revert_all(edited)
        self.problems += self.library.problems()
        self.counts["rounds"] += 1

    def _edit(self, times: int) -> None:
        for _ in range(times):
            self.counts[f"edits: {self.library.edit()}"] += 1

    def _scan(self) -> None:
        scan = [
            "scan", str(self.library.folder), "--out", str(self.table), "--model",
            str(self._model), "--threshold", "0", "--workers", "2", "-q",
        ]  # fmt: skip
        scan += ["--prune"] * (self.chance.random() < 0.3)
        self._until_done(scan, "the scan", (0,))
        listed = Counter(
            os.path.relpath(r.path, self.library.folder) for r in read_table(self.table)
        )
        self.counts["rows"] += listed.total()
        for name in listed.keys() | self.library.expected.keys():
            if (rows := listed[name]) != (1 if name in self.library.expected else 0):
                self.problems.append(f"{name}: {rows} rows")

    def _written(self) -> int:
        return sum(written - reverted for _, written, reverted in self._runs())

    def _runs(self) -> list[tuple[str, int, int]]:
        command = [sys.executable, "-m", "geotag", "runs", "--catalog", f"{self.table}.geotag"]
        done = subprocess.run(
            command, cwd=_TOP, env=self._environment, capture_output=True, text=True, check=True
        )
        found = map(_RUN.match, done.stdout.splitlines())
        return [
            (m[1], int(m[2]) + ("interrupted" in m[4]), int(m[3] or 0))
            for m in found
            if m is not None
        ]

    def _revert_all(self, edited: bool) -> None:
        for run, written, reverted in reversed(self._runs()):
            if written > reverted and run not in self._left:
                revert = ("revert", run, "--catalog", f"{self.table}.geotag")
                code = self._until_done(revert, "the revert", (0, 3) if edited else (0,))
                if code == 3:  # of photos that were changed since
                    self._left.add(run)

    def _until_done(
        self, command: list[str] | tuple[str, ...], what: str, codes: tuple[int, ...]
    ) -> int:
        """Run a command to its end, after kills at random moments; returns its exit code."""
        for _ in range(self.chance.choice((0, 0, 1, _KILLS))):
            after = self.chance.uniform(0, 1.1 * self._seconds.get(command[0], 4))
            if self._run(command, after)[0] == -signal.SIGKILL:
                self.counts[f"kills of {command[0]}"] += 1
        code, errors = self._run(command, None)
        self.counts[f"{command[0]}s"] += 1
        if code not in codes:
            self.problems.append(f"{what} ended with {code}: {errors[-500:]}")
        return code

    def _run(
        self, command: list[str] | tuple[str, ...], kill_after: float | None
    ) -> tuple[int, str]:
        began = time.monotonic()
        descriptors = 0
        with tempfile.TemporaryFile("w+") as errors:
            child = subprocess.Popen(
                [sys.executable, "-m", "geotag", *command], cwd=_TOP, env=self._environment,
                stdout=errors, stderr=errors, start_new_session=True,
            )  # fmt: skip
            while True:
                found, status, usage = os.wait4(child.pid, os.WNOHANG)
                if found:
                    break
                descriptors = max(descriptors, _descriptors(child.pid))
                if kill_after is not None and time.monotonic() - began > kill_after:
                    os.killpg(child.pid, signal.SIGKILL)
                    kill_after = None
                time.sleep(0.02)
            child.returncode = os.waitstatus_to_exitcode(status)
            errors.seek(0)
            text = errors.read()
        if child.returncode == 0:
            self._seconds[command[0]] = time.monotonic() - began
            if command[0] == "scan":
                self.scans.append(Usage(usage.ru_maxrss / 1024, descriptors))
        return child.returncode, text

    def report(self, minutes: float) -> bool:
        """Print what came of it; returns whether nothing was lost."""
        left = [
            p for p in self.base.rglob("*") if p.name.startswith(".geotag-") or ".tmp" in p.name
        ]
        left += (self.base / "tmp").iterdir()
        click.echo(f"{minutes:.1f} minutes, {len(self.library.expected)} photos at the end")
        for what, number in sorted(self.counts.items()):
            click.echo(f"  {what}: {number}")
        click.echo(f"temporary files left over: {len(left)} {[p.name for p in left[:5]]}")
        flat = self._is_flat(
            "memory of a scan, MiB", [s.memory_mib for s in self.scans], statistics.median
        )
        # One that has little to read begins fewer decoders.
        flat &= self._is_flat("descriptors of a scan", [s.descriptors for s in self.scans], max)
        click.echo(f"lost or wrong: {len(self.problems)}")
        for problem in self.problems[:20]:
            click.echo(f"  {problem}")
        return flat and not self.problems

    def _is_flat(self, what: str, values: list[float], of: Callable[[list[float]], float]) -> bool:
        """Whether the last quarter is no higher than the first, bar what is chance."""
        quarter = max(1, len(values) // 4)
        first, last = of(values[:quarter]), of(values[-quarter:])
        click.echo(f"{what}: first quarter {first:.0f}, last {last:.0f}, most {max(values):.0f}")
        return last <= first * _FLAT


def _descriptors(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def save_model(path: Path) -> Path:
    """A small network with random weights that takes every picture for a landmark."""
    import torch

    from geotag.model.architectures import build_model

    torch.manual_seed(0)
    slugs = ("eiffel_tower", "taj_mahal")
    network = build_model("lenet", len(slugs) + 1)
    spec = ModelSpec(
        "lenet", 32, "squash", (0.5,) * 3, (0.25,) * 3, slugs, 1.0,
        (Threshold(0.95, 0.6), Threshold(0.99, 0.9)), {"made by": "soak"},
    )  # fmt: skip
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    weights["classifier.bias"] = np.array([6, 4, -6], np.float32)
    save_checkpoint(path, spec, weights)
    return path


@click.command()
@click.option("--minutes", type=click.FloatRange(min=0), default=60, help="How long to go on.")
@click.option("--photos", type=click.IntRange(min=1), default=40, help="How many to begin with.")
@click.option("--seed", type=int, default=0, help="Other edits and kills.")
def main(minutes: float, photos: int, seed: int) -> None:
    """Scan, write, edit and revert for a while, with kills, and count what is left."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="geotag-soak-") as base:
        soak = Soak(Path(base), seed, photos)
        soak.round()
        while time.monotonic() - began < minutes * 60:
            soak.round()
        is_sound = soak.report((time.monotonic() - began) / 60)
    sys.exit(0 if is_sound else 1)


if __name__ == "__main__":
    main()
