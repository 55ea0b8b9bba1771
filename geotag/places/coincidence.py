"""How much speaks for photos taken beside a companion's, for each offset of a clock. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geotag.places.sphere import Floats, Rows, nearest

# Offsets up to 27 hours ahead or behind: a zone, and beside it twelve hours, DST, minutes.
RANGE, STEP = 27 * 3600.0, 60.0
OFFSETS = np.arange(-round(RANGE / STEP), round(RANGE / STEP) + 1) * STEP
# Visits: one photo in ten minutes counts, near is within ten minutes, against the six hours around.
_THIN, _NEAR, _AROUND = 600.0, 600.0, 6 * 3600.0
# Photos of one visit are no independent witnesses.
_VISITS_COUNT, _MOMENTS_COUNT, _FINE_COUNTS = 0.6, 0.8, 0.6
# Moments: how near photos of the same scene are, and how many of a camera's have a companion's.
_BURST, _VICINITY = 20.0, 600.0
_CLOSE, _COMMON = (12.0, 40.0), (0.03, 0.1, 0.3)
_FINE, FINE_STEP = 1800.0, 5.0
FINE = np.arange(-round(_FINE / FINE_STEP), round(_FINE / FINE_STEP) + 1) * FINE_STEP
# By day people go out so many times more often than from one to six in the night.
_NIGHT, _MORNING, _BY_DAY = 3600.0, 6 * 3600.0, 5.0
_DAY = 86400.0
# The companion's photos are looked for so far beyond a grid; so many cells of grids at a time.
_MARGIN, _BLOCK = 3600.0, 2**15


class Habit(NamedTuple):
    """Which shares of a camera's photos are taken on a companion's visits, and at moments at which
    the companion photographs as well."""

    visits: float
    moments: float


HABITS = (Habit(0.04, 0.02), Habit(0.15, 0.0), Habit(0.3, 0.05), Habit(0.5, 0.15), Habit(0.6, 0.3))


class Company(NamedTuple):
    """Somebody's photos: sorted UTC times, and how far local clocks were ahead of UTC at each."""

    taken: Floats
    ahead: Floats


def evidence(events: Floats, company: Company) -> Floats:
    """The log likelihood ratio of each of OFFSETS, for readings of a clock: photos on the
    companion's visits and at the same moments. A row for each of HABITS."""
    grid = _grid(events)
    taken = _around(grid, company)
    if not len(taken):
        return np.zeros((len(HABITS), len(OFFSETS)))
    visits, moments = _visits(grid, thinned(taken, _THIN)), _moments(grid, taken)
    on_visits = np.array([np.log(1 - h.visits + h.visits * visits) for h in HABITS])
    at_moments = np.array([np.log(1 - h.moments + h.moments * moments) for h in HABITS])
    return _VISITS_COUNT * _summed(on_visits, grid, thinned(events, _THIN)) + (
        _MOMENTS_COUNT * _summed(at_moments, grid, thinned(events, STEP))
    )


def gains(utc: Floats, company: Company, habit: Habit) -> Floats:
    """How much each photo of a known time (sorted UTC) speaks for the company, in nats."""
    first = np.flatnonzero(np.diff(utc, prepend=-np.inf) > 2 * _AROUND)
    part = np.repeat(np.arange(len(first)), np.diff(first, append=len(utc)))
    starts = utc[first] - _AROUND
    row = np.round((utc - starts[part]) / STEP).astype(np.int64)
    half = round(_AROUND / STEP)
    spans = utc[np.append(first[1:], len(utc)) - 1] - utc[first] + 2 * _AROUND
    lengths = np.ceil(spans / STEP).astype(np.int64) + 1
    visits = np.ones(len(utc))
    for some in _blocks(lengths):
        own = np.isin(part, some)
        near = _near_visits(_to_visits(starts[some], lengths[some], company))
        at, column = np.searchsorted(some, part[own]), row[own]
        sums = np.cumsum(np.pad(near, ((0, 0), (1, 0))), axis=1)
        background = (sums[at, column + half + 1] - sums[at, column - half]) / (2 * half + 1)
        visits[own] = _ratio(near[at, column], background, 1e-3)
    half = round(_VICINITY / STEP)
    cells = starts[part][:, None] + (row[:, None] + np.arange(-half, half + 1)) * STEP
    near = np.exp(-to_nearest(cells, company.taken) / STEP)
    moments = _ratio(near[:, half], near.mean(axis=1), 1e-2)
    turn = np.floor((utc - utc[first][part]) / _THIN)
    visit = np.cumsum(_begins(part, turn)) - 1
    alone = 1 / np.bincount(visit)[visit]  # photos of one visit are one witness
    result: Floats = alone * _VISITS_COUNT * np.log(1 - habit.visits + habit.visits * visits)
    result += _MOMENTS_COUNT * np.log(1 - habit.moments + habit.moments * moments)
    return result


def _blocks(lengths: Rows) -> Iterator[Rows]:
    """The numbers of grids of about one length, so few at a time that memory stays flat."""
    order = np.argsort(lengths, kind="stable")
    while len(order):
        count = max(1, _BLOCK // int(lengths[order[-1]]))
        yield np.sort(order[-count:])
        order = order[:-count]


def _begins(part: Rows, turn: Floats) -> NDArray[np.bool_]:
    """Where another part, or another turn of one, begins."""
    begins: NDArray[np.bool_] = (np.diff(part, prepend=-1) != 0) | (np.diff(turn, prepend=-1) != 0)
    return begins


def _to_visits(starts: Floats, lengths: Rows, company: Company) -> Floats:
    """How far the companion's nearest visit is from each cell of the grids that begin at the
    starts; infinite where there is none."""
    ends = starts + (lengths - 1) * STEP
    low, high = np.searchsorted(company.taken, (starts - _MARGIN, ends + _MARGIN))
    counts = high - low
    owner = np.repeat(np.arange(len(starts)), counts)
    taken = company.taken[np.arange(len(owner)) + (low - np.cumsum(counts) + counts)[owner]]
    kept = _begins(owner, np.floor((taken - company.taken[low[owner]]) / _THIN))
    return _distances(starts, int(lengths.max()), taken[kept], owner[kept])


def _distances(starts: Floats, length: int, times: Floats, owner: Rows) -> Floats:
    """How far the nearest of a grid's times is from each of its cells: a row for each grid, whose
    number is the times' owner."""
    later = np.clip(np.floor((times - starts[owner]) / STEP).astype(np.int64) + 1, 0, length)
    before = np.full((len(starts), length + 1), -np.inf)
    after = np.full_like(before, np.inf)
    np.maximum.at(before, (owner, later), times)
    np.minimum.at(after, (owner, later), times)
    before = np.maximum.accumulate(before, axis=1)[:, :-1]
    after = np.minimum.accumulate(after[:, ::-1], axis=1)[:, -2::-1]
    grid = starts[:, None] + np.arange(length) * STEP
    nearer: Floats = np.minimum(grid - before, after - grid)
    return nearer


def by_day(events: Floats, company: Company) -> Floats:
    """The same for one photo of them, as by day more are taken than in the night, by the
    companion's local time."""
    grid = _grid(events)
    if not len(_around(grid, company)):
        return np.zeros(len(OFFSETS))
    after = np.clip(np.searchsorted(company.taken, grid), 0, len(company.taken) - 1)
    hour = (grid + company.ahead[after]) % _DAY
    night = np.where((hour > _NIGHT) & (hour < _MORNING), -np.log(_BY_DAY), 0.0)
    summed: Floats = _summed(night[None], grid, events[len(events) // 2 :][:1])[0]
    return summed


def _around(grid: Floats, company: Company) -> Floats:
    low, high = np.searchsorted(company.taken, (grid[0] - _MARGIN, grid[-1] + _MARGIN))
    return company.taken[low:high]


def _grid(events: Floats) -> Floats:
    """All moments at which readings of a clock may have been."""
    start = events[0] - RANGE - _AROUND
    length = int((events[-1] - events[0] + 2 * (RANGE + _AROUND)) / STEP) + 2
    grid: Floats = start + np.arange(length) * STEP
    return grid


def _summed(gain: Floats, grid: Floats, events: Floats) -> Floats:
    """For each offset the gain of all events. Offset o stands for UTC = event - o: the grid
    backwards."""
    bins = len(OFFSETS) // 2
    total = np.zeros((len(gain), len(OFFSETS)))
    for event in events:
        middle = round((event - grid[0]) / STEP)
        total += gain[:, middle - bins : middle + bins + 1][:, ::-1]
    return total


def thinned(times: Floats, seconds: float) -> Floats:
    """The first photo of each so many seconds."""
    if not len(times):
        return times
    turns = np.floor((times - times[0]) / seconds)
    return times[np.concatenate(([True], np.diff(turns) > 0))]


def _visits(grid: Floats, reference: Floats) -> Floats:
    """How many more photos a camera takes at each time of the grid than in its vicinity, if it is
    with the companion."""
    near = _near_visits(_to_one(grid, reference))
    return _against_vicinity(near, round(_AROUND / STEP), 1e-3)


def _near_visits(distance: Floats) -> Floats:
    wide = np.exp(distance / (-4 * _NEAR))
    narrow = np.square(np.square(wide))
    result: Floats = 0.5 * (narrow + wide)
    return result


def _moments(grid: Floats, reference: Floats) -> Floats:
    """The same, if it takes photos of the same moments."""
    near = np.exp(-_to_one(grid, reference) / STEP)
    return _against_vicinity(near, round(_VICINITY / STEP), 1e-2)


def _to_one(grid: Floats, reference: Floats) -> Floats:
    distance: Floats = _distances(grid[:1], len(grid), reference, np.zeros_like(reference, int))[0]
    return distance


def _against_vicinity(near: Floats, half: int, least: float) -> Floats:
    """The ratio to the mean of so many cells on both sides; 1 where there are fewer."""
    sums = np.concatenate(([0.0], np.cumsum(near)))
    background = (sums[2 * half + 1 :] - sums[: -2 * half - 1]) / (2 * half + 1)
    ratio = np.ones(len(near))
    ratio[half:-half] = _ratio(near[half:-half], background, least)
    return ratio


def _ratio(near: Floats, background: Floats, least: float) -> Floats:
    return np.where(background > least, near / np.maximum(background, 0.02), 1.0)


def to_nearest(times: Floats, reference: Floats) -> Floats:
    """How far the nearest of sorted times is from each."""
    distance: Floats = np.abs(times - reference[nearest(times, reference)])
    return distance


def moments_evidence(utc: Floats, company: Company) -> Floats:
    """The log likelihood ratio of each of FINE, seconds by which times may be too late: photos of
    the same scenes as the companion's."""
    utc = thinned(utc, _BURST)
    reference = thinned(company.taken, _BURST)
    half = round(_VICINITY / FINE_STEP)
    wide = np.arange(-len(FINE) // 2 - half + 1, len(FINE) // 2 + half + 1) * FINE_STEP
    parts = np.zeros((len(_CLOSE), len(_COMMON), len(FINE)))
    for some in _portions(utc):
        distance = to_nearest(some[:, None] - wide, reference)
        for row, close in enumerate(_CLOSE):
            near = np.exp(-distance / close)
            sums = np.cumsum(np.pad(near, ((0, 0), (1, 0))), axis=1)
            background = (sums[:, 2 * half + 1 :] - sums[:, : -2 * half - 1]) / (2 * half + 1)
            near = near[:, half:-half]
            ratio = np.where(background > 1e-3, near / np.maximum(background, 0.01), 1.0)
            for column, share in enumerate(_COMMON):
                parts[row, column] += np.log(1 - share + share * ratio).sum(axis=0)
    # How near, and how many, is not known: all are as likely, and so is none at all.
    flat = np.vstack((parts.reshape(-1, len(FINE)), np.zeros(len(FINE)))) * _FINE_COUNTS
    top = flat.max(axis=0)
    result: Floats = top + np.log(np.mean(np.exp(flat - top), axis=0))
    return result


def _portions(times: Floats) -> Iterator[Floats]:
    """So many at a time that memory stays flat; evenly fewer where there are very many."""
    times = times[:: len(times) // 4000 + 1]
    for start in range(0, len(times), 32):
        yield times[start : start + 32]
