"""Judges what a model's tags are worth in libraries with landmarks that it does not know.

python -m training.unknown --data DIR --split test --out report
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from geotag.decision import probabilities
from geotag.errors import DataError
from geotag.model.checkpoint import Checkpoint, load_checkpoint
from geotag.model.spec import PRECISION
from training.data.dataset import Dataset
from training.openset import take_away
from training.reports import commands, mixtures
from training.reports.embeddings import Embedded, Embeddings

LIBRARIES = 100  # of each kind


def photos_of(checkpoint: Checkpoint, view: Embedded) -> mixtures.Tagged:
    """What a scan would make of the photos, and of those of known landmarks with these taken away.

    Raises DataError without photos of landmarks and of other things.
    """
    is_known = view.labels < len(checkpoint.spec.categories)
    if is_known.all() or not is_known.any():
        raise DataError("photos of known landmarks and of other things are needed")
    logits, left_out = take_away(checkpoint, view)
    labels = [np.where(is_known, view.labels, -1), np.full(len(left_out), -2)]
    return _tagged(checkpoint, np.concatenate([logits, left_out]), np.concatenate(labels))


def _tagged(
    checkpoint: Checkpoint, logits: NDArray[np.float32], labels: NDArray[np.intp]
) -> mixtures.Tagged:
    scores = probabilities(logits, checkpoint.spec.temperature)[:, :-1]
    best = scores.argmax(axis=1)
    return mixtures.Tagged(best, scores[np.arange(len(best)), best], best == labels, labels)


def measure_taken(
    photos: mixtures.Tagged, rule: mixtures.Rule
) -> dict[mixtures.Library, mixtures.Mixture]:
    """Libraries with more and more photos of unknown landmarks, with all known ones and, where the
    photos are of so many, with those of a journey."""
    libraries = [
        mixtures.Library(share, taken) for taken in mixtures.TAKEN for share in mixtures.SHARES
    ]
    if len(np.unique(photos.label[photos.label >= 0])) > mixtures.A_JOURNEY:
        of_a_journey = (one._replace(landmarks=mixtures.A_JOURNEY) for one in libraries)
        libraries += [one for one in of_a_journey if one.share < 0.5 and one.taken < 1]
    found = {}
    for library in tqdm(libraries, disable=None, unit="kind"):
        found[library] = mixtures.mix(photos, rule, library, count=LIBRARIES)
    return found


@click.command("training.unknown")
@commands.takes_dataset()
@commands.MODEL
@commands.SPLIT
@click.option(
    "--cache", type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the photos' embeddings. [default: cache in OUT]",
)  # fmt: skip
@commands.OUT
def main(dataset: Dataset, model: Path | None, part: str, cache: Path | None, out: Path) -> None:
    """Judge tags in libraries with landmarks that the model does not know.

    Photos of landmarks that it knows count as such where the landmark and its photos in the memory
    are taken from the model. Writes OUT/unknown.json, and prints a table.
    """
    checkpoint = load_checkpoint(model)
    if not checkpoint.memory or checkpoint.spec.own_categories:
        raise DataError("a model with a memory and without landmarks of your own is needed")
    view = Embeddings(checkpoint, dataset, cache or out / "cache").of(part)
    rule = mixtures.Rule(checkpoint.spec, checkpoint.spec.threshold_for(PRECISION), PRECISION)
    found = measure_taken(photos_of(checkpoint, view), rule)
    report = [library._asdict() | mixture._asdict() for library, mixture in found.items()]
    commands.write_json(out / "unknown.json", {"split": part, "libraries": report})
    click.echo(mixtures.format_taken(found))


if __name__ == "__main__":
    commands.run(main)
