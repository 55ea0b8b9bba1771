"""How far a clock is from UTC, found from who photographed beside whom. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geotag.places.sighting import ClockPiece, ClockSource
from geotag.places.sphere import Floats

Path = NDArray[np.int64]

# Clocks up to 15 hours ahead or behind: a zone, twelve hours, DST, minutes.
_RANGE = 15 * 3600.0
_VISIT = 2700.0
_SESSION, _BREAK, _SESSIONS = 3 * 3600.0, 3600.0, 1000
# What a change of the clock costs, in nats: one to another zone or DST, and any other.
_ZONE_CHANGE, _ANY_CHANGE = 9.0, 16.0
_ZONE_STEPS = (*(h for n in range(1, 13) for h in (n, -n)), 0.5, -0.5, 5.5, -5.5)
# Below these there is too little evidence for a correction, or for the end of a piece.
_PAIRS, _VISITS, _SPEAKS, _SPEAKS_AGAINST = 8, 3, 3.0, 5.0
_ZONE_WIDTH = 900.0


class Scale(NamedTuple):
    """How closely in time photos are compared, in seconds.

    Offsets are tried in steps; photos within a burst count once; `close` is how near photos of
    the same moment are, against those `around` it; a peak is so wide, and a pair
    at most so far apart. `share` of a camera's photos has a companion's beside it. An offset is
    believed where it stands out by a margin in nats: less where a zone or DST explains it.
    """

    step: float
    burst: float
    close: float
    around: float
    peak: float
    pair: float
    share: float
    least_uncertainty: float
    margin: float
    margin_of_zone: float


# The same things are photographed at the same moments; or at least the same places are visited.
MOMENTS = Scale(10.0, 20.0, 45.0, 600.0, 150.0, 120.0, 0.15, 20.0, 18.0, 18.0)
VISITS = Scale(60.0, 600.0, 600.0, 6 * 3600.0, 2700.0, 1800.0, 0.4, 720.0, 40.0, 20.0)


class _Session(NamedTuple):
    """Photos of a camera without a long break, and the evidence for each offset by them."""

    events: Floats
    evidence: Floats


class Company(NamedTuple):
    """Somebody's photos: sorted UTC times, and the offsets that local clocks had there."""

    taken: Floats
    zones: Floats


def find_clock(clock: Floats, company: Company) -> tuple[ClockPiece, ...]:
    """A clock's offset from UTC as pieces over time, from sorted readings of it and the photos of
    somebody who may have been there.

    Visits tell the offset to some minutes; where both photographed at the same moments, those
    tell it to seconds.
    """
    pieces: list[ClockPiece] = []
    for rough in _search(clock, company, VISITS):
        within = clock[(clock >= rough.start) & (clock <= rough.end)]
        fine = _search(within, company, MOMENTS, rough.offset)
        known = [piece for piece in fine if piece.offset is not None]
        if not known:
            pieces.append(rough)
        elif rough.offset is not None and len(known) == 1:
            pieces.append(known[0]._replace(start=rough.start, end=rough.end))
        else:
            pieces += fine
    return tuple(_joined(pieces))


def _search(
    clock: Floats, company: Company, scale: Scale, near: float | None = None
) -> list[ClockPiece]:
    """Pieces at one scale, all of them near an offset if told so.

    Each offset is scored by how many photos of the camera it brings beside one of the companions',
    against what chance would do; the best sequence of offsets is found by dynamic programming,
    with a price on each change. A piece whose best offset does not stand out has none.
    """
    reference = _events(company.taken, scale)
    sessions = [
        _Session(events, _evidence(events, reference, scale))
        for events in _sessions(_events(clock, scale))
    ]
    if not sessions or not len(reference):
        return []
    if near is not None:
        offsets = np.arange(len(sessions[0].evidence)) * scale.step - _RANGE
        for session in sessions:
            session.evidence[np.abs(offsets - near) > VISITS.pair] = -np.inf
    path = _best_path([session.evidence for session in sessions], scale)
    bounds = np.flatnonzero(np.abs(np.diff(path)) > 1) + 1
    runs = np.split(np.arange(len(path)), bounds)
    found = []
    for number, run in enumerate(runs):
        before = path[runs[number - 1][-1]] if number else None
        after = path[runs[number + 1][0]] if number + 1 < len(runs) else None
        sure = _sure([sessions[at] for at in run], path[run], before, after)
        part = [sessions[at] for at in run[sure]]
        piece, margin = _piece(part, int(path[run][0]), reference, scale)
        is_zone = (np.abs(company.zones - (piece.offset or 0.0)) <= _ZONE_WIDTH).any()
        enough = margin >= (scale.margin_of_zone if is_zone else scale.margin)
        enough &= piece.pairs >= _PAIRS and piece.visits >= _VISITS
        found.append(piece if enough else _unknown(piece))
    return found


def _unknown(piece: ClockPiece) -> ClockPiece:
    return piece._replace(offset=None, source=ClockSource.UNKNOWN)


def evidence_strength(utc: Floats, reference: Floats) -> float:
    """How much speaks for photos (sorted UTC) taken in company of `reference`, in nats.

    Photos at the same moments speak for it, and their lack against nothing: not everybody
    photographs the same. Visits at other times speak against it.
    """
    return max(0.0, _strength(utc, reference, MOMENTS)) + _strength(utc, reference, VISITS)


def _strength(utc: Floats, reference: Floats, scale: Scale) -> float:
    middle = round(_RANGE / scale.step)
    others = _events(reference, scale)
    if not len(others):
        return 0.0
    sessions = _sessions(_events(utc, scale))
    evidence = (_evidence(events, others, scale) for events in sessions)
    return float(sum(each[middle - 3 : middle + 4].max() for each in evidence))


def _joined(pieces: Iterable[ClockPiece]) -> Iterator[ClockPiece]:
    """Neighbouring pieces without an offset as one."""
    last: ClockPiece | None = None
    for piece in pieces:
        if last is not None and last.offset is None and piece.offset is None:
            pairs, visits = last.pairs + piece.pairs, last.visits + piece.visits
            last = last._replace(end=piece.end, pairs=pairs, visits=visits)
            continue
        if last is not None:
            yield last
        last = piece
    if last is not None:
        yield last


def _events(times: Floats, scale: Scale) -> Floats:
    """The first photo of each burst."""
    if not len(times):
        return times
    bursts = np.floor((times - times[0]) / scale.burst)
    return times[np.concatenate(([True], np.diff(bursts) > 0))]


def _sessions(events: Floats) -> Iterator[Floats]:
    """Events split at breaks and every few hours; evenly fewer where there are very many."""
    short: list[Floats] = []
    for part in np.split(events, np.flatnonzero(np.diff(events) > _BREAK) + 1):
        if len(part):
            turns = np.floor((part - part[0]) / _SESSION)
            short += np.split(part, np.flatnonzero(np.diff(turns)) + 1)
    yield from short[:: len(short) // _SESSIONS + 1]


def _evidence(events: Floats, reference: Floats, scale: Scale) -> Floats:
    """The log likelihood ratio of each offset, from -15 h to 15 h, for the events of a session."""
    bins = round(_RANGE / scale.step)
    start = events[0] - _RANGE - scale.around
    length = int((events[-1] - events[0] + 2 * (_RANGE + scale.around)) / scale.step) + 2
    grid = start + np.arange(length) * scale.step
    low, high = np.searchsorted(reference, (start - 3600, grid[-1] + 3600))
    total = np.zeros(2 * bins + 1)
    if low == high:
        return total
    gain = _gain(grid, reference[low:high], scale)
    for event in events:
        # Offset o stands for UTC = event - o: the grid backwards.
        middle = round((event - start) / scale.step)
        total += gain[middle - bins : middle + bins + 1][::-1]
    return total


def _gain(grid: Floats, reference: Floats, scale: Scale) -> Floats:
    """What a photo at each time of the grid adds: near a companion's more than in its vicinity."""
    after = np.clip(np.searchsorted(reference, grid), 0, len(reference) - 1)
    before = np.maximum(after - 1, 0)
    distance = np.minimum(np.abs(reference[after] - grid), np.abs(grid - reference[before]))
    near = np.exp(-distance / scale.close)
    half = int(scale.around / scale.step)
    sums = np.concatenate(([0.0], np.cumsum(near)))
    low = np.maximum(np.arange(len(grid)) - half, 0)
    high = np.minimum(np.arange(len(grid)) + half + 1, len(grid))
    background = (sums[high] - sums[low]) / (high - low)
    ratio = np.where(background > 1e-4, near / np.maximum(background, 0.01), 0.0)
    result: Floats = np.log(1 - scale.share + scale.share * ratio)
    return result


def _best_path(evidence: Sequence[Floats], scale: Scale) -> Path:
    """For each session the offset's row, such that all evidence less the price of changes is
    greatest (Viterbi)."""
    rows = np.arange(len(evidence[0]))
    best = evidence[0].copy()
    origins = []
    for each in evidence[1:]:
        top = int(np.argmax(best))
        origin = np.where(best >= best[top] - _ANY_CHANGE, rows, top)
        value = np.maximum(best, best[top] - _ANY_CHANGE)
        for hours in _ZONE_STEPS:
            shift = round(hours * 3600 / scale.step)
            moved = np.full(len(rows), -np.inf)
            if shift > 0:
                moved[shift:] = best[:-shift] - _ZONE_CHANGE
            else:
                moved[:shift] = best[-shift:] - _ZONE_CHANGE
            better = moved > value
            value = np.where(better, moved, value)
            origin = np.where(better, rows - shift, origin)
        origins.append(origin)
        best = value + each
    path = [int(np.argmax(best))]
    for origin in reversed(origins):
        path.append(int(origin[path[-1]]))
    return np.array(path[::-1])


def _piece(
    run: Sequence[_Session], row: int, reference: Floats, scale: Scale
) -> tuple[ClockPiece, float]:
    """The piece of a run, and by how much its offset stands out among all others."""
    events = np.concatenate([session.events for session in run])
    total = np.sum([session.evidence for session in run], axis=0)
    low = max(0, row - 2)
    peak = int(np.argmax(total[low : row + 3])) + low
    aside = np.abs(np.arange(len(total)) - peak) * scale.step > scale.peak
    margin = float(total[peak] - max(0.0, total[aside].max()))
    offset, uncertainty, paired = _refined(events, reference, peak * scale.step - _RANGE, scale)
    visits = int(np.sum(np.diff(paired) > _VISIT)) + 1 if len(paired) else 0
    start, end = float(events[0]), float(events[-1])
    piece = ClockPiece(start, end, offset, uncertainty, ClockSource.COMPANY, len(paired), visits)
    return piece, margin


def _sure(run: Sequence[_Session], path: Path, before: int | None, after: int | None) -> slice:
    """The part of a run whose ends speak for its offset themselves, and against that of the run
    beside it: near a change it is open which side a session belongs to."""
    own = [_near(s, at) for s, at in zip(run, path, strict=True)]
    start, end = 0, len(run)
    while start < end - 1 and before is not None and not _speaks(run[start], own[start], before):
        start += 1
    while end > start + 1 and after is not None and not _speaks(run[end - 1], own[end - 1], after):
        end -= 1
    return slice(start, end)


def _speaks(session: _Session, own: float, other: int) -> bool:
    return own >= _SPEAKS and own - _near(session, other) >= _SPEAKS_AGAINST


def _near(session: _Session, row: int) -> float:
    return float(session.evidence[max(0, row - 2) : row + 3].max())


def _refined(
    events: Floats, reference: Floats, offset: float, scale: Scale
) -> tuple[float, float, Floats]:
    """The offset to the second, how sure that is, and the events that have a companion's photo
    beside them."""
    for _ in range(3):
        utc = events - offset
        after = np.clip(np.searchsorted(reference, utc), 0, len(reference) - 1)
        before = np.maximum(after - 1, 0)
        ahead, behind = utc - reference[after], utc - reference[before]
        nearest = np.where(np.abs(ahead) < np.abs(behind), ahead, behind)
        close = np.abs(nearest) < scale.pair
        if not close.any():
            return offset, scale.pair, events[:0]
        weights = np.exp(-np.abs(nearest[close]) / scale.close)
        offset += float(np.sum(weights * nearest[close]) / np.sum(weights))
    spread = 1.48 * float(np.median(np.abs(nearest[close])))
    uncertainty = max(scale.least_uncertainty, 2 * spread / len(nearest[close]) ** 0.5)
    return offset, uncertainty, events[close]
