"""Temperature and thresholds, from logits whose truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geotag.decision import probabilities
from geotag.model.checkpoint import load_checkpoint
from tests.training.conftest import Invoke, write_set
from training.calibrate import fit_calibration, main


def drawn(count: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `temperature` times too large for the labels drawn from them."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(0, 3, (count, 4))
    shares = np.cumsum(probabilities(honest.astype(np.float32), 1.0), axis=1)
    labels = (rng.random((count, 1)) > shares[:, :-1]).sum(axis=1)
    return (honest * temperature).astype(np.float32), labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_finds_the_temperature(temperature: float) -> None:
    fitted = fit_calibration(*drawn(8000, temperature))
    assert fitted.temperature == pytest.approx(temperature, rel=0.1)


def test_thresholds_hold_on_other_photos() -> None:
    fitted = fit_calibration(*drawn(8000, 1.0))
    logits, labels = drawn(8000, 1.0, seed=1)
    scores = probabilities(logits, fitted.temperature)[:, :-1]
    assert [t.precision for t in fitted.thresholds][:3] == [0.9, 0.95, 0.98]
    confidences = [t.confidence for t in fitted.thresholds]
    assert confidences == sorted(confidences)
    for precision, confidence in fitted.thresholds[:3]:  # more landmarks than in a library: surer
        tagged = scores.max(axis=1) >= confidence
        right = scores.argmax(axis=1)[tagged] == labels[tagged]
        assert right.mean() > precision - 0.01


def test_thresholds_are_for_libraries_of_mostly_other_photos() -> None:
    """Nine landmarks in ten photos or three, as many false alarms to a negative: one threshold."""
    logits, labels = drawn(20000, 1.0)
    negatives = np.flatnonzero(labels == 3)
    few = np.concatenate([np.flatnonzero(labels != 3), negatives[: len(negatives) // 6]])
    of_all, of_few = fit_calibration(logits, labels), fit_calibration(logits[few], labels[few])
    for all_, few_ in zip(of_all.thresholds[:2], of_few.thresholds[:2], strict=True):
        assert few_.confidence == pytest.approx(all_.confidence, abs=0.05)


def test_few_photos_promise_no_high_precision() -> None:
    logits = np.tile(np.array([[9, 0, 0, 0]], np.float32), (20, 1))
    fitted = fit_calibration(logits, np.zeros(20, np.intp))
    assert all(t.precision < 0.98 for t in fitted.thresholds)


def test_a_model_that_is_left_without_thresholds_says_so(
    model_path: Path, tmp_path: Path, invoke: Invoke
) -> None:
    copy = tmp_path / "model.safetensors"
    copy.write_bytes(model_path.read_bytes())
    output = invoke(main, "--model", copy, "--data", write_set(tmp_path / "set", {"val": 1}))
    assert load_checkpoint(copy).spec.thresholds == ()
    assert "prove no precision" in output


def test_the_command_changes_the_calibration_alone(
    colour_set: Path, model_path: Path, tmp_path: Path, invoke: Invoke
) -> None:
    copy = tmp_path / "model.safetensors"
    copy.write_bytes(model_path.read_bytes())
    output = invoke(main, "--model", copy, "--data", colour_set)
    before, after = load_checkpoint(model_path), load_checkpoint(copy)
    assert f"temperature {after.spec.temperature:.3f}" in output
    assert after.spec.categories == before.spec.categories
    assert after.spec.shares != before.spec.shares
    for name, tensor in before.tensors.items():
        assert np.array_equal(tensor, after.tensors[name])
