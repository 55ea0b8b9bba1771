"""The model: any number of pictures in, calibrated probabilities out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geotag.engines.base import EngineOptions
from geotag.recognition.model import Model
from tests.conftest import COLOURS, picture


@pytest.fixture(scope="module")
def model(model_path: Path) -> Model:
    return Model.open(model_path, EngineOptions("pytorch", "cpu", batch_size=4))


@pytest.fixture(scope="module")
def pictures(model: Model) -> np.ndarray:
    side = model.spec.input_size
    shown = [picture(label, (side, side), seed=n) for n, label in enumerate([*COLOURS] * 3)]
    return np.stack([np.asarray(image) for image in shown])


def test_scores_are_probabilities_whatever_the_number(model: Model, pictures: np.ndarray) -> None:
    scores = model.scores(pictures)
    assert scores.shape == (len(pictures), len(model.spec.categories) + 1)
    assert np.allclose(scores.sum(axis=1), 1)
    for count in (0, 1, 4, 5):
        assert np.array_equal(model.scores(pictures[:count]), scores[:count])
        assert np.array_equal(model.scores(iter(pictures[:count])), scores[:count])


def test_predictions_name_the_best_first(model: Model, pictures: np.ndarray) -> None:
    for label, found in zip([*COLOURS] * 3, model.predictions(pictures, 2), strict=True):
        assert len(found.top) == 2 and found.top[0].confidence >= found.top[1].confidence
        if label:
            assert found.top[0].slug == label
            assert model.categories.by_slug(label).slug == label
        else:
            assert found.landmark_probability < 0.5


def test_it_says_what_it_is(model: Model) -> None:
    assert model.name == model.header.name and model.name.startswith(model.spec.architecture)
