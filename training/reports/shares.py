"""How sure a model is of landmarks that it knows, and of those that were taken from it. Pure."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from geotag.decision import probabilities
from geotag.model.spec import ModelSpec, ScoreShares

_CONFIDENCES = (
    0.35, 0.5, 0.7, 0.85, 0.92, 0.954, 0.975, 0.985, 0.99, 0.995, 0.9975, 0.999, 0.9995, 0.9998,
    0.9999, 0.99999,
)  # fmt: skip
# From here on the few photos of unknown landmarks tell no more than how fast they become fewer.
_TAIL = 0.7
_LEAST_TAIL = 20
_SUREST = 1 - 5e-6  # confidences have five digits
_GONE = -1e4

Floats = NDArray[np.float64]


def without_own(logits: NDArray[np.float32], labels: NDArray[np.intp]) -> NDArray[np.float32]:
    """Logits (N, K + 1) of photos of the categories (N,), each without its own."""
    found = logits.copy()
    found[np.arange(len(labels)), labels] = _GONE
    return found


def best_confidences(logits: NDArray[np.float32], temperature: float) -> Floats:
    """Logits (N, K + 1), background last, to the confidence (N,) of the likeliest category."""
    best: Floats = probabilities(logits, temperature)[:, :-1].max(axis=1)
    return best


def shares_of(
    logits: NDArray[np.float32],
    left_out: NDArray[np.float32],
    labels: NDArray[np.intp],
    spec: ModelSpec,
) -> ScoreShares | None:
    """From logits (N, K + 1) and labels (N,), K for what is no category, and the logits
    `left_out` of the photos of the categories by a model that lacks the label's."""
    confidence, is_known = best_confidences(logits, spec.temperature), labels < logits.shape[1] - 1
    unknown = best_confidences(left_out, spec.temperature)
    return measure_shares(confidence[is_known], unknown, confidence[~is_known])


def measure_shares(known: Floats, unknown: Floats, background: Floats) -> ScoreShares | None:
    """From the best confidences of photos of landmarks that the model knows, of those that were
    taken from it, and of none that it knows.

    Of unknown landmarks those that are surer than _TAIL are taken to become fewer as a power of
    what is missing to certainty (Hill, "A simple general approach to inference about the tail of a
    distribution", 1975). None where they are too few to tell.
    """
    tail = np.minimum(unknown[unknown >= _TAIL], _SUREST)
    if len(tail) < _LEAST_TAIL or not len(known):
        return None
    power = (len(tail) - 1) / np.log((1 - _TAIL) / (1 - tail)).sum()
    rows = []
    for confidence in _CONFIDENCES:
        beyond = min(confidence, _TAIL)
        surer = float((unknown >= beyond).mean()) * ((1 - confidence) / (1 - beyond)) ** power
        rows.append((confidence, _short((known >= confidence).mean()), _short(surer)))
    falling = [rows[0]] + [b for a, b in pairwise(rows) if b[1] < a[1] and b[2] < a[2] and b[1] > 0]
    if len(falling) < len(rows) // 2:
        return None
    confidences, shown, other = zip(*falling, strict=True)
    first = float((background >= confidences[0]).mean()) if len(background) else 0.0
    return ScoreShares(confidences, shown, other, _short(first))


def _short(share: float) -> float:
    return float(f"{share:.5g}")
