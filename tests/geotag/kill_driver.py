"""A scan in a process that dies (SIGKILL) at a chosen step; run by test_kill.

Steps are the catalog's SQL statements, the readings on their way, the table's rows, and the calls
that put files in place. Prints how many there were when it lives to the end.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import geotag.pipeline as pipeline
import geotag.runners.base as base
import geotag.state.remote as remote_catalog
from geotag.options import ScanOptions
from geotag.runners.local import LocalRunner

COMMIT_READINGS = 4


class Steps:
    """Counts steps and dies at the chosen one (0: never)."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.taken = 0

    def take(self, *ignored: object) -> None:
        """One more step."""
        self.taken += 1
        if self.taken == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """A call that is a step, and one more when it is done."""

        def stepping(*arguments: Any, **options: Any) -> Any:
            self.take()
            result = call(*arguments, **options)
            self.take()
            return result

        return stepping

    def each(self, call: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """An iterator of which each item is a step."""

        def stepping(*arguments: Any, **options: Any) -> Iterator[Any]:
            for item in call(*arguments, **options):
                self.take()
                yield item

        return stepping


def main(library: str, table: str, model: str, last: str) -> None:
    """Scan, and die at step `last`."""
    steps = Steps(int(last))
    connect = sqlite3.connect

    def traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.set_trace_callback(steps.take)
        return connection

    sqlite3.connect = traced  # type: ignore[assignment]
    base.COMMIT_READINGS, base.COMMIT_SECONDS = COMMIT_READINGS, 3600
    remote_catalog.SAVE_SECONDS = 0
    pipeline.Scan.outcomes = steps.each(pipeline.Scan.outcomes)  # type: ignore[method-assign]
    LocalRunner.run = steps.each(LocalRunner.run)  # type: ignore[method-assign]
    for name in ("fsync", "replace", "unlink"):
        setattr(os, name, steps.before(getattr(os, name)))
    pipeline.scan_library([library], table, ScanOptions(model=Path(model)))
    print(steps.taken)


if __name__ == "__main__":
    main(*sys.argv[1:])
