"""Fits how little a thumbnail must show for its photo to stay unread, on validation photos.

python -m training.glance --model model.safetensors --data DIR

A scan shows the network a photo's embedded thumbnail first. Run this after the calibration: the
confidence that a thumbnail must reach is the highest at which nearly all photos that would be
tagged are still read.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geotag.checkpoint import Checkpoint, Glance, Threshold, load_checkpoint, save_checkpoint
from geotag.engines import build_engine
from geotag.engines.base import EngineOptions
from geotag.errors import DataError
from geotag.transforms import preprocess
from training import commands
from training.data import Dataset, Sample
from training.inference import probabilities

# What Exif 2.32 (4.8.1) and DCF 2.0 ask of a thumbnail.
THUMBNAIL = (160, 120)
LOSS = 0.005  # the share of tags that may be lost: half of what is promised
LEAST_TAGS = 100  # fewer say nothing of so small a share
_BATCH = 64


class Confidences(NamedTuple):
    """The greatest confidence in any category, of the photos and of their thumbnails."""

    photos: NDArray[np.float64]
    thumbnails: NDArray[np.float64]


def fit_glance(
    seen: Confidences, thresholds: Sequence[Threshold], input_size: int, loss: float = LOSS
) -> Glance:
    """The greatest confidence at each precision that loses at most `loss` of the tags."""
    fitted = []
    for precision, confidence in thresholds:
        tagged = np.sort(seen.thumbnails[seen.photos >= confidence])
        if len(tagged) >= LEAST_TAGS:
            fitted.append(Threshold(precision, float(tagged[int(loss * len(tagged))])))
    return Glance(input_size, tuple(fitted))


def look(checkpoint: Checkpoint, dataset: Dataset, samples: Iterable[Sample], size: int) -> (
    Confidences
):  # fmt: skip
    """What the network makes of photos and of the thumbnails that a camera would have made."""
    networks = [(checkpoint, False), (checkpoint.at_size(size), True)]
    engines = [build_engine(c, EngineOptions(device="cpu")) for c, _ in networks]
    found: list[list[NDArray[np.float64]]] = [[], []]
    for group in _groups([dataset.file(sample) for sample in samples]):
        pictures = [Image.open(path).convert("RGB") for path in group]
        for (network, small), engine, results in zip(networks, engines, found, strict=True):
            shown = [thumbnail(picture) for picture in pictures] if small else pictures
            spec = network.spec
            pixels = np.stack([preprocess(p, spec.input_size, spec.fit) for p in shown])
            batches = range(0, len(pixels), engine.batch_size)
            logits = [engine.predict(pixels[at : at + engine.batch_size]) for at in batches]
            scores = probabilities(np.concatenate(logits), spec.temperature)
            results.append(scores[:, :-1].max(axis=1))
    return Confidences(*(np.concatenate(results) for results in found))


def thumbnail(picture: Image.Image) -> Image.Image:
    """A picture as a camera's thumbnail: 160 by 120 pixels, squashed, as JPEG."""
    file = io.BytesIO()
    small = picture.resize(THUMBNAIL, Image.Resampling.BICUBIC, reducing_gap=3.0)
    small.save(file, "JPEG", quality=80)
    return Image.open(file).convert("RGB")


def _groups(paths: Sequence[Path]) -> Iterator[Sequence[Path]]:
    for at in range(0, len(paths), _BATCH):
        yield paths[at : at + _BATCH]


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
    "--size", default=THUMBNAIL[0], show_default=True, help="Pixels at which thumbnails are seen."
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
    seen = look(checkpoint, dataset, samples, size)
    glance = fit_glance(seen, checkpoint.spec.thresholds, size)
    save_checkpoint(model, checkpoint.spec._replace(glance=glance), checkpoint.tensors)
    negative = np.array([not sample.label for sample in samples])
    tags = dict(checkpoint.spec.thresholds)
    for precision, least in glance.thresholds:
        tagged = seen.photos >= tags[precision]
        lost = (seen.thumbnails[tagged] < least).mean()
        read = (seen.thumbnails[negative] >= least).mean() if negative.any() else float("nan")
        click.echo(
            f"precision {precision:g}: read from a confidence of {least:.3f}; "
            f"lost {lost:.2%} of {tagged.sum()} tags, read {read:.1%} of {negative.sum()} negatives"
        )


if __name__ == "__main__":
    commands.run(main)
