"""Diagrams and contact sheets as PNG files, readable at the width of a phone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from geotag.errors import MissingDependencyError
from geotag.recognition.drawing import PALETTE, STYLE, WIDTH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEIGHT = 3.2
_LINES = ("-", "--", ":", "-.")  # told apart without colours too
_CELL = 112
_TEXT = 12
_LETTERS = 9


@contextmanager
def drawn(path: Path, height: float = _HEIGHT) -> Iterator[Figure]:
    """A figure in the style of all, so many inches high, and a PNG file when the block ends.

    The same figure gives the same bytes. Raises MissingDependencyError.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError("drawing diagrams", "train") from None
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        yield figure
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Software": None})


def plot_curves(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]], title: str, axes_names: tuple[str, str],
    path: Path,
) -> None:  # fmt: skip
    """Named lines (x, y) in one diagram; a line of one point is a dot."""
    with drawn(path) as figure:
        axes = figure.subplots()
        looks = zip(curves.items(), cycle(PALETTE), cycle(_LINES))
        for (name, (x, y)), colour, line in looks:
            look = "o" if len(np.atleast_1d(x)) == 1 else line
            axes.plot(x, y, look, color=colour, label=name)
        if axes_names[0] == "epoch":
            axes.locator_params(axis="x", integer=True, min_n_ticks=1)
        axes.set(title=title, xlabel=axes_names[0], ylabel=axes_names[1])
        if len(curves) > 1:
            axes.legend()


def plot_bars(values: Mapping[str, float], title: str, unit: str, path: Path) -> None:
    with drawn(path, max(2.5, 0.15 * len(values) + 1)) as figure:
        axes = figure.subplots()
        axes.barh(list(values), list(values.values()))
        axes.tick_params(axis="y", labelsize=7)
        axes.margins(y=0.01)
        axes.invert_yaxis()
        axes.set(title=title, xlabel=unit)


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
