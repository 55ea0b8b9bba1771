"""Diagrams and contact sheets as PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from geotag.errors import MissingDependencyError
from training.reports.metrics import Reliability, RiskCoverage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE = (6.0, 4.5)
_CELL = 112
_TEXT = 12
_LETTERS = 9


def new_figure(title: str, size: tuple[float, float] = _SIZE) -> tuple[Any, Axes]:
    """A figure without a window, and its axes. Raises MissingDependencyError."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError("drawing diagrams", "train") from None
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    return figure, axes


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure; the same figure gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def plot_reliability(table: Reliability, path: Path) -> None:
    """Accuracy by confidence, with the photos of each bar, beside an honest model's diagonal."""
    figure, axes = new_figure(f"Reliability (ECE {table.error:.3f})")
    middles, width = (table.edges[:-1] + table.edges[1:]) / 2, 1 / len(table.counts)
    heights = np.nan_to_num(table.accuracy)
    bars = axes.bar(middles, heights, width, edgecolor="white", label="accuracy (photos)")
    counts = [f"{count:g}" if count else "" for count in table.counts]
    axes.bar_label(bars, counts, fontsize=7, padding=1)
    axes.plot([0, 1], [0, 1], "--", color="grey", label="confidence = accuracy")
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.05))
    axes.legend(loc="upper left")
    save_figure(figure, path)


def plot_risk_coverage(curve: RiskCoverage, path: Path) -> None:
    """Share of wrong predictions by share of photos predicted."""
    figure, axes = new_figure(f"Risk and coverage (area {curve.area:.4f})")
    axes.plot(curve.coverage, curve.risk, "o" if len(curve.risk) == 1 else "-")
    axes.set(xlabel="coverage", ylabel="risk", xlim=(0, 1), ylim=(0, None))
    save_figure(figure, path)


def plot_confusion(confusion: NDArray[np.int64], names: Sequence[str], path: Path) -> None:
    """A confusion matrix, each row by its own number of photos."""
    side = float(np.clip(0.13 * len(names), 5, 26))
    height = float(np.clip(0.6 * 72 * side / len(names), 4, 9))  # points, of the names
    figure, axes = new_figure("Confusion matrix", (side + 2, side + 1))
    shares = confusion / np.maximum(1, confusion.sum(axis=1, keepdims=True))
    image = axes.imshow(shares, cmap="viridis", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=height)
    axes.set_yticks(range(len(names)), names, fontsize=height)
    axes.set(xlabel="predicted", ylabel="label")
    figure.colorbar(image, shrink=0.6, label="share of the label's photos")
    save_figure(figure, path)


def plot_curves(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]], title: str, axes_names: tuple[str, str],
    path: Path,
) -> None:  # fmt: skip
    """Named lines (x, y) in one diagram; a line of one point is a dot."""
    figure, axes = new_figure(title)
    for name, (x, y) in curves.items():
        axes.plot(x, y, "o" if len(np.atleast_1d(x)) == 1 else "-", label=name)
    if axes_names[0] == "epoch":
        axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    axes.set(xlabel=axes_names[0], ylabel=axes_names[1])
    if len(curves) > 1:
        axes.legend()
    save_figure(figure, path)


def plot_bars(values: Mapping[str, float], title: str, unit: str, path: Path) -> None:
    """One horizontal bar a name."""
    figure, axes = new_figure(title, (7, max(2.5, 0.16 * len(values) + 1)))
    axes.barh(list(values), list(values.values()))
    axes.tick_params(axis="y", labelsize=7)
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    save_figure(figure, path)


def contact_sheet(
    photos: Sequence[tuple[NDArray[np.uint8], str]], path: Path, columns: int = 8
) -> None:
    """Small pictures, uint8 (S, S, 3), each with a text below it, wrapped where it is too long."""
    font = _font()
    texts = [_wrapped(font, text) for _, text in photos]
    rows = max(1, -(-len(photos) // columns))
    height = _CELL + max([3, *map(len, texts)]) * _TEXT + 4
    sheet = Image.new("RGB", (columns * (_CELL + 4), rows * height), "white")
    draw = ImageDraw.Draw(sheet)
    for index, ((pixels, _), lines) in enumerate(zip(photos, texts, strict=True)):
        left, top = index % columns * (_CELL + 4) + 2, index // columns * height + 2
        sheet.paste(Image.fromarray(pixels).resize((_CELL, _CELL)), (left, top))
        for line, words in enumerate(lines):
            draw.text((left, top + _CELL + line * _TEXT), words, fill="black", font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def _font() -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib and has the letters that Pillow's own lacks."""
    try:
        from matplotlib import get_data_path
    except ImportError:
        raise MissingDependencyError("drawing contact sheets", "train") from None
    return ImageFont.truetype(Path(get_data_path(), "fonts/ttf/DejaVuSans.ttf"), _LETTERS)


def _wrapped(font: ImageFont.FreeTypeFont, text: str) -> list[str]:
    """The text in lines that fit below a picture, names broken after a joint where there is one."""
    lines: list[str] = []
    for line in text.splitlines():
        rest = line
        while font.getlength(rest) > _CELL:
            count = next(n for n in range(len(rest), 0, -1) if font.getlength(rest[:n]) <= _CELL)
            joint = max(rest.rfind(mark, 0, count) for mark in " _-") + 1
            count = joint or count
            lines.append(rest[:count])
            rest = rest[count:]
        lines.append(rest)
    return lines
