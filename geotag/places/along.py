"""The offset of a clock, found from where its photos were taken: along a track, or a phone's way.

A position tells when somebody was there, and so which offsets the clock may have had. That those of
several places agree by chance is ever less likely. Where the clock was changed is found by binary
segmentation (Scott and Knott, 1974). Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from geotag.places.coincidence import FINE_STEP, OFFSETS, RANGE, STEP
from geotag.places.devices import Device
from geotag.places.estimating import Group, local_offsets, positions_of
from geotag.places.minutes import LEAST_UNCERTAINTY, Exact, set_exactly
from geotag.places.neighbours import calibrate, sorted_fixes
from geotag.places.sighting import ClockPiece, ClockSource
from geotag.places.sphere import Floats, Rows, Singles, Vectors, metres

# Photos of one scene are one witness: so near each other, without a break, for so long at most. So
# many of it are looked at, and so many scenes of a stretch without a break of so many seconds.
_SCENE_M, _BREAK_S, _LONG_S, _EACH, _SCENES = 100.0, 1800.0, 3600.0, 4, 240
_STRETCH_S = 30 * 86_400.0
# How far off a position may be, whoever set it; ways known less well tell nothing.
_OFF_M, _KNOWN_M = 150.0, 2000.0
# Which share of the photos lies on the way, how rarely by chance at the least, and how often one
# that does must not be where the way is known.
_SHARE, _RARELY = 0.7, 0.01
# What a clock takes to be known: so much (in nats), so much more than for any other offset, so many
# scenes at so many places, and of all the scenes of which the way is known so many.
_KNOWN, _MORE, _NEAR_S, _WITNESSES, _PLACES, _PLACE_M = 10.0, 6.0, 900.0, 4, 3, 200.0
# Two people may have gone the same way one after the other: offsets to which nobody sets a clock
# are known by so many days alone.
_MINUTES_OFF, _ZONE_OFF, _DAYS, _DAY = 960.0, 150.0, 3, 86_400.0
# A clock that was changed must explain so much more (in nats).
_CHANGED = 10.0
# To seconds: how well positions were set, and which share of them are wrong, within a kilometre.
_PRECISION = np.array((15.0, 50.0, 150.0))
_WRONG, _WRONG_M = 0.05, 1000.0
_FINE = np.arange(-180, 181) * FINE_STEP
_COUNTS, _HOLDS, _WIDER, _OPEN_S = 0.5, 0.99, 1.25, 300.0
# A clock is taken to be the same between scenes no farther apart, with so few others between, and
# for so long beyond them; so few scenes tell nothing more.
_AROUND, _STAYS = 90, 0.4
_BRIDGED_S, _LOST, _BEYOND_S, _FEW = 2 * 86_400.0, 2, 2 * 3600.0, 3


class Along(NamedTuple):
    """What a clock was while photos of known position were taken along a group's way, and how much
    (in nats) speaks for that."""

    group: Group
    pieces: tuple[ClockPiece, ...]
    strength: float


class _Scenes(NamedTuple):
    """Photos by scene, in order of their readings; `told` is how much (in nats) each scene speaks
    for each of OFFSETS (S, N)."""

    rows: Sequence[Rows]
    told: Singles

    def part(self, some: slice) -> _Scenes:
        return _Scenes(self.rows[some], self.told[some])

    def at(self, top: int) -> Singles:
        """What each speaks for one of OFFSETS; nothing where as much of those around is spoken for:
        who stays somewhere all evening tells no hour."""
        around = self.told[:, max(0, top - _AROUND) : top + _AROUND + 1]
        told = self.told[:, top]
        return np.where((told > 0) & (np.mean(around > 0, axis=1) > _STAYS), 0.0, told)


def find_along(device: Device, groups: Sequence[Group]) -> Along | None:
    """The group along whose way a device's photos with a position were taken, and its clock then;
    None where that is not known."""
    found = sorted((_along(device, group) for group in groups), key=lambda each: -each.strength)
    if not found or not found[0].pieces:
        return None
    is_clear = len(found) == 1 or found[0].strength >= found[1].strength + _MORE
    return found[0] if is_clear or _agree(found[0].pieces, found[1].pieces) else None


def _agree(one: Sequence[ClockPiece], other: Sequence[ClockPiece]) -> bool:
    return all(
        abs((a.offset or 0.0) - (b.offset or 0.0)) <= a.uncertainty + b.uncertainty
        for a in one
        for b in other
        if a.start <= b.end and b.start <= a.end
    )


def with_own(group: Group, device: Device, pieces: Sequence[ClockPiece]) -> Group:
    """The group with the positions of the device itself, as far as its clock is known."""
    own = device.clock[device.located]
    offsets = np.full(len(own), np.nan)
    for piece in pieces:
        if piece.offset is not None:
            offsets[(own >= piece.start) & (own <= piece.end)] = piece.offset
    known = np.isfinite(offsets)
    rows = device.located[known]
    fixes = sorted_fixes(
        np.concatenate((group.fixes.times, (own - offsets)[known])),
        np.concatenate((group.fixes.points, device.points[rows])),
        np.concatenate((group.fixes.rows, len(group.names) + np.arange(len(rows)))),
    )
    names = [*group.names, *(device.photos[row] for row in rows)]
    return group._replace(fixes=fixes, names=names, scales=calibrate(fixes))


def over(first: Sequence[ClockPiece], rest: Sequence[ClockPiece]) -> tuple[ClockPiece, ...]:
    """Pieces, and those parts of others that lie beyond them."""
    for piece in first:
        rest = [part for each in rest for part in _beyond(each, piece)]
    return tuple(sorted([*first, *rest], key=lambda piece: piece.start))


def _beyond(piece: ClockPiece, other: ClockPiece) -> Iterator[ClockPiece]:
    if piece.start < other.start:
        yield piece._replace(end=min(piece.end, float(np.nextafter(other.start, -np.inf))))
    if piece.end > other.end:
        yield piece._replace(start=max(piece.start, float(np.nextafter(other.end, np.inf))))


def _along(device: Device, group: Group) -> Along:
    """The same for one group; no pieces where it tells nothing."""
    located = device.located
    breaks = np.flatnonzero(np.diff(device.clock[located]) > _STRETCH_S) + 1
    pieces, strength = list[ClockPiece](), 0.0
    for rows in np.split(located, breaks):
        scenes = _observed(device, group, rows)
        if len(scenes.rows) >= _WITNESSES:
            for known, nats in _found(device, group, scenes):
                pieces += known
                strength += nats
    return Along(group, tuple(_apart(pieces)), strength)


def _observed(device: Device, group: Group, rows: Rows) -> _Scenes:
    scenes = list(_scenes(device.clock[rows], device.points[rows]))
    scenes = scenes[:: len(scenes) // _SCENES + 1]
    some = [rows[scene[:: (len(scene) - 1) // _EACH + 1]] for scene in scenes]
    told = [_told(device.clock[each], device.points[each], group) for each in some]
    return _Scenes(some, np.array(told).reshape(-1, len(OFFSETS)))


def _scenes(readings: Floats, points: Vectors) -> Iterator[Rows]:
    """The numbers of photos of one place and time."""
    start = 0
    for at in range(1, len(readings) + 1):
        is_end = (
            at == len(readings)
            or readings[at] - readings[at - 1] > _BREAK_S
            or readings[at] - readings[start] > _LONG_S
            or metres(points[at], points[start]) > _SCENE_M
        )
        if is_end:
            yield np.arange(start, at)
            start = at


def _told(readings: Floats, points: Vectors, group: Group) -> Singles:
    """How much photos of one scene speak for each of OFFSETS."""
    # Each cell is the way of one step around a moment, in order of time; offsets go backwards.
    shifts = np.round((readings - readings[0]) / STEP).astype(np.int64)
    cells = len(OFFSETS) + int(shifts[-1])
    start = readings[0] - RANGE - STEP / 2
    way = positions_of(group, start + np.arange(cells + 1) * STEP)[2]
    radius = np.maximum(way.radius[:-1], way.radius[1:])
    known = radius <= _KNOWN_M
    total = np.zeros(len(OFFSETS), np.float32)
    if not known.any():
        return total
    for shift, point in zip(shifts, points, strict=True):
        near = np.zeros(cells, np.bool_)
        away = _from_way(point, way.points[:-1][known], way.points[1:][known])
        near[known] = away <= radius[known] + _OFF_M
        near[1:] |= near[:-1].copy()  # readings are rounded to a step
        near[:-1] |= near[1:].copy()
        own = slice(int(shift), int(shift) + len(OFFSETS))
        hit, told = near[own][::-1], (known | near)[own][::-1]
        rarely = max(_RARELY, float(hit.sum()) / max(1, int(told.sum())))
        miss = np.where(told, np.log(1 - _SHARE), 0.0)
        total += np.where(hit, np.log(1 - _SHARE + _SHARE / rarely), miss).astype(np.float32)
    return total / np.float32(len(readings))


def _from_way(point: Vectors, start: Vectors, end: Vectors) -> Floats:
    """How far a point is from each of some short ways."""
    way = end - start
    length = np.maximum(np.sum(way**2, axis=1), 1e-24)
    share = np.clip(np.sum((point - start) * way, axis=1) / length, 0.0, 1.0)
    return metres(start + way * share[:, None], point)


def _found(
    device: Device, group: Group, scenes: _Scenes
) -> Iterator[tuple[list[ClockPiece], float]]:
    """The pieces of a stretch in order, and how much speaks for them."""
    at = _change(scenes.told)
    if at is None:
        top = int(np.argmax(scenes.told.sum(axis=0)))
        if not _is_known(device, scenes, top):
            return
        agree = np.flatnonzero(scenes.told[:, top] > 0)
        some = [scenes.rows[int(each)] for each in agree]
        told = _exactly(device, group, some, float(OFFSETS[top]))
        fine = _change(told)
        if fine is None:
            exact = _exact(told, float(OFFSETS[top]), group)
            if exact.uncertainty <= _OPEN_S and _is_plausible(device, group, some, exact.offset):
                pieces = _pieces(device, group, (scenes, scenes.at(top)), exact)
                yield list(pieces), float(scenes.told[:, top].sum())
            return
        at = int(agree[fine])
    for part in (slice(0, at), slice(at, None)):
        yield from _found(device, group, scenes.part(part))


def _change(told: Floats | Singles) -> int | None:
    """Before which scene the clock was changed, if it was: each side is then explained so much
    better by an offset of its own (told: S, N)."""
    if len(told) < 2 * _WITNESSES:
        return None
    sums = np.cumsum(told, axis=0)
    before, after = sums[:-1].max(axis=1), (sums[-1] - sums[:-1]).max(axis=1)
    gain = before + after - sums[-1].max()
    at = int(np.argmax(gain))
    return at + 1 if gain[at] > _CHANGED else None


def _is_known(device: Device, scenes: _Scenes, top: int) -> bool:
    """Whether enough speaks for an offset, and nothing as much for another."""
    total, told = scenes.told.sum(axis=0), scenes.told[:, top]
    others = total[np.abs(OFFSETS - OFFSETS[top]) > _NEAR_S]
    agree = [rows for rows, nats in zip(scenes.rows, told, strict=True) if nats > 0]
    is_strong = total[top] >= _KNOWN and total[top] >= others.max() + _MORE
    is_shared = len(agree) >= max(_WITNESSES, _SHARE * int((told != 0).sum()))
    if not is_strong or not is_shared:
        return False
    return _places(device.points[[rows[0] for rows in agree]]) >= _PLACES


def _places(points: Vectors) -> int:
    """How many of them are far from each other."""
    found = points[:1]
    for point in points[1:]:
        if metres(point, found).min() > _PLACE_M:
            found = np.vstack((found, point))
    return len(found)


def _is_plausible(device: Device, group: Group, scenes: Sequence[Rows], offset: float) -> bool:
    """Whether clocks are set so: to the local time, give or take minutes, DST or twelve hours, to
    one of the group's zones, or just to another; or photos of several days say so."""
    readings = device.clock[[rows[0] for rows in scenes]]
    if len(np.unique(np.floor((readings - offset) / _DAY))) >= _DAYS:
        return True
    local, home = local_offsets(readings, group)
    zones = np.unique(np.concatenate((local, [home], group.zones.ahead)))
    hours = np.array((-12, -1, 0, 1, 12)) * 3600.0
    is_near = np.abs(offset - np.add.outer(zones, hours)).min() <= _MINUTES_OFF
    whole = round(offset / 1800.0) * 1800.0
    is_zone = abs(offset - whole) <= _ZONE_OFF and -12 * 3600.0 <= whole <= 14 * 3600.0
    return bool(is_near or is_zone)


def _exactly(device: Device, group: Group, scenes: Sequence[Rows], offset: float) -> Floats:
    """How much each scene speaks for each of _FINE beside an offset, however well positions were
    set (S, F)."""
    told = np.zeros((len(_PRECISION), len(scenes), len(_FINE)))
    wrong = _WRONG / _WRONG_M**2
    for number, rows in enumerate(scenes):
        utc = (device.clock[rows] - offset)[:, None] - _FINE
        order = np.argsort(utc, axis=None, kind="stable")
        way = positions_of(group, utc.ravel()[order])[2]
        away, radius = np.zeros(utc.size), np.zeros(utc.size)
        away[order] = metres(way.points, np.repeat(device.points[rows], len(_FINE), axis=0)[order])
        radius[order] = np.minimum(way.radius, 1e9)
        for row, precision in enumerate(_PRECISION):
            spread = precision**2 + (radius / 2) ** 2
            near = np.log((1 - _WRONG) * np.exp(-away / np.sqrt(spread)) / spread + wrong)
            told[row, number] = near.reshape(utc.shape).mean(axis=0)
    best = int(np.argmax(told.sum(axis=1).max(axis=1)))
    result: Floats = told[best]
    return result


def _exact(told: Floats, rough: float, group: Group) -> Exact:
    """What scenes tell of the seconds beside a rough offset."""
    log = _COUNTS * told.sum(axis=0) + set_exactly(rough, _FINE, group.zones)
    likely = np.exp(log - log.max())
    likely /= likely.sum()
    value = float(np.sum(_FINE * likely))
    order = np.argsort(np.abs(_FINE - value), kind="stable")
    enough = int(np.searchsorted(np.cumsum(likely[order]), _HOLDS))
    reach = float(abs(_FINE[order[min(enough, len(order) - 1)]] - value))
    return Exact(rough + value, max(LEAST_UNCERTAINTY, _WIDER * reach))


def _pieces(
    device: Device, group: Group, told: tuple[_Scenes, Singles], exact: Exact
) -> Iterator[ClockPiece]:
    """An offset, while scenes agree on it: up to some hours beyond them, and not over days or a
    change of the local time without any."""
    scenes, nats = told
    starts, ends = (device.clock[[rows[at] for rows in scenes.rows]] for at in (0, -1))
    agree = np.flatnonzero(nats > 0)
    local = local_offsets(starts, group)[0][agree]
    lost = np.cumsum(nats < 0)[agree]
    is_split = np.diff(local) != 0
    is_split |= starts[agree[1:]] - ends[agree[:-1]] > _BRIDGED_S
    is_split |= np.diff(lost) >= _LOST
    for run in np.split(agree, np.flatnonzero(is_split) + 1):
        if len(run) < _FEW:
            continue
        start, end = starts[run[0]], ends[run[-1]]
        before = start - ends[run[0] - 1] if run[0] else np.inf
        after = starts[run[-1] + 1] - end if run[-1] + 1 < len(starts) else np.inf
        yield _piece(
            device, group, exact,
            (start - min(_BEYOND_S, before / 2), end + min(_BEYOND_S, after / 2)), len(run),
        )  # fmt: skip


def _piece(
    device: Device, group: Group, exact: Exact, ends: tuple[float, float], visits: int
) -> ClockPiece:
    """The piece between two readings, with the photos that tell it."""
    readings = device.clock[device.located]
    own = device.located[(readings >= ends[0]) & (readings <= ends[1])]
    utc = device.clock[own] - exact.offset
    _, lanes, way = positions_of(group, utc)
    near = metres(way.points, device.points[own]) <= way.radius + _OFF_M
    count, along = int(near.sum()), _named(group, lanes[near], utc[near])
    return ClockPiece(*ends, *exact, ClockSource.POSITIONS, count, visits, along=along)


def _named(group: Group, lanes: Rows, utc: Floats) -> str:
    """What most photos were along, in words."""
    tracks = Counter[str]()
    for lane, time in zip(lanes, utc, strict=True):
        if lane >= 0:
            each = group.lanes[lane]
            at = min(int(np.searchsorted(each.times, time)), len(each.times) - 1)
            tracks[each.tracks[int(each.segment[at])]] += 1
    if 2 * sum(tracks.values()) >= len(lanes) > 0:
        name = min(tracks, key=lambda track: (-tracks[track], track))
        return name if len(tracks) == 1 else f"{name} and other tracks"
    return f"the way of {group.members[0]}" if group.members else "a track"


def _apart(pieces: Sequence[ClockPiece]) -> list[ClockPiece]:
    """Pieces in order, without the readings that both sides of a change may have shown: such as
    those of the hours by which a clock was set back."""
    found = list(pieces)
    for at, (one, other) in enumerate(pairwise(pieces)):
        back = max(0.0, (one.offset or 0.0) - (other.offset or 0.0))
        if other.start - one.end < back:
            found[at] = found[at]._replace(end=one.end - back)
            found[at + 1] = found[at + 1]._replace(start=other.start + back)
    return [piece for piece in found if piece.start <= piece.end]
