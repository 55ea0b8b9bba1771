"""Pictures with nothing in them that a network could classify: tiny, plain, or text alone."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_SIDE = 32
TINY = f"fewer than {LEAST_SIDE} pixels across"
BLANK = "of one colour, a plain gradient, or a few plain areas"
TEXT = "text or a drawing of a screen"
_GRID = 32
# Grey levels by which a picture must differ somewhere from the best second-order surface. The
# plainest photo of a landmark differs by twice that, in snow, fog or at night.
_LEAST_DEVIATION = 8.0
# The same without a frame of this share at each side, for a border tells nothing; and of the
# squares of the grid the share that must vary, by so many grey levels. A small statue below a clear
# sky, the plainest of 4,336 photos of landmarks, has 5.2 and 0.084.
_FRAME, _LEAST_INSIDE = 3 / 32, 4.0
_LEAST_DETAILED, _DETAIL = 0.075, 2.0
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
    frame = round(_FRAME * len(pixels))
    inside = pixels[frame : len(pixels) - frame, frame : len(pixels) - frame]
    is_plain = _deviation(inside) < _LEAST_INSIDE or _detailed(inside) < _LEAST_DETAILED
    if is_plain or _deviation(pixels) < _LEAST_DEVIATION:
        return BLANK
    return TEXT if _is_text(pixels) else ""


def _deviation(pixels: NDArray[np.uint8]) -> float:
    """The standard deviation of any channel, of a small picture, from a second-order surface."""
    values = _means(pixels).astype(np.float64).reshape(-1, 3)
    surface = _surfaces()
    rest = values - surface @ (surface.T @ values)
    return float(np.sqrt(np.square(rest).mean(0)).max())


def _detailed(pixels: NDArray[np.uint8]) -> float:
    """The share of the grid's squares that are not plain, by a quarter of their pixels.

    1 where these are too few to tell.
    """
    if len(pixels) < 4 * _GRID:
        return 1.0
    channels = np.moveaxis(pixels[::2, ::2].astype(np.float32), 2, 0)
    varies = [_means(v * v) - _means(v) ** 2 > _DETAIL**2 for v in channels]
    return float(np.any(varies, axis=0).mean())


def _means(values: NDArray[Any]) -> NDArray[Any]:
    """Of a picture's values in each square of the grid."""
    return np.asarray(Image.fromarray(values).resize((_GRID, _GRID), Image.Resampling.BOX))


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
