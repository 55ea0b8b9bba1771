"""The photos with a position that were taken nearest in time to one that has none. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from geotag.places.sighting import Sighting


class Nearby(NamedTuple):
    """A photo with a position, and how many seconds after the other it was taken (before: less
    than 0), by UTC where both tell it, else by the clocks as they show."""

    photo: str
    device: str
    seconds: float


class Surroundings(NamedTuple):
    """The nearest before and after, and how many photos have a position at all."""

    before: Nearby | None = None
    after: Nearby | None = None
    measured: int = 0

    @property
    def nearest(self) -> Nearby | None:
        """The nearer one."""
        found = [each for each in (self.before, self.after) if each is not None]
        return min(found, key=lambda each: abs(each.seconds), default=None)


def surroundings_of(photo: Sighting, library: Iterable[Sighting]) -> Surroundings:
    """The nearest photos with a position in time; none where the photo's own time is not known."""
    before: Nearby | None = None
    after: Nearby | None = None
    measured = 0
    for other in library:
        if other.position is None or other.photo == photo.photo:
            continue
        measured += 1
        seconds = _seconds(photo, other)
        if seconds is None:
            continue
        found = Nearby(other.photo, other.device, seconds)
        if seconds <= 0 and (before is None or seconds > before.seconds):
            before = found
        if seconds > 0 and (after is None or seconds < after.seconds):
            after = found
    return Surroundings(before, after, measured)


def _seconds(photo: Sighting, other: Sighting) -> float | None:
    utc, others = _utc(photo), _utc(other)
    if utc is not None and others is not None:
        return others - utc
    if photo.clock is None or other.clock is None:
        return None
    return other.clock - photo.clock


def _utc(photo: Sighting) -> float | None:
    if photo.stamp is not None:
        return photo.stamp
    if photo.clock is None or photo.offset is None:
        return None
    return photo.clock - photo.offset
