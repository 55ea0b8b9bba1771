"""Stores in a model file the background photos that `geotag landmarks add` needs.

python -m training.background --model IN.safetensors --data DIR --out OUT.safetensors
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from geotag.engines.embedding import Embedder
from geotag.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from geotag.recognition.landmarks import with_background
from training.data.dataset import Dataset, Sample, draw, load_dataset
from training.reports import commands
from training.reports.inference import read_good

if TYPE_CHECKING:
    from geotag.model.checkpoint import Tensors

COUNT = 1024
NEGATIVES = 0.3  # the share of photos without a landmark


def choose(dataset: Dataset, categories: Sequence[str], count: int, seed: int) -> list[Sample]:
    """About `count` train photos: the model's categories alike, and the share of negatives.

    Other landmarks have no place there: a user may want to add one of them.
    """
    rng = np.random.default_rng(seed)
    by_label: dict[str, list[Sample]] = {}
    for sample in dataset.of("train"):
        if sample.label not in (*categories, ""):
            continue
        by_label.setdefault(sample.label, []).append(sample)
    negatives = by_label.pop("", [])
    chosen = draw(negatives, round(count * NEGATIVES), rng)
    each = max(1, (count - len(chosen)) // max(1, len(by_label)))
    for label in sorted(by_label):
        chosen += draw(by_label[label], each, rng)
    return sorted(chosen)


def embed_background(
    checkpoint: Checkpoint, dataset: Dataset, count: int, seed: int
) -> tuple[Tensors, int]:
    """The model's tensors with a background of about `count` photos, and how many there are."""
    spec = checkpoint.spec
    chosen = choose(dataset, spec.categories, count, seed)
    samples, pixels, _ = read_good(dataset, chosen, spec.input_size, spec.fit)
    embeddings = Embedder(checkpoint).embed(pixels)
    return with_background(checkpoint.tensors, embeddings), len(samples)


@click.command("training.background")
@commands.DATA
@commands.EXCLUDE
@click.option("--count", default=COUNT, show_default=True, help="Photos, one byte a number each.")
@commands.SEED
@commands.MODEL
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Model to write."
)
def main(
    data: Path, exclude: Path | None, count: int, seed: int, model: Path | None, out: Path
) -> None:
    """Store the embeddings of some training photos in a model file.

    They are the inputs of the classifier, not photos. `geotag landmarks add` needs them; the model
    recognises with or without them.
    """
    checkpoint = load_checkpoint(model)
    dataset = load_dataset(data, exclude)
    tensors, photos = embed_background(checkpoint, dataset, count, seed)
    save_checkpoint(out, checkpoint.spec, tensors)
    click.echo(f"{out}: {photos} photos as background, {out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    commands.run(main)
