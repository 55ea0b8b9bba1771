"""Readings of a catalog as sightings: device, kind, and the times that the metadata tell."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import NamedTuple

from geotag.places.kinds import kind_of
from geotag.places.sighting import Sighting
from geotag.records import Capture, Reading


class _Time(NamedTuple):
    """A reading of a clock, and how far that was ahead of UTC, where it is told."""

    clock: float
    offset: float | None


def sighting_of(reading: Reading) -> Sighting:
    """What a photo can testify: its name is its URI."""
    capture = reading.metadata.capture
    time, stamp = _parse(capture.time), _parse(capture.gps_time)
    shown = datetime.fromtimestamp(time.clock, UTC) if time is not None else None
    if capture.time[10:].startswith("T00:00:00") and "." not in capture.time:
        time = None  # a program that knows the day alone writes it so
    return Sighting(
        reading.photo.uri,
        device_of(capture),
        kind_of(capture, reading.photo.uri, shown),
        time.clock if time is not None else None,
        time.offset if time is not None else None,
        stamp.clock - (stamp.offset or 0.0) if stamp is not None else None,
        reading.metadata.location,
    )


def device_of(capture: Capture) -> str:
    """The device by make, model and serial number, in words; empty where none is told."""
    return _name(capture.make.strip(), capture.model.strip(), capture.serial_number.strip())


@functools.lru_cache(maxsize=1024)
def _name(make: str, model: str, serial: str) -> str:
    name = model if model.lower().startswith(make.split(" ")[0].lower()) else f"{make} {model}"
    return f"{name.strip()} ({serial})" if serial and name.strip() else name.strip()


def _parse(text: str) -> _Time | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    offset = time.utcoffset()
    clock = time.replace(tzinfo=UTC).timestamp()
    return _Time(clock, offset.total_seconds() if offset is not None else None)
