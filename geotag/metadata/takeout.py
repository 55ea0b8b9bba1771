"""The JSON files that Google Takeout puts beside photos, to Metadata. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from geotag.files.takeout import is_of
from geotag.metadata.assembled import assemble
from geotag.metadata.positions import checked_location
from geotag.records import Capture, Location, Metadata

# Google's own are of some kilobytes.
JSON_LIMIT = 2**20
_SECONDS = re.compile(r"-?[1-9][0-9]{0,9}")
_MEASURED, _STATED, _TIME = "geoDataExif", "geoData", "photoTakenTime"
_KNOWN_BY = (_MEASURED, _STATED, _TIME)


def parse_takeout(data: bytes, sidecar: str, photo: str) -> Metadata:
    """What a JSON file says of a photo, both by their URIs; nothing where it is no such file.

    `geoDataExif` is what Google read in the photo's Exif: measured. `geoData` may be that as well,
    or set by hand, or guessed by Google: it does not say which, so it is none that was measured.
    """
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        is_known = any(name.encode() in data for name in _KNOWN_BY)
        return _unclear(sidecar, "is damaged") if is_known else Metadata()
    if not isinstance(fields, dict) or not any(name in fields for name in _KNOWN_BY):
        return Metadata()
    title = fields.get("title")
    if not is_of(sidecar, photo, title if isinstance(title, str) else ""):
        return Metadata()
    try:
        measured, stated = _position(fields, _MEASURED), _position(fields, _STATED)
    except ValueError:
        return _unclear(sidecar, "has a position that cannot be understood")
    said = f"{stated.latitude},{stated.longitude}" if stated is not None and not measured else ""
    return assemble(measured, "", Capture(gps_time=_time(fields), stated=said))


def _unclear(sidecar: str, why: str) -> Metadata:
    """What is known where such a file may hold a position, and why it cannot be understood."""
    name = sidecar.rpartition("/")[2]
    return Metadata(position_unclear=f"its sidecar {name} {why}, so no position is inferred")


def _position(fields: Mapping[str, Any], name: str) -> Location | None:
    """None where there is none: 0,0 says so. Raises ValueError for what cannot be understood."""
    found = fields.get(name)
    if found is None:
        return None
    if not isinstance(found, dict):
        raise ValueError
    latitude, longitude = _number(found.get("latitude")), _number(found.get("longitude"))
    if latitude is None or longitude is None:
        raise ValueError
    if latitude == longitude == 0:
        return None
    location = checked_location(latitude, longitude, _number(found.get("altitude")) or None)
    if location is None:
        raise ValueError
    return location


def _number(value: object) -> float | None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _time(fields: Mapping[str, Any]) -> str:
    """When the photo was taken, in UTC, or ""."""
    found = fields.get(_TIME)
    stamp = str(found.get("timestamp")) if isinstance(found, dict) else ""
    if not _SECONDS.fullmatch(stamp):
        return ""
    try:
        return datetime.fromtimestamp(int(stamp), UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return ""
