"""Exif bytes to Metadata; GPS degrees to rationals and back. Pure."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import Literal, NamedTuple

from geotag.metadata.containers import ReadRange
from geotag.metadata.marks import GPS_PROCESSING_METHOD
from geotag.records import Location, Metadata

ByteOrder = Literal["little", "big"]
Degrees = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
# Tag, type, count, and the value itself where it fits into four bytes, else its offset. A plain
# tuple, for a metadata scan makes hundreds of thousands.
_Entry = tuple[int, int, int, bytes]

# Tag numbers of Exif 2.32 (CIPA DC-008).
MAKE, MODEL, ORIENTATION, DATE_TIME, EXIF_IFD, GPS_IFD = (
    0x010F, 0x0110, 0x0112, 0x0132, 0x8769, 0x8825,
)  # fmt: skip
DATE_TIME_ORIGINAL, OFFSET_TIME_ORIGINAL = 0x9003, 0x9011
THUMBNAIL, THUMBNAIL_LENGTH = 0x0201, 0x0202
LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE = 1, 2, 3, 4
ALTITUDE_REF, ALTITUDE, PROCESSING_METHOD = 5, 6, 0x1B

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_CODES = {3: "H", 4: "I", 8: "h", 9: "i", 11: "f", 12: "d"}
_ENTRIES = {"little": struct.Struct("<HHI4s"), "big": struct.Struct(">HHI4s")}
_ORDERS: dict[bytes, ByteOrder] = {b"II": "little", b"MM": "big"}
_PREFIXES = {"little": "<", "big": ">"}
_ENTRY_LIMIT = 1000
_TEXT_LIMIT = 200
_DATE = re.compile(r"(\d{4})[:\-/.](\d{2})[:\-/.](\d{2})[ T](\d{2}):(\d{2}):(\d{2})")
_OFFSET = re.compile(r"[+-](0\d|1[0-4]):[0-5]\d")


class _Tiff(NamedTuple):
    """A TIFF structure of which `data` holds the beginning; `read` fetches what lies behind."""

    data: bytes
    order: ByteOrder
    read: ReadRange | None

    def bytes_at(self, offset: int, length: int) -> bytes:
        if offset + length <= len(self.data):
            return self.data[offset : offset + length]
        return self.read(offset, length) if self.read is not None else b""

    def directory(self, offset: int, wanted: frozenset[int]) -> dict[int, _Entry]:
        """The wanted entries of the directory at `offset`; empty where there is none."""
        head = self.bytes_at(offset, 2)
        if offset < 8 or len(head) < 2:
            return {}
        count = int.from_bytes(head, self.order)
        table = self.bytes_at(offset + 2, 12 * min(count, _ENTRY_LIMIT))
        rows = _ENTRIES[self.order].iter_unpack(table[: len(table) - len(table) % 12])
        return {row[0]: row for row in rows if row[0] in wanted}

    def value(self, entry: _Entry) -> bytes:
        _, kind, count, inline = entry
        length = _SIZES.get(kind, 0) * count
        if length <= 4:
            return inline[:length]
        if length > 65536:
            return b""
        return self.bytes_at(int.from_bytes(inline, self.order), length)

    def number(self, inline: bytes) -> int:
        return int.from_bytes(inline, self.order)


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
    order = _ORDERS.get(exif[:2])
    if order is None or len(exif) < 8:
        return Metadata()
    tiff = _Tiff(exif, order, read)
    main = tiff.directory(tiff.number(exif[4:8]), _IFD0)
    orientation = _integer(tiff, main.get(ORIENTATION))
    return Metadata(
        location=_location(tiff, _subdirectory(tiff, main.get(GPS_IFD), _GPS)),
        taken_at=_taken_at(tiff, main, _subdirectory(tiff, main.get(EXIF_IFD), _EXIF)),
        orientation=orientation if orientation and 1 <= orientation <= 8 else 1,
        camera=_camera(_text(tiff, main.get(MAKE)), _text(tiff, main.get(MODEL))),
    )


def parse_thumbnail(exif: bytes) -> bytes | None:
    """The JPEG in the second directory of a bare TIFF structure, if there is one."""
    order = _ORDERS.get(exif[:2])
    if order is None or len(exif) < 8:
        return None
    tiff = _Tiff(exif, order, None)
    first = tiff.number(exif[4:8])
    behind = first + 2 + 12 * tiff.number(tiff.bytes_at(first, 2))
    second = tiff.directory(tiff.number(tiff.bytes_at(behind, 4)), _IFD1)
    offset = _integer(tiff, second.get(THUMBNAIL)) or 0
    length = _integer(tiff, second.get(THUMBNAIL_LENGTH)) or 0
    jpeg = tiff.bytes_at(offset, length)
    return jpeg if jpeg.startswith(b"\xff\xd8") else None


def _subdirectory(tiff: _Tiff, pointer: _Entry | None, wanted: frozenset[int]) -> dict[int, _Entry]:
    if pointer is None or pointer[1] not in (4, 13) or pointer[2] != 1:
        return {}
    return tiff.directory(tiff.number(pointer[3]), wanted)


def _integer(tiff: _Tiff, entry: _Entry | None) -> int | None:
    """The first number of a byte, short or long entry."""
    if entry is None or entry[1] not in (1, 3, 4) or not entry[2]:
        return None
    return tiff.number(tiff.value(entry)[: _SIZES[entry[1]]])


def _text(tiff: _Tiff, entry: _Entry | None) -> str:
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


def _taken_at(tiff: _Tiff, main: dict[int, _Entry], exif: dict[int, _Entry]) -> str | None:
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


def _location(tiff: _Tiff, gps: dict[int, _Entry]) -> Location | None:
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


def _is_inferred(tiff: _Tiff, gps: dict[int, _Entry]) -> bool:
    entry = gps.get(PROCESSING_METHOD)
    return entry is not None and GPS_PROCESSING_METHOD.encode() in tiff.value(entry)


def _hemisphere(tiff: _Tiff, gps: dict[int, _Entry], tag: int, signs: str) -> int | None:
    letter = _text(tiff, gps.get(tag))[:1].upper()
    return {signs[0]: 1, signs[1]: -1}.get(letter)


def _coordinate(tiff: _Tiff, entry: _Entry, sign: int | None) -> float | None:
    parts = _numbers(tiff, entry)
    if sign is None or not 1 <= len(parts) <= 3:
        return None
    degrees = sum(part / scale for part, scale in zip(parts, (1, 60, 3600), strict=False))
    return sign * degrees if degrees >= 0 else None


def _numbers(tiff: _Tiff, entry: _Entry) -> Sequence[float]:
    """Rationals, floats or integers; none at all where one is not finite."""
    kind, count = entry[1:3]
    value = tiff.value(entry)
    if not value or len(value) != _SIZES[kind] * count:
        return ()
    prefix = _PREFIXES[tiff.order]
    if kind in (5, 10):
        flat = struct.unpack(f"{prefix}{2 * count}{'I' if kind == 5 else 'i'}", value)
        if 0 in flat[1::2]:
            return ()
        return [n / d for n, d in zip(flat[::2], flat[1::2], strict=True)]
    if kind in _CODES:
        numbers = struct.unpack(f"{prefix}{count}{_CODES[kind]}", value)
        return [float(number) for number in numbers] if all(map(math.isfinite, numbers)) else ()
    return ()


def _altitude(tiff: _Tiff, gps: dict[int, _Entry]) -> float | None:
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
