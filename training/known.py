"""Measures how well a model knows each landmark, for `geotag categories`.

python -m training.known --data DIR --out geotag/known.json
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import click
import numpy as np

from geotag.files.atomic import atomic_file
from geotag.model.known import Known, format_known
from geotag.model.spec import PRECISION
from geotag.recognition.model import Model
from training.data.dataset import Dataset, Sample
from training.data.pixels import short_side
from training.evaluate import Judged, judge
from training.fitting.recipes import DETAIL
from training.reports import commands
from training.reports.inference import score


def count_photos(dataset: Dataset, samples: Iterable[Sample]) -> dict[str, tuple[int, int]]:
    """For each label its photos, and how many of them are small."""
    photos, small = Counter[str](), Counter[str]()
    for sample in samples:
        try:
            side = short_side(dataset.file(sample))
        except OSError:
            continue  # training went without it
        photos[sample.label] += 1
        small[sample.label] += side < DETAIL
    return {label: (count, small[label]) for label, count in photos.items()}


def count_known(judged: Judged, threshold: float) -> list[tuple[int, int, int]]:
    """For each category its photos, those named rightly, and of these the tagged ones."""
    rows = []
    for category in range(judged.categories):
        own = judged.labels == category
        right = own & judged.correct
        tagged = right & (judged.confidence >= threshold)
        rows.append((int(own.sum()), int(right.sum()), int(tagged.sum())))
    return rows


def measure_known(model: Model, dataset: Dataset) -> dict[str, Known]:
    """How well the model knows each of its landmarks, on the validation photos.

    Raises DataError when there are none.
    """
    spec = model.spec
    scored = score(model, dataset, dataset.validation())
    judged = judge(scored.samples, scored.scores, spec.categories)
    learnt = count_photos(dataset, dataset.of("train"))
    counts = count_known(judged, spec.threshold_for(PRECISION))
    return {
        slug: Known(*learnt.get(slug, (0, 0)), *row)
        for slug, row in zip(spec.categories, counts, strict=True)
    }


def write_known(model: Model, dataset: Dataset, out: Path) -> dict[str, Known]:
    """Measure, and write it into a file."""
    known = measure_known(model, dataset)
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(out) as file:
        file.write(format_known(model.header, known).encode())
    return known


@click.command("training.known")
@commands.takes_dataset()
@commands.MODEL
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write."
)
def main(dataset: Dataset, model: Path | None, out: Path) -> None:
    """Measure how well a model knows each landmark.

    Counts the training photos, the small ones among them, and of the validation photos those that
    are named rightly and tagged rightly by default. `geotag categories` tells it of the built-in
    model, from the file known.json beside it.
    """
    known = write_known(Model.open(model), dataset, out)
    shares = sorted(k.tagged / k.tried for k in known.values() if k.tried)
    click.echo(
        f"{out}: {len(known)} landmarks; tagged are {np.median(shares):.0%} of the photos in the "
        f"median, {shares[0]:.0%} of the least known"
    )


if __name__ == "__main__":
    commands.run(main)
