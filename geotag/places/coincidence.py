"""How much speaks for photos taken beside a companion's, for each offset of a clock. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from geotag.places.sphere import Floats, Rows, Singles, nearest

# Offsets up to 27 hours ahead or behind: a zone, and beside it twelve hours, DST, minutes.
RANGE, STEP = 27 * 3600.0, 60.0
OFFSETS = np.arange(-round(RANGE / STEP), round(RANGE / STEP) + 1) * STEP
# Visits: one photo in ten minutes counts.
_THIN = 600.0
# Photos of one visit are no independent witnesses.
_VISITS_COUNT, _MOMENTS_COUNT, _FINE_COUNTS = 0.6, 0.8, 0.6
# Moments to seconds: how many photos of a camera have one of the companion's.
_BURST, _COMMON = 20.0, (0.03, 0.1, 0.3)
_FINE, FINE_STEP = 1800.0, 5.0
FINE = np.arange(-round(_FINE / FINE_STEP), round(_FINE / FINE_STEP) + 1) * FINE_STEP
_FAR = 3600.0
_BLANK = 0.02  # of what is near: so little around is as much as this
_TOGETHER = 8  # sessions are looked at together: enough for arrays, and little memory


Distances = TypeVar("Distances", Floats, Singles)


class Habit(NamedTuple):
    """Which shares of a camera's photos are taken on a companion's visits, and at moments at which
    the companion photographs as well."""

    visits: float
    moments: float


HABITS = (Habit(0.04, 0.02), Habit(0.15, 0.0), Habit(0.3, 0.05), Habit(0.5, 0.15), Habit(0.6, 0.3))
_SHARES = np.array(HABITS, np.float32).T[:, :, None]


class Company(NamedTuple):
    """Somebody's photos: sorted UTC times, and how far local clocks were ahead of UTC at each."""

    taken: Floats
    ahead: Floats


class _Kernel(NamedTuple):
    """How near a photo is by its distance in seconds: the mean of exponential functions. It is
    compared with how near photos are, in the mean, so long before and after; where these are less
    than `least`, nothing is told."""

    scales: tuple[float, ...]
    around: float
    least: float

    def near(self, distance: Distances) -> Distances:
        """1 at none."""
        first, *rest = (np.exp(distance / -scale) for scale in self.scales)
        for part in rest:
            first += part
        mean: Distances = first / len(self.scales) if rest else first
        return mean

    def area(self, distance: Floats) -> Floats:
        """The integral of what is near, up to a distance."""
        parts = [scale * -np.expm1(-distance / scale) for scale in self.scales]
        result: Floats = np.mean(parts, axis=0)
        return result


_VISITS = _Kernel((600.0, 2400.0), 6 * 3600.0, 1e-3)
_MOMENTS = _Kernel((STEP,), 600.0, 1e-2)
_CLOSE = (_Kernel((12.0,), 600.0, 1e-3), _Kernel((40.0,), 600.0, 1e-3))


def visits_of(company: Company) -> Floats:
    """The companion's photos, one of each ten minutes."""
    return thinned(company.taken, _THIN)


def evidence(
    sessions: Sequence[Floats], company: Company, visits: Floats
) -> Iterator[tuple[Floats, Singles]]:
    """Readings of a clock with the log likelihood ratio of each of OFFSETS (a row for each of
    HABITS): photos on the companion's visits and at the same moments. A photo of the companion's
    must be near for some offset."""
    for start in range(0, len(sessions), _TOGETHER):
        some = sessions[start : start + _TOGETHER]
        # Offset o stands for UTC = event - o: the grid backwards.
        starts = np.array([events[0] - RANGE for events in some])
        lengths = np.array([len(OFFSETS) + _steps(events)[-1] for events in some])
        on_visits = _on_grid(starts, lengths, visits, _VISITS)
        at_moments = _on_grid(starts, lengths, company.taken, _MOMENTS)
        for at, events in enumerate(some):
            yield events, _told(events, on_visits[at], at_moments[at])


def _steps(events: Floats) -> list[int]:
    """By how many cells events are later than the first."""
    found: list[int] = np.round((events - events[0]) / STEP).astype(np.int64).tolist()
    return found


def _told(events: Floats, on_visits: Singles, at_moments: Singles) -> Singles:
    total = np.zeros((len(HABITS), len(OFFSETS)), np.float32)
    length = len(OFFSETS) + _steps(events)[-1]
    parts = ((on_visits, _THIN, _VISITS_COUNT), (at_moments, STEP, _MOMENTS_COUNT))
    for shares, (ratio, seconds, counts) in zip(_SHARES, parts, strict=True):
        gain = shares * ratio[:length]
        gain += 1 - shares
        np.log(gain, out=gain)
        gain *= np.float32(counts)
        for at in _steps(thinned(events, seconds)):
            total += gain[:, at : at + len(OFFSETS)]
    return np.ascontiguousarray(total[:, ::-1])


def gains(utc: Floats, company: Company, habits: Sequence[Habit] = HABITS) -> Floats:
    """How much each photo of a known time (sorted UTC) speaks for the company, in nats: a row for
    each of the habits."""
    turns = np.floor((utc - utc[0]) / _THIN) if len(utc) else utc
    visit = np.cumsum(np.diff(turns, prepend=turns[:1]) != 0)
    alone = _VISITS_COUNT / np.bincount(visit)[visit]  # photos of one visit are one witness
    on_visits = _ratios(utc, visits_of(company), _VISITS)
    at_moments = _ratios(utc, company.taken, _MOMENTS)
    rows = [
        alone * np.log(1 - habit.visits + habit.visits * on_visits)
        + _MOMENTS_COUNT * np.log(1 - habit.moments + habit.moments * at_moments)
        for habit in habits
    ]
    return np.array(rows)


def _ratios(times: Floats, reference: Floats, kernel: _Kernel) -> Floats:
    """How many more photos a camera takes at each time than in its vicinity, if it is with the
    companion."""
    halves = kernel.area(np.diff(reference) / 2)
    sums = np.concatenate(([0.0], np.cumsum(2 * halves)))

    def area(at: Floats) -> Floats:
        row = nearest(at, reference)
        away = at - reference[row]
        result: Floats = sums[row] + np.copysign(kernel.area(np.abs(away)), away)
        return result

    background = (area(times + kernel.around) - area(times - kernel.around)) / (2 * kernel.around)
    near = kernel.near(to_nearest(times, reference))
    return np.where(background > kernel.least, near / np.maximum(background, _BLANK), 1.0)


def _on_grid(starts: Floats, lengths: Rows, reference: Floats, kernel: _Kernel) -> Singles:
    """The same for the times of some grids."""
    half = round(kernel.around / STEP)
    distance = _distances(starts - half * STEP, lengths + 2 * half, STEP, reference)
    return _against_vicinity(kernel.near(distance), half, kernel)


def _distances(starts: Floats, lengths: Rows, step: float, reference: Floats) -> Singles:
    """How far the nearest of sorted times is from each cell of some grids, by their starts and
    lengths: one of them must be near each grid. Rows are as long as the longest."""
    low, length = np.searchsorted(reference, starts - _FAR), lengths.max()
    counts = np.searchsorted(reference, starts + lengths * step + _FAR) - low
    last = np.cumsum(counts) - 1
    rows = np.arange(last[-1] + 1) + np.repeat(low - last + counts - 1, counts)
    times = reference[rows] - np.repeat(starts, counts)
    middles = (times[:-1] + times[1:]) / 2
    ends = np.minimum(np.maximum(np.ceil(middles / step), 0), length).astype(np.int64)
    ends = np.append(ends, length)
    ends[last] = length
    sizes = np.diff(ends, prepend=0)
    sizes[last[:-1] + 1] += length
    found = np.repeat(times, sizes).reshape(len(starts), length)
    found -= np.arange(length) * step
    result: Singles = np.abs(found, out=found).astype(np.float32)
    return result


def _against_vicinity(near: Singles, half: int, kernel: _Kernel) -> Singles:
    """The ratio to the mean of so many cells on both sides, which are left out at both ends."""
    sums = np.cumsum(near, axis=-1, dtype=np.float64)
    background = sums[..., 2 * half :].copy()
    background[..., 1:] -= sums[..., : -2 * half - 1]
    background /= 2 * half + 1
    is_blank = background <= kernel.least
    ratio = near[..., half:-half] / np.maximum(background, _BLANK, out=background)
    ratio[is_blank] = 1.0
    return ratio.astype(np.float32)


def thinned(times: Floats, seconds: float) -> Floats:
    """The first photo of each so many seconds."""
    if not len(times):
        return times
    turns = np.floor((times - times[0]) / seconds)
    return times[np.concatenate(([True], np.diff(turns) > 0))]


def to_nearest(times: Floats, reference: Floats) -> Floats:
    """How far the nearest of sorted times is from each."""
    distance: Floats = np.abs(times - reference[nearest(times, reference)])
    return distance


def moments_evidence(utc: Floats, company: Company) -> Floats:
    """The log likelihood ratio of each of FINE, seconds by which times may be too late: photos of
    the same scenes as the companion's."""
    return mixed(moments_told(utc, company))


def moments_told(utc: Floats, company: Company) -> Floats:
    """The same for each of some ways to take photos of the same scenes; of photos at other times
    they may be added."""
    reference = thinned(company.taken, _BURST)
    half = round(_CLOSE[0].around / FINE_STEP)
    length = len(FINE) + 2 * half
    reach = length // 2 * FINE_STEP
    parts = np.zeros((len(_CLOSE), len(_COMMON), len(FINE)))
    utc = thinned(utc, _BURST)
    for some in _portions(utc[to_nearest(utc, reference) <= reach]):
        lengths = np.full(len(some), length)
        distance = _distances(some - reach, lengths, FINE_STEP, reference)
        for row, kernel in enumerate(_CLOSE):
            ratio = _against_vicinity(kernel.near(distance), half, kernel)
            for column, share in enumerate(_COMMON):
                told = np.float32(share) * ratio
                told += np.float32(1 - share)
                parts[row, column] += np.log(told, out=told).sum(axis=0)[::-1]
    return parts


def mixed(parts: Floats) -> Floats:
    """The log likelihood ratios by all of these ways."""
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
