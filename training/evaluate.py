"""Judges a model file on labelled photos: figures as JSON, diagrams as PNG.

python -m training.evaluate --data DIR --split test --out report
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from geotag.categories import load_categories
from geotag.engines.base import EngineOptions
from geotag.errors import CheckpointError, DataError
from geotag.model.spec import ModelSpec
from geotag.recognition.model import Model
from training.data.dataset import Dataset, Sample
from training.reports import commands, diagrams, metrics, mixtures
from training.reports.inference import score

PRECISIONS = (0.95, 0.99)
CALIBRATION_BINS = 15


class Judged(NamedTuple):
    """Photos and the model's predictions: `scores` (N, K + 1), and of its best category the index
    `predicted`, `confidence` and whether it is right. `labels` are indices; K is no landmark,
    K + 1 a landmark that the model does not know."""

    labels: NDArray[np.intp]
    scores: NDArray[np.float64]
    predicted: NDArray[np.intp]
    confidence: NDArray[np.float64]
    correct: NDArray[np.bool_]

    @property
    def categories(self) -> int:
        """K, how many there are."""
        return int(self.scores.shape[1]) - 1

    @property
    def with_background(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Labels and what scored highest; K for the background, and any other landmark."""
        return np.minimum(self.labels, self.categories), self.scores.argmax(axis=1)

    def take(self, chosen: NDArray[np.bool_]) -> Judged:
        """The photos of a mask."""
        return Judged._make(column[chosen] for column in self)


def judge(
    samples: Sequence[Sample], scores: NDArray[np.float64], categories: Sequence[str]
) -> Judged:
    """Match labels to the model's categories, as the labels name them."""
    index = {label: at for at, label in enumerate((*categories, ""))}
    labels = np.array([index.get(s.label, len(index)) for s in samples], np.intp)
    predicted = scores[:, :-1].argmax(axis=1)
    confidence = scores[np.arange(len(scores)), predicted]
    return Judged(labels, scores, predicted, confidence, predicted == labels)


def evaluate(
    model: Model, dataset: Dataset, samples: Sequence[Sample]
) -> tuple[Judged, dict[str, Any]]:
    """A model's predictions of the samples, and all that report.json says of them."""
    spec = model.spec
    scored = score(model, dataset, samples)
    judged = judge(scored.samples, scored.scores, spec.categories)
    report = {
        "model": model.name,
        "data": dataset.fingerprint,
        "unreadable": scored.failed,
        **measure(judged, spec),
    }
    threshold = report["thresholds"]["0.99"]["confidence"]
    report["by_source"] = measure_sources(judged, scored.samples, threshold or 1.0)
    report["classes"] = measure_classes(judged, spec)
    report["mistakes"] = [mistake._asdict() for mistake in count_mistakes(judged, spec)]
    rule = mixtures.Rule(spec, threshold or 1.0, PRECISIONS[-1])
    report["libraries"] = measure_libraries(judged, rule)
    return judged, report


def measure(judged: Judged, spec: ModelSpec) -> dict[str, Any]:
    """All figures over photos of known landmarks, with the other photos as distractors."""
    inside = judged.labels < judged.categories
    negatives, others = judged.labels == judged.categories, judged.labels > judged.categories
    known, with_negatives = judged.take(inside), judged.take(~others)
    landmark_score = 1 - judged.scores[:, -1]
    table = metrics.reliability(judged.confidence, judged.correct, CALIBRATION_BINS)
    return {
        "photos": len(judged.labels),
        "known_landmarks": int(inside.sum()),
        "negatives": int(negatives.sum()),
        "other_landmarks": int(others.sum()),
        **figures(known, with_negatives),
        "gap_with_other_landmarks": metrics.global_average_precision(
            judged.confidence, judged.correct, int(inside.sum())
        ),
        "no_landmark": {
            "auroc": metrics.auroc(landmark_score[inside], landmark_score[negatives]),
            "fpr95": metrics.fpr_at_tpr(landmark_score[inside], landmark_score[negatives]),
            "auroc_other_landmarks": metrics.auroc(
                judged.confidence[inside], judged.confidence[others]
            ),
        },
        "ece": table.error,
        "aurc": metrics.risk_coverage(judged.confidence, judged.correct).area,
        "thresholds": {
            f"{precision:g}": _at_shipped_threshold(judged, spec, precision)
            for precision in PRECISIONS
        },
    }


def figures(known: Judged, with_negatives: Judged) -> dict[str, Any]:
    """The bars' figures: `known` photos alone, and with the negatives as distractors."""
    positives = len(known.labels)
    listed = (with_negatives.confidence, with_negatives.correct)
    return {
        "top1": metrics.top_k_accuracy(known.scores[:, :-1], known.labels),
        "top5": metrics.top_k_accuracy(known.scores[:, :-1], known.labels, 5),
        "gap": metrics.global_average_precision(*listed, positives),
        **{
            f"recall_at_precision_{precision:g}": metrics.recall_at_precision(
                *listed, precision, positives
            )
            for precision in PRECISIONS
        },
    }


def _at_shipped_threshold(judged: Judged, spec: ModelSpec, precision: float) -> dict[str, Any]:
    """What a scan with --min-precision would do to these photos."""
    try:
        threshold = spec.threshold_for(precision)
    except CheckpointError:
        return {"confidence": None}
    inside = judged.labels < judged.categories
    refused = judged.confidence < threshold
    point = metrics.at_threshold(judged.confidence, judged.correct, threshold, int(inside.sum()))
    return {
        **point._asdict(),
        "negatives_refused": _mean(refused[judged.labels == judged.categories]),
        "other_landmarks_refused": _mean(refused[judged.labels > judged.categories]),
    }


def _mean(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def measure_classes(judged: Judged, spec: ModelSpec) -> dict[str, Any]:
    """Precision, recall, F1 and number of photos of each category and the background.

    A photo is taken for the background when that scores highest; one of an unknown landmark
    counts as background. NaN where a figure is undefined.
    """
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(
        *judged.with_background, labels=range(judged.categories + 1), zero_division=np.nan
    )
    names = (*spec.categories, "(no landmark)")
    return {
        name: dict(zip(("precision", "recall", "f1", "support"), row, strict=True))
        for name, row in zip(names, zip(*columns, strict=True), strict=True)
    }


def measure_sources(
    judged: Judged, samples: Sequence[Sample], threshold: float
) -> dict[str, dict[str, Any]]:
    """For each source: top-1 and the share tagged rightly, or of negatives the share tagged."""
    sources = np.array([sample.source for sample in samples])
    report = {}
    for source in sorted(set(sources)):
        part = judged.take(sources == source)
        inside = part.take(part.labels < part.categories)
        tagged = part.confidence >= threshold
        report[str(source)] = {
            "photos": len(part.labels),
            "top1": metrics.top_k_accuracy(inside.scores[:, :-1], inside.labels),
            "tagged": _mean(tagged),
            "tagged_rightly": _mean(tagged & part.correct),
        }
    return report


def measure_libraries(judged: Judged, rule: mixtures.Rule) -> list[dict[str, Any]]:
    """Precision and recall in libraries of few landmarks; none without photos of both kinds."""
    known = judged.labels < judged.categories
    if known.all() or not known.any():
        return []
    labels = np.where(known, judged.labels, -1)
    photos = mixtures.Tagged(judged.predicted, judged.confidence, judged.correct, labels)
    libraries = map(mixtures.Library, mixtures.SHARES)
    return [mixtures.mix(photos, rule, library)._asdict() for library in libraries]


def select(dataset: Dataset, part: str, include: Sequence[str]) -> tuple[Sample, ...]:
    """The photos of a split; of those with a landmark only what matches, negatives always.

    Raises DataError when there are none, or when nothing matches.
    """
    samples = dataset.samples if part == "all" else dataset.of(part)
    if include:
        matched = any(fnmatchcase(s.path, glob) for s in samples if s.label for glob in include)
        if samples and not matched:
            raise DataError(
                f"{dataset.root}: no landmark photo in split {part} matches {' or '.join(include)}"
            )
        samples = tuple(
            sample
            for sample in samples
            if not sample.label or any(fnmatchcase(sample.path, glob) for glob in include)
        )
    if not samples:
        raise DataError(f"{dataset.root}: no photos in split {part}")
    return samples


def count_mistakes(judged: Judged, spec: ModelSpec) -> list[diagrams.Mistake]:
    """What is taken for what, by the names that people know, the most photos first."""
    from sklearn.metrics import confusion_matrix

    confusion = confusion_matrix(*judged.with_background, labels=range(judged.categories + 1))
    table = {category.slug: category.name for category in load_categories()}
    names = [*(table.get(slug, slug) for slug in spec.categories), diagrams.NO_LANDMARK]
    return diagrams.find_mistakes(confusion, names)


def write_diagrams(judged: Judged, spec: ModelSpec, out: Path) -> None:
    """The diagrams as PNG files: calibration, thresholds, what is taken for what."""
    table = metrics.reliability(judged.confidence, judged.correct, CALIBRATION_BINS)
    diagrams.plot_reliability(table, out / "reliability.png")
    curve = metrics.risk_coverage(judged.confidence, judged.correct)
    positives = int((judged.labels < judged.categories).sum())
    tags = diagrams.Tags(judged.confidence, judged.correct, positives)
    diagrams.plot_risk_coverage(curve, tags, spec.thresholds, out / "risk_coverage.png")
    diagrams.plot_precision_recall(tags, spec.thresholds, out / "precision_recall.png")
    mistakes = count_mistakes(judged, spec)
    diagrams.plot_mistakes(mistakes, out / "mistakes.png")
    countries = {category.name: category.country for category in load_categories()}
    countries[diagrams.NO_LANDMARK] = diagrams.NO_LANDMARK
    diagrams.plot_countries(mistakes, countries, out / "countries.png")


@click.command("training.evaluate")
@commands.takes_dataset()
@commands.MODEL
@commands.SPLIT
@commands.INCLUDE
@commands.ENGINE
@click.option("--plots/--no-plots", "diagrams", default=True, help="Diagrams too.")
@commands.OUT
def main(
    dataset: Dataset, model: Path | None, part: str, include: tuple[str, ...], engine: str,
    diagrams: bool, out: Path,
) -> None:  # fmt: skip
    """Judge a model on labelled photos.

    Runs the same engine and preprocessing as a scan. Writes OUT/report.json, and diagrams:
    reliability.png, risk_coverage.png, precision_recall.png, mistakes.png, countries.png.
    """
    opened = Model.open(model, EngineOptions(engine=engine))
    judged, report = evaluate(opened, dataset, select(dataset, part, include))
    report |= {"split": part, "include": list(include)}
    commands.write_json(out / "report.json", report)
    if diagrams:
        write_diagrams(judged, opened.spec, out)
    click.echo(format_report(report))


def format_report(report: dict[str, Any]) -> str:
    """The main figures as lines."""
    lines = [
        f"{report['model']}: {report['known_landmarks']} photos of its landmarks, "
        f"{report['negatives']} without one, {report['other_landmarks']} of other landmarks"
    ]
    names = ("top1", "top5", "gap", "recall_at_precision_0.95", "recall_at_precision_0.99", "ece")
    lines += [f"{name:26} {report[name]:.4f}" for name in names]
    if report["unreadable"]:
        lines.insert(1, f"{len(report['unreadable'])} more cannot be read, see report.json")
    lines += [f"no landmark: {name:13} {report['no_landmark'][name]:.4f}"
              for name in ("auroc", "fpr95")]  # fmt: skip
    for precision, point in report["thresholds"].items():
        if point["confidence"] is not None:
            lines.append(
                f"threshold for {precision}: precision {point['precision']:.4f}, recall "
                f"{point['recall']:.4f}, refused {point['negatives_refused']:.4f} of negatives, "
                f"{point['other_landmarks_refused']:.4f} of other landmarks"
            )
    mixed = (mixtures.Mixture(**library) for library in report["libraries"])
    return "\n".join([*lines, *map(mixtures.format_mixture, mixed)])


if __name__ == "__main__":
    commands.run(main)
