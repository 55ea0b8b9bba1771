"""Fits the gate of the glance that tells which photos are worth reading and a look.

python -m training.glance --model model.safetensors --data DIR

A scan shows a photo's embedded thumbnail, or the photo where it has none, to a small network first:
one of the model's own backbones, under its own share of the classifier. The probability of a
landmark that this must see is the highest at which nearly all validation photos that would be
tagged still get their look, all landmarks among them, also those known from small photos alone.
That of photos without a thumbnail is so low that hardly any is turned away that would be named
rightly, tagged or not. Run it after the calibration.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from geotag.decision import probabilities
from geotag.decoding.thumbnails import CAMERAS, Camera, thumbnail
from geotag.decoding.transforms import preprocess, shrink
from geotag.engines import build_engine
from geotag.engines.base import EngineOptions
from geotag.errors import DataError
from geotag.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from geotag.model.spec import Glance, ModelSpec, Threshold
from training.calibrate import label_indices
from training.data.dataset import Dataset, Sample
from training.reports import commands
from training.reports.inference import Pixels, read_good

_T = TypeVar("_T")

# What the backbones were trained on. Enlarged to it, a thumbnail shows them far better which photos
# to leave unread than at its own size; more pixels cost more than the photos that they turn away.
SIZE = 192
LOSS = 0.005  # the share that may be lost of tags, half of what is promised, and of right names
LEAST_TAGS = 100  # fewer say nothing of so small a share
SURELY_NONE = Glance._field_defaults["surely_none"]  # the most
# The backbone that looks for a network of several: the faster one.
_BACKBONES = {"lite1_pplcnetv2": ("pplcnetv2", 1)}


class Glances(NamedTuple):
    """What is seen in validation photos, each (N,).

    `confidences` are the greatest of any category at a full look; `photos` and `thumbnails` the
    probabilities of a landmark at a glance, of thumbnails the lower of the cameras'; `is_negative`
    says which are labelled to show none, `is_right` where the first category is the label.
    """

    confidences: NDArray[np.float64]
    photos: NDArray[np.float64]
    thumbnails: NDArray[np.float64]
    is_negative: NDArray[np.bool_]
    is_right: NDArray[np.bool_]


def with_glance(spec: ModelSpec, size: int = SIZE) -> ModelSpec:
    """The spec with a network that glances at `size` pixels, and no gate yet."""
    return spec._replace(glance=Glance(size, (), *_BACKBONES.get(spec.architecture, ("", 0))))


def glance_at(checkpoint: Checkpoint, dataset: Dataset, samples: Sequence[Sample]) -> Glances:
    """Look at the samples as a scan would. Raises DataError when none can be read."""
    spec = checkpoint.spec
    good, pictures, _ = read_good(dataset, samples, spec.input_size, spec.fit)
    small = checkpoint.glancing()
    size = small.spec.input_size
    looks = _look(checkpoint, pictures, lambda picture: picture)
    photos = _look(small, pictures, lambda picture: shrink(picture, size))
    files = [dataset.file(sample) for sample in good]
    thumbnails = [
        _look(small, files, lambda file, camera=camera: _as_thumbnail(file, camera, size))  # type: ignore[misc]
        for camera in CAMERAS
    ]
    return Glances(
        looks[:, :-1].max(1),
        1 - photos[:, -1],
        1 - np.max([seen[:, -1] for seen in thumbnails], axis=0),
        np.array([not sample.label for sample in good]),
        looks[:, :-1].argmax(1) == label_indices(good, spec.categories),
    )


def _look(
    checkpoint: Checkpoint, items: Sequence[_T], prepare: Callable[[_T], Pixels]
) -> NDArray[np.float64]:
    """The confidences (N, K + 1) by the engine of a scan."""
    engine = build_engine(checkpoint, EngineOptions(device="cpu"))
    logits = [
        engine.predict(np.stack([prepare(item) for item in items[at : at + engine.batch_size]]))
        for at in range(0, len(items), engine.batch_size)
    ]
    return probabilities(np.concatenate(logits), checkpoint.spec.temperature)


def _as_thumbnail(file: Path, camera: Camera, size: int) -> Pixels:
    with Image.open(file) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    return preprocess(thumbnail(upright, camera), size)


def fit_gates(
    seen: Glances, thresholds: Sequence[Threshold], loss: float = LOSS
) -> tuple[Threshold, ...]:
    """The greatest probability of thumbnails at each precision that loses at most `loss` of the
    tags."""
    fitted = []
    for precision, confidence in thresholds:
        tagged = np.sort(seen.thumbnails[seen.confidences >= confidence])
        if len(tagged) >= LEAST_TAGS:
            fitted.append(Threshold(precision, float(tagged[int(loss * len(tagged))])))
    return tuple(fitted)


def fit_surely_none(seen: Glances, loss: float = LOSS) -> float:
    """The probability below which decoded photos are turned away, at most SURELY_NONE: it loses
    at most `loss` of those that are named rightly. 0 where too few are to tell."""
    named = np.sort(seen.photos[seen.is_right])
    if len(named) < LEAST_TAGS:
        return 0.0
    return float(min(SURELY_NONE, named[int(loss * len(named))]))


def fit_glance(
    checkpoint: Checkpoint, dataset: Dataset, samples: Sequence[Sample], size: int = SIZE
) -> tuple[ModelSpec, Glances]:
    """The spec with a glance at `size` pixels and its gates, and what they were fitted to."""
    spec = with_glance(checkpoint.spec, size)
    seen = glance_at(with_spec(checkpoint, spec), dataset, samples)
    assert spec.glance is not None
    gates, surely_none = fit_gates(seen, spec.thresholds), fit_surely_none(seen)
    glance = spec.glance._replace(thresholds=gates, surely_none=surely_none)
    return spec._replace(glance=glance), seen


@click.command("training.glance")
@commands.data_options
@click.option(
    "--model", required=True, type=click.Path(dir_okay=False, path_type=Path),
    help="Calibrated model file; it is replaced.",
)  # fmt: skip
@click.option("--size", default=SIZE, show_default=True, help="Pixels of the glance.")
def main(
    model: Path, size: int, data: Path, exclude: Path | None, scheme: str, by: str, seed: int
) -> None:
    """Fit the gates of a model's glance anew."""
    checkpoint = load_checkpoint(model)
    if checkpoint.spec.own_categories:
        raise DataError(f"{model}: fit the glance first, then add landmarks of your own")
    dataset = commands.read_data(data, exclude, scheme, by, seed)
    samples = dataset.of("val")
    if not samples:
        raise DataError(f"{data}: no validation photos")
    spec, seen = fit_glance(checkpoint, dataset, samples, size)
    save_checkpoint(model, spec, checkpoint.tensors)
    assert spec.glance is not None
    _report(seen, dict(spec.thresholds), spec.glance)


def with_spec(checkpoint: Checkpoint, spec: ModelSpec) -> Checkpoint:
    """The same weights under another spec."""
    return checkpoint._replace(header=checkpoint.header._replace(spec=spec))


def _report(seen: Glances, thresholds: dict[float, float], glance: Glance) -> None:
    for precision, least in glance.thresholds:
        tagged = seen.confidences >= thresholds[precision]
        click.echo(f"precision {precision:g}:")
        for name, view, gate in (
            ("thumbnails", seen.thumbnails, least),
            ("photos", seen.photos, min(least, glance.surely_none)),
        ):
            lost = (view[tagged] < gate).mean()
            passing = view[seen.is_negative] >= gate
            passed = f", {passing.mean():.1%} of {len(passing)} negatives pass" * bool(len(passing))
            click.echo(f"  {name} from {gate:.3f}: {lost:.2%} of {tagged.sum()} tags lost{passed}")


if __name__ == "__main__":
    commands.run(main)
