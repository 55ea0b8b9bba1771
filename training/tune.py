"""Searches learning rate, optimiser, batch size and augmentation with Optuna.

python -m training.tune --recipe NAME --data DIR --out runs/tune --trials 20
"""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geotag.errors import DataError, MissingDependencyError
from training import commands, plots
from training.augment import FLIP_AND_CROP, Augmentation
from training.examples import World
from training.recipes import RECIPES, Recipe, find_recipe
from training.runs import Run
from training.train import Job, train

if TYPE_CHECKING:
    from optuna import Study, Trial

AUGMENTATIONS = {"none": None, "flip-and-crop": FLIP_AND_CROP, "full": Augmentation()}


def suggest(recipe: Recipe, trial: Trial) -> Recipe:
    """The recipe with the settings that a trial tries."""
    rate = trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True)
    augmentation = trial.suggest_categorical("augmentation", list(AUGMENTATIONS))
    return replace(
        recipe,
        learning_rate=rate,
        head_learning_rate=rate if recipe.head_learning_rate is not None else None,
        optimiser=trial.suggest_categorical("optimiser", ["sgd", "adam", "adamw"]),
        batch_size=trial.suggest_categorical("batch_size", [16, 32, 64, 128]),
        augmentation=AUGMENTATIONS[augmentation],
    )


def best_loss(run: Run) -> float:
    """The lowest validation loss of a finished run. Raises DataError when it has none."""
    with (run.folder / "log.csv").open(newline="") as file:
        losses = [float(row["val_loss"]) for row in csv.DictReader(file)]
    finite = [loss for loss in losses if math.isfinite(loss)]
    if not finite:
        raise DataError(f"{run.folder}: no validation loss: are there val photos?")
    return min(finite)


def search(job: Job, trials: int, seed: int) -> Study:
    """Run trials until there are so many; those of an earlier, interrupted search count.

    Optuna's tree-structured Parzen estimator (Bergstra et al., NIPS 2011), seeded; the study is
    kept in SQLite below the job's folder. Raises MissingDependencyError.
    """
    try:
        import optuna
    except ImportError:
        raise MissingDependencyError("tuning", "train") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=job.recipe.name,
        storage=f"sqlite:///{(job.run.folder / 'study.db').resolve()}",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=seed),
    )

    def objective(trial: Trial) -> float:
        recipe = suggest(job.recipe, trial)
        run = Run(job.run.folder / f"trial{trial.number:03}")
        train(job._replace(recipe=recipe, run=run))
        loss = best_loss(run)
        click.echo(f"trial {trial.number}: loss {loss:.4f}, {trial.params}")
        return loss

    finished = sum(t.state.is_finished() for t in study.trials)
    study.optimize(objective, n_trials=max(0, trials - finished), catch=(FloatingPointError,))
    return study


def report(study: Study, out: Path) -> dict[str, Any]:
    """best.json, trials.csv's like in JSON, and the losses as a diagram."""
    finished = [trial for trial in study.trials if trial.value is not None]
    numbers = [trial.number for trial in finished]
    losses = [trial.value for trial in finished]
    best = [min(losses[: at + 1]) for at in range(len(losses))]
    plots.plot_curves(
        {"trial": (numbers, losses), "best so far": (numbers, best)},
        "Validation loss", ("trial", "loss"), out / "tune.png",
    )  # fmt: skip
    document = {
        "best": {"trial": study.best_trial.number, "loss": study.best_value, **study.best_params},
        "trials": [{"trial": t.number, "loss": t.value, **t.params} for t in finished],
    }
    commands.write_json(out / "tune.json", document)
    return document


@click.command("training.tune")
@click.option("--recipe", "name", required=True, type=click.Choice(list(RECIPES)))
@commands.data_options
@click.option("--trials", default=20, show_default=True, type=click.IntRange(1))
@click.option("--epochs", type=click.IntRange(1), help="Of each trial, instead of the recipe's.")
@click.option(
    "--weights", type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the packages with pretrained weights.",
)  # fmt: skip
@commands.OUT
def main(
    name: str, data: Path, exclude: Path | None, scheme: str, by: str, seed: int, trials: int,
    epochs: int | None, weights: Path | None, out: Path,
) -> None:  # fmt: skip
    """Search for better settings of a recipe.

    Each trial is a training run in OUT/trialNNN, judged by its lowest validation loss. Run the
    same command again to go on. Writes OUT/tune.json and tune.png.
    """
    recipe = replace(find_recipe(name), seed=seed)
    if epochs is not None:
        recipe = replace(recipe, epochs=epochs)
    if recipe.parts:
        raise DataError(f"recipe {name} joins others: tune {' or '.join(recipe.parts)}")
    dataset = commands.read_data(data, exclude, scheme, by, seed)
    job = Job(recipe, dataset, Run(out), weights, out / "cache", World())
    best = report(search(job, trials, seed), out)["best"]
    click.echo(f"best: trial {best['trial']}, loss {best['loss']:.4f}; see {out / 'tune.json'}")


if __name__ == "__main__":
    commands.run(main)
