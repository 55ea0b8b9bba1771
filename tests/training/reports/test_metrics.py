"""Metrics against hand-worked cases, definitions and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.reports import metrics

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 5, 200)
SCORES = RNG.random((200, 5)) + 0.5 * np.eye(5)[LABELS]
PREDICTED = SCORES.argmax(1)


def test_top_k_accuracy() -> None:
    scores = [[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.4, 0.35, 0.25]]
    assert metrics.top_k_accuracy(scores, [0, 1, 2]) == pytest.approx(1 / 3)
    assert metrics.top_k_accuracy(scores, [0, 1, 2], 2) == pytest.approx(2 / 3)
    assert metrics.top_k_accuracy(scores, [0, 1, 2], 3) == 1
    assert np.isnan(metrics.top_k_accuracy(np.empty((0, 3)), []))


def test_gap_counts_distractors_and_what_is_missed() -> None:
    # By confidence: right, distractor, right. Precisions at the right ones: 1 and 2/3.
    assert metrics.global_average_precision([0.9, 0.8, 0.7], [1, 0, 1], 2) == pytest.approx(5 / 6)
    assert metrics.global_average_precision([0.9, 0.8, 0.7], [1, 0, 1], 4) == pytest.approx(5 / 12)
    assert np.isnan(metrics.global_average_precision([0.5], [0]))


def test_gap_is_average_precision_when_all_is_found() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    confidence, correct = SCORES.max(1), PREDICTED == LABELS
    ours = metrics.global_average_precision(confidence, correct)
    assert ours == pytest.approx(sklearn.average_precision_score(correct, confidence))


def test_auroc() -> None:
    assert metrics.auroc([3, 2], [1, 0]) == 1
    assert metrics.auroc([1, 1], [1, 1]) == 0.5
    assert metrics.auroc([2, 0], [1]) == 0.5
    assert np.isnan(metrics.auroc([], [1]))
    sklearn = pytest.importorskip("sklearn.metrics")
    above, below = np.round(RNG.normal(1, 1, 80), 1), np.round(RNG.normal(0, 1, 50), 1)
    truth = np.repeat([1, 0], [80, 50])
    expected = sklearn.roc_auc_score(truth, np.concatenate([above, below]))
    assert metrics.auroc(above, below) == pytest.approx(expected)


def test_fpr_at_tpr() -> None:
    positive = np.arange(1, 101) / 100
    # 95 of the 100 positives score at least 0.06.
    assert metrics.fpr_at_tpr(positive, [0.05, 0.06, 0.5, 0.01]) == 0.5
    assert metrics.fpr_at_tpr([0.9], [0.1]) == 0


def test_reliability() -> None:
    table = metrics.reliability([0.95, 0.95, 0.05, 1.0, 0.0], [1, 0, 0, 1, 0], bins=10)
    assert table.counts.tolist() == [2, 0, 0, 0, 0, 0, 0, 0, 0, 3]
    assert table.accuracy[9] == pytest.approx(2 / 3)
    assert table.confidence[9] == pytest.approx(2.9 / 3)
    assert table.error == pytest.approx((0.9 + 0.05) / 5)


def test_honest_confidences_have_no_calibration_error() -> None:
    confidence = np.full(1000, 0.75)
    assert metrics.reliability(confidence, np.arange(1000) % 4 > 0).error == pytest.approx(0)


def test_risk_coverage() -> None:
    curve = metrics.risk_coverage([0.2, 0.9, 0.5, 0.7], [0, 1, 0, 1])
    np.testing.assert_allclose(curve.coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(curve.risk, [0, 0, 1 / 3, 1 / 2])
    assert curve.area == pytest.approx((1 / 3 + 1 / 2) / 4)


def test_the_threshold_goes_as_low_as_the_precision_allows() -> None:
    confidence, correct = [0.9, 0.8, 0.7, 0.6, 0.5], [1, 0, 1, 1, 0]
    found = metrics.threshold_for_precision(confidence, correct, 0.75, positives=5)
    assert found == (0.6, 0.75, 0.6)
    assert metrics.recall_at_precision(confidence, correct, 1.0, 5) == pytest.approx(0.2)
    assert metrics.threshold_for_precision([0.9], [0], 0.5) is None
    assert metrics.recall_at_precision([0.9], [0], 0.5, 1) == 0
    assert metrics.threshold_for_precision([], [], 0.5) is None


def test_equal_confidences_are_one_threshold() -> None:
    assert metrics.threshold_for_precision([0.9, 0.9], [1, 0], 0.9) is None


def test_a_margin_asks_for_more_photos() -> None:
    few, many = np.linspace(1, 0.9, 50), np.linspace(1, 0.9, 5000)
    assert metrics.threshold_for_precision(few, np.ones(50), 0.99) is not None
    assert metrics.threshold_for_precision(few, np.ones(50), 0.99, margin=1.64) is None
    assert metrics.threshold_for_precision(many, np.ones(5000), 0.99, margin=1.64) is not None


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]), st.booleans()), min_size=1))
def test_a_threshold_keeps_its_promise(pairs: list[tuple[float, bool]]) -> None:
    confidence, correct = map(np.array, zip(*pairs, strict=True))
    found = metrics.threshold_for_precision(confidence, correct, 0.8)
    if found is None:
        for value in confidence:
            assert correct[confidence >= value].mean() < 0.8
    else:
        assert correct[confidence >= found.confidence].mean() >= 0.8
        again = metrics.at_threshold(confidence, correct, found.confidence)
        np.testing.assert_equal(tuple(again), tuple(found))
