"""Exif bytes to Metadata; GPS degrees to rationals and back. Pure."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction

from geotag.metadata.marks import GPS_PROCESSING_METHOD
from geotag.metadata.ranges import ReadRange
from geotag.metadata.tiff import PREFIXES, SIZES, Entry, TiffReader, open_tiff
from geotag.records import Location, Metadata

Degrees = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

# Tag numbers of Exif 2.32 (CIPA DC-008).
MAKE, MODEL, ORIENTATION, DATE_TIME, EXIF_IFD, GPS_IFD = (
    0x010F, 0x0110, 0x0112, 0x0132, 0x8769, 0x8825,
)  # fmt: skip
DATE_TIME_ORIGINAL, OFFSET_TIME_ORIGINAL = 0x9003, 0x9011
THUMBNAIL, THUMBNAIL_LENGTH = 0x0201, 0x0202
LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE = 1, 2, 3, 4
ALTITUDE_REF, ALTITUDE, PROCESSING_METHOD = 5, 6, 0x1B

_CODES = {3: "H", 4: "I", 8: "h", 9: "i", 11: "f", 12: "d"}
_TEXT_LIMIT = 200
_DATE = re.compile(r"(\d{4})[:\-/.](\d{2})[:\-/.](\d{2})[ T](\d{2}):(\d{2}):(\d{2})")
_OFFSET = re.compile(r"[+-](0\d|1[0-4]):[0-5]\d")


_IFD0 = frozenset((MAKE, MODEL, ORIENTATION, DATE_TIME, EXIF_IFD, GPS_IFD))
_IFD1 = frozenset((THUMBNAIL, THUMBNAIL_LENGTH))
_EXIF = frozenset((DATE_TIME_ORIGINAL, OFFSET_TIME_ORIGINAL))
_GPS = frozenset(
    (LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE, ALTITUDE_REF, ALTITUDE, PROCESSING_METHOD)
)


def parse_metadata(exif: bytes, read: ReadRange | None = None) -> Metadata:
    """What the camera wrote, from a bare TIFF structure (or its beginning, with `read`).

    Nonsense is left out, never raised: a position counts only when both coordinates are finite,
    in range, have their hemispheres and are not 0,0, and when it does not bear geotag's own mark.
    """
    tiff = open_tiff(exif, read)
    if tiff is None:
        return Metadata()
    main = tiff.directory(tiff.first, _IFD0)
    orientation = _integer(tiff, main.get(ORIENTATION))
    return Metadata(
        location=_location(tiff, _subdirectory(tiff, main.get(GPS_IFD), _GPS)),
        taken_at=_taken_at(tiff, main, _subdirectory(tiff, main.get(EXIF_IFD), _EXIF)),
        orientation=orientation if orientation and 1 <= orientation <= 8 else 1,
        camera=_camera(_text(tiff, main.get(MAKE)), _text(tiff, main.get(MODEL))),
    )


def parse_thumbnail(exif: bytes) -> bytes | None:
    """The JPEG in the second directory of a bare TIFF structure, if there is one."""
    tiff = open_tiff(exif)
    if tiff is None:
        return None
    second = tiff.directory(tiff.next(tiff.first), _IFD1)
    offset = _integer(tiff, second.get(THUMBNAIL)) or 0
    length = _integer(tiff, second.get(THUMBNAIL_LENGTH)) or 0
    jpeg = tiff.bytes_at(offset, length)
    return jpeg if jpeg.startswith(b"\xff\xd8") else None


def _subdirectory(
    tiff: TiffReader, pointer: Entry | None, wanted: frozenset[int]
) -> dict[int, Entry]:
    if pointer is None or pointer[1] not in (4, 13) or pointer[2] != 1:
        return {}
    return tiff.directory(tiff.number(pointer[3]), wanted)


def _integer(tiff: TiffReader, entry: Entry | None) -> int | None:
    """The first number of a byte, short or long entry."""
    if entry is None or entry[1] not in (1, 3, 4) or not entry[2]:
        return None
    return tiff.number(tiff.value(entry)[: SIZES[entry[1]]])


def _text(tiff: TiffReader, entry: Entry | None) -> str:
    """ASCII by the standard, UTF-8 in practice, Latin-1 in old files."""
    if entry is None or entry[1] not in (2, 7, 129):
        return ""
    raw = tiff.value(entry).split(b"\0", 1)[0][:_TEXT_LIMIT]
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if text.isprintable():
        return text.strip()
    return "".join(c if c.isprintable() else " " for c in text).strip()


def _camera(make: str, model: str) -> str | None:
    if model.lower().startswith(make.split(" ")[0].lower()) or not make:
        return model or None
    return f"{make} {model}".strip()


def _taken_at(tiff: TiffReader, main: dict[int, Entry], exif: dict[int, Entry]) -> str | None:
    original = format_time(_text(tiff, exif.get(DATE_TIME_ORIGINAL)))
    if original is None:
        return format_time(_text(tiff, main.get(DATE_TIME)))
    offset = _text(tiff, exif.get(OFFSET_TIME_ORIGINAL))
    return original + offset if _OFFSET.fullmatch(offset) else original


def format_time(text: str) -> str | None:
    """Exif's "2008:10:22 16:28:39" as ISO 8601, or None when that is no time."""
    match = _DATE.match(text)
    if match is None:
        return None
    try:
        return datetime(*map(int, match.groups())).isoformat()  # type: ignore[arg-type]
    except ValueError:
        return None


def _location(tiff: TiffReader, gps: dict[int, Entry]) -> Location | None:
    if LATITUDE not in gps or LONGITUDE not in gps or _is_inferred(tiff, gps):
        return None
    latitude = _coordinate(tiff, gps[LATITUDE], _hemisphere(tiff, gps, LATITUDE_REF, "NS"))
    longitude = _coordinate(tiff, gps[LONGITUDE], _hemisphere(tiff, gps, LONGITUDE_REF, "EW"))
    if latitude is None or longitude is None:
        return None
    return checked_location(latitude, longitude, _altitude(tiff, gps))


def checked_location(
    latitude: float, longitude: float, altitude: float | None = None
) -> Location | None:
    """The position, or None when it is out of range, not finite, or the 0,0 of a cold receiver."""
    if not (abs(latitude) <= 90 and abs(longitude) <= 180) or latitude == longitude == 0:
        return None
    if altitude is not None and not math.isfinite(altitude):
        altitude = None
    return Location(round(latitude, 8), round(longitude, 8), altitude)


def _is_inferred(tiff: TiffReader, gps: dict[int, Entry]) -> bool:
    entry = gps.get(PROCESSING_METHOD)
    return entry is not None and GPS_PROCESSING_METHOD.encode() in tiff.value(entry)


def _hemisphere(tiff: TiffReader, gps: dict[int, Entry], tag: int, signs: str) -> int | None:
    letter = _text(tiff, gps.get(tag))[:1].upper()
    return {signs[0]: 1, signs[1]: -1}.get(letter)


def _coordinate(tiff: TiffReader, entry: Entry, sign: int | None) -> float | None:
    parts = _numbers(tiff, entry)
    if sign is None or not 1 <= len(parts) <= 3:
        return None
    degrees = sum(part / scale for part, scale in zip(parts, (1, 60, 3600), strict=False))
    return sign * degrees if degrees >= 0 else None


def _numbers(tiff: TiffReader, entry: Entry) -> Sequence[float]:
    """Rationals, floats or integers; none at all where one is not finite."""
    kind, count = entry[1:3]
    value = tiff.value(entry)
    if not value or len(value) != SIZES[kind] * count:
        return ()
    prefix = PREFIXES[tiff.order]
    if kind in (5, 10):
        flat = struct.unpack(f"{prefix}{2 * count}{'I' if kind == 5 else 'i'}", value)
        if 0 in flat[1::2]:
            return ()
        return [n / d for n, d in zip(flat[::2], flat[1::2], strict=True)]
    if kind in _CODES:
        numbers = struct.unpack(f"{prefix}{count}{_CODES[kind]}", value)
        return [float(number) for number in numbers] if all(map(math.isfinite, numbers)) else ()
    return ()


def _altitude(tiff: TiffReader, gps: dict[int, Entry]) -> float | None:
    if ALTITUDE not in gps:
        return None
    metres = _numbers(tiff, gps[ALTITUDE])
    if not metres:
        return None
    below = _integer(tiff, gps.get(ALTITUDE_REF)) == 1
    return round(-metres[0] if below else metres[0], 3)


def degrees_to_rationals(degrees: float) -> Degrees:
    """Degrees, minutes and seconds to a ten-thousandth of a second (3 mm); the sign is dropped."""
    units = round(abs(degrees) * 3600 * 10_000)
    minutes, seconds = divmod(units, 60 * 10_000)
    whole, minutes = divmod(minutes, 60)
    return (whole, 1), (minutes, 1), (seconds, 10_000)


def rationals_to_degrees(rationals: Degrees) -> float:
    """The reverse of `degrees_to_rationals`. Raises ZeroDivisionError for a zero denominator."""
    return float(sum(Fraction(n, d) / 60**at for at, (n, d) in enumerate(rationals)))
