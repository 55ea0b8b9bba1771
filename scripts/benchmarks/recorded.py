"""Simulated photos on somebody's recorded tracks, to judge placing by real movement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from geotag.places.sighting import Kind, Sighting
from geotag.places.tracks import Segment
from geotag.records import Location

# So many minutes between a phone's photos, on average, and between the camera's.
PHONE_MINUTES = (5.0, 20.0, 60.0)
_CAMERA_MINUTES = 10.0


def recorded_library(
    segments: Sequence[Segment], minutes: float, seed: int
) -> tuple[list[Sighting], dict[str, Location]]:
    """Photos of a phone, which tell their position, and of a camera whose clock is right, which do
    not; and where the camera's were taken. All were taken at points of the tracks."""
    rng = np.random.default_rng([seed, round(minutes)])
    sightings, truth = list[Sighting](), dict[str, Location]()
    for time, place in _moments(segments, minutes, rng):
        name = f"phone {len(sightings)}"
        sightings.append(Sighting(name, "phone", Kind.PHONE, time, 0.0, None, place))
    for time, place in _moments(segments, _CAMERA_MINUTES, rng):
        name = f"camera {len(sightings)}"
        truth[name] = place
        sightings.append(Sighting(name, "camera", Kind.CAMERA, time, 0.0))
    return sightings, truth


def _moments(
    segments: Sequence[Segment], minutes: float, rng: np.random.Generator
) -> Iterator[tuple[float, Location]]:
    """Points of the tracks at random times."""
    for segment in segments:
        start, end = segment.times[[0, -1]]
        count = rng.poisson((end - start) / 60 / minutes)
        rows = np.unique(np.searchsorted(segment.times, rng.uniform(start, end, count)))
        for row in rows:
            place = Location(float(segment.latitudes[row]), float(segment.longitudes[row]))
            yield float(segment.times[row]), place
