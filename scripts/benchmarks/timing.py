"""Paired, repeated timings, their medians as a table, and the same as JSON."""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import click


def paired(runs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each run: all in turn, again and again, so that a slow minute slows them all."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            gc.collect()
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def rates(seconds: Mapping[str, list[float]], counts: Mapping[str, int]) -> dict[str, float]:
    """Photos a second at the median."""
    return {name: counts[name] / statistics.median(taken) for name, taken in seconds.items()}


def paired_ratio(
    seconds: Mapping[str, list[float]], counts: Mapping[str, int], fast: str, slow: str
) -> float:
    """How many times the rate of `slow` that of `fast` is: the median over the repeats."""
    return statistics.median(
        (counts[fast] / a) / (counts[slow] / b)
        for a, b in zip(seconds[fast], seconds[slow], strict=True)
    )


def report(
    title: str,
    seconds: Mapping[str, list[float]],
    counts: Mapping[str, int],
    baseline: str,
    out: Path | None,
    notes: Mapping[str, object] | None = None,
) -> None:
    """Print a table of medians with ratios to `baseline`; write the same as JSON to `out`."""
    speed = rates(seconds, counts)
    width = max(map(len, speed))
    click.echo(f"{title}\n{'':{width}}  photos/s   times {baseline}")
    ratios = {name: paired_ratio(seconds, counts, name, baseline) for name in speed}
    for name in speed:
        click.echo(f"{name:{width}}  {speed[name]:8.1f}   {ratios[name]:8.2f}")
    for name, value in (notes or {}).items():
        shown = f"{value:.4g}" if isinstance(value, float) else value
        click.echo(f"{name}: {shown}")
    if out is not None:
        result = {
            "title": title,
            "machine": {"cores": os.cpu_count(), "processor": platform.processor()},
            "photos": dict(counts),
            "seconds": {name: list(taken) for name, taken in seconds.items()},
            "photos_a_second": speed,
            "baseline": baseline,
            "ratios": ratios,
            "notes": dict(notes or {}),
        }
        out.write_text(json.dumps(result, indent=1) + "\n")


def run_quietly(command: list[str], **settings: object) -> None:
    """Run a command to its end; its output is dropped. Raises CalledProcessError."""
    subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **settings
    )  # type: ignore[call-overload]
