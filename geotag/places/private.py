"""Private zones, and what is left out of the rows of photos that lie in them. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from geotag.errors import UsageError
from geotag.places.distance import distance_m
from geotag.places.sighting import Placement, Reason
from geotag.places.stated import stated_location
from geotag.records import Location, Outcome, Reading, Status, TopCategory

WHY = "in a private zone"
MOST_ZONES = 1000
RADIUS_LIMIT_M = 1_000_000.0
_ZONE = re.compile(r"([^,]+),([^,]+),\s*(\d+(?:\.\d+)?)\s*(m|km)?")


class Zone(NamedTuple):
    """A circle around a WGS-84 position in degrees; the radius is in metres."""

    latitude: float
    longitude: float
    radius_m: float


def parse_zone(text: str) -> Zone:
    """A zone written LAT,LON,RADIUS; the radius in metres, or as 2km. Raises UsageError."""
    match = _ZONE.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError
        zone = Zone(float(match[1]), float(match[2]), float(match[3]))
    except ValueError:
        raise UsageError(
            "a private zone is LAT,LON,RADIUS in degrees and metres, such as 48.8584,2.2945,500"
        ) from None
    zone = zone._replace(radius_m=zone.radius_m * 1000) if match[4] == "km" else zone
    check_zone(zone)
    return zone


def parse_zones(text: str) -> tuple[Zone, ...]:
    """The zones of a file: one on each line; what follows a # is for people. Raises UsageError
    that names the line, not what it holds."""
    zones: list[Zone] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        wanted = line.partition("#")[0].strip()
        if not wanted:
            continue
        if len(zones) == MOST_ZONES:
            raise UsageError(f"more than {MOST_ZONES} private zones")
        try:
            zones.append(parse_zone(wanted))
        except UsageError as error:
            raise UsageError(f"line {number}: {error}") from None
    return tuple(zones)


def check_zone(zone: Sequence[float]) -> None:
    """Raise UsageError for what is no zone on Earth: a zone that protects nothing is a mistake."""
    if len(zone) != 3 or not all(map(math.isfinite, zone)):
        raise UsageError("a private zone is a latitude, a longitude and a radius in metres")
    latitude, longitude, radius = zone
    if not (abs(latitude) <= 90 and abs(longitude) <= 180 and 0 < radius <= RADIUS_LIMIT_M):
        raise UsageError(
            "a private zone has a latitude up to 90, a longitude up to 180, and a radius above 0 "
            f"and up to {RADIUS_LIMIT_M:.0f} m"
        )


def checked_zone(zone: Sequence[float]) -> Zone:
    """Three numbers as a zone. Raises UsageError."""
    check_zone(zone)
    return Zone(*map(float, zone))


def is_private(place: Location, zones: Iterable[Zone], radius_m: float = 0.0) -> bool:
    """Whether a position, or a part of the circle that it stands for, lies in one of the zones."""
    return any(
        distance_m(place, Location(zone.latitude, zone.longitude)) <= zone.radius_m + radius_m
        for zone in zones
    )


def private_photos(
    readings: Iterable[Reading],
    placements: Mapping[str, Placement | Reason],
    zones: Sequence[Zone],
) -> frozenset[str]:
    """The photos (by URI) that lie in a zone, and those whose place was worked out from these:
    it lies on a line with them, and two lines would show where they are."""
    found = {
        reading.photo.uri
        for reading in readings
        if (place := reading.metadata.location or stated_location(reading)) is not None
        and is_private(place, zones)
    }
    placed = {uri: each for uri, each in placements.items() if isinstance(each, Placement)}
    found |= {uri for uri, at in placed.items() if is_private(at.location, zones, at.radius_m)}
    count = -1
    while count != len(found):
        count = len(found)
        found |= {uri for uri, at in placed.items() if any(n.photo in found for n in at.neighbours)}
    return frozenset(found)


def blanked(row: Outcome) -> Outcome:
    """A row that says that its photo is private, and nothing of where it is."""
    return Outcome(row.path, Status.PRIVATE, taken_at=row.taken_at, camera=row.camera, evidence=WHY)


def screened(row: Outcome, zones: Sequence[Zone], hides: Callable[[TopCategory], bool]) -> Outcome:
    """A row as others may see it. `hides` tells of which landmarks nothing must be said."""
    if not zones or row.status is Status.PRIVATE:
        return row
    if row.latitude is not None and row.longitude is not None:
        place = Location(row.latitude, row.longitude)
        if is_private(place, zones, 0.0 if row.status is Status.HAS_GPS else row.radius_m or 0.0):
            return blanked(row)
    is_cameras = row.latitude is None or row.status in (Status.HAS_GPS, Status.PLACED)
    if row.landmark and is_cameras and hides(_tag(row)):
        return blanked(row)
    shown = tuple(entry for entry in row.top_k if not hides(entry))
    return row if len(shown) == len(row.top_k) else row._replace(top_k=shown)


def _tag(row: Outcome) -> TopCategory:
    """The landmark of a row as an entry of its candidates."""
    named = (entry for entry in row.top_k if entry.landmark == row.landmark)
    number = -1 if row.category_id is None else row.category_id
    return next(named, TopCategory(number, "", row.landmark, row.confidence or 0.0))
