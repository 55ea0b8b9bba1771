"""A position between or beside fixes in time, and a radius that holds it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geotag.places.sphere import Floats, Vectors, between, metres

# Beyond these no fix says anything: on both sides, and where there is one side alone.
REACH_BOTH, REACH_ONE = 30 * 3600.0, 3600.0
# Two fixes farther apart in time leave as much open as one alone.
_LONG_S = 12 * 3600.0
# Fixes are compared with each other up to here: a pair that nobody can have travelled between
# speaks of two people, or of a receiver that erred.
_COMPARED = 6 * 3600.0
_FIX_M = 50.0  # what a phone's position is off, and how far the photographer stood away
_SLACK_M = 1500.0
# Between fixes farther apart than this somebody travelled: after some minutes, at speed.
_BOARDING_S = 180.0
_APART_M, _RIDE_SPEED = 2000.0, 5.0
_FAR_APART_M, _DRIVE_SPEED = 8000.0, 22.0
_RAIL_APART_M = 30_000.0
_GROUND_M, _GROUND_SPEED, _AIR_SPEED = 150_000.0, 60.0, 290.0
# The radius before calibration, by the time to the nearest fix.
_STROLL_S, _STROLL_M, _STROLL_POWER = 300.0, 250.0, 0.7
# Calibration: gaps left out around each fix, and the edges of its classes, in seconds.
_LEFT_OUT = (0.5, 120.0, 600.0, 1800.0, 5400.0, 14400.0, 36000.0)
_EDGES = np.array([120.0, 600.0, 1800.0, 5400.0, 14400.0])
_SHARE, _FEW, _SAMPLES = 0.97, 30, 3000
# What few samples are drawn towards: people differ more than these show.
_UNTOLD = 1.15
_SCALES = (0.5, 6.0)


class Fixes(NamedTuple):
    """Positions of one person in order of time; `rows` tells which photo each is from."""

    times: Floats
    points: Vectors
    rows: NDArray[np.int64]


class Interpolated(NamedTuple):
    """For each time a point, its radius, and the rows of the fixes before and after.

    The radius is infinite where there is no estimate; `contradicted` tells where that is because
    fixes contradict each other. A row of -1 is no fix.
    """

    points: Vectors
    radius: Floats
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    contradicted: NDArray[np.bool_]


def sorted_fixes(times: Floats, points: Vectors, rows: NDArray[np.int64]) -> Fixes:
    """Fixes in an order that does not depend on that of the files."""
    order = np.lexsort((points[:, 2], points[:, 1], points[:, 0], times))
    return Fixes(times[order], points[order], rows[order])


def interpolate(
    fixes: Fixes, times: Floats, scales: Floats | None = None, left_out: float = 0.0
) -> Interpolated:
    """The position at each time. Fixes nearer in time than `left_out` are not used."""
    if not len(fixes.times) or not len(times):
        return _nothing(len(times))
    count = len(fixes.times)
    before = np.searchsorted(fixes.times, times - left_out, "right") - 1
    after = np.searchsorted(fixes.times, times + left_out, "left" if left_out else "right")
    far = np.full(len(times), np.inf)
    at = np.clip(before, 0, count - 1)
    to = np.clip(after, 0, count - 1)
    since = np.where(before >= 0, times - fixes.times[at], far)
    until = np.where(after < count, fixes.times[to] - times, far)
    nearest = np.minimum(since, until)
    both = (since + until <= REACH_BOTH) & np.isfinite(since + until)
    one = ~both & (nearest <= REACH_ONE)
    gap = np.where(both, since + until, 1.0)
    share = np.where(both & (gap > 0), np.where(both, since, 0.0) / np.maximum(gap, 1e-9), 0.0)
    share = np.where(one, (until < since).astype(float), share)
    points = between(fixes.points[at], fixes.points[to], np.clip(share, 0.0, 1.0))
    whole = metres(fixes.points[at], fixes.points[to])
    radius = _stroll(nearest) * np.where(one | (gap > _LONG_S), 2.0, 1.0)
    # Where the fixes are apart somebody travelled meanwhile, and may have set out at any time.
    between_both = np.isfinite(since + until)
    apart = np.where(between_both, whole, 0.0)
    speed = np.where(apart > _FAR_APART_M, _DRIVE_SPEED, _RIDE_SPEED)
    speed = np.where(apart > _RAIL_APART_M, _GROUND_SPEED, speed)
    setting_out = np.where(apart > _APART_M, speed * nearest, 0.0)
    way = np.minimum(0.6 * apart, 3 * np.minimum(share, 1 - share) * apart + setting_out)
    boarded = setting_out + _AIR_SPEED * np.maximum(nearest - _BOARDING_S, 0.0)
    radius += np.where(apart > _GROUND_M, boarded, way)
    radius += _pace(fixes, at, to, until < since) * np.where(one, nearest, 0.0)
    if scales is not None:
        radius *= scales[_classes(nearest, apart)]
    radius += _FIX_M
    contradicted = _contradicted(fixes, at, to, since, until)
    radius = np.where((both | one) & ~contradicted, radius, np.inf)
    return Interpolated(
        points,
        radius,
        np.where(both | (one & (since <= until)), before, -1),
        np.where(both | (one & (until < since)), after, -1),
        contradicted & (both | one),
    )


def calibrate(fixes: Fixes) -> Floats:
    """By how much to scale the radius for each class of gap, so that it holds on these fixes.

    Each fix is placed by the others, with those nearest in time left out, and the quantile of
    how far off that was, in radii, is taken: people differ, and so do trips.
    """
    step = max(1, len(fixes.times) // _SAMPLES)
    chosen = slice(None, None, step)
    ratios: list[list[Floats]] = [[] for _ in range(2 * len(_EDGES) + 2)]
    for left_out in _LEFT_OUT:
        found = interpolate(fixes, fixes.times[chosen], left_out=left_out)
        known = np.isfinite(found.radius)
        off = np.maximum(metres(found.points, fixes.points[chosen]) - _FIX_M, 0.0)
        off /= np.maximum(found.radius - _FIX_M, 1.0)
        classes = _classes(*_nearest(fixes, fixes.times[chosen], found))
        for number, ratio in enumerate(ratios):
            ratio.append(off[known & (classes == number)])
    return np.array([_scale(np.concatenate(ratio)) for ratio in ratios])


def _scale(ratios: Floats) -> float:
    """The quantile; with few samples a little more than 1, and never less by these."""
    if not len(ratios):
        return 1.0
    quantile = float(np.quantile(ratios, _SHARE, method="higher"))
    weight = len(ratios) / (len(ratios) + _FEW)
    return float(np.clip(weight * quantile + (1 - weight) * max(_UNTOLD, quantile), *_SCALES))


def _classes(nearest: Floats, apart: Floats) -> NDArray[np.int64]:
    """By the time to the nearest fix, and whether somebody travelled between the two."""
    travelled = np.where(apart > _APART_M, len(_EDGES) + 1, 0)
    result: NDArray[np.int64] = np.searchsorted(_EDGES, nearest) + travelled
    return result


def _nearest(fixes: Fixes, times: Floats, found: Interpolated) -> tuple[Floats, Floats]:
    """The time to the nearest fix, and how far the two are apart."""
    since = np.where(found.before >= 0, times - fixes.times[found.before], np.inf)
    after = np.minimum(found.after, len(fixes.times) - 1)
    until = np.where(found.after >= 0, fixes.times[after] - times, np.inf)
    between_both = np.isfinite(since + until)
    apart = metres(fixes.points[found.before], fixes.points[after])
    return np.minimum(since, until), np.where(between_both, apart, 0.0)


def _nothing(count: int) -> Interpolated:
    none = np.full(count, -1, np.int64)
    return Interpolated(
        np.zeros((count, 3)), np.full(count, np.inf), none, none, np.zeros(count, np.bool_)
    )


def _stroll(seconds: Floats) -> Floats:
    """How far somebody who is found at one place before and after may have gone meanwhile."""
    ratio = np.where(np.isfinite(seconds), seconds, 0.0) / _STROLL_S
    result: Floats = _STROLL_M * np.where(ratio < 1, ratio, np.maximum(ratio, 1) ** _STROLL_POWER)
    return result


def _pace(
    fixes: Fixes, at: NDArray[np.int64], to: NDArray[np.int64], ahead: NDArray[np.bool_]
) -> Floats:
    """Beside fixes on one side only: the speed between the nearest two of them."""
    near = np.where(ahead, to, at)
    next_one = np.clip(np.where(ahead, near + 1, near - 1), 0, len(fixes.times) - 1)
    seconds = np.abs(fixes.times[near] - fixes.times[next_one])
    distance = metres(fixes.points[near], fixes.points[next_one])
    recent = (seconds > 0) & (seconds < REACH_ONE)
    result: Floats = np.where(recent, distance / np.maximum(seconds, 60.0), 0.0)
    return result


def _contradicted(
    fixes: Fixes, at: NDArray[np.int64], to: NDArray[np.int64], since: Floats, until: Floats
) -> NDArray[np.bool_]:
    """Where two of the four fixes around a time are too far apart for anybody to travel."""
    count = len(fixes.times)
    has_before, has_after = np.isfinite(since), np.isfinite(until)
    # Row and whether there is such a fix: two before, two after.
    around = (
        (np.maximum(at - 1, 0), has_before & (at >= 1)),
        (at, has_before),
        (to, has_after),
        (np.minimum(to + 1, count - 1), has_after & (to + 1 < count)),
    )
    found = np.zeros(len(at), np.bool_)
    for first, (a, has_a) in enumerate(around):
        for b, has_b in around[first + 1 :]:
            seconds = fixes.times[b] - fixes.times[a]
            distance = metres(fixes.points[a], fixes.points[b])
            near = has_a & has_b & (seconds <= _COMPARED)
            found |= near & ~reachable(distance, seconds)
    return found


def reachable(distance: Floats, seconds: Floats) -> NDArray[np.bool_]:
    """Whether somebody can have gone so far in so many seconds; aeroplanes do long ways only."""
    speed = np.where(distance < _GROUND_M, _GROUND_SPEED, _AIR_SPEED)
    result: NDArray[np.bool_] = distance <= _SLACK_M + speed * np.abs(seconds)
    return result
