"""Explanations find the part that a score hangs on, and say how far they are to be trusted."""

from __future__ import annotations

import numpy as np
import pytest

from geotag.recognition.explanation import explain, split
from tests.conftest import picture

pytest.importorskip("skimage")
SIZE = 64


@pytest.fixture
def pixels() -> np.ndarray:
    """A noisy grey picture whose upper right quarter is red."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(100, 140, (SIZE, SIZE, 3), dtype=np.uint8)
    pixels[: SIZE // 2, SIZE // 2 :, 0] = 230
    pixels[: SIZE // 2, SIZE // 2 :, 1:] = rng.integers(0, 60, (SIZE // 2, SIZE // 2, 2))
    return pixels


def _sharp_red(views: np.ndarray) -> np.ndarray:
    """A landmark that is seen the surer the more of the red is sharp."""
    corner = views[:, : SIZE // 2, SIZE // 2 :, 1].astype(float)
    return np.clip(np.abs(np.diff(corner)).mean(axis=(1, 2)) / 25, 0, 1)


def test_what_the_score_hangs_on_weighs_most(pixels: np.ndarray) -> None:
    found = explain(_sharp_red, pixels, samples=300)
    of_pixels = found.weights[found.parts]
    red = np.zeros((SIZE, SIZE), bool)
    red[: SIZE // 2, SIZE // 2 :] = True
    assert of_pixels[red].mean() > 10 * np.abs(of_pixels[~red]).mean()
    marked = found.marked[found.parts]
    assert marked[red].mean() > 0.6
    assert marked[~red].mean() < 0.1
    assert found.confidence == pytest.approx(_sharp_red(pixels[None])[0])
    assert found.alone >= 0.9 * found.confidence
    assert found.without < 0.5 * found.confidence
    assert found.fit > 0.8


def test_the_same_picture_has_the_same_explanation(pixels: np.ndarray) -> None:
    one, other = explain(_sharp_red, pixels, 100), explain(_sharp_red, pixels, 100)
    assert (one.weights == other.weights).all()
    assert (explain(_sharp_red, pixels, 100, seed=1).weights != one.weights).any()


@pytest.mark.parametrize("score", [0.0, 0.7])
def test_a_score_that_hangs_on_nothing(pixels: np.ndarray, score: float) -> None:
    found = explain(lambda views: np.full(len(views), score), pixels, 50)
    assert np.abs(found.weights).max() < 1e-6
    assert found.marked.sum() == 1
    assert (found.confidence, found.alone, found.without) == (score, score, score)
    assert found.fit == pytest.approx(1)


def test_parts_are_numbered_without_gaps() -> None:
    for pixels in (np.zeros((32, 32, 3), np.uint8), np.asarray(picture("taj_mahal", (48, 48)))):
        parts = split(pixels)
        assert parts.shape == pixels.shape[:2]
        assert set(np.unique(parts)) == set(range(parts.max() + 1))
