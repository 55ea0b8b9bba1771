"""Makes the model that comes with geotag: trains, remembers, checks, installs; resumable.

python -m training.release --data DIR --weights PACKAGES --out runs/release
"""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from geotag.categories import load_categories
from geotag.errors import DataError
from geotag.files.atomic import atomic_file
from geotag.model.checkpoint import (
    BUILT_IN,
    Checkpoint,
    built_in_path,
    load_checkpoint,
    read_header,
    save_checkpoint,
)
from geotag.model.known import FILE as KNOWN
from geotag.recognition.model import Model
from training.background import COUNT, embed_background
from training.compare import common_samples
from training.data.dataset import Dataset
from training.data.examples import World
from training.evaluate import evaluate, format_report, judge, measure, select, write_diagrams
from training.fitting.recipes import find_recipe
from training.known import write_known
from training.openset import add_memory, can_remember
from training.prefilter import SIZE, fit_prefilter
from training.reports import commands, plots
from training.reports.card import CARD, Bar, Report, bars_of, size_bar, with_tables
from training.reports.inference import score
from training.reports.runs import Run
from training.train import Job, train

DIAGRAMS = "model_card"


class Release(NamedTuple):
    """What is to be made: by which training run, from the last model on, in which folder.

    Each of `groups` is a glob of landmark photos that are judged apart, "" all of them.
    """

    job: Job
    last: Path
    groups: tuple[str, ...]
    size: int
    folder: Path

    @property
    def dataset(self) -> Dataset:
        return self.job.dataset

    def file(self, group: str, name: str) -> Path:
        """Where something about a group of photos is kept."""
        return self.folder / (re.sub(r"\W+", "-", group).strip("-") or "all") / name


def _remember(checkpoint: Checkpoint, release: Release) -> Checkpoint:
    if not can_remember(checkpoint):
        click.echo(f"{checkpoint.spec.architecture} ends in no embedding: it gets no memory")
        return checkpoint
    return add_memory(checkpoint, release.dataset, release.job.cache, release.job.recipe.seed)


def _store_background(checkpoint: Checkpoint, release: Release) -> Checkpoint:
    tensors, _ = embed_background(checkpoint, release.dataset, COUNT, release.job.recipe.seed)
    return checkpoint._replace(tensors=tensors)


def _fit_prefilter(checkpoint: Checkpoint, release: Release) -> Checkpoint:
    return checkpoint.with_spec(fit_prefilter(checkpoint, release.dataset, release.size)[0])


# After training, in this order: the memory calibrates anew, the prefilter needs the calibration.
STEPS: dict[str, Callable[[Checkpoint, Release], Checkpoint]] = {
    "memory": _remember,
    "background": _store_background,
    "prefilter": _fit_prefilter,
}


def make(release: Release) -> Path:
    """The new model's file. What an earlier, killed run has finished is not done again."""
    job = release.job
    job.run.begin(job.recipe, job.dataset, job.classes)
    path = job.run.model
    if not path.is_file():
        train(job)
    for number, (name, step) in enumerate(STEPS.items(), 1):
        made = release.folder / f"{number}-{name}.safetensors"
        if not made.is_file():
            click.echo(f"{name}: from {path}")
            found = step(load_checkpoint(path), release)
            save_checkpoint(made, found.spec, found.tensors)
        path = made
    return path


def check(path: Path, release: Release) -> list[Bar]:
    """The bars that the new model has to hold, on validation photos that the last one knows too."""
    models = {"new": Model.open(path), "last": Model.open(release.last)}
    specs = [model.spec for model in models.values()]
    bars = [size_bar(path.stat().st_size)]
    for group in release.groups:
        chosen = select(release.dataset, "val", [group] if group else ())
        samples = common_samples(specs, chosen)
        reports: dict[str, Report] = {}
        for name, model in models.items():
            kept = release.file(group, f"{model.name}.json")
            if not kept.is_file():
                scored = score(model, release.dataset, samples)
                judged = judge(scored.samples, scored.scores, model.spec.categories)
                commands.write_json(kept, measure(judged, model.spec))
            reports[name] = json.loads(kept.read_text("utf-8"))
        bars += bars_of(group or "all photos", reports["new"], reports["last"])
    return bars


def missing(path: Path, last: Path, table: Path | None) -> list[str]:
    """What the new model lacks: landmarks of the last one, and rows of the landmark table."""
    new, old = (set(read_header(each).spec.categories) for each in (path, last))
    rows = {category.slug for category in load_categories(table)}
    problems = {
        "does not know what the last model knew": old - new,
        "knows what the landmark table lacks": new - rows,
    }
    return [f"{what}: {', '.join(sorted(slugs))}" for what, slugs in problems.items() if slugs]


def draw_card(path: Path, release: Release) -> dict[str, Report]:
    """The diagrams of the model card, and the reports of its figures, on the test photos."""
    model = Model.open(path)
    reports: dict[str, Report] = {}
    for group in release.groups:
        kept = release.file(group, f"test-{model.name}.json")
        if not kept.is_file():
            samples = select(release.dataset, "test", [group] if group else ())
            judged, report = evaluate(model, release.dataset, samples)
            write_diagrams(judged, model.spec, kept.parent)
            commands.write_json(kept, report)
            click.echo(format_report(report))
        reports[group or "all photos"] = json.loads(kept.read_text("utf-8"))
    _draw_loss(release)
    return reports


def _draw_loss(release: Release) -> None:
    """The loss of each part, or of the whole where there are none."""
    job = release.job
    curves = {}
    for name in job.recipe.parts or ("",):
        rows = list(csv.DictReader((job.run.folder / name / "log.csv").open(encoding="utf-8")))
        epochs = [int(row["epoch"]) for row in rows]
        for kind in ("train", "val"):
            losses = [float(row[f"{kind}_loss"]) for row in rows]
            curves[f"{name} {kind}".strip()] = (epochs, losses)
    plots.plot_curves(
        curves, "Loss: cross-entropy, mean over photos", ("epoch", "nats"),
        release.file(release.groups[0], "loss.png"),
    )  # fmt: skip


def install(path: Path, release: Release, table: Path | None, into: Path) -> None:
    """Put the model, its diagrams and figures into a package's folder, the weights last."""
    reports = draw_card(path, release)
    (into / DIAGRAMS).mkdir(parents=True, exist_ok=True)
    for diagram in sorted(release.file(release.groups[0], "").glob("*.png")):
        _put(diagram, into / DIAGRAMS / diagram.name)
    if (into / CARD).is_file():
        card = (into / CARD).read_text("utf-8")
        with atomic_file(into / CARD) as file:
            file.write(with_tables(card, reports, "test").encode())
    if table is not None:
        _put(table, into / "categories.json")
    write_known(Model.open(path), release.dataset, into / KNOWN)
    _put(path, into / BUILT_IN)


def _put(source: Path, target: Path) -> None:
    with source.open("rb") as data, atomic_file(target) as file:
        shutil.copyfileobj(data, file)


def _tell(bars: Sequence[Bar], problems: Sequence[str], folder: Path) -> None:
    record: Mapping[str, Any] = {
        "bars": [bar._asdict() | {"is_held": bar.is_held} for bar in bars],
        "missing": problems,
    }
    commands.write_json(folder / "check.json", record)
    click.echo("\n".join(map(str, [*bars, *problems])))


@click.command("training.release")
@commands.RECIPE
@commands.takes_dataset(seeded=True)
@commands.WEIGHTS
@commands.OUT
@click.option(
    "--last", type=click.Path(dir_okay=False, path_type=Path),
    help="The model that the new one must not be worse than. [default: the built-in one]",
)  # fmt: skip
@click.option(
    "--include",
    multiple=True,
    metavar="GLOB",
    help="Judge the landmark photos that match by themselves, with all negatives; repeatable.",
)
@click.option("--size", default=SIZE, show_default=True, help="Pixels of the prefilter's input.")
@click.option(
    "--categories", "table", type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="Landmark table to install beside the model. [default: the one that is there]",
)  # fmt: skip
@click.option(
    "--into", type=click.Path(file_okay=False, path_type=Path),
    help="Package folder to install into. [default: this one's]",
)  # fmt: skip
@click.option("--install/--no-install", "installs", default=True, help="Or make and check only.")
@click.option("--force", is_flag=True, help="Install although a bar is not held.")
def main(
    name: str, dataset: Dataset, seed: int, weights: Path | None, out: Path, last: Path | None,
    include: tuple[str, ...], size: int, table: Path | None, into: Path | None, installs: bool,
    force: bool,
) -> None:  # fmt: skip
    """Make the model that comes with geotag.

    Trains by the recipe, gives the model its memory, its background and its prefilter, checks it
    against the last model on the validation photos, judges it on the test photos, and installs
    weights, landmark table, figures and diagrams of the model card. Every step leaves its result
    in OUT; killed at any moment, the same command goes on and ends with the same files.
    """
    recipe = find_recipe(name, seed=seed)
    run = Run(out / "train")
    job = Job(recipe, dataset, run, weights, run.folder / "cache", World())
    release = Release(job, _kept(last or built_in_path(), out), include or ("",), size, out)
    path = make(release)
    bars, problems = check(path, release), missing(path, release.last, table)
    _tell(bars, problems, out)
    failing = [bar.name for bar in bars if not bar.is_held] + [
        p.partition(":")[0] for p in problems
    ]
    if failing and not force:
        raise DataError(
            f"{path}: not installed: {'; '.join(failing)} (see {out / 'check.json'}); train a "
            "better one, or install it with --force"
        )
    if installs:
        into = into or built_in_path().parent
        install(path, release, table, into)
        click.echo(f"{into / BUILT_IN}: {path.stat().st_size / 1e6:.1f} MB")


def _kept(last: Path, out: Path) -> Path:
    """A copy of the last model in the run's folder: the new one may take its place in the end."""
    copy = out / "last.safetensors"
    if not copy.is_file():
        out.mkdir(parents=True, exist_ok=True)
        load_checkpoint(last)
        _put(last, copy)
    return copy


if __name__ == "__main__":
    commands.run(main)
