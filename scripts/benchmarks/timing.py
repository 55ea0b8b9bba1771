"""Paired, repeated timings, their medians as a table, and the same as JSON.

Beside the rate by the clock stands the rate by processor time, of this process and of those it
started, over all cores: what an idle machine would reach if its cores were never waiting. On a
machine that other work shares, that is the steadier of the two.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import click


class Taken(NamedTuple):
    """What one run took, in seconds by the clock and of all processors together."""

    clock: float
    processor: float


Timings = Mapping[str, list[Taken]]


def paired(runs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[Taken]]:
    """Times each run: all in turn, again and again, so that a slow minute slows them all."""
    taken: dict[str, list[Taken]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            taken[name].append(timed(run))
    return taken


def timed(run: Callable[[], object]) -> Taken:
    gc.collect()
    clock, processor = time.perf_counter(), _processor_seconds()
    run()
    return Taken(time.perf_counter() - clock, _processor_seconds() - processor)


def _processor_seconds() -> float:
    usages = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def rate(timings: Timings, counts: Mapping[str, int], name: str) -> Taken:
    """Photos a second at the median: by the clock, and by processor time over all cores."""
    cores = len(os.sched_getaffinity(0))
    return Taken(
        counts[name] / statistics.median(taken.clock for taken in timings[name]),
        cores * counts[name] / statistics.median(taken.processor for taken in timings[name]),
    )


def ratio(timings: Timings, counts: Mapping[str, int], fast: str, slow: str) -> Taken:
    """How many times the rate of `slow` that of `fast` is: medians over the paired repeats."""
    pairs = list(zip(timings[fast], timings[slow], strict=True))
    weight = counts[fast] / counts[slow]
    return Taken(
        weight * statistics.median(b.clock / a.clock for a, b in pairs),
        weight * statistics.median(b.processor / a.processor for a, b in pairs),
    )


def report(
    title: str,
    timings: Timings,
    counts: Mapping[str, int],
    baseline: str,
    out: Path | None,
    notes: Mapping[str, object] | None = None,
) -> None:
    """Print a table of medians with ratios to `baseline`; write the same as JSON to `out`."""
    width = max(map(len, timings))
    rates = {name: rate(timings, counts, name) for name in timings}
    ratios = {name: ratio(timings, counts, name, baseline) for name in timings}
    click.echo(f"\n{title}\n{'':{width}}  {'by the clock':>18}  {'by processor time':>18}")
    click.echo(f"{'':{width}}  {'photos/s':>10}{'ratio':>8}  {'photos/s':>10}{'ratio':>8}")
    for name in timings:
        cells = (
            f"{one:10.1f}{times:8.2f}" for one, times in zip(rates[name], ratios[name], strict=True)
        )
        click.echo(f"{name:{width}}  {'  '.join(cells)}")
    for name, value in (notes or {}).items():
        click.echo(f"{name}: {f'{value:.4g}' if isinstance(value, float) else value}")
    if out is not None:
        result = {
            "title": title,
            "machine": {"cores": os.cpu_count(), "processor": platform.processor()},
            "photos": dict(counts),
            "seconds": timings,
            "photos_a_second": rates,
            "baseline": baseline,
            "ratios": ratios,
            "notes": dict(notes or {}),
        }
        out.write_text(json.dumps(result, indent=1) + "\n")


def run_quietly(command: list[str]) -> None:
    """Run a command to its end; its output is dropped. Raises CalledProcessError."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


class Cost(NamedTuple):
    """What a command took: seconds by the clock and of all processors, MiB at its peak."""

    clock: float
    processor: float
    peak: float


# Run by a Python of its own, which is small: a process that is started counts the memory of the one
# that starts it as its own peak.
_MEASURE = """
import json, os, sys, time
began = time.perf_counter()
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(child, 0)
clock = time.perf_counter() - began
print(json.dumps([clock, usage.ru_utime + usage.ru_stime, usage.ru_maxrss]))
sys.exit(os.waitstatus_to_exitcode(status))
"""


def cost_of(command: list[str]) -> Cost:
    """Run a command to its end; its output is dropped. Raises CalledProcessError."""
    measure = [sys.executable, "-I", "-S", "-c", _MEASURE, *command]
    found = subprocess.run(measure, stdout=subprocess.PIPE, check=True)
    clock, processor, peak = json.loads(found.stdout)
    return Cost(clock, processor, peak / (2**20 if sys.platform == "darwin" else 1024))


def peak() -> float:
    """The peak of this process alone, in MiB: what started it does not count."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
