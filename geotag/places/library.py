"""Places the photos of a whole catalog."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from geotag.errors import UsageError
from geotag.places.copies import find_copies, picture_of
from geotag.places.languages import country_names
from geotag.places.names import Gazetteer
from geotag.places.offsets import Offset, find_offsets
from geotag.places.placing import place_photos
from geotag.places.readings import sighting_of
from geotag.places.sighting import Placement, Places, Reason, Sighting
from geotag.places.telling import clock_lines, tell_clock
from geotag.places.tracks import Segment
from geotag.places.zones import local_zone
from geotag.records import Location, Outcome, Reading, Status

_log = logging.getLogger(__name__)

# A position known less well may be in the next town.
_TOWN_M = 5000.0


def find_placements(
    readings: Iterable[Reading],
    segments: Iterable[Segment] = (),
    clock_offsets: Mapping[str, float] | None = None,
) -> Mapping[str, Placement | Reason]:
    """Where photos without a position were taken, or why that is not known, by URI; what was found
    of clocks is logged.

    `clock_offsets` are how far ahead of local time the user says that cameras' clocks were, in
    seconds, by camera as the table names it or with its serial number. Raises
    MissingDependencyError, and UsageError for a camera that took none of the photos.
    """
    zone = local_zone()
    sightings, pictures = [], []
    for reading in readings:
        sightings.append(sighting_of(reading))
        if (picture := picture_of(reading)) is not None:
            pictures.append(picture)
    devices = {each.device for each in sightings}
    for camera in clock_offsets or {}:
        if not any(_is_of(device, camera) for device in devices):
            raise UsageError(f"--clock-offset: no photo was taken with {camera!r}")
    places = place_photos(sightings, zone, segments, _by_device(devices, clock_offsets or {}))
    for line in clock_lines(places):
        _log.info("%s", line)
    return {**places.placements, **find_copies(pictures)}


def naming(language: str | None = None) -> Callable[[Outcome], Outcome]:
    """What adds the names of the place to a row with a position.

    Countries are named in the language, towns as GeoNames does. Raises MissingDependencyError.
    """
    gazetteer = Gazetteer(country_names(language) if language is not None else {})

    def named(row: Outcome) -> Outcome:
        if row.latitude is None or row.longitude is None:
            return row
        name = gazetteer.name(Location(row.latitude, row.longitude))
        return row._replace(
            place=name.town if _is_near(row) else "",
            region=name.region,
            country=row.country or name.country,
            time_zone=name.time_zone,
        )

    return named


def _is_near(row: Outcome) -> bool:
    """Whether a row's position is known well enough to name the town."""
    is_open = row.radius_m is None and row.status is Status.PLACED
    return not is_open and (row.radius_m or 0.0) <= _TOWN_M


def _is_of(device: str, camera: str) -> bool:
    """Whether a device is the camera that the user names, with its serial number or without."""
    return camera in (device, device.rpartition(" (")[0])


def _by_device(devices: Iterable[str], clock_offsets: Mapping[str, float]) -> dict[str, float]:
    said = clock_offsets.items()
    return {d: seconds for camera, seconds in said for d in devices if _is_of(d, camera)}


def find_clock_of(
    sightings: Iterable[Sighting], photo: Sighting, clock_offsets: Mapping[str, float]
) -> str:
    """What is known of the clock of a photo's device at that time, in words; empty where nothing
    is. Raises MissingDependencyError."""
    if photo.clock is None:
        return ""
    places = _placed(list(sightings), clock_offsets)
    return tell_clock(places.clocks.get(photo.device, ()), photo.clock)


def find_offsets_of(
    readings: Iterable[Reading], clock_offsets: Mapping[str, float]
) -> Mapping[str, Offset]:
    """The offset from UTC of each photo's time, or why it has none, by URI. Raises
    MissingDependencyError."""
    sightings = [sighting_of(reading) for reading in readings]
    return find_offsets(sightings, _placed(sightings, clock_offsets))


def find_clocks(readings: Iterable[Reading], clock_offsets: Mapping[str, float]) -> list[str]:
    """What is known of the clocks of a library, in sentences. Raises MissingDependencyError."""
    sightings = [sighting_of(reading) for reading in readings]
    return list(clock_lines(_placed(sightings, clock_offsets)))


def _placed(sightings: Sequence[Sighting], clock_offsets: Mapping[str, float]) -> Places:
    """The photos of a library that was scanned with these offsets; a camera may be gone since."""
    given = _by_device({each.device for each in sightings}, clock_offsets)
    return place_photos(sightings, local_zone(), (), given)
