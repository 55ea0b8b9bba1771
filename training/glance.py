"""Fits the look at a thumbnail that tells which photos are worth reading.

python -m training.glance --model model.safetensors --data DIR

A scan shows a photo's embedded thumbnail to a small network first: one of the model's own backbones
with a classifier of its own, fitted here on the training photos as thumbnails. The confidence that
a thumbnail must reach is the highest at which nearly all validation photos that would be tagged are
still read. Run it after the calibration.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.nn.functional import cross_entropy

from geotag.checkpoint import (
    GLANCE,
    Checkpoint,
    Glance,
    ModelHeader,
    ModelSpec,
    Threshold,
    fingerprint,
    format_spec,
    load_checkpoint,
    save_checkpoint,
)
from geotag.engines import build_engine
from geotag.engines.base import EngineOptions
from geotag.engines.embedding import find_classifier
from geotag.errors import DataError
from geotag.model import build_model
from geotag.transforms import preprocess
from training import commands
from training.data import Dataset, Sample
from training.inference import probabilities

if TYPE_CHECKING:
    from geotag.checkpoint import Tensors

# What Exif 2.32 (4.8.1) and DCF 2.0 ask of a thumbnail.
THUMBNAIL = (160, 120)
# Enlarged to what the backbones were trained on, a thumbnail shows them twice as well which photos
# to leave unread as at its own size: half as many photos without a landmark are read in vain.
SIZE = 224
LOSS = 0.005  # the share of tags that may be lost: half of what is promised
LEAST_TAGS = 100  # fewer say nothing of so small a share
# The backbone that looks for a network of several: the faster one.
_BACKBONES = {"lite1_pplcnetv2": ("pplcnetv2", 1)}
_BATCH = 256
_STEPS = 800
_LENGTH = 6.0  # of the features while they are fitted: the step sizes are for this


class Confidences(NamedTuple):
    """The greatest confidence in any category, of the photos and of their thumbnails."""

    photos: NDArray[np.float64]
    thumbnails: NDArray[np.float64]


def with_glance(checkpoint: Checkpoint, dataset: Dataset, size: int) -> Checkpoint:
    """The model with a network for thumbnails of `size` pixels, fitted on the training photos.

    Nothing is decided by it yet: it has no thresholds. Raises DataError without such photos.
    """
    spec = checkpoint.spec
    glance = Glance(size, (), *_BACKBONES.get(spec.architecture, ("", 0)))
    kept = {n: t for n, t in checkpoint.tensors.items() if not n.startswith(GLANCE)}
    model = _named(spec._replace(glance=glance), kept)
    samples = [sample for sample in dataset.of("train") if large_enough(dataset, sample)]
    if not samples:
        raise DataError(f"{dataset.root}: no training photos that are larger than a thumbnail")
    index = {slug: at for at, slug in enumerate(spec.categories)}
    targets = [index.get(sample.label, len(index)) for sample in samples]
    name, features = _features(model.glancing(), dataset, samples)
    weight, bias = fit_classifier(features, np.array(targets), len(index) + 1)
    own = {".weight": weight, ".bias": bias}
    kept |= {GLANCE + name + part: tensor.astype(np.float16) for part, tensor in own.items()}
    return _named(model.spec, kept)


def _named(spec: ModelSpec, tensors: Tensors) -> Checkpoint:
    return Checkpoint(ModelHeader(spec, fingerprint(format_spec(spec), tensors)), tensors)


def _features(
    network: Checkpoint, dataset: Dataset, samples: Sequence[Sample]
) -> tuple[str, NDArray[np.float32]]:
    """The name of a network's classifier, and what it sees of thumbnails: (N, D)."""
    name, layer = find_classifier(build_model(network.spec.architecture, 2))
    width = layer.in_features
    # A classifier that hands on what it sees: so the engine of a scan computes the features.
    spec = network.spec._replace(categories=tuple(map(str, range(width - 1))), glance=None)
    tensors = {**network.tensors, f"{name}.weight": np.eye(width, dtype=np.float16)}
    tensors[f"{name}.bias"] = np.zeros(width, np.float16)
    return name, look(_named(spec, tensors), dataset, samples, as_thumbnails=True)


def fit_classifier(
    features: NDArray[np.float32], targets: NDArray[np.intp], classes: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight (classes, D) and bias (classes,) of a softmax regression, by AdamW in one cycle."""
    torch.manual_seed(0)
    scale = _LENGTH / max(1e-12, float(np.linalg.norm(features, axis=1).mean()))
    seen, labels = torch.from_numpy(features * np.float32(scale)), torch.from_numpy(targets)
    layer = nn.Linear(features.shape[1], classes)
    nn.init.zeros_(layer.weight)
    optimiser = torch.optim.AdamW(layer.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=_STEPS)
    for _ in range(_STEPS):
        rows = torch.randint(len(seen), (_BATCH,))
        loss = cross_entropy(layer(seen[rows]), labels[rows], label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return layer.weight.detach().numpy() * scale, layer.bias.detach().numpy()


def fit_thresholds(
    seen: Confidences, thresholds: Sequence[Threshold], loss: float = LOSS
) -> tuple[Threshold, ...]:
    """The greatest confidence at each precision that loses at most `loss` of the tags."""
    fitted = []
    for precision, confidence in thresholds:
        tagged = np.sort(seen.thumbnails[seen.photos >= confidence])
        if len(tagged) >= LEAST_TAGS:
            fitted.append(Threshold(precision, float(tagged[int(loss * len(tagged))])))
    return tuple(fitted)


def look(
    checkpoint: Checkpoint, dataset: Dataset, samples: Iterable[Sample], as_thumbnails: bool
) -> NDArray[np.float32]:
    """A network's logits (N, K + 1) for photos, or for the thumbnails a camera would have made."""
    engine = build_engine(checkpoint, EngineOptions(device="cpu"))
    spec = checkpoint.spec
    logits = []
    for group in _groups([dataset.file(sample) for sample in samples], engine.batch_size):
        pictures = (Image.open(path).convert("RGB") for path in group)
        shown = (thumbnail(picture) if as_thumbnails else picture for picture in pictures)
        pixels = np.stack([preprocess(picture, spec.input_size, spec.fit) for picture in shown])
        logits.append(engine.predict(pixels))
    return np.concatenate(logits)


def confidences(checkpoint: Checkpoint, logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """The greatest confidence in any category, (N,)."""
    best: NDArray[np.float64] = probabilities(logits, checkpoint.spec.temperature)[:, :-1].max(1)
    return best


def thumbnail(picture: Image.Image) -> Image.Image:
    """A picture as a camera's thumbnail: 160 by 120 pixels, squashed, as JPEG."""
    file = io.BytesIO()
    small = picture.resize(THUMBNAIL, Image.Resampling.BICUBIC, reducing_gap=3.0)
    small.save(file, "JPEG", quality=80)
    return Image.open(file).convert("RGB")


def _groups(paths: Sequence[Path], size: int) -> Iterator[Sequence[Path]]:
    for at in range(0, len(paths), size):
        yield paths[at : at + size]


def large_enough(dataset: Dataset, sample: Sample) -> bool:
    """Whether a photo is larger than its thumbnail would be."""
    with Image.open(dataset.file(sample)) as image:
        return min(image.size) > max(THUMBNAIL)


@click.command("training.glance")
@commands.data_options
@click.option(
    "--model", required=True, type=click.Path(dir_okay=False, path_type=Path),
    help="Calibrated model file; it is replaced.",
)  # fmt: skip
@click.option(
    "--size", default=SIZE, show_default=True, help="Pixels at which thumbnails are seen."
)
def main(
    model: Path, size: int, data: Path, exclude: Path | None, scheme: str, by: str, seed: int
) -> None:
    """Fit what a model makes of thumbnails anew."""
    checkpoint = load_checkpoint(model)
    dataset = commands.read_data(data, exclude, scheme, by, seed)
    samples = [sample for sample in dataset.of("val") if large_enough(dataset, sample)]
    if not samples:
        raise DataError(f"{data}: no validation photos that are larger than a thumbnail")
    fitted = with_glance(checkpoint, dataset, size)
    seen = Confidences(
        confidences(checkpoint, look(checkpoint, dataset, samples, as_thumbnails=False)),
        confidences(checkpoint, look(fitted.glancing(), dataset, samples, as_thumbnails=True)),
    )
    thresholds = fit_thresholds(seen, checkpoint.spec.thresholds)
    spec = fitted.spec._replace(glance=fitted.spec.glance._replace(thresholds=thresholds))
    save_checkpoint(model, spec, fitted.tensors)
    negative = np.array([not sample.label for sample in samples])
    tags = dict(checkpoint.spec.thresholds)
    for precision, least in thresholds:
        tagged = seen.photos >= tags[precision]
        lost = (seen.thumbnails[tagged] < least).mean()
        read = (seen.thumbnails[negative] >= least).mean() if negative.any() else float("nan")
        click.echo(
            f"precision {precision:g}: read from a confidence of {least:.3f}; "
            f"lost {lost:.2%} of {tagged.sum()} tags, read {read:.1%} of {negative.sum()} negatives"
        )


if __name__ == "__main__":
    commands.run(main)
