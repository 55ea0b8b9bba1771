"""The offset of a clock to seconds, from photos of the same moments. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from geotag.places.coincidence import FINE, FINE_STEP, OFFSETS, Company, mixed, moments_told
from geotag.places.sessions import Session
from geotag.places.sphere import Floats, Singles

QUARTER, SAME_MINUTES = 900.0, 150.0
# A clock is likelier set just right (in nats, within so many seconds) than minutes off.
_SPIKE, _SPIKE_S, _MINUTES_SCALE = 3.8, 20.0, 600.0
# Of minutes, visits tell less than of hours: their photos all move together.
_ROUGH_COUNTS = 0.4
# Into so many parts photos are divided to see whether the minutes changed: by so many nats.
_PARTS, _CHANGED = 12, 5.0
_PEAK, LEAST_UNCERTAINTY, _HOLDS, _WIDER = 40.0, 20.0, 0.99, 1.25


class Exact(NamedTuple):
    """An offset, and how far off it may be."""

    offset: float
    uncertainty: float


def pools(offsets: Sequence[float]) -> list[list[int]]:
    """Offsets that differ by whole quarters of an hour, by number: the minutes are the same."""
    found: list[list[int]] = []
    for at, offset in enumerate(offsets):
        for pool in found:
            if is_by_quarters(offset - offsets[pool[0]]):
                pool.append(at)
                break
        else:
            found.append([at])
    return found


def is_by_quarters(apart: float) -> bool:
    """Whether two offsets differ as zones do."""
    return abs(apart - round(apart / QUARTER) * QUARTER) <= SAME_MINUTES


def refined(
    photos: Mapping[float, Floats], sessions: Sequence[tuple[Session, Singles]], company: Company
) -> tuple[dict[float, Exact], float]:
    """Rough offsets with the minutes in common as exactly as their photos (sorted readings) tell,
    and how much moments in common speak for the company, in nats; none where the minutes changed.

    `sessions` have the evidence of their likeliest habit.
    """
    first = next(iter(photos))
    steps = {rough: round((rough - first) / QUARTER) * QUARTER for rough in photos}
    utc = np.concatenate([readings - first - steps[r] for r, readings in photos.items()])
    told = _in_parts(np.sort(utc), company)
    moments = mixed(told[-1])
    exactly = [set_exactly(first + step, FINE, company) for step in steps.values()]
    log = moments + np.mean(exactly, axis=0)
    for rough, readings in photos.items():
        log += _ROUGH_COUNTS * _rough(readings, first + steps[rough], sessions)
    likely = np.exp(log - log.max())
    minutes, uncertainty = _peak(likely / likely.sum())
    found = {r: Exact(float(first + s + minutes), uncertainty) for r, s in steps.items()}
    strength = float(np.logaddexp.reduce(moments)) - float(np.log(len(FINE)))
    return {} if _is_changed(told) else found, max(0.0, strength)


def _in_parts(utc: Floats, company: Company) -> Floats:
    """What moments in common tell of the photos up to each of some times (P, ways, FINE)."""
    parts = [moments_told(some, company) for some in np.array_split(utc, _PARTS) if len(some)]
    return np.cumsum(parts, axis=0)


def _is_changed(told: Floats) -> bool:
    """Whether photos before some time tell other minutes than those after it, by so much that the
    clock was changed then."""
    whole = float(mixed(told[-1]).max())
    for before in told[:-1]:
        one, other = mixed(before), mixed(told[-1] - before)
        apart = abs(FINE[one.argmax()] - FINE[other.argmax()])
        if apart > SAME_MINUTES and one.max() + other.max() > whole + _CHANGED:
            return True
    return False


def _rough(readings: Floats, offset: float, sessions: Sequence[tuple[Session, Singles]]) -> Floats:
    """What visits tell of each of FINE, by the sessions that the photos are of."""
    log = np.zeros(len(FINE))
    for session, told in sessions:
        low = np.searchsorted(readings, session.events[0])
        high = np.searchsorted(readings, session.events[-1], "right")
        if high > low:
            share = (high - low) / len(session.events)
            log += min(1.0, share) * np.interp(offset + FINE, OFFSETS, told)
    return log


def set_exactly(offset: float, seconds: ArrayLike, company: Company) -> Floats:
    """How likely (in nats) each of some seconds more than an offset is: just what clocks are set
    to, or minutes off."""
    zones = np.unique(company.ahead)
    exact = (zones, zones + 43200.0, zones - 43200.0, np.arange(-27, 28) * 3600.0)
    away = np.abs(np.add(offset, seconds)[:, None] - np.concatenate(exact)).min(axis=1)
    return np.where(away <= _SPIKE_S, _SPIKE, -away / _MINUTES_SCALE)


def _peak(likely: Floats) -> tuple[float, float]:
    """The likeliest value of FINE, and how far off it may be."""
    half = round(_PEAK / FINE_STEP)
    sums = np.cumsum(np.pad(likely, (half + 1, half)))
    top = int(np.argmax(sums[2 * half + 1 :] - sums[: -2 * half - 1]))
    near = slice(max(0, top - half), top + half + 1)
    value = float(np.sum(FINE[near] * likely[near]) / np.sum(likely[near]))
    order = np.argsort(np.abs(FINE - value), kind="stable")
    enough = int(np.searchsorted(np.cumsum(likely[order]), _HOLDS))
    reach = abs(FINE[order[min(enough, len(order) - 1)]] - value)
    return value, max(LEAST_UNCERTAINTY, _WIDER * float(reach))
