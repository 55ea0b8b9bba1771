"""Figures of merit of classification, rejection and calibration: numpy in, numbers out. Pure.

Throughout, `scores` is (N, C), `labels` and `predicted` (N,) of class indices, `confidence` (N,)
the score of the prediction, `correct` (N,) whether it is right (never, for a negative), and
`positives` how many of the N photos show a landmark that could have been found.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def top_k_accuracy(scores: ArrayLike, labels: ArrayLike, k: int = 1) -> float:
    """The share of photos whose label is among the k highest scores; NaN for no photos."""
    values, truth = np.asarray(scores, np.float64), np.asarray(labels, np.intp)
    if not len(truth):
        return float("nan")
    best = np.argsort(-values, axis=1, kind="stable")[:, :k]
    return float((best == truth[:, None]).any(axis=1).mean())


def _divided(above: ArrayLike, below: ArrayLike) -> Floats:
    above, below = np.asarray(above, np.float64), np.asarray(below, np.float64)
    shares: Floats = np.divide(above, below, out=np.full(above.shape, np.nan), where=below != 0)
    return shares


def global_average_precision(
    confidence: ArrayLike, correct: ArrayLike, positives: int | None = None
) -> float:
    """GAP, also called micro-AP: one list of all predictions, distractors' too, by confidence.

    The mean over the positives of the precision at each right prediction (Perronnin et al., "A
    family of contextual measures of similarity", CVPR 2009; used by the Google Landmarks
    challenges, Weyand et al., CVPR 2020). Equal confidences keep their order.
    """
    right = np.asarray(correct, bool)[_descending(confidence)]
    positives = int(right.sum()) if positives is None else positives
    if not positives:
        return float("nan")
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    return float((precision * right).sum() / positives)


def _descending(confidence: ArrayLike) -> NDArray[np.intp]:
    return np.argsort(-np.asarray(confidence, np.float64), kind="stable")


def auroc(positive: ArrayLike, negative: ArrayLike) -> float:
    """The chance that a positive's score is above a negative's, ties half; NaN without either."""
    scores = [np.asarray(values, np.float64) for values in (positive, negative)]
    counts = [len(values) for values in scores]
    if not all(counts):
        return float("nan")
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(np.repeat([1, 0], counts), np.concatenate(scores)))


def fpr_at_tpr(positive: ArrayLike, negative: ArrayLike, tpr: float = 0.95) -> float:
    """The share of negatives let through where `tpr` of the positives are.

    FPR95 of Liang et al., "Enhancing the reliability of out-of-distribution image detection",
    ICLR 2018.
    """
    above, below = np.sort(np.asarray(positive, np.float64)), np.asarray(negative, np.float64)
    if not len(above) or not len(below):
        return float("nan")
    kept = int(np.ceil(tpr * len(above) - 1e-9))
    threshold = above[len(above) - max(1, kept)]
    return float((below >= threshold).mean())


class Reliability(NamedTuple):
    """Equal-width bins of confidence: mean confidence and accuracy (NaN if empty), and counts."""

    edges: Floats
    confidence: Floats
    accuracy: Floats
    counts: NDArray[np.int64]

    @property
    def error(self) -> float:
        """The expected calibration error: the bins' gaps, weighted by their counts."""
        total = int(self.counts.sum())
        if not total:
            return float("nan")
        gaps = np.abs(self.confidence - self.accuracy)
        return float(np.nansum(gaps * self.counts) / total)


def reliability(confidence: ArrayLike, correct: ArrayLike, bins: int = 15) -> Reliability:
    """The reliability diagram and its ECE (Guo et al., "On calibration of modern neural
    networks", ICML 2017). Confidences lie in 0 to 1."""
    values, right = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    edges = np.linspace(0, 1, bins + 1)
    at = np.clip(np.ceil(values * bins).astype(np.intp) - 1, 0, bins - 1)
    count = np.bincount(at, minlength=bins).astype(np.int64)
    return Reliability(
        edges,
        _divided(np.bincount(at, values, bins), count),
        _divided(np.bincount(at, right, bins), count),
        count,
    )


class RiskCoverage(NamedTuple):
    """The share of wrong predictions (risk) among the surest share of photos (coverage).

    `area` is the mean risk over all coverages, AURC.
    """

    coverage: Floats
    risk: Floats

    @property
    def area(self) -> float:
        """The area under the curve, as the mean over its points."""
        return float(self.risk.mean()) if len(self.risk) else float("nan")


def risk_coverage(confidence: ArrayLike, correct: ArrayLike) -> RiskCoverage:
    """The curve of Geifman & El-Yaniv, "Selective classification for deep neural networks",
    NeurIPS 2017."""
    right = np.asarray(correct, bool)[_descending(confidence)]
    answered = np.arange(1, len(right) + 1)
    return RiskCoverage(answered / max(1, len(right)), np.cumsum(~right) / answered)


class Threshold(NamedTuple):
    """The predictions at or above a confidence: their precision, and the positives they find."""

    confidence: float
    precision: float
    recall: float


def threshold_for_precision(
    confidence: ArrayLike,
    correct: ArrayLike,
    precision: float,
    positives: int | None = None,
    margin: float = 0.0,
) -> Threshold | None:
    """The lowest confidence from which predictions are right at least as often as `precision`.

    With a `margin` of z standard errors, the lower end of Wilson's interval must reach it
    ("Probable inference", JASA 1927), so that a threshold found on few photos holds on others.
    None when no confidence will do. `positives` defaults to the correct ones.
    """
    thresholds, answered, right = _operating_points(confidence, correct)
    share = _divided(right, answered)
    fitting = np.flatnonzero(_wilson_lower(share, answered, margin) >= precision - 1e-12)
    if not len(fitting):
        return None
    at = int(fitting[-1])
    total = int(right[-1]) if positives is None else positives
    recall = float(right[at] / total) if total else float("nan")
    return Threshold(float(thresholds[at]), float(share[at]), recall)


def recall_at_precision(
    confidence: ArrayLike, correct: ArrayLike, precision: float, positives: int | None = None
) -> float:
    """The share of positives found at the best threshold that keeps `precision`; 0 if none."""
    found = threshold_for_precision(confidence, correct, precision, positives)
    return found.recall if found is not None else 0.0


def at_threshold(
    confidence: ArrayLike, correct: ArrayLike, threshold: float, positives: int | None = None
) -> Threshold:
    """Precision (NaN when nothing is answered) and recall at a given threshold."""
    right = np.asarray(correct, bool)
    answered = np.asarray(confidence, np.float64) >= threshold
    hits = int((right & answered).sum())
    total = int(right.sum()) if positives is None else positives
    count = int(answered.sum())
    nan = float("nan")
    return Threshold(threshold, hits / count if count else nan, hits / total if total else nan)


def _operating_points(confidence: ArrayLike, correct: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Each distinct confidence, highest first, with the answers and right answers from it on."""
    order = _descending(confidence)
    values = np.asarray(confidence, np.float64)[order]
    right = np.cumsum(np.asarray(correct, np.float64)[order])
    ends = np.append(np.diff(values) != 0, True) if len(values) else np.empty(0, np.bool_)
    last = np.flatnonzero(ends)
    return values[last], np.arange(1, len(values) + 1, dtype=np.float64)[last], right[last]


def _wilson_lower(share: Floats, count: Floats, z: float) -> Floats:
    centre = share + z * z / (2 * count)
    spread = z * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    lower: Floats = (centre - spread) / (1 + z * z / count)
    return lower
