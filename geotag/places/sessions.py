"""The offset of a clock at each session of photos, to some minutes. Pure.

It is the hidden state of a hidden Markov model: a session of photos is one observation, a journey
to another zone, DST and a clock that somebody sets are transitions. Forward and backward passes
tell how likely each offset was at each session (Rabiner, 1989).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from geotag.places.coincidence import (
    HABITS,
    OFFSETS,
    RANGE,
    STEP,
    Company,
    Habit,
    evidence,
    visits_of,
)
from geotag.places.sphere import Floats, Rows, Singles, nearest

_SESSION, _BREAK, _SESSIONS = 3 * 3600.0, 3600.0, 600
# What a change of the clock costs, in nats: to the local time, to another zone or DST, to anything;
# and where local clocks change, to go along or not.
_SET_LOCAL, _ZONE_CHANGE, _ANY_CHANGE, _EITHER = 6.0, 9.0, 16.0, 0.7
# How many nats more likely than any other offset: that of the local clock, of the clock at home,
# of another zone, twelve hours off; and beside the exact one, minutes off.
_LOCAL, _HOME, _ZONE, _TWELVE, _MINUTES = 8.4, 7.5, 5.3, 5.5, 2.8
_MINUTES_OFF, _EXACT = 900.0, 60.0
_MOST = 9.0  # what one session can speak against an offset, in nats
_PER_HOUR = round(3600 / STEP)
_HOURS = -(-len(OFFSETS) // _PER_HOUR)
# Which whole hours are one to twelve hours from which.
_WHOLE_HOURS = np.abs(np.subtract.outer(np.arange(_HOURS), np.arange(_HOURS)))
_WHOLE_HOURS = ((_WHOLE_HOURS > 0) & (_WHOLE_HOURS <= 12)).astype(np.float32)
# By day people go out so many times more often than from one to six in the night.
_NIGHT, _MORNING, _DAY, _BY_DAY = 60, 6 * 60, 24 * 60, 5.0  # minutes
# Offsets are told from each other where they are so far apart; less likely ones are left out.
_APART, _POSSIBLE, _CANDIDATES = 480.0, 0.03, 10


class Session(NamedTuple):
    """Photos of a camera without a long break.

    `likely` is how likely they are with each of OFFSETS (a row for each of HABITS), `top` the
    logarithm of what that is to be multiplied by; `apart` tells by how many rows each offset is
    ahead of the local clocks around, and `is_local` which are just these.
    """

    events: Floats
    likely: Singles
    top: Singles
    apart: Rows
    is_local: Singles


class Course(NamedTuple):
    """The likeliest of HABITS, how much (in nats) speaks for the company then, and how likely each
    of OFFSETS is at each session (S, N)."""

    habit: int
    strength: float
    posterior: Singles


class _Local(NamedTuple):
    """How far local clocks are ahead of UTC: `values`, each up to one of the times."""

    times: Floats
    values: Floats

    def at(self, utc: Floats) -> Floats:
        """At times in order, upwards or downwards."""
        low, high = np.searchsorted(self.times, np.sort(utc[[0, -1]]))
        if low == high:
            return np.full(len(utc), self.values[low])
        return self.values[np.searchsorted(self.times, utc)]


def observed(clock: Floats, company: Company) -> list[Session]:
    """The sessions of sorted readings of a clock that may have been beside the companion's."""
    local = _local_of(company)
    found = list[Session]()
    for events, told in evidence(sessions_of(clock, company), company, visits_of(company)):
        told += _by_day(events[len(events) // 2], local)
        top = told.max(axis=1)
        told -= top[:, None]
        # It may have seen anything: photos of two zones, a visit alone.
        likely = np.exp(told, out=told)
        likely += np.float32(np.exp(-_MOST))
        apart = np.round((OFFSETS - local.at(events[0] - OFFSETS)) / STEP).astype(np.int64)
        is_local = (np.abs(apart) * STEP <= _EXACT).astype(np.float32)
        found.append(Session(events, likely, top, apart, is_local))
    return found


def sessions_of(clock: Floats, company: Company) -> list[Floats]:
    """Photos split at breaks and every few hours, where a clock of any offset may have shown
    readings beside the companion's photos; evenly fewer where there are very many."""
    short: list[Floats] = []
    for part in np.split(clock, np.flatnonzero(np.diff(clock) > _BREAK) + 1):
        turns = np.floor((part - part[0]) / _SESSION)
        short += np.split(part, np.flatnonzero(np.diff(turns)) + 1)
    ends = np.array([(events[0] - RANGE, events[-1] + RANGE) for events in short])
    low, high = np.searchsorted(company.taken, ends).T
    near = [short[at] for at in np.flatnonzero(high > low)]
    return near[:: len(near) // _SESSIONS + 1]


def _local_of(company: Company) -> _Local:
    """By the companion's photo nearest in time."""
    turns = np.flatnonzero(np.diff(company.ahead))
    times = (company.taken[turns] + company.taken[turns + 1]) / 2
    return _Local(times, company.ahead[np.append(turns, len(company.ahead) - 1)])


def _by_day(reading: float, local: _Local) -> Singles:
    """The log likelihood ratio of each of OFFSETS for one photo, as by day more are taken than in
    the night, by the companion's local time."""
    utc = np.asarray(reading - OFFSETS, dtype=float)
    minute = ((utc + local.at(utc)) / 60).astype(np.int64) % _DAY
    is_night = (minute >= _NIGHT) & (minute < _MORNING)
    return np.where(is_night, np.float32(-np.log(_BY_DAY)), np.float32(0))


def local_at(utc: Floats, company: Company) -> Floats:
    """How far local clocks were ahead of UTC, by the companion's photo nearest in time."""
    return company.ahead[nearest(utc, company.taken)]


def course_of(sessions: Sequence[Session], company: Company) -> Course:
    """What the clock was over all sessions."""
    weight = np.tile(np.exp(_prior(sessions[0], company)), (len(HABITS), 1)).astype(np.float32)
    strengths, forward = np.zeros(len(HABITS)), list[Singles]()
    for at, session in enumerate(sessions):
        if at:
            weight = _later(weight, sessions[at - 1], session)
        weight *= session.likely
        total = weight.sum(axis=1)
        strengths += session.top + np.log(total)
        weight /= total[:, None]
        forward.append(weight)
    habit = int(np.argmax(strengths))
    posterior = np.array([each[habit] for each in forward])
    weight = np.ones((1, len(OFFSETS)), np.float32)
    for at in range(len(sessions) - 1, 0, -1):
        weight = _earlier(weight * sessions[at].likely[habit], sessions[at - 1], sessions[at])
        weight /= weight.sum()
        posterior[at - 1] *= weight[0]
    posterior /= posterior.sum(axis=1, keepdims=True)
    return Course(habit, float(strengths[habit]), posterior)


def _prior(first: Session, company: Company) -> Floats:
    """How likely the offsets are that a clock may have to begin with (log)."""
    prior = np.zeros(len(OFFSETS))
    for away, nats in _likely(first, company):
        prior = np.maximum(prior, np.where(away <= _MINUTES_OFF, nats - _MINUTES, 0.0))
        prior = np.maximum(prior, np.where(away <= _EXACT, nats, 0.0))
    return prior - float(np.logaddexp.reduce(prior))


def _likely(first: Session, company: Company) -> Iterator[tuple[Floats, float]]:
    """How far OFFSETS are from those that clocks are set to, and how many nats likelier than any
    other these are."""
    zones, counts = np.unique(company.ahead, return_counts=True)
    for zone in zones:
        for hour in (-3600.0, 0.0, 3600.0):
            yield np.abs(OFFSETS - zone - hour), _ZONE
    local = np.abs(first.apart) * STEP
    yield np.abs(local - 43200.0), _TWELVE
    yield np.abs(OFFSETS - zones[np.argmax(counts)]), _HOME
    yield local, _LOCAL


def start_of(offsets: Sequence[float], first: Session, company: Company) -> Floats:
    """How likely the offsets are to begin with."""
    prior = _prior(first, company)
    rows = [round(offset / STEP) + len(OFFSETS) // 2 for offset in offsets]
    weight = np.exp([prior[max(0, row - 3) : row + 4].max() for row in rows])
    result: Floats = weight / weight.sum()
    return result


def _later(weight: Singles, before: Session, after: Session) -> Singles:
    """The likelihoods after a session boundary. A clock may be set to the local time, or go along
    with local clocks where these change."""
    total = weight.sum(axis=1, keepdims=True)
    moved = _changed(weight, total)
    local = np.flatnonzero(after.is_local)
    moved[:, local] += total * _to_local(after)
    if np.array_equal(before.apart, after.apart):
        moved += weight
        return moved
    stays, goes = _staying(before.apart, after.apart)
    moved += stays * weight
    moved += _along(goes * weight, before.apart, after.apart)
    return moved


def _earlier(weight: Singles, before: Session, after: Session) -> Singles:
    """The same backwards in time."""
    moved = _changed(weight, weight.sum(axis=1, keepdims=True))
    moved += (weight * after.is_local).sum(axis=1, keepdims=True) * _to_local(after)
    if np.array_equal(before.apart, after.apart):
        moved += weight
        return moved
    stays, goes = _staying(before.apart, after.apart)
    moved += stays * weight
    moved += goes * _along(weight, after.apart, before.apart)
    return moved


def _to_local(session: Session) -> np.float32:
    """How likely a clock is set to each of the local offsets."""
    return np.float32(np.exp(-_SET_LOCAL) / max(1.0, float(session.is_local.sum())))


def _staying(before: Rows, after: Rows) -> tuple[Singles, Singles]:
    """How likely a clock is to keep each offset, and to go along with local clocks instead."""
    half, one, none = (np.float32(value) for value in (np.exp(-_EITHER), 1, 0))
    return np.where(before == after, one, half), np.where(before == after, none, half)


def _along(weight: Singles, before: Rows, after: Rows) -> Singles:
    """Each weight moved to the offset that is as far ahead of local clocks as its own was."""
    low = int(min(before.min(), after.min()))
    size = int(max(before.max(), after.max())) - low + 1
    sums = np.array([np.bincount(before - low, row, size) for row in weight])
    result: Singles = sums[:, after - low].astype(np.float32)
    return result


def _changed(weight: Singles, total: Singles) -> Singles:
    """What comes from a change to another zone, or to anything."""
    result = _by_hours(weight)
    result *= np.float32(np.exp(-_ZONE_CHANGE))
    result += total * np.float32(np.exp(-_ANY_CHANGE))
    return result


def _by_hours(weight: Singles) -> Singles:
    """The sum of what is half an hour and one to twelve whole hours away."""
    count = weight.shape[1]
    grid = np.zeros((len(weight), _HOURS * _PER_HOUR), np.float32)
    grid[:, :count] = weight
    sums = _WHOLE_HOURS @ grid.reshape(len(weight), _HOURS, _PER_HOUR)
    away: Singles = sums.reshape(len(weight), -1)[:, :count]
    half = _PER_HOUR // 2
    away[:, half:] += weight[:, :-half]
    away[:, :-half] += weight[:, half:]
    return away


def candidates(posterior: Singles) -> list[float]:
    """The offsets that are likely at any session, the likeliest first."""
    half, count = round(_APART / STEP), posterior.shape[1]
    left, found = posterior.copy(), list[float]()
    sums = np.cumsum(np.pad(left, ((0, 0), (half + 1, half))), axis=1, dtype=np.float64)
    mass = sums[:, 2 * half + 1 :] - sums[:, : -2 * half - 1]
    while len(found) < _CANDIDATES:
        session, row = divmod(int(np.argmax(mass)), count)
        if mass[session, row] < _POSSIBLE:
            break
        low = max(0, row - half)
        top = low + int(np.argmax(left[:, low : row + half + 1].sum(axis=0)))
        found.append(float(OFFSETS[top]))
        left[:, max(0, top - half) : top + half + 1] = 0.0
        for middle in range(max(0, top - 2 * half), min(count, top + 2 * half + 1)):
            mass[:, middle] = left[:, max(0, middle - half) : middle + half + 1].sum(axis=1)
    return found


def habit_of(course: Course) -> Habit:
    """The camera's habit beside the companion."""
    return HABITS[course.habit]
