"""Whether cost grows linearly: photos a second and peak memory at 1,000, 10,000, 100,000 photos.

Each scan is a command with a new catalog. What a scan of one photo takes, start and model, is
measured as well and subtracted. The photos are hard links to a few small files, a thousand in a
folder: what grows here is everything but the pixels.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks import options
from benchmarks.library import LOCATED, Kind, link_library
from benchmarks.scan import command_line
from benchmarks.timing import Cost, cost_of

POSITIONS, LANDMARKS = "with positions", "to recognise"
_KINDS = {
    POSITIONS: LOCATED,
    LANDMARKS: Kind((320, 240), thumbnail=False),
}


def scan(folder: Path, model: Path | None, scratch: Path) -> Cost:
    """Scan a folder into a table and catalog that are thrown away. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory(dir=scratch) as place:
        command = command_line(model, folder, Path(place, "tags.csv"))
        return cost_of(command)


def median(costs: Sequence[Cost]) -> Cost:
    return Cost(*(statistics.median(figures) for figures in zip(*costs, strict=True)))


@click.command("linear")
@options.MODEL
@click.option("--most", default=100_000, show_default=True, help="Photos with positions, at most.")
@click.option("--most-recognised", default=10_000, show_default=True, help="Other photos, at most.")
@click.option("--repeats", default=3, show_default=True)
@click.option("--quick", is_flag=True, help="A tenth of the photos, one repeat.")
@options.JSON
def command(
    model: Path | None, most: int, most_recognised: int, repeats: int, quick: bool,
    out: Path | None,
) -> None:  # fmt: skip
    """Sizes grow tenfold from a thousand; all in turn, again and again."""
    if quick:
        most, most_recognised, repeats = most // 10, most_recognised // 10, 1
    figures = {}
    for name, limit in ((POSITIONS, most), (LANDMARKS, most_recognised)):
        counts = [count for count in (1000, 10_000, 100_000, 1_000_000) if count <= limit]
        with tempfile.TemporaryDirectory(prefix="geotag-benchmark-") as scratch:
            place = Path(scratch)
            folders = {n: link_library(place / str(n), n, _KINDS[name]) for n in (1, *counts)}
            scan(folders[1], model, place)  # converts the model where that was not done before
            rounds = [
                {n: scan(f, model, place) for n, f in folders.items()} for _ in range(repeats)
            ]
        costs = {count: median([taken[count] for taken in rounds]) for count in folders}
        figures[name] = costs
        _show(name, costs)
    if out is not None:
        out.write_text(json.dumps(figures, indent=1) + "\n")


def _show(name: str, costs: dict[int, Cost]) -> None:
    start = costs[1]
    click.echo(f"\nphotos {name}\n   photos    a second  by processor    MiB  (beyond the start)")
    click.echo(f"{1:9}  {start.clock:8.2f} s  {start.processor:10.2f} s {start.peak:6.0f}")
    for count, cost in costs.items():
        if count > 1:
            clock = _rate(count - 1, cost.clock - start.clock)
            processor = _rate(count - 1, cost.processor - start.processor)
            click.echo(f"{count:9}  {clock:>10}  {processor:>12} {cost.peak:6.0f}")


def _rate(photos: int, seconds: float) -> str:
    """Photos a second; nothing where the start took as long as all of it."""
    return f"{photos / seconds:.0f}" if seconds > 0 else "-"
