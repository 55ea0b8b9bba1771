"""How sure the model must be of each landmark in one library, by all its scores. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from geotag.decision import Thresholds
from geotag.model.spec import ScoreShares
from geotag.records import Likeliest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# The share of photos with a known landmark from which on the model's own threshold holds.
USUAL_SHARE = 0.5
LEAST_PHOTOS = 200  # from which a library tells anything
# How many photos the library as a whole counts for beside a landmark's own, and the usual share
# beside the library's.
_LIBRARY_PHOTOS = 5.0
_USUAL_PHOTOS = 1.0
_ROUNDS, _CLOSE = 300, 1e-6
# Thresholds for each tenfold fewer photos that are less sure: finer ones would change each night.
_STEPS = 20


class _Curves(NamedTuple):
    """Of photos that are sure to the first of `confidences` (T,) or more, the shares (T,) that are
    so sure, of photos that show the landmark and of others."""

    confidences: Floats
    known: Floats
    unknown: Floats


def estimate_thresholds(
    best: Iterable[Likeliest],
    photos: int,
    shares: ScoreShares,
    least: float,
    precision: float,
) -> Thresholds:
    """The least confidence, `least` or more, at which tags of each landmark have the precision.

    `best` tells of the photos that may show a landmark, of `photos` that were classified in all;
    where these are too few, `least` holds for all. What is somewhat sure of a landmark is a mixture
    of photos that show it and of others, each with its own spread of confidences (`shares`), and
    those of one scene count once; how many of each there are is found by expectation and
    maximisation (Saerens, Latinne and Decaestecker, "Adjusting the outputs of a classifier to new a
    priori probabilities", 2002), each landmark drawn to the library as a whole. The threshold is
    that of a tail-area false discovery rate (Efron, "Large-scale inference", 2010).
    """
    if photos < LEAST_PHOTOS:
        return Thresholds(least)
    import numpy as np

    from geotag.recognition.witnesses import Witnesses

    curves = _curves(shares)
    edges = curves.confidences.tolist()
    found: dict[str, Witnesses] = {}
    sure = 0
    for photo in best:
        if photo.confidence >= edges[0]:
            sure += 1
            step = bisect_right(edges, photo.confidence) - 1
            found.setdefault(photo.slug, Witnesses()).add(step, photo)
    slugs = sorted(found)
    counts = np.array([found[slug].count(len(edges)) for slug in slugs], np.float64)
    counts = counts.reshape(-1, len(edges))
    whole = _known(counts.sum(0, keepdims=True), curves, np.array([0.5]), _USUAL_PHOTOS)
    each = _known(counts, curves, whole, _LIBRARY_PHOTOS)
    here = [_threshold(curves, share, least, precision) for share in each]
    share = float(whole[0]) * sure / shares.known[0] / photos
    others = _threshold(curves, float(whole[0]), least, precision)
    return Thresholds(others, dict(zip(slugs, here, strict=True)), min(1.0, share))


def threshold_at(share: float, shares: ScoreShares, least: float, precision: float) -> float:
    """The least confidence, `least` or more, at which tags have the precision in a library of which
    a `share` shows a known landmark, and the rest what the model's validation photos do."""
    if share >= USUAL_SHARE:
        return least
    known, others = share * shares.known[0], (1 - share) * shares.background
    return _threshold(_curves(shares), known / max(known + others, 1e-12), least, precision)


def _curves(shares: ScoreShares) -> _Curves:
    import numpy as np

    rarity = -np.log10(1 - np.array(shares.confidences))
    fine = np.arange(rarity[0], rarity[-1], 1 / _STEPS)
    known = np.interp(fine, rarity, shares.known)
    unknown = np.exp(np.interp(fine, rarity, np.log(shares.unknown)))
    return _Curves(1 - 10**-fine, known / known[0], unknown / unknown[0])


def _known(counts: Floats, curves: _Curves, before: Floats, weight: float) -> Floats:
    """Of counts (N, T) by confidence, the share (N,) that shows the landmark; `before` counts for
    `weight` photos."""
    import numpy as np

    known, unknown = (-np.diff(curve, append=0) for curve in (curves.known, curves.unknown))
    total, share = counts.sum(1), np.broadcast_to(before, len(counts))
    for _ in range(_ROUNDS):
        shown, other = share[:, None] * known, (1 - share[:, None]) * unknown
        expected = (counts * shown / (shown + other)).sum(1)
        last, share = share, (expected + weight * before) / (total + weight)
        if np.abs(share - last).max(initial=0) < _CLOSE:
            break
    return share


def _threshold(curves: _Curves, share: float, least: float, precision: float) -> float:
    """Infinity where no confidence is enough."""
    shown, other = share * curves.known, (1 - share) * curves.unknown
    enough = shown >= precision * (shown + other)
    if not enough.any():
        return math.inf
    return max(least, round(float(curves.confidences[enough.argmax()]), 5))
