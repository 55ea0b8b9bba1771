"""Measures `geotag landmarks add` on landmarks that a model was never trained on.

python -m training.fewshot --recipe NAME --data DIR --out runs/fewshot
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from geotag.errors import CheckpointError, DataError
from geotag.model.checkpoint import Checkpoint, load_checkpoint
from geotag.model.spec import PRECISION, ModelSpec
from geotag.recognition.landmarks import LEAST_PHOTOS, MOST_PHOTOS, add_landmark
from geotag.recognition.model import Model
from training.background import COUNT, embed_background
from training.data.dataset import Dataset, Sample, build_dataset, draw
from training.data.examples import World
from training.evaluate import Judged, judge, select
from training.fitting.recipes import find_recipe
from training.prefilter import fit_prefilter, score_stages
from training.reports import commands
from training.reports.inference import read_good, score
from training.reports.runs import Run
from training.train import Job, train


def choose_labels(dataset: Dataset, count: int, least: int, seed: int) -> list[str]:
    """Random classes with at least `least` train photos and a photo to judge by."""
    train_labels = [sample.label for sample in dataset.of("train")]
    judged = {sample.label for sample in dataset.samples if sample.split != "train"}
    fitting = [c for c in dataset.classes if train_labels.count(c) >= least and c in judged]
    if len(fitting) < count:
        raise DataError(f"{dataset.root}: {len(fitting)} classes have {least} train photos")
    return draw(fitting, count, np.random.default_rng(seed))


def without(dataset: Dataset, labels: Sequence[str]) -> Dataset:
    """The set less all photos of these labels."""
    return build_dataset(dataset.root, (s for s in dataset.samples if s.label not in labels))


def teach(
    checkpoint: Checkpoint, dataset: Dataset, labels: Sequence[str], shots: int, seed: int
) -> tuple[Checkpoint, float]:
    """A model with each of the labels added from `shots` random train photos of it.

    Also the mean of the recalls that `landmarks add` estimates, NaN where it estimates none.
    """
    rng = np.random.default_rng(seed)
    estimated = []
    for label in labels:
        samples = [sample for sample in dataset.of("train") if sample.label == label]
        spec = checkpoint.spec
        _, pixels, _ = read_good(dataset, draw(samples, shots, rng), spec.input_size, spec.fit)
        added = add_landmark(checkpoint, label, pixels)
        checkpoint = checkpoint.with_spec(added.spec).with_tensors(added.tensors)
        estimated.append(math.nan if added.recall is None else added.recall)
    return checkpoint, float(np.mean(estimated))


def judge_own(checkpoint: Checkpoint, dataset: Dataset, samples: Sequence[Sample]) -> Judged:
    """The model's predictions, with each label either a category or an added one."""
    scored = score(Model(checkpoint), dataset, samples)
    own = {category.slug: category.name for category in checkpoint.spec.own_categories}
    categories = [own.get(slug, slug) for slug in checkpoint.spec.categories]
    return judge(scored.samples, scored.scores, categories)


def figures(judged: Judged, own: int, threshold: float) -> dict[str, Any]:
    """How the last `own` categories fare, each counting alike, and the others beside them."""
    first = judged.categories - own
    tagged = judged.confidence >= threshold
    is_own = (judged.labels >= first) & (judged.labels < judged.categories)
    per_class = [judged.labels == first + at for at in range(own)]
    own_tags = tagged & (judged.predicted >= first)
    known = judged.labels < first
    return {
        "top1": _mean_of_means(judged.correct, per_class),
        "recall": _mean_of_means(judged.correct & tagged, per_class),
        "precision": float(judged.correct[own_tags].mean()) if own_tags.any() else None,
        "wrong_own_tags": int((own_tags & ~judged.correct).sum()),
        "photos": int(is_own.sum()),
        "known_top1": float(judged.correct[known].mean()) if known.any() else None,
        "known_recall": float((judged.correct & tagged)[known].mean()) if known.any() else None,
    }


def cascade_figures(
    checkpoint: Checkpoint, dataset: Dataset, samples: Sequence[Sample], threshold: float
) -> dict[str, Any]:
    """What the prefilter does to thumbnails of added landmarks, and of no landmark."""
    least = checkpoint.spec.prefilter_for(threshold)
    if not least:
        return {"tags": None, "tags_lost": None, "negatives_passing": None}
    scores = score_stages(checkpoint, dataset, samples)
    tagged = ~scores.is_negative & (scores.confidences >= threshold)
    passing = scores.thumbnails >= least
    negatives = passing[scores.is_negative]
    return {
        "tags": int(tagged.sum()),
        "tags_lost": int((tagged & ~passing).sum()),
        "negatives_passing": float(negatives.mean()) if len(negatives) else None,
    }


def _mean_of_means(values: np.ndarray[Any, Any], masks: Sequence[np.ndarray[Any, Any]]) -> float:
    means = [values[mask].mean() for mask in masks if mask.any()]
    return float(np.mean(means)) if means else float("nan")


def _threshold(spec: ModelSpec) -> float:
    """Where tags begin that are right 99 times in 100. Raises DataError where none begin."""
    try:
        return spec.threshold_for(PRECISION)
    except CheckpointError:
        raise DataError(
            f"the trained model reaches no precision of {PRECISION:g} on the val photos, so there "
            "are no tags to measure: train longer, or choose another --recipe"
        ) from None


@click.command("training.fewshot")
@commands.RECIPE
@commands.takes_dataset(seeded=True)
@commands.SPLIT
@click.option(
    "--classes", default=20, show_default=True, type=click.IntRange(1),
    help="Random classes to leave out.",
)  # fmt: skip
@click.option(
    "--shots", multiple=True, type=click.IntRange(LEAST_PHOTOS, MOST_PHOTOS),
    default=(1, 2, 3, 5, 10, 20), show_default=True,
    help="How many examples to learn from; repeatable.",
)  # fmt: skip
@commands.EPOCHS
@commands.WEIGHTS
@commands.OUT
def main(
    name: str, dataset: Dataset, seed: int, part: str, classes: int, shots: tuple[int, ...],
    epochs: int | None, weights: Path | None, out: Path,
) -> None:  # fmt: skip
    """Measure how well landmarks are learned from a few photos.

    Trains the recipe without random classes, adds each of them from a few of its train photos,
    all to one model, and judges the model on the split. Writes OUT/fewshot.json.
    """
    recipe = find_recipe(name, seed=seed, epochs=epochs)
    labels = choose_labels(dataset, classes, max(shots), seed)
    reduced = without(dataset, labels)
    run = Run(out / "run")
    train(Job(recipe, reduced, run, weights, out / "cache", World()))
    checkpoint = load_checkpoint(run.model)
    threshold = _threshold(checkpoint.spec)
    tensors, _ = embed_background(checkpoint, reduced, COUNT, seed)
    checkpoint = checkpoint._replace(tensors=tensors)
    spec, _ = fit_prefilter(checkpoint, reduced)
    checkpoint = checkpoint.with_spec(spec)
    samples = select(dataset, part, ())
    own_or_none = [sample for sample in samples if sample.label in (*labels, "")]
    report: dict[str, Any] = {"labels": labels, "split": part, "threshold": threshold, "shots": {}}
    for count in sorted(shots):
        taught, estimated = teach(checkpoint, dataset, labels, count, seed)
        judged = judge_own(taught, dataset, samples)
        result = {
            **figures(judged, len(labels), threshold),
            "estimated_recall": estimated,
            **cascade_figures(taught, dataset, own_or_none, threshold),
        }
        report["shots"][str(count)] = result
        click.echo(
            f"{count:3} photos: top-1 {result['top1']:.3f}, tagged rightly {result['recall']:.3f} "
            f"(estimated {estimated:.3f}), {result['wrong_own_tags']} wrong tags, "
            f"{result['tags_lost']} tags lost by the prefilter"
        )
    commands.write_json(out / "fewshot.json", report)


if __name__ == "__main__":
    commands.run(main)
