"""Reads the location histories that Google exports, as a stream of JSON.

Takeout's Records.json and its months of semantic history, and the Timeline.json that phones with
Android and iOS export. Only measured positions are taken: the places that Google guesses for a
visit are not.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from geotag.errors import MissingDependencyError
from geotag.places.points import NOWHERE, Point, Points, parse_seconds

# A position known less well than this is that of a mast.
_ACCURATE_M = 200.0
_E7 = 1e-7
_DEGREES = re.compile(r"(?:geo:)?(-?\d+(?:\.\d+)?)°?,\s*(-?\d+(?:\.\d+)?)°?")
_HEAD = 4096
# Histories nest less than ten deep. What nests deeper costs memory by the square of its depth.
_DEPTH_LIMIT, _PIECE, _LONGEST_TEXT = 100, 2048, 2**20
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def read_history(file: BinaryIO) -> Points:
    """The points of a location history. Raises ValueError, and MissingDependencyError."""
    try:
        import ijson
    except ImportError:
        raise MissingDependencyError("reading Google's location history", "places") from None
    start = len(BOM_UTF8) if file.read(len(BOM_UTF8)) == BOM_UTF8 else 0
    file.seek(start)
    head = file.read(_HEAD).lstrip()
    try:
        for prefix, parse in _readers(head).items():
            file.seek(start)
            for entry in ijson.items(_Shallow(file), prefix, use_float=True, buf_size=_PIECE):
                try:
                    yield from parse(entry)
                except (ValueError, TypeError, AttributeError, LookupError):
                    yield NOWHERE
    except ijson.JSONError as error:
        raise ValueError(" ".join(str(error).split())) from error


class _Shallow:
    """A file of JSON, read in small pieces, that may not nest without end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._depth = 0
        self._text = b""  # the beginning of one whose end is not read yet

    def read(self, size: int = -1) -> bytes:
        """The next piece. Raises ValueError."""
        data = self._file.read(size)
        bare, quote, text = _TEXT.sub(b"", self._text + data).partition(b'"')
        self._text = quote + text
        self._depth += sum(map(bare.count, (b"[", b"{"))) - sum(map(bare.count, (b"]", b"}")))
        if self._depth > _DEPTH_LIMIT or len(self._text) > _LONGEST_TEXT:
            raise ValueError("nested too deep, or a text without end")
        return data


def _readers(head: bytes) -> dict[str, Callable[[Any], Points]]:
    """The parts of the file that hold positions: each is a pass through it."""
    if head.startswith(b"["):
        return {"item": _path_of_ios}
    if b'"timelineObjects"' in head:
        return {"timelineObjects.item.activitySegment": _activity}
    if b'"locations"' in head:
        return {"locations.item": _record}
    return {"semanticSegments.item": _path, "rawSignals.item.position": _signal}


def _record(entry: Mapping[str, Any]) -> Points:
    """Takeout's Records.json."""
    if entry.get("accuracy", 0) <= _ACCURATE_M and "latitudeE7" in entry:
        yield Point(_time(entry), entry["latitudeE7"] * _E7, entry["longitudeE7"] * _E7)


def _activity(entry: Mapping[str, Any]) -> Points:
    """Takeout's semantic history: the raw path of a way that somebody went."""
    for point in entry.get("simplifiedRawPath", {}).get("points", ()):
        if point.get("accuracyMeters", 0) <= _ACCURATE_M:
            yield Point(_time(point), point["latE7"] * _E7, point["lngE7"] * _E7)
    yield None


def _path(segment: Mapping[str, Any]) -> Points:
    """The Timeline.json of Android."""
    for point in segment.get("timelinePath", ()):
        yield from _point(point["point"], parse_seconds(point["time"]))


def _path_of_ios(segment: Mapping[str, Any]) -> Points:
    """The Timeline.json of iOS: its points are so many minutes after the start."""
    path = segment.get("timelinePath", ())
    start = parse_seconds(segment["startTime"]) if path else 0.0
    for point in path:
        minutes = float(point["durationMinutesOffsetFromStartTime"])
        yield from _point(point["point"], start + 60 * minutes)


def _signal(position: Mapping[str, Any]) -> Points:
    """What the receiver of an Android phone told."""
    if position.get("accuracyMeters", 0) <= _ACCURATE_M:
        yield from _point(position["LatLng"], parse_seconds(position["timestamp"]))


def _point(text: str, seconds: float) -> Iterator[Point]:
    match = _DEGREES.fullmatch(text)
    if match is not None:
        yield Point(seconds, float(match[1]), float(match[2]))


def _time(entry: Mapping[str, Any]) -> float:
    time, stamp = entry.get("timestamp"), entry.get("timestampMs")
    return parse_seconds(time) if time else float(stamp or "") / 1000
