"""Precision and recall of tags in libraries that are mostly other things, by resampling. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geotag.decision import Thresholds
from geotag.model.spec import ModelSpec
from geotag.recognition.thresholds import USUAL_SHARE, estimate_thresholds
from geotag.records import Likeliest

SHARES = (0.5, 0.05, 0.01)
LIBRARIES = 200
TAKEN = (0.0, 0.1, 0.25, 1.0)
A_JOURNEY = 8  # landmarks
PHOTOS = 20_000
_INTERVAL = (2.5, 50, 97.5)  # percentiles


class Tagged(NamedTuple):
    """What a scan would make of photos, each (N,): the best category, its confidence, and whether
    it is right; `label` is the known landmark that it shows, -1 for none, and -2 where it was taken
    from the model."""

    category: NDArray[np.intp]
    confidence: NDArray[np.float64]
    correct: NDArray[np.bool_]
    label: NDArray[np.intp]


class Library(NamedTuple):
    """What its photos show: a known landmark, in a `share` of them, of so many `landmarks` (None:
    all); of the others so many a landmark that was `taken` from the model."""

    share: float
    taken: float = 0.0
    landmarks: int | None = None


class Mixture(NamedTuple):
    """Figures of libraries in which `share` of the photos show a known landmark: the percentiles
    2.5, 50 and 97.5 over libraries drawn anew, of which `tags` each are tagged in the median.
    `precision` is NaN where nothing is tagged; `together` is that of all tags of all libraries."""

    share: float
    estimated: tuple[float, float, float]
    precision: tuple[float, float, float]
    recall: tuple[float, float, float]
    plain_precision: tuple[float, float, float]
    tags: float
    together: float = float("nan")


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


def mix(
    photos: Tagged, rule: Rule, library: Library, seed: int = 0, count: int | None = None
) -> Mixture:
    """Libraries of photos drawn with replacement, tagged as a scan of each would; `plain_precision`
    is that of the threshold as it stands."""
    rng = np.random.default_rng(seed)
    draws = (_draw(rng, photos.label, library) for _ in range(count or LIBRARIES))
    figures = [_of_one(photos, rule, rows) for rows in draws]
    estimated, precision, recall, plain, tags = (
        np.array(column, np.float64) for column in zip(*figures, strict=True)
    )
    return Mixture(
        library.share,
        _percentiles(estimated),
        _percentiles(precision),
        _percentiles(recall),
        _percentiles(plain),
        float(np.median(tags)),
        float(np.nansum(precision * tags) / tags.sum()) if tags.any() else float("nan"),
    )


def _draw(rng: np.random.Generator, labels: NDArray[np.intp], library: Library) -> NDArray[np.intp]:
    """A library: which photos, first as a set of sources drawn anew, then as photos of it."""
    known = labels >= 0
    if library.landmarks is not None:
        known = np.isin(labels, rng.choice(np.unique(labels[known]), library.landmarks, False))
    count = round(library.share * PHOTOS)
    taken = round(library.taken * (PHOTOS - count))
    kinds = ((known, count), (labels == -1, PHOTOS - count - taken), (labels == -2, taken))
    wanted = [(np.flatnonzero(kind), size) for kind, size in kinds if size]
    sources = [(rng.choice(rows, len(rows)), size) for rows, size in wanted]
    return np.concatenate([rng.choice(rows, size) for rows, size in sources])


def _of_one(
    photos: Tagged, rule: Rule, rows: NDArray[np.intp]
) -> tuple[float, float, float, float, int]:
    category, confidence = photos.category[rows], photos.confidence[rows]
    correct, is_known = photos.correct[rows], photos.label[rows] >= 0
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


def format_taken(found: Mapping[Library, Mixture]) -> str:
    """A Markdown table of libraries with landmarks that were taken from the model."""
    lines = [
        "| such photos among the others | share of landmarks | precision | of all tags together "
        "| recall | precision and recall of eight landmarks |",
        "|---|---|---|---|---|---|",
    ]
    for library in found:
        if library.landmarks is not None:
            continue
        mixture, few = found[library], found.get(library._replace(landmarks=A_JOURNEY))
        low, middle, high = map(_percent, mixture.precision)
        journey = f"{_percent(few.precision[1])}, {_percent(few.recall[1])}" if few else ""
        lines.append(
            f"| {100 * library.taken:.0f} % | {100 * library.share:.0f} % "
            f"| {middle} ({low} to {high}) "
            f"| {_percent(mixture.together)} | {_percent(mixture.recall[1])} | {journey} |"
        )
    return "\n".join(lines)


def _percent(share: float) -> str:
    return "none" if np.isnan(share) else f"{100 * share:.1f} %"
