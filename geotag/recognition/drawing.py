"""Diagrams about single photos, on matplotlib's figures (extra `plot`)."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image

from geotag.errors import MissingDependencyError
from geotag.records import TopCategory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from geotag.recognition.predictor import Explained

# What all diagrams look like: so wide that their letters can be read on a phone, in colours that
# the colour-blind tell apart (Okabe and Ito, "Color universal design", 2008).
WIDTH = 4.0  # inches
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#56B4E9", "#CC79A7", "#E69F00")
STYLE: Any = {
    "savefig.dpi": 200,
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.prop_cycle": f"cycler('color', {list(PALETTE)})",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.fontsize": 7.5,
    "legend.title_fontsize": 7.5,
    "lines.linewidth": 1.4,
    "lines.markersize": 5,
}
_MOST_HEIGHT = 2.4  # inches of a picture
_TITLES, _SCALE = 0.5, 0.6  # inches of what stands beside each picture, and below the last
_TITLE = 48  # characters a line
_DIMMED = 0.35
_LIMITS = (1, 2, 5, 10, 20, 50, 100)  # of the colours, in points: less is noise, and looks like it
_FOR, _AGAINST = (28, 108, 200), (226, 106, 12)
_STRONGEST = 0.75  # how much of a part's colour is that of its weight


def draw_suggestions(figure: Figure, view: Image.Image, entries: Sequence[TopCategory]) -> None:
    """A picture, and beside it the landmarks that it most likely shows."""
    left, right = figure.subplots(1, 2)
    _show(left, np.asarray(view), "")
    names = [plain(entry.landmark) for entry in entries]
    right.barh(names[::-1], [entry.confidence for entry in entries][::-1])
    right.set_xlim(0, 1)
    right.set_xlabel("confidence")
    figure.tight_layout()


def explanation_pictures(explained: Explained) -> tuple[Image.Image, Image.Image]:
    """The parts that suffice for a landmark, the others dark; and how much each part weighs:
    blue for it, orange against it."""
    found, size = explained.explanation, explained.view.size
    view = np.asarray(explained.view)
    grey = np.asarray(explained.view.convert("L"), np.float64)[..., None]
    kept = _enlarged(found.marked[found.parts], size)[..., None]
    limit = max(float(np.abs(found.weights).max()), _LIMITS[0] / 100)
    is_for = _enlarged(found.weights[found.parts] >= 0, size)[..., None]
    weighs = _enlarged(np.abs(found.weights / limit)[found.parts], size)[..., None]
    colours = np.where(is_for, np.array(_FOR), np.array(_AGAINST))
    strength = _STRONGEST * weighs.astype(np.float64)
    alone = np.where(kept, view, grey * _DIMMED)
    weighed = grey * (1 - strength) + colours * strength
    return Image.fromarray(alone.astype(np.uint8)), Image.fromarray(weighed.astype(np.uint8))


def draw_explanation(explained: Explained, out: BinaryIO) -> None:
    """PNG: a picture, the parts that suffice for its landmark, and how much each part weighs.

    Raises MissingDependencyError without matplotlib.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError("drawing", "plot") from None
    with rc_context(STYLE):
        figure = Figure(figsize=_figure_size(explained.view), layout="constrained")
        _fill(figure, explained)
        figure.savefig(out, format="png", dpi=150, metadata={"Software": None})


def _fill(figure: Figure, explained: Explained) -> None:
    found = explained.explanation
    view = np.asarray(explained.view)
    whole, marked, weighed = figure.subplots(3, 1)
    name = textwrap.fill(plain(explained.landmark), _TITLE)
    _show(whole, view, f"{name}\n{found.confidence:.1%}")
    grey = np.repeat(np.asarray(explained.view.convert("L"))[..., None], 3, axis=2)
    kept = _enlarged(found.marked[found.parts], explained.view.size)
    dimmed = (grey * _DIMMED).astype(np.uint8)
    shown = np.where(kept[..., None], view, dimmed)
    _show(marked, shown, f"these parts alone: {found.alone:.1%}\nall others: {found.without:.1%}")
    _show(weighed, grey, "what each part adds (blue) or takes (red)")
    points = 100 * found.weights
    limit = next((each for each in _LIMITS if each >= np.abs(points).max()), _LIMITS[-1])
    heat = weighed.imshow(
        _enlarged(points[found.parts], explained.view.size),
        cmap="RdBu", vmin=-limit, vmax=limit, alpha=0.6,
    )  # fmt: skip
    figure.colorbar(
        heat, ax=weighed, location="bottom", format="%+.3g",
        label="change of the confidence, in percentage points",
    )  # fmt: skip


def _figure_size(view: Image.Image) -> tuple[float, float]:
    """Inches for three pictures, one below the other, with their titles and a scale of colours."""
    height = min(_MOST_HEIGHT, WIDTH * view.height / view.width)
    return WIDTH, 3 * (height + _TITLES) + _SCALE


def _show(axes: Axes, pixels: NDArray[np.uint8], title: str) -> None:
    axes.imshow(pixels)
    axes.set_title(title, fontsize=8)
    axes.axis("off")


def _enlarged(values: NDArray[np.generic], size: tuple[int, int]) -> NDArray[np.generic]:
    """A square array's values in a picture of another size (width, height)."""
    columns, rows = (np.arange(side) * len(values) // side for side in size)
    return values[np.ix_(rows, columns)]


def plain(text: str) -> str:
    """A name in which matplotlib sees no formula."""
    return text.replace("$", r"\$")
