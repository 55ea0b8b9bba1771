"""Positions as unit vectors, so that poles and the antimeridian are places like any other."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vectors = NDArray[np.float64]
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Rows = NDArray[np.int64]
EARTH_M = 6_371_008.8


def nearest(times: Floats, reference: Floats) -> Rows:
    """The row of the nearest of sorted times, for each; the earlier one of two that are as near."""
    after = np.clip(np.searchsorted(reference, times), 0, len(reference) - 1)
    before = np.maximum(after - 1, 0)
    earlier = np.abs(times - reference[before]) <= np.abs(reference[after] - times)
    return np.where(earlier, before, after)


def to_vectors(latitude: ArrayLike, longitude: ArrayLike) -> Vectors:
    """Degrees (N) to unit vectors (N, 3)."""
    phi, lam = np.radians(latitude), np.radians(longitude)
    across = np.cos(phi)
    return np.stack((across * np.cos(lam), across * np.sin(lam), np.sin(phi)), axis=-1)


def to_degrees(vectors: Vectors) -> tuple[Floats, Floats]:
    """Vectors (N, 3) of any length to latitudes and longitudes."""
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.degrees(np.arctan2(z, np.hypot(x, y))), np.degrees(np.arctan2(y, x))


def metres(a: Vectors, b: Vectors) -> Floats:
    """The great-circle distance of unit vectors."""
    chord = np.sqrt(np.sum((a - b) ** 2, axis=-1))
    result: Floats = 2 * EARTH_M * np.arcsin(np.minimum(chord / 2, 1.0))
    return result


def between(a: Vectors, b: Vectors, fraction: Floats) -> Vectors:
    """The point a fraction of the way from `a` to `b` (for distances well below half a globe)."""
    mixed = a + (b - a) * fraction[..., None]
    length = np.sqrt(np.sum(mixed**2, axis=-1, keepdims=True))
    return mixed / np.where(length > 0, length, 1.0)
