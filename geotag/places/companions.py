"""Which devices are carried together, and whose tracks are whose: whose positions may stand for
whose photos."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from geotag.places.neighbours import Fixes
from geotag.places.sphere import Floats, metres, nearest
from geotag.places.tracks import Lane, Segment, follow, lanes

_MEET_S, _NEAR_M = 900.0, 1000.0
_SHARE, _FEW = 0.95, 8
# So many with the most positions are compared with each other, for that takes time by their square.
_COMPARED = 500
# With fewer of its fixes on a track, it is that of somebody else, or in another zone's time.
_OWN = 0.5
# Segments that nobody's photos meet are somebody's, if so many of those that they meet are.
_MOSTLY = 0.8


def together(fixes: Mapping[str, Fixes]) -> list[tuple[str, ...]]:
    """Groups of devices that are at the same place whenever both tell one, in their order.

    A group is one person, or people who are never apart. Two devices that were never seen at the
    same time are not known to be together, and stay apart.
    """
    most = sorted(fixes, key=lambda name: (-len(fixes[name].times), name))
    alone = set(most[_COMPARED:])
    groups: list[list[str]] = []
    for device in (name for name in fixes if name not in alone):
        for group in groups:
            if all(_is_together(fixes[device], fixes[other]) for other in group):
                group.append(device)
                break
        else:
            groups.append([device])
    return [*map(tuple, groups), *((device,) for device in sorted(alone))]


def _is_together(one: Fixes, other: Fixes) -> bool:
    if min(len(one.times), len(other.times)) < _FEW:
        return False
    # From the fewer fixes to the more: between two photos, a track goes on.
    fewer, more = sorted((one, other), key=lambda fixes: len(fixes.times))
    away = _distances(fewer, more)
    return len(away) >= _FEW and float(np.mean(away < _NEAR_M)) >= _SHARE


def is_elsewhere(fixes: Fixes, lanes: Sequence[Lane]) -> bool:
    """Whether tracks are mostly somewhere else when fixes tell where one was."""
    found = [np.zeros(0)]
    for track in (follow(lane, fixes.times) for lane in lanes):
        told = np.isfinite(track.radius)
        found.append(metres(track.points[told], fixes.points[told]) - track.radius[told])
    away = np.concatenate(found)
    return len(away) >= _FEW and float(np.mean(away < _NEAR_M)) < _OWN


def _distances(one: Fixes, other: Fixes) -> Floats:
    """How far each fix of one is from the other's nearest in time, where that is near enough."""
    rows = nearest(one.times, other.times)
    met = np.abs(one.times - other.times[rows]) <= _MEET_S
    return metres(one.points[met], other.points[rows[met]])


class _Met(NamedTuple):
    """How many of somebody's positions were measured during a segment, and how many of them on
    it."""

    fixes: int
    near: int

    @property
    def is_own(self) -> bool:
        return self.near > _OWN * self.fixes


def tracks_of(
    people: Sequence[Fixes], segments: Iterable[Segment]
) -> tuple[list[list[Segment]], list[Segment]]:
    """The tracks of each person, by their positions, and those that are nobody's.

    A stretch is theirs on which most of what they measured meanwhile lies, if that is enough and
    agrees. Stretches that nobody met go with the others of their file; those of other files are
    somebody's if the tracks are of no one else.
    """
    stretches = [segment for segment in segments if len(segment.times)]
    met = [_met(fixes, stretches) for fixes in people]
    owners = [person for person, found in enumerate(met) if _is_confirmed(found.values())]
    files = defaultdict[tuple[str, str], set[int]](set)
    for person in owners:
        for at, found in met[person].items():
            if found.is_own:
                files[_file_of(stretches[at])].add(person)
    sole, seen = _sole(owners, met), set[int]().union(*met)
    tracks: list[list[Segment]] = [[] for _ in people]
    others = list[Segment]()
    for at, segment in enumerate(stretches):
        whose = {person for person in owners if at in met[person] and met[person][at].is_own}
        if at not in seen:
            whose = files.get(_file_of(segment), sole)
        for person in whose:
            tracks[person].append(segment)
        if not whose:
            others.append(segment)
    return tracks, others


def _file_of(segment: Segment) -> tuple[str, str]:
    return segment.folder, segment.track


def _is_confirmed(met: Iterable[_Met]) -> bool:
    own = [found for found in met if found.is_own]
    count, near = (sum(column) for column in zip(*own, strict=True)) if own else (0, 0)
    return count >= _FEW and near >= _SHARE * count


def _sole(owners: Sequence[int], met: Sequence[Mapping[int, _Met]]) -> set[int]:
    """Whose all tracks are that nobody met."""
    if len(owners) != 1:
        return set()
    judged = met[owners[0]].values()
    own = sum(found.is_own for found in judged)
    return set(owners) if own >= _MOSTLY * len(judged) else set()


def _met(fixes: Fixes, segments: Sequence[Segment]) -> dict[int, _Met]:
    """The segments during which somebody measured positions, by their number."""
    found: dict[int, _Met] = {}
    starts, ends = (np.array([f(each.times) for each in segments]) for f in (np.min, np.max))
    low, high = np.searchsorted(fixes.times, starts), np.searchsorted(fixes.times, ends, "right")
    for at in np.flatnonzero(high > low).tolist():
        own = slice(int(low[at]), int(high[at]))
        (lane,) = lanes([segments[at]])
        along = follow(lane, fixes.times[own])
        known = np.isfinite(along.radius)
        away = metres(along.points, fixes.points[own])
        near = known & (away < _NEAR_M + along.radius)
        if known.any():
            found[at] = _Met(int(known.sum()), int(near.sum()))
    return found
