"""How far a clock is from UTC, found from who photographed beside whom. Pure.

The offset is the hidden state of a hidden Markov model: a session of photos is one observation, a
journey to another zone, DST and a clock that somebody sets are transitions. Forward and backward
passes tell how likely each offset was at each session (Rabiner, 1989).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geotag.places.coincidence import (
    FINE,
    HABITS,
    OFFSETS,
    STEP,
    Company,
    by_day,
    evidence,
    moments_evidence,
    nearest,
    thinned,
)
from geotag.places.sighting import ClockPiece, ClockSource
from geotag.places.sphere import Floats

_VISIT = 2700.0
_SESSION, _BREAK, _SESSIONS = 3 * 3600.0, 3600.0, 600
# What a change of the clock costs, in nats: to another zone or DST, to anything; and with a
# journey's zone, to go along or not.
_ZONE_CHANGE, _ANY_CHANGE, _EITHER = 9.0, 16.0, 0.7
# How many nats more likely than any other offset: that of the local clock, of the clock at home,
# of another zone, twelve hours off; and beside the exact one, minutes off.
_LOCAL, _HOME, _ZONE, _TWELVE, _MINUTES = 8.4, 7.5, 5.3, 5.5, 2.8
_MINUTES_OFF, _EXACT = 900.0, 60.0
_SPIKE, _SPIKE_S, _MINUTES_SCALE, _QUARTER = 3.8, 20.0, 600.0, 1800.0
# A clock is known where one offset (within some minutes) is nearly certain, by so many photos.
_AGREE, _CERTAIN, _PAIRED, _PAIRS, _VISITS = 960.0, 0.985, 1800.0, 6, 3
_LEAST_UNCERTAINTY, _HOLDS, _SPEAKS = 20.0, 0.99, 4.0
# So much (in nats) must speak for the company.
_COMPANY, _FEW = 3.0, 3
# Of minutes, visits tell less than of hours: their photos all move together.
_ROUGH_COUNTS = 0.4
# Where it is not known, so many offsets that hold nearly all likelihood are possible.
_ENOUGH, _MANY = 0.97, 24
_PER_HOUR = round(3600 / STEP)
_HOURS = -(-len(OFFSETS) // _PER_HOUR)
_MOST_HOURS = 12
_PEAK, _SAME_MINUTES = 40.0, 150.0
Rows = NDArray[np.int64]


class _Session(NamedTuple):
    """Photos of a camera without a long break, the evidence for each offset by them, and the local
    offset around."""

    events: Floats
    evidence: Floats
    local: float


class Clock(NamedTuple):
    """A clock's offset as pieces over time, and how much (in nats) speaks for the company."""

    pieces: tuple[ClockPiece, ...]
    strength: float


def find_clock(clock: Floats, company: Company) -> Clock:
    """A clock's offset from UTC, from sorted readings of it and the photos of
    somebody who may have been there.

    Visits tell the offset to some minutes; where both photographed at the same moments, those
    tell it to seconds.
    """
    if not len(clock) or not len(company.taken):
        return Clock((), 0.0)
    if min(len(thinned(times, _LEAST_UNCERTAINTY)) for times in (clock, company.taken)) < _PAIRS:
        unknown = ClockPiece(float(clock[0]), float(clock[-1]), None, 0.0, ClockSource.UNKNOWN)
        return Clock((unknown,), 0.0)
    sessions = _observed(clock, company)
    habit, strength, posterior = _posterior(sessions, company)
    modes, certain = _modes(posterior)
    certain &= _sure(modes, certain, [session.evidence[habit] for session in sessions])
    runs = np.split(np.arange(len(modes)), _breaks(modes, certain))
    pieces: list[ClockPiece] = []
    for pool in _pools(runs, modes, certain):
        found, moments = _refined(pool, sessions, habit, modes, company)
        pieces += found
        strength += moments
    if strength < _COMPANY:
        pieces = []
    likely = posterior if strength >= _COMPANY else None
    pieces += _unknown(runs, sessions, pieces, likely)
    return Clock(tuple(_joined(sorted(pieces))), strength)


def _unknown(
    runs: Sequence[Rows],
    sessions: Sequence[_Session],
    known: Sequence[ClockPiece],
    posterior: Floats | None,
) -> Iterator[ClockPiece]:
    """The runs of which too little tells, with the offsets that are likely, and those before and
    after."""
    starts = {piece.start: piece.offset for piece in known}
    bounds = [float(sessions[run[0]].events[0]) for run in runs]
    for at, (run, start) in enumerate(zip(runs, bounds, strict=True)):
        if start in starts:
            continue
        likely = () if posterior is None else _likeliest(posterior[run].mean(axis=0))
        beside = [starts.get(bounds[k]) for k in (at - 1, at + 1) if 0 <= k < len(runs)]
        if likely:
            likely += tuple(offset for offset in beside if offset is not None)
        end = float(sessions[run[-1]].events[-1])
        yield ClockPiece(start, end, None, 0.0, ClockSource.UNKNOWN, likely=likely)


def _likeliest(posterior: Floats) -> tuple[float, ...]:
    """The offsets that hold nearly all likelihood to some minutes; nothing where they are many."""
    left, found, held = posterior.copy(), list[float](), 0.0
    half = round(_SAME_MINUTES * 2 / STEP)
    while held < _ENOUGH and len(found) < _MANY:
        top = int(np.argmax(left))
        near = slice(max(0, top - half), top + half + 1)
        held += float(left[near].sum())
        left[near] = 0.0
        found.append(float(OFFSETS[top]))
    return tuple(found) if held >= _ENOUGH else ()


def _observed(clock: Floats, company: Company) -> list[_Session]:
    return [
        _Session(
            events,
            evidence(events, company) + by_day(events, company),
            _local(events, company),
        )
        for events in _sessions(clock)
    ]


def _sessions(clock: Floats) -> Iterator[Floats]:
    """Photos split at breaks and every few hours; evenly fewer where there are very many."""
    short: list[Floats] = []
    for part in np.split(clock, np.flatnonzero(np.diff(clock) > _BREAK) + 1):
        turns = np.floor((part - part[0]) / _SESSION)
        short += np.split(part, np.flatnonzero(np.diff(turns)) + 1)
    yield from short[:: len(short) // _SESSIONS + 1]


def _local(events: Floats, company: Company) -> float:
    """What local clocks of the companion were ahead of UTC when they showed about this reading."""
    readings = company.taken + company.ahead
    return float(company.ahead[np.argmin(np.abs(readings - events[0]))])


def _posterior(sessions: Sequence[_Session], company: Company) -> tuple[int, float, Floats]:
    """The likeliest of HABITS, how much speaks for the company then, and how likely each of
    OFFSETS is at each session (S, N)."""
    steps = [0, *(round((b.local - a.local) / STEP) for a, b in pairwise(sessions))]
    weight = np.tile(np.exp(_prior(sessions[0].local, company)), (len(HABITS), 1))
    strengths, forward = np.zeros(len(HABITS)), list[Floats]()
    for at, session in enumerate(sessions):
        top = session.evidence.max(axis=1, keepdims=True)
        weight = (_moved(weight, steps[at]) if at else weight) * np.exp(session.evidence - top)
        total = weight.sum(axis=1, keepdims=True)
        strengths += (top + np.log(total))[:, 0]
        weight /= total
        forward.append(weight)
    habit = int(np.argmax(strengths))
    posterior = np.array([each[habit] for each in forward])
    backward = np.ones((1, len(OFFSETS)))
    for at in range(len(sessions) - 1, 0, -1):
        evidence = sessions[at].evidence[habit]
        backward = _moved(backward * np.exp(evidence - evidence.max()), -steps[at])
        backward /= backward.sum()
        posterior[at - 1] *= backward[0]
    return habit, float(strengths[habit]), posterior / posterior.sum(axis=1, keepdims=True)


def _log_sum(log: Floats) -> Floats:
    top = log.max(axis=-1, keepdims=True)
    result: Floats = (top + np.log(np.exp(log - top).sum(axis=-1, keepdims=True)))[..., 0]
    return result


def _prior(local: float, company: Company) -> Floats:
    """How likely the offsets are that a clock may have to begin with (log)."""
    prior = np.zeros(len(OFFSETS))
    for offset, nats in _likely(local, company):
        away = np.abs(OFFSETS - offset)
        prior = np.maximum(prior, np.where(away <= _MINUTES_OFF, nats - _MINUTES, 0.0))
        prior = np.maximum(prior, np.where(away <= _EXACT, nats, 0.0))
    return prior - float(_log_sum(prior))


def _likely(local: float, company: Company) -> list[tuple[float, float]]:
    """Offsets that clocks are set to, and how many nats likelier than any other they are."""
    zones, counts = np.unique(company.ahead, return_counts=True)
    likely = [(float(zone) + hour, _ZONE) for zone in zones for hour in (-3600.0, 0.0, 3600.0)]
    likely += [(local + 43200.0, _TWELVE), (local - 43200.0, _TWELVE)]
    return [*likely, (float(zones[np.argmax(counts)]), _HOME), (local, _LOCAL)]


def _moved(weight: Floats, step: int) -> Floats:
    """The likelihoods after a session boundary at which local clocks moved by so many rows."""
    after: Floats = np.exp(-_ANY_CHANGE) * weight.sum(axis=1, keepdims=True)
    after = after + np.exp(-_ZONE_CHANGE) * _by_hours(weight)
    after += (np.exp(-_EITHER) if step else 1.0) * weight
    if step:
        after += np.exp(-_EITHER) * _shifted(weight, step)
    return after


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
    return away + _shifted(weight, half) + _shifted(weight, -half)


def _shifted(rows: Floats, by: int) -> Floats:
    moved = np.zeros(rows.shape)
    if by > 0:
        moved[:, by:] = rows[:, :-by]
    else:
        moved[:, :by] = rows[:, -by:]
    return moved


def _modes(posterior: Floats) -> tuple[Rows, NDArray[np.bool_]]:
    """The likeliest row for each session, and whether that is nearly certain to some minutes."""
    half = round(_AGREE / STEP)
    sums = np.cumsum(np.pad(posterior, ((0, 0), (half + 1, half))), axis=1)
    mass = sums[:, 2 * half + 1 :] - sums[:, : -2 * half - 1]
    modes = np.array([_mode(row, around) for row, around in zip(posterior, mass, strict=True)])
    return modes, mass[np.arange(len(modes)), modes] >= _CERTAIN


def _mode(row: Floats, mass: Floats) -> int:
    near = mass >= mass.max() - 1e-3
    return int(np.argmax(np.where(near, row, 0.0)))


def _sure(modes: Rows, certain: NDArray[np.bool_], rows: Sequence[Floats]) -> NDArray[np.bool_]:
    """Near a change it is open which side a session belongs to: those that do not speak for their
    own offset, and against the other side's, are not sure."""
    sure = np.ones(len(modes), np.bool_)
    known = np.flatnonzero(certain)
    changes = np.flatnonzero(np.abs(np.diff(modes[known])) * STEP > _SAME_MINUTES)
    for change in changes:
        for side, step in ((change, -1), (change + 1, 1)):
            own, other = modes[known[side]], modes[known[change + (step < 0)]]
            while 0 <= side < len(known) and modes[known[side]] == own:
                row = rows[known[side]]
                if _near(row, own) - _near(row, other) >= _SPEAKS:
                    break
                sure[known[side]] = False
                side += step
    return sure


def _near(row: Floats, at: int) -> float:
    return float(row[max(0, at - 2) : at + 3].max())


def _breaks(modes: Rows, certain: NDArray[np.bool_]) -> Rows:
    changed = np.abs(np.diff(modes)) * STEP > _SAME_MINUTES
    return np.flatnonzero(changed | (np.diff(certain.astype(int)) != 0)) + 1


def _pools(runs: Iterable[Rows], modes: Rows, certain: NDArray[np.bool_]) -> Iterator[list[Rows]]:
    """Known runs whose offsets differ by whole quarters of an hour: the minutes are the same."""
    pools: list[list[Rows]] = []
    for run in runs:
        if not certain[run[0]]:
            continue
        for pool in pools:
            apart = (modes[run[0]] - modes[pool[0][0]]) * STEP
            if abs(apart - round(apart / _QUARTER) * _QUARTER) <= _SAME_MINUTES:
                pool.append(run)
                break
        else:
            pools.append([run])
    yield from pools


def _refined(
    pool: Sequence[Rows],
    sessions: Sequence[_Session],
    habit: int,
    modes: Rows,
    company: Company,
) -> tuple[list[ClockPiece], float]:
    """The pieces of runs with the minutes in common, as exactly as their photos tell, and how much
    moments in common speak for the company."""
    first = OFFSETS[modes[pool[0][0]]]
    steps = [round((OFFSETS[modes[run[0]]] - first) / _QUARTER) * _QUARTER for run in pool]
    events = [np.concatenate([sessions[at].events for at in run]) for run in pool]
    utc = np.concatenate([e - first - step for e, step in zip(events, steps, strict=True)])
    moments = moments_evidence(np.sort(utc), company)
    log = moments + np.mean(
        [
            _prior_of_minutes(first + step, sessions[run[0]].local, company)
            for run, step in zip(pool, steps, strict=True)
        ],
        axis=0,
    )
    for run, step in zip(pool, steps, strict=True):
        for at in run:
            rough = np.interp(first + step + FINE, OFFSETS, sessions[at].evidence[habit])
            log += _ROUGH_COUNTS * rough
    likely = np.exp(log - log.max())
    minutes, uncertainty = _peak(likely / likely.sum())
    pieces = [
        _piece(own, float(first + step + minutes), uncertainty, company)
        for own, step in zip(events, steps, strict=True)
    ]
    if sum(p.pairs for p in pieces) < _PAIRS or sum(p.visits for p in pieces) < _VISITS:
        pieces = []
    return pieces, max(0.0, float(_log_sum(moments)) - float(np.log(len(FINE))))


def _prior_of_minutes(offset: float, local: float, company: Company) -> Floats:
    """How likely each of FINE is beside an offset: just what clocks are set to, or minutes off."""
    exact = np.array([zone for zone, _ in _likely(local, company)])
    exact = np.concatenate((exact, np.arange(-27, 28) * 3600.0))
    away = np.abs((offset + FINE)[:, None] - exact).min(axis=1)
    return np.where(away <= _SPIKE_S, _SPIKE, -away / _MINUTES_SCALE)


def _piece(own: Floats, offset: float, uncertainty: float, company: Company) -> ClockPiece:
    events = thinned(own, _LEAST_UNCERTAINTY)
    paired = events[nearest(events - offset, company.taken)[0] <= _PAIRED]
    visits = int(np.sum(np.diff(paired) > _VISIT)) + 1 if len(paired) else 0
    start, end = float(own[0]), float(own[-1])
    return ClockPiece(start, end, offset, uncertainty, ClockSource.COMPANY, len(paired), visits)


def _peak(likely: Floats) -> tuple[float, float]:
    """The likeliest value of FINE, and how far off it may be."""
    step = FINE[1] - FINE[0]
    half = round(_PEAK / step)
    sums = np.cumsum(np.pad(likely, (half + 1, half)))
    top = int(np.argmax(sums[2 * half + 1 :] - sums[: -2 * half - 1]))
    near = slice(max(0, top - half), top + half + 1)
    value = float(np.sum(FINE[near] * likely[near]) / np.sum(likely[near]))
    order = np.argsort(np.abs(FINE - value), kind="stable")
    enough = int(np.searchsorted(np.cumsum(likely[order]), _HOLDS))
    reach = abs(FINE[order[min(enough, len(order) - 1)]] - value)
    return value, max(_LEAST_UNCERTAINTY, float(reach))


def _joined(pieces: Iterable[ClockPiece]) -> Iterator[ClockPiece]:
    """Neighbouring pieces that say the same as one."""
    for _, group in groupby(pieces, key=lambda piece: (piece.offset, piece.likely)):
        same = list(group)
        pairs, visits = sum(piece.pairs for piece in same), sum(piece.visits for piece in same)
        yield same[0]._replace(end=same[-1].end, pairs=pairs, visits=visits)


def strength_of(utc: Floats, company: Company) -> float:
    """How much speaks for photos (sorted UTC) of a known clock in company, in nats.

    Visits at other times speak against it. Photos at the same moments speak for it, and their
    lack against nothing: not everybody photographs the same.
    """
    if min(len(company.taken), len(utc)) < _FEW:
        return 0.0
    middle, fine = len(OFFSETS) // 2, len(FINE) // 2
    rows = sum(evidence(events, company)[:, middle] for events in _sessions(utc))
    moments = moments_evidence(utc, company)[fine - 6 : fine + 7]
    return float(np.max(rows)) + max(0.0, float(_log_sum(moments)) - float(np.log(len(moments))))
