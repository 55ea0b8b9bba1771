"""The offset of a clock at each session of photos, to some minutes. Pure.

It is the hidden state of a hidden Markov model: a session of photos is one observation, a journey
to another zone, DST and a clock that somebody sets are transitions. Forward and backward passes
tell how likely each offset was at each session (Rabiner, 1989).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from geotag.places.coincidence import HABITS, OFFSETS, STEP, Company, Habit, by_day, evidence
from geotag.places.sphere import Floats, Rows, nearest

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
_MOST_HOURS = 12
# Offsets are told from each other where they are so far apart; less likely ones are left out.
_APART, _POSSIBLE, _CANDIDATES = 480.0, 0.03, 10


class Session(NamedTuple):
    """Photos of a camera without a long break, the evidence by them for each of OFFSETS (a row for
    each of HABITS), and by how many rows each is ahead of the local clocks around."""

    events: Floats
    evidence: Floats
    apart: Rows


class Course(NamedTuple):
    """The likeliest of HABITS, how much (in nats) speaks for the company then, and how likely each
    of OFFSETS is at each session (S, N)."""

    habit: int
    strength: float
    posterior: Floats


def observed(clock: Floats, company: Company) -> list[Session]:
    """The sessions of sorted readings of a clock."""
    return [
        Session(
            events,
            _bounded(evidence(events, company) + by_day(events, company)),
            _apart(events[0], company),
        )
        for events in sessions_of(clock)
    ]


def sessions_of(clock: Floats) -> Iterator[Floats]:
    """Photos split at breaks and every few hours; evenly fewer where there are very many."""
    short: list[Floats] = []
    for part in np.split(clock, np.flatnonzero(np.diff(clock) > _BREAK) + 1):
        turns = np.floor((part - part[0]) / _SESSION)
        short += np.split(part, np.flatnonzero(np.diff(turns)) + 1)
    yield from short[:: len(short) // _SESSIONS + 1]


def _bounded(log: Floats) -> Floats:
    """A session may have seen anything: photos of two zones, a visit alone."""
    top = log.max(axis=1, keepdims=True)
    result: Floats = top + np.log(np.exp(log - top) + np.exp(-_MOST))
    return result


def _apart(reading: float, company: Company) -> Rows:
    local = local_at(np.asarray(reading - OFFSETS, dtype=float), company)
    result: Rows = np.round((OFFSETS - local) / STEP).astype(np.int64)
    return result


def local_at(utc: Floats, company: Company) -> Floats:
    """How far local clocks were ahead of UTC, by the companion's photo nearest in time."""
    return company.ahead[nearest(utc, company.taken)]


def course_of(sessions: Sequence[Session], company: Company) -> Course:
    """What the clock was over all sessions."""
    weight = np.tile(np.exp(_prior(sessions[0], company)), (len(HABITS), 1))
    strengths, forward = np.zeros(len(HABITS)), list[Floats]()
    for at, session in enumerate(sessions):
        top = session.evidence.max(axis=1, keepdims=True)
        if at:
            weight = _later(weight, sessions[at - 1].apart, session.apart)
        weight = weight * np.exp(session.evidence - top)
        total = weight.sum(axis=1, keepdims=True)
        strengths += (top + np.log(total))[:, 0]
        weight = weight / total
        forward.append(weight)
    habit = int(np.argmax(strengths))
    posterior = np.array([each[habit] for each in forward])
    weight = np.ones((1, len(OFFSETS)))
    for at in range(len(sessions) - 1, 0, -1):
        told = sessions[at].evidence[habit]
        weight = weight * np.exp(told - told.max())
        weight = _earlier(weight, sessions[at - 1].apart, sessions[at].apart)
        weight = weight / weight.sum()
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


def _later(weight: Floats, before: Rows, after: Rows) -> Floats:
    """The likelihoods after a session boundary. `before` and `after` are how far ahead of local
    clocks each offset was: a clock may go along with these."""
    stays, goes = _staying(before, after)
    local = np.abs(after) * STEP <= _EXACT
    total = weight.sum(axis=1, keepdims=True)
    moved = _changed(weight) + np.exp(-_SET_LOCAL) * local * total / max(1, local.sum())
    result: Floats = moved + stays * weight
    return result + _along(goes * weight, before, after) if goes.any() else result


def _earlier(weight: Floats, before: Rows, after: Rows) -> Floats:
    """The same backwards in time."""
    stays, goes = _staying(before, after)
    local = np.abs(after) * STEP <= _EXACT
    total = (weight * local).sum(axis=1, keepdims=True)
    moved = _changed(weight) + np.exp(-_SET_LOCAL) * total / max(1, local.sum())
    result: Floats = moved + stays * weight
    return result + goes * _along(weight, after, before) if goes.any() else result


def _staying(before: Rows, after: Rows) -> tuple[Floats, Floats]:
    """How likely a clock is to keep each offset, and to go along with local clocks instead."""
    half = np.exp(-_EITHER)
    return np.where(before == after, 1.0, half), np.where(before == after, 0.0, half)


def _along(weight: Floats, before: Rows, after: Rows) -> Floats:
    """Each weight moved to the offset that is as far ahead of local clocks as its own was."""
    low = int(min(before.min(), after.min()))
    size = int(max(before.max(), after.max())) - low + 1
    sums = np.array([np.bincount(before - low, row, size) for row in weight])
    result: Floats = sums[:, after - low]
    return result


def _changed(weight: Floats) -> Floats:
    """What comes from a change to another zone, or to anything."""
    total = weight.sum(axis=1, keepdims=True)
    result: Floats = np.exp(-_ANY_CHANGE) * total + np.exp(-_ZONE_CHANGE) * _by_hours(weight)
    return result


def _by_hours(weight: Floats) -> Floats:
    """The sum of what is half an hour and one to twelve whole hours away."""
    grid = np.zeros((len(weight), _HOURS + 2 * _MOST_HOURS + 1, _PER_HOUR))
    inner = grid[:, _MOST_HOURS + 1 : -_MOST_HOURS].reshape(len(weight), -1)
    inner[:, : weight.shape[1]] = weight
    grid[:, _MOST_HOURS + 1 : -_MOST_HOURS] = inner.reshape(len(weight), _HOURS, _PER_HOUR)
    sums = np.cumsum(grid, axis=1)
    away = sums[:, 2 * _MOST_HOURS + 1 :] - sums[:, :_HOURS]
    away = away.reshape(len(weight), -1)[:, : weight.shape[1]] - weight
    half = _PER_HOUR // 2
    away[:, half:] += weight[:, :-half]
    away[:, :-half] += weight[:, half:]
    return away


def candidates(posterior: Floats) -> list[float]:
    """The offsets that are likely at any session, the likeliest first."""
    half = round(_APART / STEP)
    left, found = posterior.copy(), list[float]()
    while len(found) < _CANDIDATES:
        sums = np.cumsum(np.pad(left, ((0, 0), (half + 1, half))), axis=1)
        mass = sums[:, 2 * half + 1 :] - sums[:, : -2 * half - 1]
        session, row = np.unravel_index(int(np.argmax(mass)), mass.shape)
        if mass[session, row] < _POSSIBLE:
            break
        low = max(0, int(row) - half)
        top = low + int(np.argmax(left[:, low : int(row) + half + 1].sum(axis=0)))
        found.append(float(OFFSETS[top]))
        left[:, max(0, top - half) : top + half + 1] = 0.0
    return found


def habit_of(course: Course) -> Habit:
    """The camera's habit beside the companion."""
    return HABITS[course.habit]
