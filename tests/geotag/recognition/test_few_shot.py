"""Fitting one more output."""

from __future__ import annotations

import numpy as np
import pytest

from geotag.recognition.few_shot import Head, fit_output, fit_passing_output

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
