"""Which devices are carried together: whose positions may stand for whose photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from geotag.places.neighbours import Fixes
from geotag.places.sphere import Floats, metres, nearest
from geotag.places.tracks import Lane, follow

_MEET_S, _NEAR_M = 900.0, 1000.0
_SHARE, _FEW = 0.95, 8
# With fewer of its fixes on a track, it is that of somebody else, or in another zone's time.
_OWN = 0.5


def together(fixes: Mapping[str, Fixes]) -> list[tuple[str, ...]]:
    """Groups of devices that are at the same place whenever both tell one, in their order.

    A group is one person, or people who are never apart. Two devices that were never seen at the
    same time are not known to be together, and stay apart.
    """
    groups: list[list[str]] = []
    for device in fixes:
        for group in groups:
            if all(_is_together(fixes[device], fixes[other]) for other in group):
                group.append(device)
                break
        else:
            groups.append([device])
    return [tuple(group) for group in groups]


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
