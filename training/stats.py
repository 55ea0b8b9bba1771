"""Shows what a training set holds: counts, channel statistics, histograms, samples.

python -m training.stats --data DIR --out report
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from training.data.dataset import SPLITS, Dataset, draw
from training.evaluate import select
from training.reports import commands, plots
from training.reports.inference import Pixels, read_good

CHANNELS = ("red", "green", "blue")


def measure_pixels(pixels: Pixels) -> dict[str, Any]:
    """Mean and standard deviation of each channel in 0 to 1, and its histogram of 256 values.

    `pixels` is (N, S, S, 3). The deviation is over all pixels of all photos.
    """
    counts = np.stack(
        [np.bincount(pixels[..., channel].ravel(), minlength=256) for channel in range(3)]
    )
    values = np.arange(256) / 255
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ values
    std = np.sqrt(np.maximum(0, shares @ values**2 - mean**2))
    return {"mean": mean, "std": std, "histogram": dict(zip(CHANNELS, counts, strict=True))}


def measure_set(dataset: Dataset) -> dict[str, Any]:
    """How many photos there are of each split, class and source."""
    samples = dataset.samples
    return {
        "photos": len(samples),
        "classes": len(dataset.classes),
        "fingerprint": dataset.fingerprint,
        "splits": {name: len(dataset.of(name)) for name in SPLITS},
        "sources": dict(sorted(Counter(sample.source for sample in samples).items())),
        "labels": {
            label or "(no landmark)": {
                name: sum(s.label == label for s in dataset.of(name)) for name in SPLITS
            }
            for label in (*dataset.classes, "")
        },
    }


def _draw_histogram(channels: Mapping[str, NDArray[np.intp]], path: Path) -> None:
    """Each channel in its own colour."""
    with plots.drawn(path) as figure:
        axes = figure.subplots()
        for (name, counts), line in zip(channels.items(), ("-", "--", ":"), strict=True):
            axes.plot(range(256), counts, line, color=name, label=name)
        axes.set(title="Pixel values", xlabel="value, 0 to 255", ylabel="pixels")
        axes.legend()


@click.command("training.stats")
@commands.takes_dataset(seeded=True)
@commands.split_option("train")
@click.option(
    "--size", default=128, show_default=True, type=click.IntRange(1, 1024),
    help="Side that photos are read at.",
)  # fmt: skip
@click.option(
    "--limit", default=4000, show_default=True, type=click.IntRange(1),
    help="Photos to read, at random.",
)  # fmt: skip
@commands.OUT
def main(dataset: Dataset, seed: int, part: str, size: int, limit: int, out: Path) -> None:
    """Show what a training set holds.

    Writes OUT/stats.json (counts; mean and standard deviation of each channel), histogram.png,
    classes.png and samples.png.
    """
    samples = select(dataset, part, ())
    read, pixels, failed = read_good(
        dataset, draw(samples, limit, np.random.default_rng(seed)), size
    )
    report = {**measure_set(dataset), "split": part, "read": len(read), "unreadable": failed}
    report |= measure_pixels(pixels)
    commands.write_json(out / "stats.json", report)
    _draw_histogram(report["histogram"], out / "histogram.png")
    totals = {label: float(sum(counts.values())) for label, counts in report["labels"].items()}
    plots.plot_bars(totals, "Photos of each class", "photos", out / "classes.png")
    shown = draw(range(len(read)), 48, np.random.default_rng(seed))
    sheet = [(pixels[at], read[at].label or "(no landmark)") for at in shown]
    plots.contact_sheet(sheet, out / "samples.png")
    click.echo(
        f"{report['photos']} photos of {report['classes']} classes: "
        + ", ".join(f"{count} {name}" for name, count in report["splits"].items())
    )
    click.echo(f"read {len(read)} of {len(samples)} ({part}), {len(failed)} unreadable")
    for name in ("mean", "std"):
        click.echo(f"{name:5}" + "".join(f"{value:8.4f}" for value in report[name]))


if __name__ == "__main__":
    commands.run(main)
