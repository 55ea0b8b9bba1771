"""Positions that a photo service gives in a sidecar: set by hand, or guessed. Pure."""

from __future__ import annotations

from geotag.places.sighting import Method, Placement
from geotag.records import Location, Reading

# How far off it may be nobody says: so far at most, where picture and place are weighed together.
_WEIGHED_AT_M = 25_000.0


def stated_location(reading: Reading) -> Location | None:
    """Where a photo service says that a photo without a measured position was taken."""
    said = reading.metadata.capture.stated
    if not said or reading.metadata.location is not None:
        return None
    try:
        latitude, longitude = map(float, said.split(","))
    except ValueError:
        return None
    is_sound = abs(latitude) <= 90 and abs(longitude) <= 180
    return Location(latitude, longitude) if is_sound else None


def stated_placement(reading: Reading) -> Placement | None:
    """The same as a placement, which goes before all that is worked out."""
    place = stated_location(reading)
    return Placement(place, _WEIGHED_AT_M, Method.SIDECAR, None, ()) if place is not None else None
