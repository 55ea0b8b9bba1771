"""Pictures with nothing in them that a network could classify: tiny, blank, or text alone."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_SIDE = 32
TINY = f"fewer than {LEAST_SIDE} pixels across"
BLANK = "of one colour, or a plain gradient"
TEXT = "text or a drawing of a screen"
_GRID = 32
# Grey levels by which a picture must differ somewhere from the best second-order surface. The
# plainest photo of a landmark differs by twice that, in snow, fog or at night.
_LEAST_DEVIATION = 8.0
# A page or a screen: of so many pixels the neighbours are the very same, which the noise of a
# camera forbids; so many have one colour; and lines of text make the rows differ.
_FLAT, _GROUND, _ROWS = 0.4, 0.45, 0.03
_INK = 40  # grey levels from the ground


def why_empty(pixels: NDArray[np.uint8], size: tuple[int, int] | None = None) -> str:
    """Why a picture, uint8 (S, S, 3), is not worth classifying; "" where it may be.

    `size` is the stored picture's width and height, where they are known.
    """
    if size is not None and 0 < min(size) < LEAST_SIDE:
        return TINY
    if _deviation(pixels) < _LEAST_DEVIATION:
        return BLANK
    return TEXT if _is_text(pixels) else ""


def _deviation(pixels: NDArray[np.uint8]) -> float:
    """The standard deviation of any channel, of a small picture, from a second-order surface."""
    small = Image.fromarray(pixels).resize((_GRID, _GRID), Image.Resampling.BOX)
    values = np.asarray(small, np.float64).reshape(-1, 3)
    surface = _surfaces()
    rest = values - surface @ (surface.T @ values)
    return float(np.sqrt(np.square(rest).mean(0)).max())


@cache
def _surfaces() -> NDArray[np.float64]:
    """An orthonormal basis (GRID * GRID, 6) of the second-order surfaces."""
    y, x = np.mgrid[-1 : 1 : _GRID * 1j, -1 : 1 : _GRID * 1j].reshape(2, -1)
    return np.linalg.qr(np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], 1))[0]


def _is_text(pixels: NDArray[np.uint8]) -> bool:
    green = pixels[..., 1]
    same = (green[1:, 1:] == green[:-1, 1:]) & (green[1:, 1:] == green[1:, :-1])
    if float(same.mean()) < _FLAT:
        return False
    counts = np.bincount(green.ravel() >> 3, minlength=32)
    ground = int(counts.argmax())
    near = int(counts[max(0, ground - 1) : ground + 2].sum())
    if near < _GROUND * green.size:
        return False
    ink = np.abs(green.astype(np.int16) - (ground * 8 + 4)) > _INK
    return float(np.abs(np.diff(ink.mean(axis=1))).mean()) >= _ROWS
