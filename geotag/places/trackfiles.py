"""Reads tracks from files: GPX, KML, TCX, FIT, NMEA, and Google's location history as JSON.

Files are streamed: of each only the points are kept.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from geotag.errors import MissingDependencyError, TrackError
from geotag.places.history import read_history
from geotag.places.points import Point, Points, parse_seconds
from geotag.places.tracks import Segment

_POINTS_LIMIT = 50_000_000
_SEMICIRCLE = 180 / 2**31


def read_tracks(places: Iterable[str]) -> list[Segment]:
    """The segments of all tracks in files and folders. Raises TrackError."""
    return [segment for path in track_files(places) for segment in _read(path)]


def track_files(places: Iterable[str]) -> list[Path]:
    """The files, and in folders those whose suffix is a track's. Raises TrackError."""
    files: list[Path] = []
    for place in map(Path, places):
        if place.is_dir():
            found = sorted(p for p in place.rglob("*") if p.suffix.lower() in READERS)
            if not found:
                raise TrackError(f"{place}: no tracks in this folder ({', '.join(READERS)})")
            files += [path for path in found if path.is_file()]
        elif place.suffix.lower() not in READERS:
            raise TrackError(f"{place}: not a track; the suffix must be {', '.join(READERS)}")
        else:
            files.append(place)
    return files


def digest_of(places: Iterable[str]) -> str:
    """Changes whenever a track's file does. Raises TrackError."""
    digest = hashlib.sha256()
    for path in track_files(places):
        try:
            status = path.stat()
        except OSError as error:
            raise TrackError(f"{path}: cannot be read ({error.strerror})") from error
        digest.update(os.fsencode(path) + f"\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _read(path: Path) -> Iterator[Segment]:
    try:
        with path.open("rb") as file:
            yield from _segments(path, READERS[path.suffix.lower()](file))
    except OSError as error:
        raise TrackError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, ArithmeticError, LookupError, SyntaxError) as error:
        raise TrackError(f"{path}: damaged, or not a track ({error})") from error


def _segments(path: Path, points: Points) -> Iterator[Segment]:
    columns = array("d"), array("d"), array("d")
    for point in points:
        if point is None:
            yield from _segment(path, columns)
            columns = array("d"), array("d"), array("d")
        elif abs(point.latitude) <= 90 and abs(point.longitude) <= 180 and point[1:] != (0, 0):
            for column, value in zip(columns, point, strict=True):
                column.append(value)
            if len(columns[0]) > _POINTS_LIMIT:
                raise TrackError(f"{path}: more than {_POINTS_LIMIT} points; split it")
    yield from _segment(path, columns)


def _segment(path: Path, columns: tuple[array[float], ...]) -> Iterator[Segment]:
    times, latitudes, longitudes = (np.array(column, dtype=float) for column in columns)
    finite = np.isfinite(times)
    if finite.any():
        yield Segment(path.name, times[finite], latitudes[finite], longitudes[finite])


def _elements(file: BinaryIO, wanted: str) -> Iterator[tuple[str, Any]]:
    """The ends of the elements of some names, without their namespaces, as they come."""
    from lxml import etree

    names = wanted.split()
    try:
        for _, element in etree.iterparse(
            file,
            events=("end",),
            tag=[f"{{*}}{name}" for name in names],
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
        ):
            yield etree.QName(element).localname, element
            if etree.QName(element).localname != "when":
                element.clear(keep_tail=False)
                while element.getprevious() is not None and element.getparent() is not None:
                    del element.getparent()[0]
    except etree.XMLSyntaxError as error:
        raise ValueError(str(error)) from error


def _child(element: Any, name: str) -> str | None:
    text: str | None = element.findtext(f".//{{*}}{name}")
    return text


def _gpx(file: BinaryIO) -> Points:
    for name, element in _elements(file, "trkpt trkseg"):
        if name == "trkseg":
            yield None
        elif _child(element, "time"):
            latitude, longitude = float(element.get("lat")), float(element.get("lon"))
            yield Point(parse_seconds(_child(element, "time")), latitude, longitude)


def _tcx(file: BinaryIO) -> Points:
    for name, element in _elements(file, "Trackpoint Track"):
        if name == "Track":
            yield None
        elif _child(element, "Time") and _child(element, "LatitudeDegrees"):
            latitude = float(_child(element, "LatitudeDegrees") or "")
            longitude = float(_child(element, "LongitudeDegrees") or "")
            yield Point(parse_seconds(_child(element, "Time")), latitude, longitude)


def _kml(file: BinaryIO) -> Points:
    """Google's gx:Track: all moments, then (or in turn with) all positions."""
    times: list[float] = []
    places: list[tuple[float, float]] = []
    for name, element in _elements(file, "when coord Track"):
        if name == "when":
            times.append(parse_seconds(element.text))
        elif name == "coord":
            longitude, latitude = (element.text or "").split()[:2]
            places.append((float(latitude), float(longitude)))
        else:
            for time, place in zip(times, places, strict=True):
                yield Point(time, *place)
            yield None
            times, places = [], []


def _fit(file: BinaryIO) -> Points:
    try:
        import fitdecode
    except ImportError:
        raise MissingDependencyError("reading FIT tracks", "places") from None
    try:
        with fitdecode.FitReader(file) as reader:
            for frame in reader:
                if frame.frame_type != fitdecode.FIT_FRAME_DATA or frame.name != "record":
                    continue
                names = ("timestamp", "position_lat", "position_long")
                time, north, east = (frame.get_value(name, fallback=None) for name in names)
                if isinstance(time, datetime) and north is not None and east is not None:
                    yield Point(time.timestamp(), north * _SEMICIRCLE, east * _SEMICIRCLE)
    except fitdecode.FitError as error:
        raise ValueError(str(error)) from error


def _nmea(file: BinaryIO) -> Points:
    """The sentences that hold date and position (RMC); damaged ones are passed over."""
    try:
        import pynmea2
    except ImportError:
        raise MissingDependencyError("reading NMEA tracks", "places") from None
    for line in file:
        if b"RMC," not in line[:8]:
            continue
        try:
            sentence = pynmea2.parse(line.decode("ascii", "replace").strip(), check=True)
            if sentence.status == "A" and sentence.datestamp and sentence.timestamp:
                time = datetime.combine(sentence.datestamp, sentence.timestamp)
                time = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
                yield Point(time.timestamp(), sentence.latitude, sentence.longitude)
        except (pynmea2.ParseError, ValueError, TypeError, AttributeError):
            continue


READERS: dict[str, Callable[[BinaryIO], Points]] = {
    ".gpx": _gpx,
    ".kml": _kml,
    ".tcx": _tcx,
    ".fit": _fit,
    ".nmea": _nmea,
    ".json": read_history,
}
