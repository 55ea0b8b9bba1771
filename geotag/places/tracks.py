"""Recorded tracks: where a logger was between its points, and never across its breaks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from geotag.places.neighbours import Interpolated
from geotag.places.sphere import Floats, Vectors, between, metres, to_vectors

MAX_GAP_S = 1800.0
_POINT_M = 15.0
_BEND = 0.5  # of the way between two points: how far from it somebody may have been


class Segment(NamedTuple):
    """A stretch of a track without a break: UTC seconds and degrees."""

    track: str
    times: Floats
    latitudes: Floats
    longitudes: Floats
    folder: str = ""


class Lane(NamedTuple):
    """Segments that follow each other in time; `segment` numbers them by point."""

    tracks: tuple[str, ...]
    times: Floats
    points: Vectors
    segment: Floats


def lanes(segments: Iterable[Segment]) -> list[Lane]:
    """Segments laid out so that none overlaps another in the same lane."""
    ordered = sorted(
        (s for s in map(_in_order, segments) if len(s.times)),
        key=lambda s: (s.times[0], s.times[-1], s.track, s.latitudes[0], s.longitudes[0]),
    )
    laid: list[list[Segment]] = []
    for segment in ordered:
        for lane in laid:
            if lane[-1].times[-1] < segment.times[0]:
                lane.append(segment)
                break
        else:
            laid.append([segment])
    return [_lane(lane) for lane in laid]


def _in_order(segment: Segment) -> Segment:
    order = np.lexsort((segment.longitudes, segment.latitudes, segment.times))
    times = segment.times[order]
    first = np.concatenate(([True], np.diff(times) > 0)) if len(times) else np.zeros(0, bool)
    keep = order[first]
    return segment._replace(
        times=segment.times[keep],
        latitudes=segment.latitudes[keep],
        longitudes=segment.longitudes[keep],
    )


def _lane(segments: Sequence[Segment]) -> Lane:
    return Lane(
        tuple(segment.track for segment in segments),
        np.concatenate([segment.times for segment in segments]),
        to_vectors(
            np.concatenate([segment.latitudes for segment in segments]),
            np.concatenate([segment.longitudes for segment in segments]),
        ),
        np.repeat(np.arange(len(segments), dtype=float), [len(s.times) for s in segments]),
    )


def follow(lane: Lane, times: Floats) -> Interpolated:
    """The position at each time, where a segment has points near enough on both sides."""
    count = len(lane.times)
    after = np.searchsorted(lane.times, times, "left")
    exact = (after < count) & (lane.times[np.minimum(after, count - 1)] == times)
    to = np.clip(after, 0, count - 1)
    at = np.where(exact, to, np.clip(after - 1, 0, count - 1))
    gap = lane.times[to] - lane.times[at]
    inside = exact | ((after > 0) & (after < count))
    inside &= (lane.segment[at] == lane.segment[to]) & (gap <= MAX_GAP_S)
    since = np.where(inside, times - lane.times[at], 0.0)
    share = since / np.maximum(gap, 1e-9)
    points = between(lane.points[at], lane.points[to], np.clip(share, 0.0, 1.0))
    apart = metres(lane.points[at], lane.points[to])
    nearest = np.minimum(since, gap - since)
    radius = _POINT_M + _BEND * apart + np.minimum(nearest, 600.0)
    return Interpolated(
        points,
        np.where(inside, radius, np.inf),
        np.where(inside, at, -1),
        np.where(inside, to, -1),
        np.zeros(len(times), np.bool_),
    )
