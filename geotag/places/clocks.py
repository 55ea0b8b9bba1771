"""How far a clock is from UTC, found from who photographed beside whom. Pure.

First the offsets that are likely at any session (`sessions`), then which of these the clock had at
each photo (`changes`), then these to seconds (`minutes`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geotag.places.changes import gone_along, offset_shares, stays
from geotag.places.coincidence import (
    FINE,
    RANGE,
    STEP,
    Company,
    gains,
    moments_evidence,
    thinned,
    to_nearest,
)
from geotag.places.devices import Device
from geotag.places.minutes import LEAST_UNCERTAINTY, Exact, is_by_quarters, pools, refined
from geotag.places.sessions import (
    Session,
    candidates,
    course_of,
    habit_of,
    observed,
    sessions_of,
    start_of,
)
from geotag.places.sighting import ClockPiece, ClockSource
from geotag.places.sphere import Floats, Rows, Singles

# A clock is known by photos within half an hour of the companion's: so many, on so many visits.
_PAIRED, _PAIRS, _VISIT, _VISITS = 1800.0, 6, 2700.0, 3
_NEAR, _TOLD = 600.0, 1  # so many photos beside the companion's tell one side of a change
# So much (in nats) must speak for the company for a clock to be known, and for offsets to be
# likely; fewer photos are none.
_KNOWN, _LIKELY, _FEW = 8.0, 3.0, 3
# How likely an offset must be to be known; else so much must the likely ones hold together.
_SURE, _ENOUGH = 0.98, 0.99
# Offsets so close are one, unless zones differ so; so many likely ones are moved as local clocks
# were, for so many in all.
_CLOSE, _MAIN, _MOST = 26 * 60.0, 4, 14


class Clock(NamedTuple):
    """A clock's offset as pieces over time, and how much (in nats) speaks for the company."""

    pieces: tuple[ClockPiece, ...]
    strength: float


class _Readings(NamedTuple):
    """Readings of a clock with how likely each of some rough offsets is at each (K, N), and
    another one that it may have had (NaN for none)."""

    clock: Floats
    offsets: Sequence[float]
    shares: Floats
    doubts: Floats

    def sure(self) -> NDArray[np.int64]:
        """The number of the offset that is known at each reading, or -1."""
        known = (self.shares.max(axis=0) >= _SURE) & np.isnan(self.doubts)
        return np.where(known, self.shares.argmax(axis=0), -1)


def find_clock(clock: Floats, company: Company) -> Clock:
    """A clock's offset from UTC, from sorted readings of it and the photos of
    somebody who may have been there.

    Visits tell the offset to some minutes; where both photographed at the same moments, those
    tell it to seconds.
    """
    if not len(clock) or not len(company.taken):
        return Clock((), 0.0)
    unknown = ClockPiece(float(clock[0]), float(clock[-1]), None, 0.0, ClockSource.UNKNOWN)
    if min(len(thinned(times, LEAST_UNCERTAINTY)) for times in (clock, company.taken)) < _PAIRS:
        return Clock((unknown,), 0.0)
    sessions = observed(clock, company)
    if not sessions:
        return Clock((unknown,), 0.0)
    course = course_of(sessions, company)
    offsets = _with_others(candidates(course.posterior), company)
    if not offsets:
        return Clock((unknown,), course.strength)
    start = start_of(offsets, sessions[0], company)
    shares = offset_shares(clock, offsets, start, (company, habit_of(course)))
    found = _Readings(clock, offsets, _joined(shares, offsets), np.full(len(clock), np.nan))
    found = found._replace(doubts=_doubts(found, company))
    found = found._replace(doubts=_beside_changes(found, company))
    told = [(each, np.log(each.likely[course.habit])) for each in sessions]
    exact, moments = _exact(found, told, company)
    strength = course.strength + moments
    if strength < _LIKELY:
        return Clock((unknown,), strength)
    return Clock(tuple(_pieces(found, exact if strength >= _KNOWN else {}, company)), strength)


def _with_others(offsets: Sequence[float], company: Company) -> list[float]:
    """Offsets, and those of a clock that went along where local clocks changed."""
    found = list(offsets)
    for jump in np.unique(np.diff(company.ahead)):
        for offset in offsets[:_MAIN]:
            other = offset + float(jump)
            is_new = min(abs(other - each) for each in found) > _CLOSE / 2
            if is_new and abs(other) <= RANGE and len(found) < _MOST:
                found.append(other)
    return found


def _joined(shares: Floats, offsets: Sequence[float]) -> Floats:
    """Offsets some minutes apart that no photo tells from each other are one."""
    result = shares.copy()
    for at, one in enumerate(offsets):
        for before, other in enumerate(offsets[:at]):
            is_close = abs(one - other) < _CLOSE and not is_by_quarters(one - other)
            if is_close and not (shares[[at, before]] >= _SURE).any(axis=1).all():
                most, least = sorted((at, before), key=lambda row: -float(result[row].sum()))
                result[most] += result[least]
                result[least] = 0.0
    return result


def _doubts(found: _Readings, company: Company) -> Floats:
    """For each reading the other offset of a clock that goes along with local ones for a short
    way; NaN where there is none, or the clock is seen to stay as it is."""
    best = found.shares.argmax(axis=0)
    offsets = np.array(found.offsets)[best]
    along = gone_along(found.clock, offsets, company)
    known = np.isnan(along) & (found.shares.max(axis=0) >= _SURE)
    if len(np.unique(best[known])) == 1 and stays((found.clock - offsets)[known], company):
        return np.full(len(along), np.nan)
    return along


def _beside_changes(found: _Readings, company: Company) -> Floats:
    """The doubts, with those of photos next to a change of the clock, up to some that were taken
    beside the companion's by their own offset, and were not by that of the other side."""
    sure, doubts = found.sure(), found.doubts.copy()
    known = np.flatnonzero(sure >= 0)
    runs = np.split(known, np.flatnonzero(np.diff(sure[known])) + 1)
    for before, after in pairwise(runs):
        for rows, others in ((before[::-1], after), (after, before)):
            own, other = (found.offsets[sure[each[0]]] for each in (rows, others))
            near = to_nearest(found.clock[rows] - own, company.taken) <= _NEAR
            far = to_nearest(found.clock[rows] - other, company.taken) > _PAIRED
            told = np.flatnonzero(near & far)[_TOLD - 1 :][:1]
            doubts[rows[: told[0] if len(told) else len(rows)]] = other
    return doubts


def _exact(
    found: _Readings, sessions: Sequence[tuple[Session, Singles]], company: Company
) -> tuple[dict[int, Exact], float]:
    """The offsets to seconds, by their number, where enough photos tell them."""
    sure = found.sure()
    exact: dict[int, Exact] = {}
    strength = 0.0
    for pool in pools(found.offsets):
        photos = {found.offsets[k]: found.clock[sure == k] for k in pool if (sure == k).any()}
        if not photos:
            continue
        own, moments = refined(photos, sessions, company)
        strength += moments
        if not own:
            continue
        beside = [_beside(photos[rough], own[rough].offset, company) for rough in photos]
        pairs, visits = (sum(counts) for counts in zip(*beside, strict=True))
        if pairs >= _PAIRS and visits >= _VISITS:
            exact.update({k: own[found.offsets[k]] for k in pool if found.offsets[k] in own})
    return exact, strength


def _beside(readings: Floats, offset: float, company: Company) -> tuple[int, int]:
    """How many photos were taken beside the companion's, and on how many visits."""
    events = thinned(readings, LEAST_UNCERTAINTY)
    paired = events[to_nearest(events - offset, company.taken) <= _PAIRED]
    return len(paired), int(np.sum(np.diff(paired) > _VISIT)) + 1 if len(paired) else 0


def _pieces(found: _Readings, exact: dict[int, Exact], company: Company) -> Iterator[ClockPiece]:
    """Stretches of readings of one offset, or of which the same ones are likely."""
    order = np.argsort(-found.shares, axis=0, kind="stable")
    sorted_shares = np.take_along_axis(found.shares, order, axis=0)
    held = np.cumsum(sorted_shares, axis=0)
    kept = (held - sorted_shares < _ENOUGH * held[-1]) & (sorted_shares > 0)
    best = found.sure()
    best = np.where(np.isin(best, list(exact)), best, -1)
    told = np.where(best >= 0, best, np.where(kept, order, -2 - len(order)))
    breaks = np.flatnonzero((np.diff(told, axis=1) != 0).any(axis=0) | (np.diff(best) != 0)) + 1
    for rows in np.split(np.arange(len(found.clock)), breaks):
        readings, at = found.clock[rows], rows[0]
        start, end = float(readings[0]), float(readings[-1])
        if best[at] >= 0:
            offset, uncertainty = exact[int(best[at])]
            counts = _beside(readings, offset, company)
            yield ClockPiece(start, end, offset, uncertainty, ClockSource.COMPANY, *counts)
        else:
            likely = [int(k) for k in order[kept[:, at], at]]
            values = tuple(exact[k].offset if k in exact else found.offsets[k] for k in likely)
            doubts = found.doubts[rows]
            values += tuple(float(value) for value in np.unique(doubts[np.isfinite(doubts)]))
            yield ClockPiece(start, end, None, 0.0, ClockSource.UNKNOWN, likely=values)


def clipped(
    pieces: Iterable[ClockPiece], device: Device, rows: Rows, company: Company | None
) -> tuple[ClockPiece, ...]:
    """The pieces as far as some photos of a device are of them, which alone they count then."""
    found = []
    for piece in pieces:
        readings = device.clock[rows]
        own = rows[(readings >= piece.start) & (readings <= piece.end)]
        if len(own):
            start, end = (float(device.clock[row]) for row in own[[0, -1]])
            pairs, visits = _counted(piece, device, own, company)
            found.append(piece._replace(start=start, end=end, pairs=pairs, visits=visits))
    return tuple(found)


def _counted(
    piece: ClockPiece, device: Device, rows: Rows, company: Company | None
) -> tuple[int, int]:
    """How many of some photos tell a piece, and on how many visits."""
    match piece.source:
        case ClockSource.COMPANY if company is not None and piece.offset is not None:
            return _beside(device.clock[rows], piece.offset, company)
        case ClockSource.GPS | ClockSource.RECORDED | ClockSource.ZONE:
            return int(device.told[rows].sum()), 0
        case ClockSource.POSITIONS:
            return min(piece.pairs, len(np.intersect1d(rows, device.located))), piece.visits
        case _:
            return piece.pairs, piece.visits


def strength_of(utc: Floats, company: Company) -> float:
    """How much speaks for photos (sorted UTC) of a known clock in company, in nats.

    Visits at other times speak against it. Photos at the same moments speak for it, and their
    lack against nothing: not everybody photographs the same.
    """
    if min(len(company.taken), len(utc)) < _FEW:
        return 0.0
    sessions = sessions_of(utc, company)
    if not sessions:
        return 0.0
    rows = gains(thinned(np.concatenate(sessions), STEP), company).sum(axis=1)
    fine = len(FINE) // 2
    moments = moments_evidence(utc, company)[fine - 6 : fine + 7]
    together = float(np.logaddexp.reduce(moments)) - float(np.log(len(moments)))
    return float(np.max(rows)) + max(0.0, together)
