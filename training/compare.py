"""Puts models side by side on the same photos: accuracy, size, speed.

python -m training.compare --data DIR --recipe scratch-bn --recipe vgg16 --out runs/compare
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from geotag.engines.base import EngineOptions
from geotag.errors import DataError, UsageError
from geotag.model.checkpoint import built_in_path
from geotag.model.spec import ModelSpec
from geotag.recognition.model import Model
from training.data.dataset import Dataset, Sample
from training.data.examples import World
from training.evaluate import figures, judge, select
from training.fitting.recipes import RECIPES, find_recipe
from training.reports import commands, plots
from training.reports.inference import score
from training.reports.runs import Run
from training.train import Job, train

BUILT_IN = "geotag"
COLUMNS = {
    "top1": "top-1",
    "top5": "top-5",
    "gap": "GAP",
    "recall_at_precision_0.99": "recall at 99 % precision",
    "megabytes": "MB",
    "images_per_second": "images/s",
}


class Entry(NamedTuple):
    """A model to compare: its name in the table, its file, and the run that trained it if here."""

    name: str
    path: Path
    run: Run | None = None

    @property
    def epochs(self) -> int | None:
        """How many its run trained."""
        if self.run is None:
            return None
        return len((self.run.folder / "log.csv").read_text("utf-8").splitlines()) - 1


def common_samples(specs: Sequence[ModelSpec], samples: Sequence[Sample]) -> list[Sample]:
    """The photos of landmarks that all models know, and the negatives.

    Raises DataError when there is no photo of such a landmark.
    """
    known = set.intersection(*(set(spec.categories) for spec in specs))
    common = [sample for sample in samples if not sample.label or sample.label in known]
    if not any(sample.label for sample in common):
        raise DataError("none of the photos shows a landmark that all of the models know")
    return common


def measure(model: Model, dataset: Dataset, samples: Sequence[Sample]) -> dict[str, Any]:
    """One model's accuracy on the samples."""
    scored = score(model, dataset, samples)
    judged = judge(scored.samples, scored.scores, model.spec.categories)
    report = figures(judged.take(judged.labels < judged.categories), judged)
    return {"photos": len(scored.samples), "input_size": model.spec.input_size, **report}


def images_per_second(models: Sequence[Model], rounds: int = 7) -> list[float]:
    """How many square pictures of its size each network alone takes a second.

    They take turns, a batch each, so that other work on the machine slows all alike; the median
    round counts.
    """
    rng = np.random.default_rng(0)
    counts = [model.engine.batch_size for model in models]
    shapes = [(model.spec.input_size, model.spec.input_size, 3) for model in models]
    batches = [
        rng.integers(0, 256, (count, *shape), dtype=np.uint8)
        for count, shape in zip(counts, shapes, strict=True)
    ]
    seconds = np.empty((1 + rounds, len(models)))
    for turn in seconds:
        for number, (model, pixels) in enumerate(zip(models, batches, strict=True)):
            started = time.perf_counter()
            model.engine.predict(pixels)
            turn[number] = time.perf_counter() - started
    typical = np.median(seconds[1:], axis=0)  # the first warms up
    return [count / float(each) for count, each in zip(counts, typical, strict=True)]


def format_table(rows: dict[str, dict[str, Any]]) -> str:
    """A Markdown table, one model a line."""
    lines = ["| model | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, row in rows.items():
        cells = (_cell(column, row[column]) for column in COLUMNS)
        lines.append("| " + " | ".join((name.replace("|", r"\|"), *cells)) + " |")
    return "\n".join(lines)


def _notes(rows: dict[str, dict[str, Any]]) -> list[str]:
    """What the figures rest on."""
    trained = [f"{name} {row['epochs']}" for name, row in rows.items() if row["epochs"]]
    photos = {row["photos"] for row in rows.values()}
    return [
        f"{' or '.join(str(count) for count in sorted(photos))} photos, negatives included"
        + (f"; epochs trained: {', '.join(trained)}" if trained else "")
    ]


def _cell(column: str, value: float) -> str:
    if column in ("megabytes", "images_per_second"):
        return f"{value:.1f}" if value < 100 else f"{value:.0f}"
    return f"{value:.3f}"


def _parse_entry(text: str) -> Entry:
    name, separator, path = text.partition("=")
    if not separator or not name or not path:
        raise UsageError(f"{text!r} is not NAME=FILE")
    return Entry(name, Path(path))


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise UsageError("nothing to compare: name a --recipe or a --model")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UsageError(f"{', '.join(twice)}: two models of that name")


@click.command("training.compare")
@commands.takes_dataset(seeded=True)
@commands.SPLIT
@click.option(
    "--recipe", "recipes", multiple=True, type=click.Choice(list(RECIPES)),
    help="Train this one into OUT/NAME, unless it is there; repeatable.",
)  # fmt: skip
@click.option("--model", "models", multiple=True, metavar="NAME=FILE", help="A model file.")
@click.option("--built-in/--no-built-in", default=True, help="The model that comes with geotag.")
@commands.INCLUDE
@commands.EPOCHS
@commands.ENGINE
@commands.WEIGHTS
@commands.OUT
def main(
    dataset: Dataset, seed: int, part: str, recipes: tuple[str, ...], models: tuple[str, ...],
    built_in: bool, include: tuple[str, ...], epochs: int | None, engine: str,
    weights: Path | None, out: Path,
) -> None:  # fmt: skip
    """Compare models on the same photos: those of landmarks that all know, and negatives.

    Writes OUT/compare.json, compare.md and compare.png.
    """
    given = [_parse_entry(text) for text in models]
    if built_in:
        given.append(Entry(BUILT_IN, built_in_path()))
    _check_names([*recipes, *(entry.name for entry in given)])
    entries = []
    for name in recipes:
        recipe = find_recipe(name, seed=seed, epochs=epochs)
        job = Job(recipe, dataset, Run(out / name), weights, out / "cache", World())
        job.run.begin(recipe, dataset, job.classes)  # a model of other settings is not this one
        if not job.run.model.is_file():
            train(job)
        entries.append(Entry(name, job.run.model, job.run))
    entries += given
    opened = [Model.open(entry.path, EngineOptions(engine=engine)) for entry in entries]
    samples = common_samples([m.spec for m in opened], select(dataset, part, include))
    rows: dict[str, dict[str, Any]] = {}
    for entry, model, rate in zip(entries, opened, images_per_second(opened), strict=True):
        rows[entry.name] = {
            **measure(model, dataset, samples),
            "categories": len(model.spec.categories),
            "epochs": entry.epochs,
            "megabytes": entry.path.stat().st_size / 1e6,
            "images_per_second": rate,
            "engine": model.engine.description,
        }
    commands.write_json(out / "compare.json", {"data": dataset.fingerprint, "models": rows})
    table = "\n".join([format_table(rows), "", *_notes(rows)])
    (out / "compare.md").write_text(table + "\n")
    plots.plot_bars(
        {f"{name}: {COLUMNS[column]}": row[column] for column in list(COLUMNS)[:4]
         for name, row in rows.items()},
        "Side by side", "share", out / "compare.png",
    )  # fmt: skip
    click.echo(table)


if __name__ == "__main__":
    commands.run(main)
