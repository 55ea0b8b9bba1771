"""Which parts of a picture show a landmark: LIME, by hiding some at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from geotag.errors import MissingDependencyError

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
# Pictures (N, S, S, 3) to the confidences (N,) that they show the landmark in question.
Score = Callable[[Pixels], Floats]

_PARTS = 50
_COMPACTNESS = 20  # of a part's outline, against the evenness of its colours
_BLUR = 1 / 20  # of a picture's side: what hides a part without putting edges in its place
_NEARNESS = 0.25  # how alike a picture must be to the whole one to count much, as in the paper
_RIDGE = 1.0
_ENOUGH = 0.9  # of the whole picture's confidence
_NO_SPREAD = 1e-9  # where all views score the same there is nothing to explain
_CHUNK = 64


class Explanation(NamedTuple):
    """Why a network sees a landmark in a picture.

    `parts` (S, S) numbers the part that each pixel belongs to, `weights` (P,) are by how much a
    part raises the landmark's confidence where it is seen. The `marked` parts (P,) are the fewest,
    those of the greatest weights, that suffice for nine tenths of the `confidence` in the whole
    picture; `alone` is the confidence when nothing but them is shown, `without` when nothing but
    them is hidden. `fit` is the share of the variance (R squared) that the weights explain.
    """

    confidence: float
    parts: NDArray[np.intp]
    weights: Floats
    marked: NDArray[np.bool_]
    alone: float
    without: float
    fit: float


def explain(score: Score, pixels: Pixels, samples: int = 500, seed: int = 0) -> Explanation:
    """Explain a picture, RGB (S, S, 3), by a linear model of which of its parts are seen.

    Ribeiro, Singh and Guestrin, "Why Should I Trust You?" (2016), with superpixels by SLIC (Achanta
    et al. 2012) and a blur where they hide a part. Raises MissingDependencyError without
    scikit-image.
    """
    parts = split(pixels)
    count = int(parts.max()) + 1
    views = _Views(pixels, parts, score)
    seen = np.random.default_rng(seed).random((samples, count)) < 0.5
    seen[0] = True
    confidences = views.score(seen)
    weights, fit = _fit(seen, confidences)
    order = np.argsort(-weights, kind="stable")
    best_first = np.tri(count, dtype=bool)[:, np.argsort(order, kind="stable")]
    alone = views.score(best_first)
    fewest = int((alone >= min(_ENOUGH * confidences[0], alone.max())).argmax())
    marked = best_first[fewest]
    without = float(views.score(~marked[None])[0])
    return Explanation(
        float(confidences[0]), parts, weights, marked, float(alone[fewest]), without, fit
    )


def split(pixels: Pixels) -> NDArray[np.intp]:
    """A picture's parts of even colour: the number of each pixel's (S, S), from 0."""
    try:
        from skimage.segmentation import slic
    except ImportError:
        raise MissingDependencyError("explaining a photo", "plot") from None
    parts = slic(pixels, n_segments=_PARTS, compactness=_COMPACTNESS, start_label=0)
    numbers: NDArray[np.intp] = np.unique(parts, return_inverse=True)[1].reshape(parts.shape)
    return numbers


class _Views(NamedTuple):
    """A picture of which only some parts are seen."""

    pixels: Pixels
    parts: NDArray[np.intp]
    network: Score

    def score(self, seen: NDArray[np.bool_]) -> Floats:
        """The confidences (N,) in views with the parts that are seen in each (N, P)."""
        return np.concatenate([self.network(views) for views in self._views(seen)])

    def _views(self, seen: NDArray[np.bool_]) -> Iterator[Pixels]:
        """A few at a time, for the sake of memory."""
        blur = ImageFilter.GaussianBlur(len(self.pixels) * _BLUR)
        hidden = np.asarray(Image.fromarray(self.pixels).filter(blur))
        for start in range(0, len(seen), _CHUNK):
            visible = seen[start : start + _CHUNK][:, self.parts, None]
            yield np.where(visible, self.pixels, hidden)


def _fit(seen: NDArray[np.bool_], confidences: Floats) -> tuple[Floats, float]:
    """Each part's weight by ridge regression, views the likest to the picture first; R squared."""
    distance = 1 - np.sqrt(seen.mean(1))  # of cosines, to the view of all parts
    likeness = np.exp(-((distance / _NEARNESS) ** 2))
    inputs = np.hstack([seen.astype(np.float64), np.ones((len(seen), 1))])
    ridge = np.diag([_RIDGE] * seen.shape[1] + [0.0])
    weighted = inputs.T * likeness
    solution = np.linalg.solve(weighted @ inputs + ridge, weighted @ confidences)
    spread = likeness @ (confidences - np.average(confidences, weights=likeness)) ** 2
    error = likeness @ (confidences - inputs @ solution) ** 2
    return solution[:-1], float(1 - error / max(spread, _NO_SPREAD))
