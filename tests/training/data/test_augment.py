"""Augmentation: shapes, bounds, repeatability, and what each change does."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.augment import Augmentation, augment

NOTHING = Augmentation(
    least_area=1, aspect=0, flip=0, rotation=0, small=0, degraded=0, jpeg=0, colour=0,
    saturation=0, grey=0, tint=0, erased=0,
)  # fmt: skip


def noise(size: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


@given(seed=st.integers(0, 10**6), side=st.integers(24, 96), size=st.integers(16, 96))
def test_any_picture_at_any_size(seed: int, side: int, size: int) -> None:
    before = noise(side, seed)
    kept = before.copy()
    result, detail = augment(before, size, Augmentation(), np.random.default_rng(seed))
    assert result.shape == (size, size, 3) and result.dtype == np.uint8
    assert 0 < detail <= size
    assert np.array_equal(before, kept)
    again, _ = augment(before, size, Augmentation(), np.random.default_rng(seed))
    assert np.array_equal(result, again)


def test_all_off_is_the_picture_itself() -> None:
    pixels = noise()
    result, detail = augment(pixels, 64, NOTHING, np.random.default_rng(0))
    assert np.array_equal(result, pixels) and detail == 64


@pytest.mark.parametrize(
    "name, value",
    [
        ("flip", 1), ("grey", 1), ("erased", 1), ("small", 1), ("degraded", 1), ("colour", 0.5),
        ("tint", 0.3),
    ],
)  # fmt: skip
def test_each_change_changes_something(name: str, value: float) -> None:
    settings = {field.name: getattr(NOTHING, field.name) for field in fields(NOTHING)}
    policy = Augmentation(**{**settings, name: value, "least_side": 16})
    pixels = noise(256)
    result, detail = augment(pixels, 256, policy, np.random.default_rng(1))
    assert not np.array_equal(result, pixels)
    if name == "flip":
        assert np.array_equal(result, pixels[:, ::-1])
    if name == "grey":
        assert (result[..., :1] == result).all()
    if name in ("small", "degraded"):  # detail is lost: neighbours are more alike
        assert _roughness(result) < 0.7 * _roughness(pixels)
        assert detail < 256


def _roughness(pixels: np.ndarray) -> float:
    return float(np.abs(np.diff(pixels.astype(float), axis=1)).mean())
