"""Active learning: ranks unlabelled photos for labelling, takes the surest ones as labelled.

python -m training.pseudolabel --data DIR --photos DIR/unlabelled --out round1
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from geotag.errors import CheckpointError, DataError
from geotag.files.extensions import PHOTO_EXTENSIONS, extension
from geotag.model.spec import ModelSpec
from geotag.recognition.model import Model
from training.data.dataset import Dataset, Sample, load_dataset, load_labels
from training.reports import commands, plots
from training.reports.inference import read_good, score

Scores = NDArray[np.float64]
SOURCE = "pseudolabel"
_SHOWN = 64


class Guess(NamedTuple):
    """What the model makes of an unlabelled photo, and how much its label would teach."""

    path: str
    label: str
    confidence: float
    doubt: float


def _margin(scores: Scores) -> Scores:
    best = np.sort(scores, axis=1)
    doubt: Scores = 1 - (best[:, -1] - best[:, -2])
    return doubt


def _entropy(scores: Scores) -> Scores:
    doubt: Scores = -(scores * np.log(np.maximum(scores, 1e-12))).sum(axis=1)
    return doubt


# Settles, "Active Learning Literature Survey", 2009, section 3.1.
DOUBTS: dict[str, Callable[[Scores], Scores]] = {
    "margin": _margin,
    "entropy": _entropy,
    "confidence": lambda scores: 1 - scores.max(axis=1),
}


def rank(
    samples: Sequence[Sample], scores: Scores, spec: ModelSpec, doubt: str = "margin"
) -> list[Guess]:
    """The photos, the most doubtful first; `scores` (N, K + 1) with the background last."""
    names = (*spec.categories, "")
    doubts, best = DOUBTS[doubt](scores), scores.argmax(axis=1)
    guesses = [
        Guess(sample.path, names[at], float(row[at]), float(value))
        for sample, at, row, value in zip(samples, best, scores, doubts, strict=True)
    ]
    return sorted(guesses, key=lambda guess: (-guess.doubt, guess.path))


def take_surest(guesses: Iterable[Guess], least: float, most: int) -> list[Guess]:
    """The guesses to take as labels: at or above `least`, at most `most` a class.

    Lee, "Pseudo-Label", ICML workshop 2013; equal shares, so that no class crowds out others.
    """
    taken: dict[str, list[Guess]] = {}
    for guess in sorted(guesses, key=lambda guess: (-guess.confidence, guess.path)):
        of_label = taken.setdefault(guess.label, [])
        if guess.confidence >= least and len(of_label) < most:
            of_label.append(guess)
    return [guess for label in sorted(taken) for guess in taken[label]]


def find_unlabelled(
    dataset: Dataset, folder: Path, labelled: Iterable[Sample] = ()
) -> list[Sample]:
    """The photos below `folder` that neither the set nor `labelled` names.

    Raises DataError outside its root.
    """
    root, inside = dataset.root.resolve(), folder.resolve()
    if not inside.is_relative_to(root):
        raise DataError(f"{folder}: must lie below {dataset.root}, so that labels can name it")
    known = {sample.path for sample in (*dataset.samples, *labelled)}
    paths = (
        path.relative_to(root).as_posix()
        for path in sorted(inside.rglob("*"))
        if extension(path.name) in PHOTO_EXTENSIONS and not path.is_symlink()
    )
    found = [Sample(path, "", "train", SOURCE, path) for path in paths if path not in known]
    if not found:
        raise DataError(f"{folder}: no photos that are not labelled yet")
    return found


def _write_sheet(dataset: Dataset, guesses: Sequence[Guess], path: Path) -> None:
    samples = [Sample(guess.path, "", "train") for guess in guesses]
    _, pixels, _ = read_good(dataset, samples, 112)
    texts = (
        f"{g.label or '(no landmark)'}\n{g.confidence:.2f}\n{Path(g.path).name}" for g in guesses
    )
    plots.contact_sheet(list(zip(pixels, texts, strict=True)), path)


def _threshold(spec: ModelSpec, precision: float) -> float:
    """From where labels are right so often. Raises DataError where the model was not calibrated."""
    try:
        return spec.threshold_for(precision)
    except CheckpointError:
        raise DataError(
            f"this model has no threshold for a precision of {precision:g}: ask for a lower "
            "--precision, or give the --confidence from which labels are taken"
        ) from None


@click.command("training.pseudolabel")
@commands.DATA
@commands.EXCLUDE
@click.option(
    "--photos", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of unlabelled photos below --data.",
)  # fmt: skip
@click.option(
    "--labels", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Labels of unlabelled photos, as geotag review --labels writes them, to take as they are.",
)  # fmt: skip
@commands.MODEL
@click.option("--doubt", type=click.Choice(list(DOUBTS)), default="margin", show_default=True)
@click.option(
    "--count", default=100, show_default=True, type=click.IntRange(0),
    help="Photos to ask labels for.",
)  # fmt: skip
@click.option(
    "--precision", default=0.99, show_default=True, type=click.FloatRange(0, 1),
    help="Take labels at the model's threshold for this precision.",
)  # fmt: skip
@click.option("--confidence", type=click.FloatRange(0, 1), help="Take labels from here instead.")
@click.option(
    "--most", default=50, show_default=True, type=click.IntRange(0),
    help="Labels to take for each class.",
)  # fmt: skip
@commands.OUT
def main(
    data: Path, exclude: Path | None, photos: Path, labels: Path | None, model: Path | None,
    doubt: str, count: int, precision: float, confidence: float | None, most: int, out: Path,
) -> None:  # fmt: skip
    """Rank unlabelled photos for labelling, and take the surest guesses as labels.

    Writes OUT/to_label.csv and to_label.png, the photos whose labels would teach most; and
    OUT/manifest.csv, the set with the surest photos as train photos (source "pseudolabel"): put
    it into --data to train with them. --labels are taken besides, and not asked for again. Val and
    test stay as they are, and guesses add no class;
    training.clean finds those of the new photos that are copies of val or test photos.
    """
    dataset, whole = load_dataset(data, exclude), load_dataset(data)
    opened = Model.open(model)
    spec = opened.spec
    least = _threshold(spec, precision) if confidence is None else confidence
    # Of the whole set: a photo that is excluded has been judged, and is not taken up again.
    known = {sample.path for sample in whole.samples}
    read, elsewhere = load_labels(labels, whole.root) if labels else ([], 0)
    labelled = [sample for sample in read if sample.path not in known]
    scored = score(opened, dataset, find_unlabelled(whole, photos, labelled))
    guesses = rank(scored.samples, scored.scores, spec, doubt)
    asked = guesses[:count]
    commands.write_csv(out / "to_label.csv", Guess._fields, asked)
    if asked:
        _write_sheet(dataset, asked[:_SHOWN], out / "to_label.png")
    classes = {*dataset.classes, ""}
    taken = take_surest((g for g in guesses[count:] if g.label in classes), least, most)
    new = [Sample(g.path, g.label, "train", SOURCE, g.path) for g in taken]
    samples = (*dataset.samples, *labelled, *new)
    rows = ((s.path, s.label, s.split, s.source, s.group) for s in samples)
    commands.write_csv(out / "manifest.csv", ("file", "label", "split", "source", "group"), rows)
    click.echo(
        f"{len(guesses)} unlabelled photos: {len(asked)} to label, {len(taken)} taken as labelled, "
        f"{len(scored.failed)} unreadable"
    )
    if labels:
        click.echo(
            f"{len(labelled)} labels of {labels} taken, {len(read) - len(labelled)} of photos that "
            f"the set has, {elsewhere} of photos that are not below {data}"
        )


if __name__ == "__main__":
    commands.run(main)
