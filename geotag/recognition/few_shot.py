"""Fits one more output to a trained classifier from a few examples. Numpy, pure."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_FOLDS = 5
_FIT_SHARE = 0.2  # of the examples in the loss; the background has the rest
_PRIOR = 0.003  # the share of photos that show the new landmark, as the calibration assumes
_DECAY = 1e-5  # of the weights, in units of the embeddings' mean square
_FALSE_ALARMS = 1e-3  # the share of background photos that may pass for the new landmark
_PASSING = 0.1  # the share of background photos that the prefilter may let pass for the landmark
_STEPS = 30
_SMALLEST = 1e-9  # the smallest probability, and distance from 1, that becomes a logit
# How far from the background's mean towards the only example the scores of a landmark's other
# photos lie, by an output fitted to that one: quantiles, of known landmarks.
_OTHER_PHOTOS = (0.14, 0.27, 0.39, 0.54)


class Head(NamedTuple):
    """A linear classifier: weight (C, D) and bias (C,), the background's row last."""

    weight: Floats
    bias: Floats

    def logits(self, embeddings: Floats) -> Floats:
        """(N, D) to (N, C)."""
        return embeddings @ self.weight.T + self.bias


class Fitted(NamedTuple):
    """The new output: weight (D,), bias, and the share of held-out examples it would tag.

    `held_out` (N,) are the examples' logits by fits that did not see them; where there is one
    photo alone, what other landmarks make likely.
    """

    weight: Floats
    bias: float
    recall: float
    held_out: Floats


class _Points(NamedTuple):
    """The points to classify: centred embeddings and a column of ones (N, D + 1), which are
    examples, the log-sum-exp of the known outputs (N,), and the fold of each."""

    points: Floats
    is_example: NDArray[np.bool_]
    offset: Floats
    fold: NDArray[np.intp]


def fit_output(
    head: Head, examples: Floats, photos: NDArray[np.intp], background: Floats, threshold: float
) -> Fitted:
    """Fit an output that joins the softmax of `head`, whose own outputs stay as they are.

    `examples` (N, D) are embeddings of views of the landmark, `photos` (N,) the photo of
    each; `background` (M, D) are embeddings of anything else. Against fixed outputs, the
    new one's probability is a logistic regression with their log-sum-exp as offset; it is
    regularised by weight decay and solved by Newton's method, leaving out some of the photos at a
    time. The output is the mean of these fits: a fit to all photos of only a few gives the
    landmark's other photos higher scores than those that its calibration is made of. Its scale and
    bias are then fitted on held-out scores (Platt, "Probabilistic outputs for support vector
    machines", 1999), and lowered until hardly one in a thousand of the background reaches
    `threshold`. Logits are in units of the calibrated softmax.
    """
    data, centre = _gather(head, examples, photos, background)
    scores, solution = _cross_fit(data, _solve_all(data))
    scale, shift = _calibrate(data, scores, photos, threshold)
    held_out = scale * scores[data.is_example] + shift
    margins = held_out - data.offset[data.is_example]
    weight = scale * solution[:-1]
    bias = float(scale * solution[-1] + shift - weight @ centre)
    return Fitted(weight, bias, float((margins >= _logit(threshold)).mean()), held_out)


def fit_passing_output(
    head: Head,
    examples: Floats,
    photos: NDArray[np.intp],
    background: Floats,
    probability: float,
) -> tuple[Floats, float]:
    """Weight (D,) and bias of an output that lets photos of a new landmark pass the prefilter.

    As `fit_output`, but generous: so that by this output alone one in ten of the background
    would be seen to show any landmark, all but the background's own output, with `probability`.
    Of photos without a landmark, which the background's output knows, hardly any is.
    """
    data, centre = _gather(head, examples, photos, background)
    solution = _solve_all(data)
    scores = _cross_fit(data, solution)[0][~data.is_example]
    level = float(np.quantile(scores - head.logits(background)[:, -1], 1 - _PASSING))
    weight = solution[:-1]
    return weight, float(solution[-1] - weight @ centre + _logit(probability) - level)


def wilson_interval(share: float, count: int, deviations: float = 1.96) -> tuple[float, float]:
    """Where a share lies, 19 times in 20, of which `count` trials showed `share` (Wilson, 1927)."""
    spread = deviations**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def _gather(
    head: Head, examples: Floats, photos: NDArray[np.intp], background: Floats
) -> tuple[_Points, Floats]:
    """The points, and the centre (D,) that was taken from them."""
    centre = background.mean(0)
    embeddings = np.concatenate([examples, background])
    data = _Points(
        np.hstack([embeddings - centre, np.ones((len(embeddings), 1))]),
        np.arange(len(embeddings)) < len(examples),
        _log_sum_exp(head.logits(embeddings)),
        np.concatenate([photos, np.arange(len(background))]) % _FOLDS,
    )
    return data, centre


def _solve_all(data: _Points) -> Floats:
    return _solve(data, np.ones(len(data.offset), bool), np.zeros(data.points.shape[1]))


def _log_sum_exp(logits: Floats) -> Floats:
    top = logits.max(axis=1)
    result: Floats = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return result


def _logit(probability: float) -> float:
    # A threshold may be rounded to 1, which no finite bias reaches.
    inside = min(max(probability, _SMALLEST), 1 - _SMALLEST)
    return float(np.log(inside) - np.log1p(-inside))


def _cross_fit(data: _Points, solution: Floats) -> tuple[Floats, Floats]:
    """Each point's score by a fit that did not see its photo, started at the common one; and the
    mean of the fits that missed an example. Of one photo alone, the common fit."""
    scores = np.empty(len(data.offset))
    fits = []
    for fold in range(_FOLDS):
        out = data.fold == fold
        fit = _solve(data, ~out, solution)
        scores[out] = data.points[out] @ fit
        if data.is_example[out].any():
            fits.append(fit)
    if len(fits) > 1:
        return scores, np.mean(fits, axis=0)
    scores[data.is_example] = _of_other_photos(data, solution, scores)
    return scores, solution


def _of_other_photos(data: _Points, solution: Floats, scores: Floats) -> Floats:
    """The scores that other photos of a landmark may have, of which one is known: from no fit can
    that be held out."""
    middle, own = scores[~data.is_example].mean(), data.points[data.is_example] @ solution
    shares = np.resize(_OTHER_PHOTOS, len(own))
    result: Floats = middle + shares * (own - middle)
    return result


def _weights(is_example: NDArray[np.bool_], share: float) -> Floats:
    """One weight a point, so that the examples make up `share` of them all."""
    count = int(is_example.sum())
    shares = (share / max(1, count), (1 - share) / (len(is_example) - count))
    return np.where(is_example, *shares)


class _Regression(NamedTuple):
    """A logistic regression with offset: points (N, P), labels in 0 to 1 (N,), the share of each
    point in the loss (N,), and the weight decay of each parameter (P,)."""

    points: Floats
    offset: Floats
    labels: Floats
    share: Floats
    decay: Floats

    def loss(self, solution: Floats) -> float:
        """The mean log loss and half the decayed squares."""
        margin = self.points @ solution - self.offset
        fit = self.share @ (np.logaddexp(0, margin) - self.labels * margin)
        return float(fit + self.decay @ np.square(solution) / 2)


def _minimise(problem: _Regression, start: Floats) -> Floats:
    """Newton's method with conjugate gradients and halved steps; the problem is convex."""
    solution, current = start, problem.loss(start)
    for _ in range(_STEPS):
        probability = _sigmoid(problem.points @ solution - problem.offset)
        slope = problem.share * (probability - problem.labels)
        gradient = problem.points.T @ slope + problem.decay * solution
        curvature = problem.share * probability * (1 - probability) + 1e-9
        step = _conjugate_gradients(problem.points, curvature, problem.decay, gradient)
        size = 1.0
        while size > 1e-6 and problem.loss(solution - size * step) > current:
            size /= 2
        before, trial = current, problem.loss(solution - size * step)
        if trial > before:
            break
        solution, current = solution - size * step, trial
        if before - current < 1e-5 * before:
            break
    return solution


def _solve(data: _Points, chosen: NDArray[np.bool_], start: Floats) -> Floats:
    """Weights (D + 1,), the bias last, of the regularised regression on the chosen points."""
    points, is_example = data.points[chosen], data.is_example[chosen]
    decay = np.full(points.shape[1], _DECAY * float(np.square(points).sum(1).mean()))
    decay[-1] = 0  # the bias is free
    labels = is_example.astype(np.float64)
    share = _weights(is_example, _FIT_SHARE)
    return _minimise(_Regression(points, data.offset[chosen], labels, share, decay), start)


def _conjugate_gradients(
    points: Floats, curvature: Floats, decay: Floats, target: Floats
) -> Floats:
    """x in (P' diag(curvature) P + diag(decay)) x = target, to a hundredth."""
    solution, residual = np.zeros_like(target), target.copy()
    direction, energy = residual.copy(), float(residual @ residual)
    goal = 1e-4 * energy
    for _ in range(_STEPS):
        if energy <= goal:
            break
        image = points.T @ (curvature * (points @ direction)) + decay * direction
        size = energy / float(direction @ image)
        solution += size * direction
        residual -= size * image
        energy, previous = float(residual @ residual), energy
        direction = residual + energy / previous * direction
    return solution


def _sigmoid(values: Floats) -> Floats:
    result: Floats = 0.5 * (1 + np.tanh(values / 2))
    return result


def _calibrate(
    data: _Points, scores: Floats, photos: NDArray[np.intp], threshold: float
) -> tuple[float, float]:
    """The scale and shift that make held-out scores honest logits."""
    is_example = data.is_example
    count = len(np.unique(photos))
    # Not 1, but what so few photos can prove (Krichevsky and Trofimov, 1981).
    labels = np.where(is_example, (count + 0.5) / (count + 1), 0.0)
    share = _weights(is_example, _PRIOR)
    middle, spread = scores.mean(), scores.std() + 1e-9
    inputs = np.stack([(scores - middle) / spread, np.ones(len(scores))], 1)
    problem = _Regression(inputs, data.offset, labels, share, np.full(2, 1e-9))
    solution = _minimise(problem, np.array([spread, middle]))
    scale = max(float(solution[0] / spread), 1e-3)
    shift = float(solution[1]) - scale * float(middle)
    margins = np.sort((scale * scores + shift - data.offset)[~is_example])
    allowed = 1 + int(_FALSE_ALARMS * len(margins))  # one may show the landmark unnoticed
    return scale, shift - max(0.0, float(margins[-1 - allowed]) - _logit(threshold) + 1e-3)
