"""Writes and reverts in child processes that die at a chosen step; run by test_crash.

Each child makes its own copy of a small library in a folder of its own and is killed (SIGKILL)
before, after or in the middle of the n-th call that touches the disk.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from geotag.records import Outcome, Status
from geotag.state.catalog import open_catalog
from geotag.state.journal import Journal
from geotag.writing.revert import revert_run, settle
from geotag.writing.writeback import WriteOptions, write_run
from tests.geotag.writing.samples import EIFFEL

# Opening, reading and looking at files, and every call that changes the disk.
STEPS = (
    "open", "write", "close", "fsync", "fstat", "lstat", "utime", "chmod", "listxattr", "link",
    "replace", "unlink",
)  # fmt: skip


class Killer:
    """Counts steps; at the chosen one the process ends as if the power had failed."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.step = 0

    def _die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def tick(self) -> bool:
        """Count a step; whether it is the last one."""
        self.step += 1
        return self.step == self.at

    def wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        """A call that dies before itself, after itself, or half way through a write."""

        def call(*arguments: Any, **options: Any) -> Any:
            if self.tick():
                self._die()
            if name == "write" and self.tick():
                real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                self._die()
            result = real(*arguments, **options)
            if self.tick():
                self._die()
            return result

        return call

    def statement(self, text: str) -> None:
        """SQLite is about to run a statement."""
        if self.tick():
            self._die()

    def arm(self, connection: Any) -> None:
        """Begin to count."""
        for name in STEPS:
            if hasattr(os, name):
                setattr(os, name, self.wrap(name, getattr(os, name)))
        connection.set_trace_callback(self.statement)


def rows(folder: Path) -> list[Outcome]:
    """A row that tags each photo of the library."""
    names = (folder / "photos").iterdir()
    photos = sorted(p for p in names if p.suffix in (".jpg", ".png"))
    return [Outcome(str(p), Status.TAGGED, landmark=EIFFEL.name, confidence=0.9) for p in photos]


def write(folder: Path, killer: Killer) -> None:
    """One run of `geotag write`."""
    with open_catalog(folder / "t.csv.geotag") as catalog:
        killer.arm(catalog.connection)
        for _ in write_run(rows(folder), catalog, WriteOptions(position=True), "crash test"):
            pass


def revert(folder: Path, killer: Killer) -> None:
    """A whole write, then `geotag revert --last`, which is killed."""
    write(folder, Killer(0))
    with open_catalog(folder / "t.csv.geotag") as catalog:
        killer.arm(catalog.connection)
        journal = Journal(catalog.connection)
        settle(journal)
        for _ in revert_run(journal, journal.runs()[-1].id):
            pass


MODES = {"write": write, "revert": revert}


def run_child(template: Path, folder: Path, mode: str, at: int, after_s: float = 0) -> int:
    """Run one child to its end or to step `at`; returns how it ended (os.waitpid's status)."""
    shutil.copytree(template, folder)  # with modification times
    child = os.fork()
    if child == 0:
        code = 1
        try:
            killer = Killer(at)
            MODES[mode](folder, killer)
            (folder / "steps").write_text(str(killer.step))
            code = 0
        finally:
            os._exit(code)
    if after_s:
        time.sleep(after_s)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def main(base: Path, mode: str, stride: int, random_kills: int) -> None:
    """Kill at each step (or each `stride`-th), then at random times; fails when a child fails."""
    template = base / "template"
    began = time.monotonic()
    if run_child(template, base / f"{mode}-whole", mode, at=0) != 0:
        sys.exit(f"{mode} failed without being killed")
    seconds = time.monotonic() - began
    steps = int((base / f"{mode}-whole" / "steps").read_text())
    for at in range(1, steps + 1, stride):
        status = run_child(template, base / f"{mode}-{at}", mode, at)
        if not os.WIFSIGNALED(status):
            sys.exit(f"{mode} was not killed at step {at} of {steps}: {status}")
    generator = random.Random(4)
    for number in range(random_kills):
        run_child(template, base / f"{mode}-r{number}", mode, 0, generator.uniform(0, seconds))
    print(steps)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
