"""Diagrams about single photos, on matplotlib's figures (extra `plot`)."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image

from geotag.errors import MissingDependencyError
from geotag.records import TopCategory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from geotag.recognition.predictor import Explained

_PANEL = 4.4  # inches, the longer side
_LEAST_WIDTH = 3.4  # inches, for the titles
_TITLE = 42  # characters a line
_DIMMED = 0.35
_LEAST_LIMIT = 0.01  # of the colours: less is noise, and is to look like it


def draw_suggestions(figure: Figure, view: Image.Image, entries: Sequence[TopCategory]) -> None:
    """A picture, and beside it the landmarks that it most likely shows."""
    left, right = figure.subplots(1, 2)
    _show(left, np.asarray(view), "")
    names = [_plain(entry.landmark) for entry in entries]
    right.barh(names[::-1], [entry.confidence for entry in entries][::-1])
    right.set_xlim(0, 1)
    right.set_xlabel("confidence")
    figure.tight_layout()


def draw_explanation(explained: Explained, out: BinaryIO) -> None:
    """PNG: a picture, the parts that suffice for its landmark, and how much each part weighs.

    Raises MissingDependencyError without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError("drawing", "plot") from None
    found = explained.explanation
    view = np.asarray(explained.view)
    figure = Figure(figsize=_figure_size(explained.view), layout="constrained")
    whole, marked, weighed = figure.subplots(1, 3)
    name = textwrap.fill(_plain(explained.landmark), _TITLE)
    _show(whole, view, f"{name}\n{found.confidence:.1%}")
    grey = np.repeat(np.asarray(explained.view.convert("L"))[..., None], 3, axis=2)
    kept = _enlarged(found.marked[found.parts], explained.view.size)
    dimmed = (grey * _DIMMED).astype(np.uint8)
    shown = np.where(kept[..., None], view, dimmed)
    _show(marked, shown, f"these parts alone: {found.alone:.1%}\nall others: {found.without:.1%}")
    _show(weighed, grey, "what each part adds or takes")
    weights = _enlarged(found.weights[found.parts], explained.view.size)
    limit = max(float(np.abs(found.weights).max()), _LEAST_LIMIT)
    heat = weighed.imshow(weights, cmap="RdBu", vmin=-limit, vmax=limit, alpha=0.6)
    figure.colorbar(heat, ax=weighed, label="change of the confidence", format="%+.3g")
    figure.savefig(out, format="png", dpi=110, metadata={"Software": None})


def _figure_size(view: Image.Image) -> tuple[float, float]:
    """Inches for three panels of a picture's shape, their titles and a scale of colours."""
    longest = max(view.size)
    width, height = (_PANEL * side / longest for side in view.size)
    return 3 * max(width, _LEAST_WIDTH) + 1, height + 0.6


def _show(axes: Axes, pixels: NDArray[np.uint8], title: str) -> None:
    axes.imshow(pixels)
    axes.set_title(title, fontsize="medium")
    axes.axis("off")


def _enlarged(values: NDArray[np.generic], size: tuple[int, int]) -> NDArray[np.generic]:
    """A square array's values in a picture of another size (width, height)."""
    columns, rows = (np.arange(side) * len(values) // side for side in size)
    return values[np.ix_(rows, columns)]


def _plain(text: str) -> str:
    """A name in which matplotlib sees no formula."""
    return text.replace("$", r"\$")
