"""The diagrams of an evaluation: calibration, what thresholds do, what is taken for what."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geotag.model.spec import Threshold
from geotag.recognition.drawing import PALETTE, plain
from training.reports.metrics import Reliability, RiskCoverage
from training.reports.plots import drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NO_LANDMARK = "no landmark"
_PAIRS = 15
_COUNTRIES = 10  # beside the others and what is no landmark
_OTHERS = "other countries"
_NAME = 30  # letters
_MARKS = "os^Dv"


class Mistake(NamedTuple):
    """How many times a label's photos are taken for another."""

    label: str
    predicted: str
    times: int
    photos: int


class Tags(NamedTuple):
    """Predictions (N,): their confidences, which are right, and how many could be."""

    confidence: NDArray[np.float64]
    correct: NDArray[np.bool_]
    positives: int


def find_mistakes(confusion: NDArray[np.int64], names: Sequence[str]) -> list[Mistake]:
    """What is taken for what in a confusion matrix, the most photos first."""
    photos = confusion.sum(axis=1)
    found = [
        Mistake(names[row], names[column], int(confusion[row, column]), int(photos[row]))
        for row, column in np.argwhere(confusion)
        if row != column
    ]
    return sorted(found, key=lambda m: (-m.times, -m.times / m.photos, m.label, m.predicted))


def plot_reliability(table: Reliability, path: Path) -> None:
    """Accuracy by confidence beside an honest model's diagonal, and the photos of each bar."""
    middles, width = (table.edges[:-1] + table.edges[1:]) / 2, 1 / len(table.counts)
    with drawn(path, 4.2) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
        above.bar(middles, np.nan_to_num(table.accuracy), width, edgecolor="white")
        above.plot([0, 1], [0, 1], "--", color="black", label="as it should be")
        above.set(
            title=f"Reliability: expected calibration error {table.error:.3f}",
            ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.02),
        )  # fmt: skip
        above.legend(loc="upper left")
        bars = below.bar(middles, table.counts, width, color=PALETTE[3], edgecolor="white")
        counts = [f"{count}" if count else "" for count in table.counts]
        below.bar_label(bars, counts, fontsize=7, padding=2, rotation=90)
        below.set(xlabel="confidence", ylabel="photos", ylim=(0, 1.5 * max(1, *table.counts)))


def plot_risk_coverage(
    curve: RiskCoverage, tags: Tags, thresholds: Sequence[Threshold], path: Path
) -> None:
    """The share of wrong names by the share of photos that get one, the thresholds marked."""
    points = {}
    for threshold in thresholds:
        tagged = tags.confidence >= threshold.confidence
        if tagged.any():
            points[threshold] = (float(tagged.mean()), float((~tags.correct[tagged]).mean()))
    with drawn(path) as figure:
        axes = figure.subplots()
        axes.plot(curve.coverage, curve.risk, "o" if len(curve.risk) == 1 else "-")
        _mark(axes, points, "upper left")
        axes.set(
            title=f"Risk and coverage: area {curve.area:.4f}",
            xlabel=f"coverage: share of {len(tags.correct)} photos that get a name",
            ylabel="risk: share of wrong names", xlim=(0, 1), ylim=(0, None),
        )  # fmt: skip
        _in_percent(axes)


def plot_precision_recall(tags: Tags, thresholds: Sequence[Threshold], path: Path) -> None:
    """Precision by recall, the thresholds marked."""
    positives = max(1, tags.positives)
    found = np.cumsum(tags.correct[np.argsort(-tags.confidence, kind="stable")])
    recall, precision = found / positives, found / np.arange(1, len(found) + 1)
    points = {}
    for threshold in thresholds:
        tagged = tags.confidence >= threshold.confidence
        if tagged.any():
            right = tags.correct[tagged]
            points[threshold] = (float(right.sum() / positives), float(right.mean()))
    with drawn(path) as figure:
        axes = figure.subplots()
        axes.plot(recall, precision, "o" if len(recall) == 1 else "-")
        _mark(axes, points, "lower left")
        axes.set(
            title="Precision and recall of names",
            xlabel=f"recall: share of {positives} landmark photos named rightly",
            ylabel="precision: share of right names", xlim=(0, 1), ylim=(None, 1.02),
        )  # fmt: skip
        _in_percent(axes)


def _mark(
    axes: Axes,
    points: Mapping[Threshold, tuple[float, float]],
    place: Literal["upper left", "lower left"],
) -> None:
    """The model's thresholds on a curve, told apart by shape and in the legend by value."""
    for number, (threshold, point) in enumerate(points.items()):
        axes.plot(
            *point, _MARKS[number % len(_MARKS)], color=PALETTE[1], markeredgecolor="black",
            clip_on=False, zorder=3,
            label=f"{threshold.precision:.3g}: from confidence {threshold.confidence:.4g}",
        )  # fmt: skip
    if points:
        axes.legend(loc=place, title="thresholds for a precision of")


def _in_percent(axes: Axes) -> None:
    from matplotlib.ticker import PercentFormatter

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))


def plot_mistakes(mistakes: Sequence[Mistake], path: Path) -> None:
    """The most frequent ones: a bar for each, its names above it."""
    shown = mistakes[:_PAIRS]
    most = max([1, *(mistake.times for mistake in shown)])
    with drawn(path, 0.36 * max(2, len(shown)) + 1) as figure:
        axes = figure.subplots()
        rows = range(len(shown))
        bars = axes.barh(rows, [mistake.times for mistake in shown], 0.4)
        axes.bar_label(bars, [f"{m.times} of {m.photos}" for m in shown], fontsize=7, padding=2)
        for row, mistake in zip(rows, shown, strict=True):
            names = [plain(textwrap.shorten(n, _NAME, placeholder=" …")) for n in mistake[:2]]
            axes.annotate(
                " → ".join(names), (0, row - 0.25), (3, 0), textcoords="offset points",
                fontsize=7.5, va="bottom",
            )  # fmt: skip
        axes.set(
            title="Most frequent mistakes: label → name given", xlabel="photos", yticks=[],
            ylim=(max(1, len(shown)) - 0.6, -1), xlim=(0, 1.2 * most),
        )  # fmt: skip
        axes.locator_params(axis="x", integer=True)
        if not shown:
            axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center")


def plot_countries(mistakes: Sequence[Mistake], countries: Mapping[str, str], path: Path) -> None:
    """How many photos of each country's landmarks are taken for another of which country."""
    pairs = Counter[tuple[str, str]]()
    for mistake in mistakes:
        of_label, of_name = (countries.get(name, _OTHERS) for name in mistake[:2])
        pairs[of_label, of_name] += mistake.times
    names = _most_frequent(pairs)
    index = {name: number for number, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), np.int64)
    for pair, count in pairs.items():
        row, column = (index.get(name, index[_OTHERS]) for name in pair)
        counts[row, column] += count
    with drawn(path, 4.2) as figure:
        axes = figure.subplots()
        most = max(1, int(counts.max()))
        axes.imshow(counts, cmap="Blues", vmin=0, vmax=most)
        for row, column in np.argwhere(counts):
            colour = "white" if counts[row, column] > most / 2 else "black"
            axes.text(
                column, row, str(counts[row, column]), ha="center", va="center", fontsize=7,
                color=colour,
            )  # fmt: skip
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(length=0)
        axes.set(
            title="Mistaken photos, by country", xlabel="country of the name given",
            ylabel="country of the label",
        )  # fmt: skip


def _most_frequent(pairs: Mapping[tuple[str, str], int]) -> list[str]:
    """The countries with the most mistakes by name, then the others, then what is none."""
    totals = Counter[str]()
    for pair, count in pairs.items():
        for name in pair:
            totals[name] += count
    totals.pop(_OTHERS, None)
    totals.pop(NO_LANDMARK, None)
    ranked = sorted(totals, key=lambda name: (-totals[name], name))
    return [*sorted(ranked[:_COUNTRIES]), _OTHERS, NO_LANDMARK]
