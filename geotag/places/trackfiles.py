"""Reads tracks from files: GPX, KML, TCX, FIT, NMEA, and Google's location history as JSON.

Files are streamed: of each only the points are kept.
"""

from __future__ import annotations

import hashlib
import logging
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from geotag.errors import GeotagError, MissingDependencyError, TrackError
from geotag.places.history import read_history
from geotag.places.points import Point, Points, parse_point
from geotag.places.tracks import Segment

_log = logging.getLogger(__name__)
_POINTS_LIMIT = 50_000_000
_LINE_LIMIT = 1000  # bytes; a sentence has 82
_SEMICIRCLE = 180 / 2**31


def read_tracks(places: Iterable[str]) -> list[Segment]:
    """The segments of all tracks in files and folders. Raises TrackError."""
    named = set(map(Path, places := list(places)))
    return [segment for path in track_files(places) for segment in _read(path, path in named)]


def track_files(places: Iterable[str]) -> list[Path]:
    """The files, and in folders those whose suffix is a track's. Raises TrackError."""
    files: list[Path] = []
    for place in map(Path, places):
        if place.is_dir():
            found = sorted(p for p in _below(place) if p.suffix.lower() in READERS)
            if not found:
                raise TrackError(f"{place}: no tracks in this folder ({', '.join(READERS)})")
            files += [path for path in found if path.is_file()]
        elif place.suffix.lower() not in READERS:
            raise TrackError(f"{place}: not a track; the suffix must be {', '.join(READERS)}")
        else:
            files.append(place)
    return files


def _below(folder: Path) -> Iterator[Path]:
    """All files of a folder. Raises TrackError: tracks that cannot be seen now are no fewer."""

    def refuse(error: OSError) -> None:
        raise TrackError(f"{error.filename}: cannot be read ({error.strerror})") from error

    for place, _, names in os.walk(folder, onerror=refuse):
        yield from (Path(place, name) for name in names)


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


def _read(path: Path, is_named: bool) -> Iterator[Segment]:
    try:
        with path.open("rb") as file:
            points = READERS[path.suffix.lower()](file)
            yield from _segments(path, _until_damage(path, points, is_named))
    except OSError as error:
        raise TrackError(f"{path}: cannot be read ({error.strerror})") from error


def _until_damage(path: Path, points: Points, is_named: bool) -> Points:
    """What can be read of a track: loggers run out of power, and files arrive in part.

    Raises TrackError when that is nothing, and the file is one that the user named.
    """
    count, damage = Counter[bool](), ""
    try:
        for point in points:
            count[point is None or not _is_on_earth(point)] += 1
            yield point
    except (GeotagError, OSError):
        raise
    except Exception as error:  # the readers of others raise what they like
        damage = str(error) or type(error).__name__
    if count[False] and damage:
        _log.warning("%s: damaged behind its first %d points (%s)", path, count[False], damage)
    elif not count[False] and (damage or count[True]):
        message = f"{path}: damaged, or not a track ({damage or 'no point can be read'})"
        if is_named:
            raise TrackError(message)
        _log.warning("%s", message)


def _is_on_earth(point: Point) -> bool:
    return abs(point.latitude) <= 90 and abs(point.longitude) <= 180 and point[1:] != (0, 0)


def _segments(path: Path, points: Points) -> Iterator[Segment]:
    columns = array("d"), array("d"), array("d")
    for point in points:
        if point is None:
            yield from _segment(path, columns)
            columns = array("d"), array("d"), array("d")
        elif _is_on_earth(point):
            for column, value in zip(columns, point, strict=True):
                column.append(value)
            if len(columns[0]) > _POINTS_LIMIT:
                raise TrackError(f"{path}: more than {_POINTS_LIMIT} points; split it")
    yield from _segment(path, columns)


def _segment(path: Path, columns: tuple[array[float], ...]) -> Iterator[Segment]:
    times, latitudes, longitudes = (np.array(column, dtype=float) for column in columns)
    finite = np.isfinite(times)
    if finite.any():
        known = times[finite], latitudes[finite], longitudes[finite]
        yield Segment(path.name, *known, str(path.parent))


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
            yield parse_point(_child(element, "time"), element.get("lat"), element.get("lon"))


def _tcx(file: BinaryIO) -> Points:
    for name, element in _elements(file, "Trackpoint Track"):
        if name == "Track":
            yield None
        elif _child(element, "Time") and _child(element, "LatitudeDegrees"):
            at = (_child(element, name) for name in ("LatitudeDegrees", "LongitudeDegrees"))
            yield parse_point(_child(element, "Time"), *at)


def _kml(file: BinaryIO) -> Points:
    """Google's gx:Track: all moments, then (or in turn with) all positions."""
    times: list[str | None] = []
    places: list[list[str]] = []
    for name, element in _elements(file, "when coord Track"):
        if name == "when":
            if _is_in_track(element):
                times.append(element.text)
        elif name == "coord":
            places.append([*(element.text or "").split()[:2], "", ""][:2])
        else:
            for time, (longitude, latitude) in zip(times, places, strict=True):
                yield parse_point(time, latitude, longitude)
            yield None
            times, places = [], []


def _is_in_track(element: Any) -> bool:
    """Other elements have moments, too."""
    from lxml import etree

    parent = element.getparent()
    return parent is not None and etree.QName(parent).localname == "Track"


def _fit(file: BinaryIO) -> Points:
    try:
        import fitdecode
    except ImportError:
        raise MissingDependencyError("reading FIT tracks", "places") from None
    try:
        with fitdecode.FitReader(
            file,
            check_crc=fitdecode.CrcCheck.RAISE,
            error_handling=fitdecode.ErrorHandling.IGNORE,  # which else prints what it finds odd
        ) as reader:
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
    for line in iter(partial(file.readline, _LINE_LIMIT), b""):
        if b"RMC," not in line[:8]:
            continue
        try:
            sentence = pynmea2.parse(line.decode("ascii", "replace").strip(), check=True)
            is_whole = sentence.datestamp and sentence.timestamp and sentence.lat and sentence.lon
            if sentence.status == "A" and is_whole:
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
