"""Where a group of devices was at the times of somebody's photos, for clocks that may be off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geotag.places.coincidence import Company
from geotag.places.devices import offsets_around
from geotag.places.neighbours import Fixes, Interpolated, interpolate
from geotag.places.sighting import ClockPiece, ClockSource, Neighbour
from geotag.places.sphere import Floats, Rows, Vectors, metres, nearest
from geotag.places.tracks import Lane, follow

# A clock that nothing confirmed: off by minutes, or an hour and minutes.
_UNSURE_S, _MINUTES_OFF = 600.0, (-65, -30, -15, 15, 30, 65)
_SLACK_M = 500.0
_FOUND = (ClockSource.GIVEN, ClockSource.COMPANY, ClockSource.POSITIONS)


class Group(NamedTuple):
    """Devices and tracks that are always together: one person, as far as can be told.

    `fixes` are its positions, `zones` what local clocks were ahead of UTC at these or on its
    tracks, `company` the times of all its photos, `names` the photos that the fixes are from.
    """

    members: tuple[str, ...]
    fixes: Fixes
    zones: Company
    company: Company
    names: Sequence[str]
    scales: Floats
    lanes: tuple[Lane, ...]


class Times(NamedTuple):
    """When photos were taken: UTC, how sure that is (infinite: nothing confirmed the clock), and
    the other moments at which they may have been taken, then (NaN where one is out of question)."""

    utc: Floats
    uncertainty: Floats
    others: tuple[Floats, ...]


def read_clock(clock: Floats, ahead: Floats, pieces: Sequence[ClockPiece], group: Group) -> Times:
    """UTC of sorted readings of a clock beside a group.

    `ahead` is what the device itself tells of each photo, NaN where it does not. A piece may tell
    several offsets that are likely. Where none covers a photo, the clock is taken to show the
    local time of the group at that moment, and may as well be an hour off or show the time at
    home, unless it is a phone, which shows a zone's time.
    """
    local, home = local_offsets(clock, group)
    uncertainty = np.where(np.isfinite(ahead), 2.0, np.inf)
    offset = ahead.copy()
    most = max((len(piece.likely) - 1 for piece in pieces if piece.likely), default=0)
    likely = np.full((most, len(clock)), np.nan)
    for piece in pieces:
        start, end = np.searchsorted(clock, piece.start), np.searchsorted(clock, piece.end, "right")
        rows = slice(int(start), int(end))
        if piece.source is ClockSource.UNKNOWN:  # whatever the device told is not believed
            offset[rows], uncertainty[rows] = np.nan, np.inf
        if piece.likely:
            offset[rows] = piece.likely[0]
            for row, other in enumerate(piece.likely[1:]):
                likely[row, rows] = clock[rows] - other
        elif piece.offset is not None:
            if piece.source in _FOUND:
                is_given = piece.source is ClockSource.GIVEN
                offset[rows] = piece.offset + (local[rows] if is_given else 0.0)
            uncertainty[rows] = np.where(np.isfinite(offset[rows]), piece.uncertainty, np.inf)
    utc = clock - np.where(np.isfinite(offset), offset, local)
    guessed = ~np.isfinite(offset)
    others = list[Floats]()
    if guessed.any():
        readings = group.zones.taken + group.zones.ahead
        around = offsets_around(clock, readings, group.zones.ahead)
        others += [np.where(mask & guessed, clock - value, np.nan) for value, mask in around]
        if not any(piece.source is ClockSource.ZONE for piece in pieces):
            others.append(np.where(guessed, clock - home, np.nan))
            others += [np.where(guessed, utc + off * 60.0, np.nan) for off in _MINUTES_OFF]
    return Times(utc, uncertainty, (*likely, *others))


def local_offsets(clock: Floats, group: Group) -> tuple[Floats, float]:
    """How far the group's local time was ahead of UTC when its clocks showed these readings, and
    what it mostly is."""
    if not len(group.zones.taken):
        return np.zeros(len(clock)), 0.0
    local = group.zones.taken + group.zones.ahead
    order = np.argsort(local, kind="stable")
    readings, ahead = local[order], group.zones.ahead[order]
    values, counts = np.unique(group.zones.ahead, return_counts=True)
    return ahead[nearest(clock, readings)], float(values[np.argmax(counts)])


class Estimates(NamedTuple):
    """Where one group was when photos were taken, at the columns of the photos. The radius is
    infinite where nothing tells.

    `away` is how far they are from the fixes before and after (2, N), `lane` the track that tells
    it (-1: photos do)."""

    group: Group
    times: Times
    points: Vectors
    radius: Floats
    contradicted: NDArray[np.bool_]
    photos: Interpolated
    away: Floats
    lane: Rows

    @property
    def nearby(self) -> NDArray[np.bool_]:
        """Whether a photo or track is near enough to tell anything."""
        near: NDArray[np.bool_] = np.maximum(self.photos.before, self.photos.after) >= 0
        return near | (self.lane >= 0)

    def neighbours(self, rows: Rows) -> Iterator[tuple[Neighbour, ...]]:
        """What the estimates rest on for some photos."""
        sides = zip(*(self._beside(rows, side) for side in (0, 1)), strict=True)
        for row, lane, both in zip(rows.tolist(), self.lane[rows].tolist(), sides, strict=True):
            if lane >= 0:
                yield (self._on_track(row),)
            elif both[0] is None or both[1] is None:
                yield tuple([each for each in both if each is not None])
            else:
                yield both

    def _beside(self, rows: Rows, side: int) -> Iterator[Neighbour | None]:
        """The fixes before (0) or after (1) them."""
        fixes, names = self.group.fixes, self.group.names
        if not len(fixes.times):
            yield from [None] * len(rows)
            return
        found = (self.photos.before, self.photos.after)[side][rows]
        seconds = fixes.times[found] - self.times.utc[rows]
        columns = found, fixes.rows[found], seconds, self.away[side, rows]
        for fix, name, after, away in zip(*(each.tolist() for each in columns), strict=True):
            yield Neighbour(names[name], after, away) if fix >= 0 else None

    def _on_track(self, at: int) -> Neighbour:
        lane, utc = self.group.lanes[self.lane[at]], self.times.utc[at]
        after = min(int(np.searchsorted(lane.times, utc)), len(lane.times) - 1)
        row = min((max(after - 1, 0), after), key=lambda row: abs(lane.times[row] - utc))
        name = lane.tracks[int(lane.segment[row])]
        distance = float(metres(lane.points[row], self.points[at]))
        return Neighbour(name, float(lane.times[row] - utc), distance)


def estimate(group: Group, times: Times) -> Estimates:
    """The group's position at the times, with a radius that also holds where the clock may be
    off by its uncertainty."""
    known = np.isfinite(times.uncertainty)
    slack = np.where(known, times.uncertainty, _UNSURE_S)
    photos, lane, centre = positions_of(group, times.utc)
    radius, contradicted = centre.radius.copy(), centre.contradicted.copy()
    everywhere = np.ones(len(known), np.bool_)
    others = [(times.utc - slack, everywhere), (times.utc + slack, everywhere)]
    if not known.all():
        others += [(other, ~known & np.isfinite(other)) for other in times.others]
    for utc, mask in others:
        rows = np.flatnonzero(mask & np.isfinite(radius))
        other = positions_of(group, utc[rows])[2]
        reach = other.radius + metres(centre.points[rows], other.points)
        radius[rows] = np.maximum(radius[rows], reach)
        contradicted[rows] |= other.contradicted
    away = _away(group.fixes, photos, centre.points)
    return Estimates(group, times, centre.points, radius, contradicted, photos, away, lane)


def _away(fixes: Fixes, photos: Interpolated, points: Vectors) -> Floats:
    if not len(fixes.times):
        return np.zeros((2, len(points)))
    rows = np.maximum(np.stack((photos.before, photos.after)), 0)
    return metres(fixes.points[rows], points)


def positions_of(group: Group, utc: Floats) -> tuple[Interpolated, Rows, Interpolated]:
    """By photos alone, the lane that tells more precisely (or -1), and what to go by."""
    photos = interpolate(group.fixes, utc, group.scales)
    chosen, lane = photos, np.full(len(utc), -1, np.int64)
    contradicted = photos.contradicted
    for number, each in enumerate(group.lanes):
        track = follow(each, utc)
        tracked = np.isfinite(track.radius)
        both = tracked & np.isfinite(chosen.radius)
        apart = metres(track.points, chosen.points)
        contradicted = contradicted | (both & (apart > track.radius + chosen.radius + _SLACK_M))
        better = tracked & (track.radius < chosen.radius)
        lane = np.where(better, number, lane)
        chosen = chosen._replace(
            points=np.where(better[:, None], track.points, chosen.points),
            radius=np.where(better, track.radius, chosen.radius),
        )
    radius = np.where(contradicted, np.inf, chosen.radius)
    return photos, lane, chosen._replace(radius=radius, contradicted=contradicted)
