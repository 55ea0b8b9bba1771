"""Which of a few offsets a clock had at each photo, as it was changed now and then. Pure.

The offset is a piecewise constant function of the true time, so that its changes are found to the
photo: a clock that is set back shows some readings twice, one that is set forward skips some.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from geotag.places.coincidence import STEP, Company, Habit, gains, thinned
from geotag.places.sessions import local_at
from geotag.places.sphere import Floats

# What one photo can tell (in nats), and what speaks against one that no offset can have shown.
_LEAST, _MOST, _NEVER, _LIMIT = -1.0, 1.5, 8.0, 60.0
# How often a day a clock is set to the local time, to another zone, to anything; and how likely it
# goes along with the local clocks where these change.
_TO_LOCAL, _TO_ZONE, _TO_ANY, _ALONG = 1 / 40, 1 / 2400, 1 / 48_000, 0.5
_SAME_S, _ZONE_S, _DAY = 150.0, 1800.0, 86400.0
_CELL_S, _CELLS, _EVENTS = 600.0, 2000, 4000
_FEW = 5  # photos that show a clock under other local clocks


class _Photos(NamedTuple):
    """Readings of the clock, and what each photo tells for each offset (K, N)."""

    readings: Floats
    gains: Floats


class _Cells(NamedTuple):
    """Stretches of UTC: their start, their length, and the local offset in each."""

    starts: Floats
    lengths: Floats
    local: Floats


def offset_shares(
    readings: Floats, offsets: Sequence[float], start: Floats, with_whom: tuple[Company, Habit]
) -> Floats:
    """How likely each of the offsets is at each of the sorted readings (K, N).

    `start` is how likely they are to begin with. Where two can have shown a reading they share it;
    where none can have, all are zero.
    """
    company, habit = with_whom
    events = thinned(readings, STEP)
    events = events[:: len(events) // _EVENTS + 1]
    told = [gains(events - offset, company, (habit,))[0] for offset in offsets]
    cells = _cells(events, offsets, company)
    photos = _Photos(events, np.clip(told, _LEAST, _MOST))
    likely = _states(
        _emissions(photos, offsets, cells), _changes(photos, offsets, cells, company), start
    )
    at = [np.searchsorted(cells.starts, readings - offset, "right") - 1 for offset in offsets]
    shares = np.array([likely[np.maximum(cell, 0), row] for row, cell in enumerate(at)])
    total = shares.sum(axis=0)
    result: Floats = np.where(total > 0.5, shares / np.maximum(total, 0.5), 0.0)
    return result


def _cells(events: Floats, offsets: Sequence[float], company: Company) -> _Cells:
    moments = np.sort(np.concatenate([events - offset for offset in offsets]))
    step = _CELL_S
    while len(starts := thinned(moments, step)) > _CELLS:
        step *= 1.5
    lengths = np.diff(starts, append=starts[-1] + step)
    after = np.searchsorted(company.taken, starts + lengths / 2)
    local = company.ahead[np.clip(after, 0, len(company.taken) - 1)]
    return _Cells(starts, lengths, local)


def _emissions(photos: _Photos, offsets: Sequence[float], cells: _Cells) -> Floats:
    """What the photos of each cell tell for each offset (T, K)."""
    told = np.zeros((len(cells.starts), len(offsets)))
    for row, (offset, gain) in enumerate(zip(offsets, photos.gains, strict=True)):
        bounds = np.searchsorted(photos.readings, cells.starts + offset)
        told[:, row] = np.diff(_sums(gain)[np.append(bounds, len(gain))])
    return told


def _changes(photos: _Photos, offsets: Sequence[float], cells: _Cells, company: Company) -> Floats:
    """How likely each offset changes to each other at the start of each cell, with what that makes
    of the photos that both or neither of them can have shown then (T, K, K)."""
    jumps = _jumps(cells, company)
    going = np.minimum(_ALONG * sum(jumps.values(), np.zeros(len(cells.starts))), 0.9)
    found = np.zeros((len(cells.starts), len(offsets), len(offsets)))
    shown = [np.searchsorted(photos.readings, cells.starts + offset) for offset in offsets]
    for a, before in enumerate(offsets):
        found[:, a, a] = 1 - going
        for b, after in enumerate(offsets):
            if a == b:
                continue
            if before > after:  # set back: both can have shown what lies between
                one, other = photos.gains[a], photos.gains[b]
                sums = _sums(np.logaddexp(one, other) - np.log(2) - one - other)
                told = sums[shown[a]] - sums[shown[b]]
            else:  # set forward: neither can
                told = np.multiply(shown[a] - shown[b], _NEVER)
            chance = _chance(before, after, cells, jumps)
            found[:, a, b] = chance * np.exp(np.clip(told, -_LIMIT, _LIMIT))
    return found


def _sums(values: Floats) -> Floats:
    return np.concatenate(([0.0], np.cumsum(values)))


def _chance(before: float, after: float, cells: _Cells, jumps: dict[float, Floats]) -> Floats:
    """How likely a clock is set from one offset to another in each cell."""
    step = after - before
    is_zone = abs(step - round(step / _ZONE_S) * _ZONE_S) < _SAME_S
    rate = (_TO_ZONE if is_zone else _TO_ANY) + _TO_LOCAL * (np.abs(cells.local - after) < _SAME_S)
    chance = rate * np.minimum(cells.lengths, _DAY) / _DAY
    for jump, share in jumps.items():
        if abs(jump - step) < _SAME_S:
            chance = chance + _ALONG * share
    result: Floats = np.minimum(chance, 0.9)
    return result


def _jumps(cells: _Cells, company: Company) -> dict[float, Floats]:
    """By how much local clocks changed: which share of the time that it may have taken is in each
    cell."""
    found: dict[float, Floats] = {}
    ends = cells.starts + cells.lengths
    for at in np.flatnonzero(np.diff(company.ahead)):
        start, end = company.taken[at], max(company.taken[at + 1], company.taken[at] + 1.0)
        inside = np.maximum(np.minimum(ends, end) - np.maximum(cells.starts, start), 0.0)
        jump = float(company.ahead[at + 1] - company.ahead[at])
        found[jump] = found.get(jump, 0.0) + inside / (end - start)
    return found


def _states(told: Floats, changes: Floats, start: Floats) -> Floats:
    """How likely each offset was in each cell (T, K), by forward and backward passes."""
    gain = np.exp(told - told.max(axis=1, keepdims=True))
    forward, backward = np.zeros(told.shape), np.ones(told.shape)
    weight = start
    for at in range(len(told)):
        weight = (weight @ changes[at] if at else weight) * gain[at]
        weight = weight / weight.sum()
        forward[at] = weight
    weight = np.ones(len(start))
    for at in range(len(told) - 1, 0, -1):
        weight = changes[at] @ (weight * gain[at])
        weight = weight / weight.sum()
        backward[at - 1] = weight
    both = forward * backward
    result: Floats = both / both.sum(axis=1, keepdims=True)
    return result


def gone_along(readings: Floats, offsets: Floats, company: Company) -> Floats:
    """About the times when local clocks went somewhere and on within hours, the offset of a clock
    that went along; else NaN. `offsets` are those taken for it: such a clock shows the same
    readings more than twice."""
    found = np.full(len(readings), np.nan)
    jumps = np.diff(company.ahead)
    for one, other in pairwise(np.flatnonzero(jumps)):
        start, end = company.taken[one], company.taken[other + 1]
        if company.taken[other] - company.taken[one + 1] >= max(abs(jumps[[one, other]])):
            continue
        for jump in (jumps[one], -jumps[other]):
            utc = readings - offsets
            inside = ((utc >= start) & (utc <= end)) | ((utc - jump >= start) & (utc - jump <= end))
            found = np.where(inside, offsets + jump, found)
    return found


def stays(utc: Floats, company: Company) -> bool:
    """Whether a clock of one offset kept it while local clocks changed."""
    counts = np.unique(local_at(utc, company), return_counts=True)[1]
    return int(np.sum(counts >= _FEW)) > 1
