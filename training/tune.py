"""Searches learning rate, optimiser, batch size and augmentation with Optuna.

python -m training.tune --recipe NAME --data DIR --out runs/tune --trials 20
"""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geotag.errors import DataError, GeotagError, MissingDependencyError
from training.data.augment import FLIP_AND_CROP, Augmentation
from training.data.dataset import Dataset
from training.data.examples import World
from training.fitting.recipes import Recipe, find_recipe
from training.reports import commands, plots
from training.reports.runs import Run
from training.train import Job, train

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import BaseTrial

AUGMENTATIONS = {"none": None, "flip-and-crop": FLIP_AND_CROP, "full": Augmentation()}
OPTIMISERS = ("sgd", "adam", "adamw")
BATCH_SIZES = (16, 32, 64, 128)
RATES = (1e-5, 1e-1)


def suggest(recipe: Recipe, trial: BaseTrial) -> Recipe:
    """The recipe with the settings that a trial tries."""
    rate = trial.suggest_float("learning_rate", *RATES, log=True)
    augmentation = trial.suggest_categorical("augmentation", tuple(AUGMENTATIONS))
    optimiser: Any = trial.suggest_categorical("optimiser", OPTIMISERS)
    return replace(
        recipe,
        learning_rate=rate,
        head_learning_rate=rate if recipe.head_learning_rate is not None else None,
        optimiser=optimiser,
        batch_size=trial.suggest_categorical("batch_size", BATCH_SIZES),
        augmentation=AUGMENTATIONS[augmentation],
    )


def own_settings(recipe: Recipe) -> dict[str, Any]:
    """The recipe's own settings, as far as they are within the search."""
    own: dict[str, Any] = {"learning_rate": recipe.learning_rate, "optimiser": recipe.optimiser}
    if recipe.batch_size in BATCH_SIZES:
        own["batch_size"] = recipe.batch_size
    for name, augmentation in AUGMENTATIONS.items():
        if augmentation == recipe.augmentation:
            own["augmentation"] = name
    return own


def losses_of(run: Run) -> list[float]:
    """The validation losses of a run that are numbers; none of one that diverged at once."""
    with (run.folder / "log.csv").open(newline="") as file:
        losses = [float(row["val_loss"]) for row in csv.DictReader(file)]
    return [loss for loss in losses if math.isfinite(loss)]


def search(job: Job, trials: int, seed: int) -> Study:
    """Run trials until there are so many; those of an earlier search count.

    The first has the recipe's own settings. The next are by Optuna's tree-structured Parzen
    estimator (Bergstra et al., NIPS 2011), with a seed for each trial, so that a search that was
    interrupted goes on as if it had not been. A trial that was killed is finished first. The
    study is kept in SQLite in the job's folder. Raises MissingDependencyError, and DataError
    without val photos, when every trial diverges, or when the folder holds a search over another
    set or other settings, whose losses are not comparable.
    """
    if not job.dataset.of("val"):
        raise DataError(f"{job.dataset.root}: no val photos to judge the trials by")
    try:
        import optuna
    except ImportError:
        raise MissingDependencyError("tuning", "train") from None
    job.run.begin(job.recipe, job.dataset, job.classes)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=job.recipe.name,
        storage=f"sqlite:///{(job.run.folder / 'study.db').resolve()}",
        load_if_exists=True,
    )
    if not study.trials:
        study.enqueue_trial(own_settings(job.recipe))
    for killed in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        _finish(job, study, killed.number, optuna.trial.FixedTrial(killed.params, killed.number))
    while (number := _begun(study)) < trials:
        study.sampler = optuna.samplers.TPESampler(seed=seed * 1_000_003 + number)
        trial = study.ask()
        _finish(job, study, trial.number, trial)
    if all(trial.value is None for trial in study.trials):
        raise DataError(f"{job.run.folder}: every trial diverged")
    return study


def _begun(study: Study) -> int:
    from optuna.trial import TrialState

    return sum(trial.state != TrialState.WAITING for trial in study.trials)


def _finish(job: Job, study: Study, number: int, trial: BaseTrial) -> None:
    """Train with a trial's settings, or go on with that, and note what came of it."""
    from optuna.trial import TrialState

    run = Run(job.run.folder / f"trial{number:03}")
    try:
        recipe = suggest(job.recipe, trial)
    except ValueError:  # killed before its settings were written down
        study.tell(number, state=TrialState.FAIL)
        return
    try:
        train(job._replace(recipe=recipe, run=run))
    except (GeotagError, RuntimeError):  # no weights to save when every loss is not a number
        if not (run.folder / "log.csv").is_file() or losses_of(run):
            raise
    if losses := losses_of(run):
        study.tell(number, min(losses))
        click.echo(f"trial {number}: loss {min(losses):.4f}, {trial.params}")
    else:
        study.tell(number, state=TrialState.FAIL)
        click.echo(f"trial {number}: diverged, {trial.params}")


def report(study: Study, out: Path) -> dict[str, Any]:
    """The best settings and all trials, as written to tune.json, and the losses as a diagram."""
    finished = [(trial, trial.value) for trial in study.trials if trial.value is not None]
    _draw([trial.number for trial, _ in finished], [loss for _, loss in finished], out / "tune.png")
    document = {
        "best": {"trial": study.best_trial.number, "loss": study.best_value, **study.best_params},
        "trials": [{"trial": t.number, "loss": loss, **t.params} for t, loss in finished],
    }
    commands.write_json(out / "tune.json", document)
    return document


def _draw(numbers: list[int], losses: list[float], path: Path) -> None:
    with plots.drawn(path) as figure:
        axes = figure.subplots()
        axes.plot(numbers, losses, "o", label="trial")
        axes.step(numbers, list(accumulate(losses, min)), where="post", label="best so far")
        axes.locator_params(axis="x", integer=True)
        axes.set(title="Lowest validation loss", xlabel="trial", ylabel="cross-entropy (nats)")
        axes.legend()


@click.command("training.tune")
@commands.RECIPE
@commands.takes_dataset(seeded=True)
@click.option("--trials", default=20, show_default=True, type=click.IntRange(1))
@commands.EPOCHS
@commands.WEIGHTS
@commands.OUT
def main(
    name: str, dataset: Dataset, seed: int, trials: int, epochs: int | None, weights: Path | None,
    out: Path,
) -> None:  # fmt: skip
    """Search for better settings of a recipe.

    Each trial is a training run in OUT/trialNNN, judged by its lowest validation loss; trial 0 has
    the recipe's own settings. Run the same command again to go on, with more --trials to go
    further. Writes OUT/tune.json and tune.png.
    """
    recipe = find_recipe(name, seed=seed, epochs=epochs)
    if recipe.parts:
        raise DataError(f"recipe {name} joins others: tune {' or '.join(recipe.parts)}")
    job = Job(recipe, dataset, Run(out), weights, out / "cache", World())
    best = report(search(job, trials, seed), out)["best"]
    click.echo(f"best: trial {best['trial']}, loss {best['loss']:.4f}; see {out / 'tune.json'}")


if __name__ == "__main__":
    commands.run(main)
