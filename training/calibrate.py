"""Fits a model file's temperature and thresholds on validation photos, negatives among them.

python -m training.calibrate --model model.safetensors --data DIR
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from geotag.decision import probabilities
from geotag.model.checkpoint import save_checkpoint
from geotag.model.spec import ModelSpec, Threshold
from geotag.recognition.model import Model
from training.data.dataset import Dataset, Sample
from training.reports import commands, metrics
from training.reports.inference import score
from training.reports.shares import shares_of, without_own

PRECISIONS = (0.9, 0.95, 0.98, 0.99, 0.995)
MARGIN = 1.0  # standard errors that a threshold must hold by
# The share of photos with a known landmark that the thresholds are for. Validation sets hold mostly
# landmarks, people's libraries mostly other things, and a threshold must hold for the latter.
LANDMARK_SHARE = 0.5
_TEMPERATURES = np.exp(np.linspace(np.log(0.2), np.log(5.0), 161))


class Calibration(NamedTuple):
    """The divisor of the logits, and the least confidence for each precision."""

    temperature: float
    thresholds: tuple[Threshold, ...]


def fit_calibration(logits: NDArray[np.float32], labels: NDArray[np.intp]) -> Calibration:
    """From logits (N, K + 1) and labels (N,); whatever is no category has the label K.

    The temperature has the least negative log-likelihood (Guo et al., 2017). For the thresholds,
    photos without a known landmark count so often that landmarks are LANDMARK_SHARE of all. A
    precision that the photos do not prove, by Wilson's lower bound, has no threshold.
    """
    temperature = fit_temperature(logits, labels)
    rows = _as_in_a_library(labels, logits.shape[1] - 1)
    scores, labels = probabilities(logits[rows], temperature)[:, :-1], labels[rows]
    predicted = scores.argmax(axis=1)
    confidence, correct = scores.max(axis=1), predicted == labels
    found = (
        (precision, metrics.threshold_for_precision(confidence, correct, precision, margin=MARGIN))
        for precision in PRECISIONS
    )
    points = {p: point.confidence for p, point in found if point is not None}
    rising = accumulate(points.values(), max)  # a higher precision never asks for less confidence
    return Calibration(temperature, tuple(map(Threshold, points, rising)))


def _as_in_a_library(labels: NDArray[np.intp], background: int) -> NDArray[np.intp]:
    """All rows, those of the background repeated until landmarks are no more than their share."""
    others = np.flatnonzero(labels == background)
    landmarks = len(labels) - len(others)
    wanted = landmarks * (1 / LANDMARK_SHARE - 1)
    times = max(1, round(wanted / len(others))) if len(others) else 1
    return np.concatenate([np.arange(len(labels)), np.repeat(others, times - 1)])


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.intp]) -> float:
    """The divisor of logits (N, K + 1) with the least negative log-likelihood of labels (N,)."""
    rows = np.arange(len(labels))
    losses = [
        -np.log(np.maximum(probabilities(logits, t)[rows, labels], 1e-12)).mean()
        for t in _TEMPERATURES
    ]
    return float(_TEMPERATURES[int(np.argmin(losses))])


def calibrate(model: Model, dataset: Dataset) -> ModelSpec:
    """The model's spec, calibrated on the validation photos as its engine scores them.

    Photos of landmarks that the model does not know count as none. How sure it is of those is
    measured by leaving out each photo's own; with a memory, training.openset does that. Raises
    DataError when there are no validation photos.
    """
    spec = model.spec
    scored = score(model, dataset, dataset.validation())
    labels = label_indices(scored.samples, spec.categories)
    fitted = fit_calibration(scored.logits, labels)
    spec = spec._replace(temperature=fitted.temperature, thresholds=fitted.thresholds)
    if model.checkpoint.memory:  # which would have to be left out of too
        return spec
    is_known = labels < len(spec.categories)
    left_out = without_own(scored.logits[is_known], labels[is_known])
    return spec._replace(shares=shares_of(scored.logits, left_out, labels, spec))


def label_indices(samples: Sequence[Sample], categories: Sequence[str]) -> NDArray[np.intp]:
    """Each sample's category, len(categories) for what is none of them."""
    index = {slug: number for number, slug in enumerate(categories)}
    return np.array([index.get(s.label, len(index)) for s in samples], np.intp)


@click.command("training.calibrate")
@commands.takes_dataset()
@commands.REPLACED
def main(path: Path, dataset: Dataset) -> None:
    """Fit temperature and thresholds of a model file anew."""
    model = Model.open(path)
    spec = calibrate(model, dataset)
    save_checkpoint(path, spec, model.checkpoint.tensors)
    click.echo(f"temperature {spec.temperature:.3f}")
    for precision, confidence in spec.thresholds:
        click.echo(f"precision {precision:g}: confidence {confidence:.3f}")
    if not spec.thresholds:
        click.echo(
            f"{path}: the validation photos prove no precision, so the model has no thresholds; "
            "scan with a --threshold, or calibrate on more photos",
            err=True,
        )


if __name__ == "__main__":
    commands.run(main)
