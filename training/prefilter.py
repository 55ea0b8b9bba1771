"""Fits the thresholds of the prefilter, the first stage of a scan's cascade.

python -m training.prefilter --model model.safetensors --data DIR

The prefilter is one of the model's own backbones, under its own share of the classifier. A scan
runs it on a photo's embedded thumbnail, or on the photo where it has none, and goes no further
where it sees too little of any landmark. Its threshold for thumbnails is the highest that nearly
all validation photos pass that would be tagged, those of landmarks known from small photos alone
among them. That for photos without a thumbnail is so low that hardly any is rejected that would be
named rightly, tagged or not. Run it after the calibration.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from geotag.decoding.thumbnails import CAMERAS, Camera, thumbnail
from geotag.decoding.transforms import preprocess, shrink
from geotag.engines.base import EngineOptions
from geotag.errors import DataError
from geotag.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from geotag.model.spec import ModelSpec, Prefilter, Threshold
from geotag.recognition.model import Model
from training.calibrate import label_indices
from training.data.dataset import Dataset, Sample
from training.reports import commands
from training.reports.inference import Pixels, read_good

# What the backbones were trained on. Enlarged to it, a thumbnail shows them far better which photos
# to leave unread than at its own size; more pixels cost more than the photos that they reject.
SIZE = 192
LOSS = 0.005  # the share that may be lost of tags, half of what is promised, and of right names
LEAST_TAGS = 100  # fewer tell nothing of so small a share
HIGHEST = Prefilter._field_defaults["photo_threshold"]  # of the thresholds for decoded photos
# The backbone that is the prefilter of a network of several: the faster one.
_BACKBONES = {"lite1_pplcnetv2": ("pplcnetv2", 1)}


class Scores(NamedTuple):
    """What both stages make of validation photos, each (N,).

    `confidences` are the full network's greatest of any category; `photos` and `thumbnails` the
    prefilter's probabilities of a landmark, of thumbnails the lower of the cameras'; `is_negative`
    tells which are labelled as no landmark, `is_right` where the first category is the label.
    """

    confidences: NDArray[np.float64]
    photos: NDArray[np.float64]
    thumbnails: NDArray[np.float64]
    is_negative: NDArray[np.bool_]
    is_right: NDArray[np.bool_]


def score_stages(checkpoint: Checkpoint, dataset: Dataset, samples: Sequence[Sample]) -> Scores:
    """Run both stages on the samples as a scan does. Raises DataError when none can be read."""
    options = EngineOptions(device="cpu")
    full, small = Model(checkpoint, options), Model(checkpoint.prefilter(), options)
    size = small.spec.input_size
    good, pictures, _ = read_good(dataset, samples, full.spec.input_size, full.spec.fit)
    scores = full.scores(pictures)[:, :-1]
    thumbnails = [
        _probability(small, (_as_thumbnail(dataset.file(s), camera, size) for s in good))
        for camera in CAMERAS
    ]
    return Scores(
        scores.max(1),
        _probability(small, (shrink(picture, size) for picture in pictures)),
        np.min(thumbnails, axis=0),
        np.array([not sample.label for sample in good]),
        scores.argmax(1) == label_indices(good, full.spec.categories),
    )


def _probability(model: Model, pictures: Iterable[Pixels]) -> NDArray[np.float64]:
    """That each picture shows any landmark."""
    return 1 - model.scores(pictures)[:, -1]


def _as_thumbnail(file: Path, camera: Camera, size: int) -> Pixels:
    with Image.open(file) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    return preprocess(thumbnail(upright, camera), size)


def fit_thumbnail_thresholds(
    scores: Scores, thresholds: Sequence[Threshold], loss: float = LOSS
) -> tuple[Threshold, ...]:
    """The greatest for each precision that loses at most `loss` of the tags."""
    fitted = []
    for precision, confidence in thresholds:
        tagged = np.sort(scores.thumbnails[scores.confidences >= confidence])
        if len(tagged) >= LEAST_TAGS:
            fitted.append(Threshold(precision, float(tagged[int(loss * len(tagged))])))
    return tuple(fitted)


def fit_photo_threshold(scores: Scores, loss: float = LOSS) -> float:
    """The greatest, HIGHEST at most, that rejects at most `loss` of what is named rightly.

    0 where there are too few photos to tell.
    """
    named = np.sort(scores.photos[scores.is_right])
    if len(named) < LEAST_TAGS:
        return 0.0
    return float(min(HIGHEST, named[int(loss * len(named))]))


def fit_prefilter(
    checkpoint: Checkpoint, dataset: Dataset, size: int = SIZE
) -> tuple[ModelSpec, Scores]:
    """The spec with a prefilter at `size` pixels, and the scores that it was fitted to.

    Raises DataError when there are no validation photos.
    """
    spec = checkpoint.spec
    prefilter = Prefilter(size, (), *_BACKBONES.get(spec.architecture, ("", 0)))
    with_prefilter = checkpoint.with_spec(spec._replace(prefilter=prefilter))
    scores = score_stages(with_prefilter, dataset, dataset.validation())
    prefilter = prefilter._replace(
        thresholds=fit_thumbnail_thresholds(scores, spec.thresholds),
        photo_threshold=fit_photo_threshold(scores),
    )
    return spec._replace(prefilter=prefilter), scores


@click.command("training.prefilter")
@commands.takes_dataset()
@commands.REPLACED
@click.option("--size", default=SIZE, show_default=True, help="Pixels of the prefilter's input.")
def main(path: Path, size: int, dataset: Dataset) -> None:
    """Fit the thresholds of a calibrated model's prefilter anew."""
    checkpoint = load_checkpoint(path)
    if checkpoint.spec.own_categories:
        raise DataError(f"{path}: has landmarks of your own; fit the prefilter before adding them")
    spec, scores = fit_prefilter(checkpoint, dataset, size)
    save_checkpoint(path, spec, checkpoint.tensors)
    assert spec.prefilter is not None
    _report(scores, dict(spec.thresholds), spec.prefilter)


def _report(scores: Scores, thresholds: dict[float, float], prefilter: Prefilter) -> None:
    for precision, least in prefilter.thresholds:
        tagged = scores.confidences >= thresholds[precision]
        click.echo(f"precision {precision:g}:")
        for name, values, threshold in (
            ("thumbnails", scores.thumbnails, least),
            ("photos", scores.photos, min(least, prefilter.photo_threshold)),
        ):
            lost = (values[tagged] < threshold).mean()
            line = f"  {name} from {threshold:.3f}: {lost:.2%} of {tagged.sum()} tags lost"
            passing = values[scores.is_negative] >= threshold
            if len(passing):
                line += f", {passing.mean():.1%} of {len(passing)} negatives pass"
            click.echo(line)


if __name__ == "__main__":
    commands.run(main)
