"""One device's photos with the offsets of its clock, as far as its own photos tell them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geotag.places.bodies import by_body
from geotag.places.sighting import TAKEN_HERE, ClockPiece, ClockSource, Kind, Sighting
from geotag.places.sphere import Floats, Vectors, to_vectors
from geotag.records import Location

# Given a place and a reading of the local clock there: how far local time is ahead of UTC.
ZoneOffset = Callable[[Location, float], float]

_QUARTER = 900.0
_PHONE_STRAYS = 300.0  # a phone's GPS time may be that of an older fix
_OLDEST_FIX = 12 * 3600.0  # one that is older may as well be that of a receiver without a date
# How many seconds a clock is off that satellites or a network set, and one that somebody did.
_SET_BY_RADIO, _SET_BY_HAND = 2.0, 60.0
_SAME = 30.0
_CLOCK_RANGE = 26 * 3600.0
_AROUND = 5
_ZONES = 24 * 3600.0


class Device(NamedTuple):
    """The photos of one device in order of its clock. `model` is what the photos call it.

    `ahead` is how far the clock was ahead of UTC at each, NaN where the device itself does not
    tell it; `told` is where the photo itself does. `located` are the rows of the photos with a
    position, `fixed` when (UTC) these were measured.
    """

    name: str
    model: str
    is_phone: bool
    photos: tuple[str, ...]
    clock: Floats
    ahead: Floats
    told: NDArray[np.bool_]
    points: Vectors
    located: NDArray[np.int64]
    fixed: Floats
    pieces: tuple[ClockPiece, ...]


def devices(library: Iterable[Sighting], zone_offset: ZoneOffset) -> dict[str, Device]:
    """The devices of the photos that were taken by one and have a time, by a name for each."""
    photos: dict[str, list[Sighting]] = {}
    for evidence in library:
        if evidence.kind in TAKEN_HERE and evidence.device and evidence.clock is not None:
            photos.setdefault(evidence.device, []).append(evidence)
    found: dict[str, Device] = {}
    for model in sorted(photos):
        photos[model].sort(key=lambda e: (e.clock or 0.0, e.photo))
        for name, own in by_body(model, photos[model]).items():
            found[name] = _device(name, model, own, zone_offset)
    return found


def _device(name: str, model: str, photos: Sequence[Sighting], zone_offset: ZoneOffset) -> Device:
    clock = np.array([e.clock for e in photos], dtype=float)
    is_phone = any(e.kind is Kind.PHONE for e in photos)
    samples = [_sample(e, is_phone, zone_offset) for e in photos]
    ahead = np.array([np.nan if s is None else s[0] for s in samples])
    sources = [None if s is None else s[1] for s in samples]
    if not is_phone:
        ahead = _smoothed(ahead)
    located = np.array([at for at, e in enumerate(photos) if e.position is not None], np.int64)
    places = [e.position for e in photos if e.position is not None]
    points = np.zeros((len(photos), 3))
    if places:
        points[located] = to_vectors([p.latitude for p in places], [p.longitude for p in places])
    pieces = _pieces(clock, ahead, sources, is_phone)
    names = tuple(e.photo for e in photos)
    filled = _filled(clock, ahead)
    stamps = [np.nan if (stamp := photos[at].stamp) is None else stamp for at in located]
    fixed = _measured_at((clock - filled)[located], np.array(stamps, dtype=float))
    told = np.array([source is not None for source in sources])
    return Device(name, model, is_phone, names, clock, filled, told, points, located, fixed, pieces)


def _measured_at(taken: Floats, stamps: Floats) -> Floats:
    """When positions were measured, by the times of their photos and of the satellite receiver.

    A phone that has no new position writes an older one, with its time: indoors, in a train, on an
    aeroplane. Some write local time instead, which then lags behind in most photos.
    """
    lag = taken - stamps
    known = np.isfinite(lag)
    if not known.any() or np.median(lag[known]) > _PHONE_STRAYS:
        return taken
    return np.where(known & (lag > _SAME) & (lag < _OLDEST_FIX), stamps, taken)


def _sample(
    evidence: Sighting, is_phone: bool, zone_offset: ZoneOffset
) -> tuple[float, ClockSource] | None:
    """How far the clock was ahead of UTC at one photo, as the device itself tells it.

    A phone's clock is set by its network: the zone is all that it can be ahead. Its GPS time may
    be older than the photo, by an hour as well, which is no zone then. A camera's clock may be
    anything, but GPS time in its photos is right.
    """
    clock = evidence.clock
    assert clock is not None
    local: float | None = None
    if is_phone and evidence.position is not None:
        local = zone_offset(evidence.position, clock)
    if evidence.stamp is not None and abs(clock - evidence.stamp) < _CLOCK_RANGE:
        ahead = clock - evidence.stamp
        if not is_phone:
            return ahead, ClockSource.GPS
        zone = round(ahead / _QUARTER) * _QUARTER
        strays = abs(ahead - zone)
        is_fresh = strays < _SAME or (local is None and strays < _PHONE_STRAYS) or zone == local
        if evidence.offset is None and is_fresh:
            return zone, ClockSource.GPS
    if evidence.offset is not None:
        return evidence.offset, ClockSource.RECORDED
    return (local, ClockSource.ZONE) if local is not None else None


def _smoothed(ahead: Floats) -> Floats:
    """The running median of what is known: a receiver's time strays now and then."""
    known = np.flatnonzero(np.isfinite(ahead))
    result = ahead.copy()
    for at, row in enumerate(known):
        near = known[max(0, at - _AROUND) : at + _AROUND + 1]
        result[row] = np.median(ahead[near])
    return result


def _filled(clock: Floats, ahead: Floats) -> Floats:
    """The offset of each photo: its own, or the only one that the clock can have had at that
    reading.

    After a flight to the west a clock shows the same hours again. It had an offset between two
    photos only if it had it at one of them.
    """
    known = np.isfinite(ahead)
    utc = clock - ahead
    order = np.flatnonzero(known)[np.argsort(utc[known], kind="stable")]
    filled, count = ahead.copy(), np.zeros(len(clock))
    for offset, mask in offsets_around(clock, clock[known], ahead[known]):
        after = np.searchsorted(utc[order], clock - offset)
        beside = [order[np.clip(at, 0, len(order) - 1)] for at in (after - 1, after)]
        had = np.any([np.abs(ahead[rows] - offset) < _SAME for rows in beside], axis=0)
        possible = mask & had & ~known
        filled[possible] = offset
        count += possible
    filled[count > 1] = np.nan
    return filled


def offsets_around(
    clock: Floats, readings: Floats, ahead: Floats
) -> list[tuple[float, NDArray[np.bool_]]]:
    """The offsets that clocks had, each with the readings near which they did."""
    found = []
    for offset in np.unique(np.round(ahead)):
        own = np.sort(readings[np.abs(ahead - offset) < _SAME])
        low, high = np.searchsorted(own, clock - _ZONES), np.searchsorted(own, clock + _ZONES)
        found.append((float(offset), high > low))
    return found


def _pieces(
    clock: Floats, ahead: Floats, sources: Sequence[ClockSource | None], is_phone: bool
) -> tuple[ClockPiece, ...]:
    pieces: list[ClockPiece] = []
    for reading, offset, source in zip(clock, ahead, sources, strict=True):
        if source is None:
            continue
        last = pieces[-1] if pieces else None
        if last is not None and last.offset is not None and abs(last.offset - offset) < _SAME:
            pieces[-1] = last._replace(end=float(reading), pairs=last.pairs + 1)
        else:
            is_claimed = source is ClockSource.RECORDED and not is_phone
            unsure = _SET_BY_HAND if is_claimed else _SET_BY_RADIO
            piece = ClockPiece(float(reading), float(reading), float(offset), unsure, source, 1)
            pieces.append(piece)
    return tuple(pieces)
