"""Fitting one more output."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotag.recognition.few_shot import Head, fit_output, fit_passing_output, wilson_interval

_HEAD = Head(np.eye(3, 8), np.zeros(3))
_RANDOM = np.random.default_rng(0)
_BACKGROUND = _RANDOM.normal(size=(60, 8))
_EXAMPLES = _RANDOM.normal(size=(10, 8)) + 3
_PHOTOS = np.arange(10)


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_any_threshold_gives_a_finite_output(threshold: float) -> None:
    fitted = fit_output(_HEAD, _EXAMPLES, _PHOTOS, _BACKGROUND, threshold)
    weight, bias = fit_passing_output(_HEAD, _EXAMPLES, _PHOTOS, _BACKGROUND, threshold)
    assert np.isfinite([*fitted.weight, fitted.bias, *weight, bias]).all()


def test_a_higher_threshold_tags_fewer_examples_and_passes_more_photos() -> None:
    recalls = [
        fit_output(_HEAD, _EXAMPLES, _PHOTOS, _BACKGROUND, threshold).recall
        for threshold in (0.2, 0.999)
    ]
    biases = [
        fit_passing_output(_HEAD, _EXAMPLES, _PHOTOS, _BACKGROUND, probability)[1]
        for probability in (0.2, 0.999)
    ]
    assert recalls[0] >= recalls[1] and biases[0] < biases[1]


def test_the_passing_output_lets_new_examples_pass_and_little_without_a_landmark() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(64) * 3

    def cluster(at: int, count: int) -> np.ndarray:
        return centres[at] + rng.normal(0, 0.4, (count, 64))

    head = Head(np.vstack([centres[:5] * 2, centres[9] * 2]), np.array([-9.0] * 6))
    background = np.concatenate([cluster(at, 60) for at in range(10)])
    output = fit_passing_output(head, cluster(12, 10), np.arange(10), background, 0.7)

    def passing(points: np.ndarray) -> float:
        margin = points @ output[0] + output[1] - head.logits(points)[:, -1]
        return float((margin > np.log(0.7 / 0.3)).mean())

    assert passing(cluster(12, 200)) > 0.98
    assert passing(cluster(9, 200)) < 0.02
    assert passing(np.concatenate([cluster(at, 60) for at in range(10)])) < 0.2


def test_the_output_tells_its_examples_from_the_background() -> None:
    """Clusters in 64 dimensions: known ones with outputs, an unknown one, and background."""
    rng = np.random.default_rng(0)
    centres = np.eye(64) * 3

    def cluster(at: int, count: int) -> np.ndarray:
        return centres[at] + rng.normal(0, 0.4, (count, 64))

    head = Head(np.vstack([centres[:5] * 2, np.zeros(64)]), np.array([-9.0] * 5 + [3.0]))
    background = np.concatenate([cluster(at, 60) for at in range(10)])
    examples = cluster(12, 15)
    fitted = fit_output(head, examples, np.arange(15), background, 0.9)
    both = Head(
        np.vstack([head.weight[:-1], fitted.weight, head.weight[-1:]]),
        np.concatenate([head.bias[:-1], [fitted.bias], head.bias[-1:]]),
    )

    def chance(points: np.ndarray) -> np.ndarray:
        scores = np.exp(both.logits(points))
        return scores[:, 5] / scores.sum(1)

    assert (chance(cluster(12, 200)) > 0.9).mean() > 0.8
    others = np.concatenate([cluster(at, 200) for at in range(10)])
    assert (chance(others) > 0.9).mean() <= 0.005
    known = both.logits(cluster(3, 200)).argmax(1)
    assert (known == 3).mean() > 0.98
    assert 0.5 < fitted.recall <= 1


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_examples_promise_no_more_than_was_held_out(count: int) -> None:
    """Other photos of the landmark get the scores that the calibration is made of."""
    rng = np.random.default_rng(0)
    centres = np.eye(64) * 3

    def cluster(at: int, count: int) -> np.ndarray:
        return centres[at] + rng.normal(0, 0.4, (count, 64))

    head = Head(np.vstack([centres[:5] * 2, np.zeros(64)]), np.array([-9.0] * 5 + [3.0]))
    background = np.concatenate([cluster(at, 60) for at in range(10)])
    examples, photos = np.repeat(cluster(12, count), 4, axis=0), np.repeat(np.arange(count), 4)
    fitted = fit_output(head, examples, photos, background, 0.95)

    def margins(points: np.ndarray) -> np.ndarray:
        known = np.log(np.exp(head.logits(points)).sum(1))
        return points @ fitted.weight + fitted.bias - known

    others = np.concatenate([cluster(at, 200) for at in range(10)])
    assert (margins(others) > np.log(0.95 / 0.05)).mean() <= 0.001
    if count > 1:
        unseen = cluster(12, 200) @ fitted.weight + fitted.bias
        assert unseen.mean() < fitted.held_out.mean() + 1.5


@given(st.integers(1, 500), st.data())
def test_an_interval_holds_its_share_and_narrows(count: int, data: st.DataObject) -> None:
    share = data.draw(st.integers(0, count)) / count
    low, high = wilson_interval(share, count)
    assert -1e-9 <= low <= share + 1e-9 and share - 1e-9 <= high <= 1 + 1e-9 and low < high
    lower, higher = wilson_interval(share, 4 * count)
    assert higher - lower < high - low


def test_an_interval_of_known_size() -> None:
    assert wilson_interval(0.5, 10) == (
        pytest.approx(0.2366, abs=1e-4),
        pytest.approx(0.7634, abs=1e-4),
    )
