"""What tags are worth where landmarks were taken from the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geotag.errors import DataError
from geotag.model.checkpoint import load_checkpoint
from tests.training.conftest import Invoke
from training.openset import Embedded
from training.reports.mixtures import Library, Rule, Tagged, format_taken, mix
from training.unknown import main, measure_taken, photos_of


@pytest.fixture(autouse=True)
def few_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.reports.mixtures.LIBRARIES", 3)
    monkeypatch.setattr("training.unknown.LIBRARIES", 3)
    monkeypatch.setattr("training.reports.mixtures.PHOTOS", 1000)


@pytest.fixture(scope="module")
def rule() -> Rule:
    spec = load_checkpoint().spec
    return Rule(spec, spec.threshold_for(0.99), 0.99)


def tagged(unknown: float) -> Tagged:
    """Photos of ten landmarks, named rightly and surely, of nothing, and of landmarks that were
    taken from the model, which is so sure of them."""
    labels = np.concatenate([np.repeat(np.arange(10), 20), np.full(200, -1), np.full(200, -2)])
    confidence = np.select([labels >= 0, labels == -1], [0.9999, 0.1], unknown)
    return Tagged(np.maximum(labels, 0), confidence, labels >= 0, labels)


def test_what_was_taken_costs_precision_where_the_model_is_sure_of_it(rule: Rule) -> None:
    for unknown, right in ((0.4, 1.0), (0.99999, 0.0)):
        photos = tagged(unknown)
        clean, mixed = (mix(photos, rule, Library(0.05, taken)) for taken in (0.0, 1.0))
        assert clean.precision[1] == clean.together == 1 and clean.recall[1] == 1
        assert (mixed.together >= 0.99) == (right == 1.0)
        assert mixed.plain_precision[1] == pytest.approx(1.0 if right else 0.05, abs=0.01)


def test_a_journey_shows_few_landmarks(rule: Rule) -> None:
    photos = tagged(0.4)
    found = measure_taken(photos, rule)
    assert {library.landmarks for library in found} == {None, 8} and len(found) == 18
    lines = format_taken(found).splitlines()
    assert len(lines) == 2 + 12 and lines[2].startswith(
        "| 0 % | 50 % | 100.0 % (100.0 % to 100.0 %) |"
    )
    few = photos._replace(label=np.minimum(photos.label, 3))
    assert {library.landmarks for library in measure_taken(few, rule)} == {None}


@pytest.mark.slow
def test_a_landmark_that_was_taken_is_not_found() -> None:
    checkpoint = load_checkpoint()
    width = len(checkpoint.memory["mean"])
    labels = np.array([0, 5, 5, 118, len(checkpoint.spec.categories)])
    drawn = np.random.default_rng(0).normal(size=(len(labels), width)).astype(np.float32)
    photos = photos_of(checkpoint, Embedded(drawn, labels))
    assert photos.label.tolist() == [0, 5, 5, 118, -1, -2, -2, -2, -2]
    assert not photos.correct[5:].any()
    assert (photos.category[5:] != labels[:4]).all()
    with pytest.raises(DataError, match="and of other things"):
        photos_of(checkpoint, Embedded(drawn[:4], labels[:4]))


def test_a_model_without_a_memory_is_refused(
    colour_set: Path, model_path: Path, tmp_path: Path, invoke: Invoke
) -> None:
    with pytest.raises(DataError, match="a model with a memory"):
        invoke(main, "--data", colour_set, "--model", model_path, "--out", tmp_path)
    assert not list(tmp_path.rglob("*.json"))
