"""The time zone of a position, offline, by tzfpy's borders of zones."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from geotag.errors import MissingDependencyError
from geotag.records import Location


def local_zone() -> Callable[[Location, float], float]:
    """The function that tells how far local time is ahead of UTC, for a position and a reading of
    the local clock. Raises MissingDependencyError."""
    try:
        import tzfpy
    except ImportError:
        raise MissingDependencyError("placing photos by time", "places") from None

    def ahead(place: Location, clock: float) -> float:
        zone = _zone(tzfpy.get_tz(place.longitude, place.latitude))
        found = datetime.fromtimestamp(clock, UTC).replace(tzinfo=zone).utcoffset()
        return found.total_seconds() if found is not None else 0.0

    return ahead


@functools.cache
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError):  # one that this system does not know yet
        return ZoneInfo("UTC")
