"""Places the photos of a whole catalog."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from geotag.errors import UsageError
from geotag.places.copies import Picture, find_copies, picture_of
from geotag.places.devices import ZoneOffset
from geotag.places.languages import country_names
from geotag.places.names import Gazetteer, Names
from geotag.places.packages import rules_digest
from geotag.places.placing import place_photos
from geotag.places.readings import device_of, sighting_of
from geotag.places.sighting import (
    ClockPiece,
    Clocks,
    Placed,
    Places,
    Sighting,
)
from geotag.places.telling import NOT_KNOWN, clock_lines, tell_clock
from geotag.places.tracks import Segment
from geotag.places.windows import EVER, Window, day_at, windows_of
from geotag.places.zones import local_zone
from geotag.records import Location, Outcome, Reading, Status

_log = logging.getLogger(__name__)

# A position known less well may be in the next town.
_TOWN_M = 5000.0


class Store(Protocol):
    """What is known of a library's photos, and where what becomes of them is kept."""

    @property
    def clocks(self) -> Iterable[Clocks]:
        """What was found of clocks in each part, in order of time."""

    def days(self) -> Mapping[int, tuple[int, bytes]]:
        """How many photos there are of each day, and what changes whenever one of them does."""

    def readings(self, window: Window) -> Iterable[tuple[int, Reading]]:
        """The photos of some days with these, in an order that hangs on nothing else."""

    def windows(self) -> Mapping[Window, bytes]:
        """Of which parts the placements are kept, each with the digest of all they come of."""

    def forget(self, window: Window) -> None:
        """Drop what is kept of a part."""

    def keep(self, window: Window, digest: bytes, placed: Placed) -> None:
        """Keep what became of a part."""


def place_library(
    store: Store,
    segments: Sequence[Segment] = (),
    clock_offsets: Mapping[str, float] | None = None,
    tracks_digest: str = "",
) -> None:
    """Find where photos without a position were taken, or why that is not known; what was found of
    clocks is logged.

    Only those parts of the library are placed anew of which something changed since: the answers
    are those of placing all. `clock_offsets` are how far ahead of local time the user says that
    cameras' clocks were, in seconds, by camera as the table names it or with its serial number.
    `tracks_digest` changes whenever the tracks do. Raises MissingDependencyError, and UsageError
    for a camera that took none of the photos.
    """
    library = _Library(local_zone(), segments, clock_offsets or {})
    days = store.days()
    library.check_cameras(store)
    rules = _rules(tracks_digest, library.clock_offsets)
    counts = {day: count for day, (count, _) in days.items()}
    wanted = {window: _digest(rules, window, days) for window in windows_of(counts)}
    kept = store.windows()
    for window, digest in kept.items():
        if wanted.get(window) != digest:
            store.forget(window)
    for window, digest in wanted.items():
        if kept.get(window) != digest:
            store.keep(window, digest, library.placed(window, store.readings(window.reach)))
    if _log.isEnabledFor(logging.INFO):
        for line in clock_lines(joined(store.clocks)):
            _log.info("%s", line)


class _Library(NamedTuple):
    """What photos of any time are placed by beside each other."""

    zone_offset: ZoneOffset
    segments: Sequence[Segment]
    clock_offsets: Mapping[str, float]

    def check_cameras(self, store: Store) -> None:
        """Raise UsageError where the user speaks of a camera that is not here."""
        if not self.clock_offsets:
            return
        photos = store.readings(EVER)
        devices = {device_of(reading.metadata.capture) for _, reading in photos}
        for camera in self.clock_offsets:
            if not any(_is_of(device, camera) for device in devices):
                raise UsageError(f"--clock-offset: no photo was taken with {camera!r}")

    def placed(self, window: Window, readings: Iterable[tuple[int, Reading]]) -> Placed:
        """The photos of a part by those within its reach; copies by those of the same second."""
        sightings, pictures = list[Sighting](), list[Picture]()
        own = set[str]()
        for day, reading in readings:
            sightings.append(sighting_of(reading))
            if window.first <= day < window.last:
                own.add(reading.photo.uri)
                if (picture := picture_of(reading)) is not None:
                    pictures.append(picture)
        found = self.places(window, sightings)
        placements = {**found.placements, **find_copies(pictures)}
        return Placed({uri: each for uri, each in placements.items() if uri in own}, found.clocks)

    def places(self, window: Window, sightings: Sequence[Sighting]) -> Places:
        """The same by time alone, for the photos within the reach of a part."""
        given = _by_device({each.device for each in sightings}, self.clock_offsets)
        low, high = window.reach.clock
        near = [s for s in self.segments if s.times[0] <= high and s.times[-1] >= low]
        return place_photos(sightings, self.zone_offset, near, given, window.clock)


def _rules(tracks_digest: str, clock_offsets: Mapping[str, float]) -> bytes:
    """What is the same as long as the same photos are placed in the same way."""
    import tzfpy

    said = [rules_digest(), tracks_digest, sorted(clock_offsets.items()), tzfpy.data_version()]
    return hashlib.blake2b(json.dumps([*said, np.__version__]).encode()).digest()


def _digest(rules: bytes, window: Window, days: Mapping[int, tuple[int, bytes]]) -> bytes:
    """Of all that the placements of a part come of."""
    reach = window.reach
    found = hashlib.blake2b(rules, digest_size=32)
    for day in sorted(day for day in days if reach.first <= day < reach.last):
        found.update(day.to_bytes(4, "big") + days[day][1])
    return found.digest()


def naming(language: str | None = None, kept: Names | None = None) -> Callable[[Outcome], Outcome]:
    """What adds the names of the place to a row with a position; `kept` are those found before.

    Countries are named in the language, towns as GeoNames does. Raises MissingDependencyError.
    """
    gazetteer = Gazetteer(country_names(language) if language is not None else {}, kept)

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


def find_clock_of(store: Store, photo: Sighting, clock_offsets: Mapping[str, float]) -> str:
    """What is known of the clock of a photo's device at that time, in words; empty where nothing
    is. Raises MissingDependencyError."""
    if photo.clock is None:
        return ""
    clocks = find_clocks(store, clock_offsets, day_at(photo.clock))
    pieces = clocks.get(photo.device)
    return tell_clock(pieces or (), photo.clock) if pieces != () else NOT_KNOWN


def tell_clocks(store: Store, clock_offsets: Mapping[str, float]) -> list[str]:
    """What is known of the clocks of a library, in sentences. Raises MissingDependencyError."""
    return list(clock_lines(find_clocks(store, clock_offsets)))


def find_clocks(store: Store, clock_offsets: Mapping[str, float], day: int | None = None) -> Clocks:
    """The clocks in a library as its last scan found them. Where none was placed they are found now
    by its photos and these offsets (a camera may be gone since), at all times or about one day, and
    nothing is kept. Raises MissingDependencyError."""
    if kept := list(store.clocks):
        return joined(kept)
    library = _Library(local_zone(), (), clock_offsets)
    windows = windows_of({each: count for each, (count, _) in store.days().items()})
    if day is not None:
        windows = [window for window in windows if window.first <= day < window.last]
    return joined(
        library.places(w, [sighting_of(reading) for _, reading in store.readings(w.reach)]).clocks
        for w in windows
    )


def joined(parts: Iterable[Clocks]) -> Clocks:
    """The clocks of all parts, which are in order of time."""
    found = defaultdict[str, tuple[ClockPiece, ...]](tuple)
    for clocks in parts:
        for device, pieces in clocks.items():
            found[device] += pieces
    return found
