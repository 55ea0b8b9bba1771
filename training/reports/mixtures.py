"""Precision and recall of tags in libraries that are mostly other things, by resampling. Pure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geotag.decision import Thresholds
from geotag.model.spec import ModelSpec
from geotag.recognition.thresholds import USUAL_SHARE, estimate_thresholds
from geotag.records import Likeliest

SHARES = (0.5, 0.05, 0.01)
LIBRARIES = 200
_PHOTOS = 20_000
_INTERVAL = (2.5, 50, 97.5)  # percentiles


class Tagged(NamedTuple):
    """What a scan would make of photos, each (N,): the best category, its confidence, whether it
    is right, and which photos show a known landmark."""

    category: NDArray[np.intp]
    confidence: NDArray[np.float64]
    correct: NDArray[np.bool_]
    is_known: NDArray[np.bool_]


class Mixture(NamedTuple):
    """Figures of libraries in which `share` of the photos show a known landmark: the percentiles
    2.5, 50 and 97.5 over libraries drawn anew, of which `tags` each are tagged in the median.
    `precision` is NaN where nothing is tagged."""

    share: float
    estimated: tuple[float, float, float]
    precision: tuple[float, float, float]
    recall: tuple[float, float, float]
    plain_precision: tuple[float, float, float]
    tags: float


class Rule(NamedTuple):
    """When a model's guess is a tag: at a threshold, which is for a precision, or more."""

    spec: ModelSpec
    threshold: float
    precision: float

    def here(self, category: NDArray[np.intp], confidence: NDArray[np.float64]) -> Thresholds:
        """What a tag takes in a library of these photos, as in a scan."""
        shares = self.spec.shares
        if shares is None:
            return Thresholds(self.threshold, share=USUAL_SHARE)
        slugs = self.spec.categories
        best = (
            Likeliest(slugs[at], sure)
            for at, sure in zip(category.tolist(), confidence.tolist(), strict=True)
        )
        return estimate_thresholds(best, len(category), shares, self.threshold, self.precision)


def mix(photos: Tagged, rule: Rule, share: float, seed: int = 0) -> Mixture:
    """Libraries of photos drawn with replacement, tagged as a scan of each would; `plain_precision`
    is that of the threshold as it stands."""
    rng = np.random.default_rng(seed)
    known, others = np.flatnonzero(photos.is_known), np.flatnonzero(~photos.is_known)
    figures = [_of_one(photos, rule, _draw(rng, known, others, share)) for _ in range(LIBRARIES)]
    estimated, precision, recall, plain, tags = (
        np.array(column, np.float64) for column in zip(*figures, strict=True)
    )
    return Mixture(
        share,
        _percentiles(estimated),
        _percentiles(precision),
        _percentiles(recall),
        _percentiles(plain),
        float(np.median(tags)),
    )


def _draw(
    rng: np.random.Generator, known: NDArray[np.intp], others: NDArray[np.intp], share: float
) -> NDArray[np.intp]:
    """A library: which photos, first as a set of sources drawn anew, then as photos of it."""
    count = round(share * _PHOTOS)
    sources = [rng.choice(rows, len(rows)) for rows in (known, others)]
    parts = [
        rng.choice(rows, size) for rows, size in zip(sources, (count, _PHOTOS - count), strict=True)
    ]
    return np.concatenate(parts)


def _of_one(
    photos: Tagged, rule: Rule, rows: NDArray[np.intp]
) -> tuple[float, float, float, float, int]:
    category, confidence = photos.category[rows], photos.confidence[rows]
    correct, is_known = photos.correct[rows], photos.is_known[rows]
    here = rule.here(category, confidence)
    least = np.array([here.of(slug) for slug in rule.spec.categories])
    tagged, plain = confidence >= least[category], confidence >= rule.threshold
    recall = float((tagged & correct).sum() / max(1, is_known.sum()))
    found = here.share if here.share is not None else float("nan")
    return found, _share(correct, tagged), recall, _share(correct, plain), int(tagged.sum())


def _share(correct: NDArray[np.bool_], tagged: NDArray[np.bool_]) -> float:
    return float(correct[tagged].mean()) if tagged.any() else float("nan")


def _percentiles(values: NDArray[np.float64]) -> tuple[float, float, float]:
    if np.isnan(values).all():
        return (float("nan"),) * 3
    low, middle, high = (float(value) for value in np.nanpercentile(values, _INTERVAL))
    return low, middle, high


def format_mixture(mixture: Mixture) -> str:
    """A line of a report."""
    low, precision, high = mixture.precision
    return (
        f"{mixture.share:.0%} landmarks (estimated {mixture.estimated[1]:.1%}): precision "
        f"{precision:.4f} ({low:.4f} to {high:.4f}), recall {mixture.recall[1]:.4f}; "
        f"by the threshold alone {mixture.plain_precision[1]:.4f}"
    )
