"""Landmarks of one place that the network cannot tell apart: the place is sure where none is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from geotag.places.distance import distance_m
from geotag.records import Landmark, Location, Prediction

METHOD = "vicinity"
_REACH_M = 15_000.0  # landmarks that are no further apart are of one place


class Vicinity(NamedTuple):
    """The landmarks, likeliest first, of which a photo shows one, and the circle that holds all.

    `radius_m` is around `location`, the likeliest one's. City and country are "" where they differ.
    """

    names: tuple[str, ...]
    location: Location
    radius_m: float
    city: str
    country: str


def find_vicinity(
    prediction: Prediction, landmark_of: Callable[[str], Landmark], least: float
) -> Vicinity | None:
    """The fewest landmarks near the likeliest that have the probability `least` together."""
    centre = _location(landmark_of(prediction.top[0].slug))
    if centre is None:
        return None
    total, radius, near = 0.0, 0.0, list[Landmark]()
    for score in prediction.top:
        landmark = landmark_of(score.slug)
        location = _location(landmark)
        if location is None or (away := distance_m(centre, location)) > _REACH_M:
            continue
        near.append(landmark)
        total += score.confidence
        radius = max(radius, away + (landmark.radius_m or 0.0))
        if total >= least:
            names = tuple(landmark.name for landmark in near)
            cities = {landmark.city for landmark in near}
            countries = {landmark.country for landmark in near}
            return Vicinity(names, centre, round(radius), _only(cities), _only(countries))
    return None


def _location(landmark: Landmark) -> Location | None:
    if landmark.latitude is None or landmark.longitude is None:
        return None
    return Location(landmark.latitude, landmark.longitude)


def _only(values: set[str]) -> str:
    return values.pop() if len(values) == 1 else ""
