"""Exif bytes to Metadata. Pure."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from operator import truediv

from geotag.metadata.assembled import assemble
from geotag.metadata.marks import GPS_PROCESSING_METHOD
from geotag.metadata.positions import (
    checked_location,
    parse_altitude,
    parse_coordinate,
    signed_altitude,
    signed_degrees,
)
from geotag.metadata.ranges import ReadRange
from geotag.metadata.tiff import (
    ENTRY_LIMIT,
    PREFIXES,
    SIZES,
    ByteOrder,
    Entry,
    TiffReader,
    open_tiff,
)
from geotag.metadata.times import format_gps_time, format_time
from geotag.records import Capture, Location, Metadata

# Tag numbers of Exif 3.0 (CIPA DC-008).
WIDTH, HEIGHT, MAKE, MODEL, ORIENTATION, SOFTWARE, SUB_IFDS, EXIF_IFD, GPS_IFD = (
    0x0100, 0x0101, 0x010F, 0x0110, 0x0112, 0x0131, 0x014A, 0x8769, 0x8825,
)  # fmt: skip
TIME_ORIGINAL, TIME_DIGITIZED, OFFSET_ORIGINAL, OFFSET_DIGITIZED = 0x9003, 0x9004, 0x9011, 0x9012
FRACTION_ORIGINAL, FRACTION_DIGITIZED = 0x9291, 0x9292
PIXEL_WIDTH, PIXEL_HEIGHT, SERIAL_NUMBER = 0xA002, 0xA003, 0xA431
THUMBNAIL, THUMBNAIL_LENGTH = 0x0201, 0x0202
LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE = 1, 2, 3, 4
ALTITUDE_REF, ALTITUDE, TIME_STAMP, PROCESSING_METHOD, DATE_STAMP = 5, 6, 7, 0x1B, 0x1D

_ASCII, _RATIONAL, _SRATIONAL, _UNDEFINED, _UTF8 = 2, 5, 10, 7, 129
_TEXTS = frozenset((_ASCII, _UNDEFINED, _UTF8))
_CODES = {
    1: "B", 3: "H", 4: "I", 5: "II", 6: "b", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d", 13: "I",
}  # fmt: skip
_INTEGERS = frozenset((1, 3, 4, 6, 8, 9, 13))
_TEXT_LIMIT = 200
_DAMAGED = re.compile(rb"[^\0]{0,32}[\x01-\x08\x0e-\x1f\x7f]")
_MOST_NUMBERS = 16  # of a value: positions have three

_IFD1 = frozenset((THUMBNAIL, THUMBNAIL_LENGTH))
_POINTER = frozenset((GPS_IFD,))
_EXIF = frozenset((
    GPS_IFD, TIME_ORIGINAL, TIME_DIGITIZED, OFFSET_ORIGINAL, OFFSET_DIGITIZED, FRACTION_ORIGINAL,
    FRACTION_DIGITIZED, PIXEL_WIDTH, PIXEL_HEIGHT, SERIAL_NUMBER,
))  # fmt: skip
# Some writers put tags of the Exif directory here.
_IFD0 = _EXIF | {WIDTH, HEIGHT, MAKE, MODEL, ORIENTATION, SOFTWARE, SUB_IFDS, EXIF_IFD}
_GPS = frozenset((
    LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE, ALTITUDE_REF, ALTITUDE, TIME_STAMP,
    PROCESSING_METHOD, DATE_STAMP,
))  # fmt: skip
UNCLEAR = "the position in its Exif block cannot be understood, so none is inferred"


# What photos of one library repeat, most of it in each, is understood once.
@lru_cache(maxsize=1024)
def _decoded(value: bytes) -> str:
    raw = value.partition(b"\0")[0]
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if text.isprintable():
        return text.strip()
    return "".join(c if c.isprintable() else " " for c in text).strip()


@lru_cache(maxsize=256)
def _layout(order: ByteOrder, kind: int, count: int) -> struct.Struct:
    return struct.Struct(PREFIXES[order] + count * _CODES[kind])


@dataclass(slots=True)
class _Directory:
    """The entries of a directory that are wanted, and the structure that holds their values."""

    tiff: TiffReader
    entries: dict[int, Entry]

    def text(self, tag: int) -> str:
        """ASCII by the standard, UTF-8 in practice, Latin-1 in old files."""
        entry = self.entries.get(tag)
        if entry is None or entry[1] not in _TEXTS:
            return ""
        return _decoded(self.tiff.value(entry)[:_TEXT_LIMIT])

    def whole(self, tag: int) -> str:
        """A text without a damaged letter: a time with a digit less is another time."""
        entry = self.entries.get(tag)
        is_damaged = entry is not None and _DAMAGED.match(self.tiff.value(entry))
        return "" if is_damaged else self.text(tag)

    def letter(self, tag: int) -> str:
        """The very first letter of a text."""
        entry = self.entries.get(tag)
        if entry is None or entry[1] not in _TEXTS:
            return ""
        return self.tiff.value(entry)[:1].decode("latin-1").upper().strip("\0")

    def integer(self, tag: int) -> int:
        """The first number of an entry of whole numbers; 0 where there is none."""
        entry = self.entries.get(tag)
        if entry is None or entry[1] not in _INTEGERS or not entry[2]:
            return 0
        _, kind, count, inline = entry
        size = SIZES[kind]
        value = inline if size * count <= 4 else self.tiff.value(entry)
        return int.from_bytes(value[:size], self.tiff.order)

    def numbers(self, tag: int) -> tuple[float, ...]:
        """Rationals, floats or integers; none at all where one is not finite."""
        kind, count, value = self._value(tag)
        if kind not in _CODES:
            return ()
        flat = _layout(self.tiff.order, kind, count).unpack(value)
        if kind in (_RATIONAL, _SRATIONAL):
            above, below = flat[::2], flat[1::2]
            return tuple(map(truediv, above, below)) if 0 not in below else ()
        return tuple(map(float, flat)) if all(map(math.isfinite, flat)) else ()

    def is_blank(self, tag: int) -> bool:
        """Whether an entry holds nothing: spaces, or numbers that are all zero, also by zero, as
        cameras write them that have no position yet."""
        kind, count, value = self._value(tag)
        if kind in (_RATIONAL, _SRATIONAL):
            return not any(value[at : at + 4].strip(b"\0") for at in range(0, 8 * count, 8))
        return count == 0 or (not value.strip(b"\0 ") and kind != 0)

    def _value(self, tag: int) -> tuple[int, int, bytes]:
        """Type, count and bytes of an entry; of type 0 where they are not all there."""
        _, kind, count, _ = entry = self.entries.get(tag, (tag, 0, 0, b""))
        value = self.tiff.value(entry) if kind == _ASCII or count <= _MOST_NUMBERS else b""
        if kind not in SIZES or len(value) != SIZES[kind] * count:
            return 0, count, b""
        return kind, count, value


def parse_metadata(exif: bytes, read: ReadRange | None = None) -> Metadata:
    """What the camera wrote, from a bare TIFF structure (or its beginning, with `read`).

    Nonsense is left out, never raised: a position counts only when both coordinates are finite,
    in range, have their hemispheres and are not 0,0, and when it does not bear geotag's own mark.
    """
    tiff = open_tiff(exif, read)
    if tiff is None:
        return Metadata()
    main = _Directory(tiff, tiff.directory(tiff.first, _IFD0))
    inner = _Directory(tiff, main.entries | _subdirectory(main, EXIF_IFD, _EXIF))
    holder, gps = _holder_and_gps(main, inner)
    location, unclear = _position(gps)
    if location is None and GPS_IFD in holder.entries and _is_cut_short(holder):
        unclear = UNCLEAR
    return assemble(location, unclear, _capture(main, inner, gps), main.integer(ORIENTATION))


def parse_gps(block: bytes) -> Metadata:
    """A position from a TIFF structure of which it is the first directory, as in CR3."""
    tiff = open_tiff(block)
    if tiff is None:
        return Metadata()
    gps = _Directory(tiff, tiff.directory(tiff.first, _GPS))
    return assemble(*_position(gps), Capture(gps_time=_gps_time(gps)))


def parse_thumbnail(exif: bytes) -> bytes | None:
    """The JPEG in the second directory of a bare TIFF structure, if there is one."""
    tiff = open_tiff(exif)
    if tiff is None:
        return None
    second = _Directory(tiff, tiff.directory(tiff.next(tiff.first), _IFD1))
    jpeg = tiff.bytes_at(second.integer(THUMBNAIL), second.integer(THUMBNAIL_LENGTH))
    return jpeg if jpeg.startswith(b"\xff\xd8") else None


def _subdirectory(main: _Directory, pointer: int, wanted: frozenset[int]) -> dict[int, Entry]:
    return main.tiff.directory(main.integer(pointer), wanted)


def _holders(main: _Directory, inner: _Directory) -> Iterator[_Directory]:
    """The directories that may point to the one of the position: the first, and, as some writers
    have it, that of Exif or a later one."""
    tiff = main.tiff
    yield main
    yield inner
    for offset in chain(tiff.later(), map(int, main.numbers(SUB_IFDS))):
        yield _Directory(tiff, tiff.directory(offset, _POINTER))


def _holder_and_gps(main: _Directory, inner: _Directory) -> tuple[_Directory, _Directory]:
    """The first directory that points to one that holds a position or is not all there, and that
    one; else what the first directory of all points to."""
    for holder in _holders(main, inner):
        if GPS_IFD in holder.entries:
            gps = _Directory(holder.tiff, _subdirectory(holder, GPS_IFD, _GPS))
            if LATITUDE in gps.entries or LONGITUDE in gps.entries or _is_cut_short(holder):
                return holder, gps
    return main, _Directory(main.tiff, _subdirectory(main, GPS_IFD, _GPS))


def _is_cut_short(main: _Directory) -> bool:
    """Whether the directory of the position is not where it should be, or not all of it."""
    at = main.integer(GPS_IFD)
    if at == 0:  # as programs write it that took the directory out
        return not main.is_blank(GPS_IFD)
    count, table = main.tiff.table(at)
    is_there = at >= 8 and len(main.tiff.bytes_at(at, 2)) == 2
    return not is_there or len(table) < 12 * min(count, ENTRY_LIMIT)


def _capture(main: _Directory, inner: _Directory, gps: _Directory) -> Capture:
    return Capture(
        time=_time(inner),
        gps_time=_gps_time(gps),
        make=main.text(MAKE),
        model=main.text(MODEL),
        serial_number=inner.text(SERIAL_NUMBER),
        software=main.text(SOFTWARE),
        width=inner.integer(PIXEL_WIDTH) or main.integer(WIDTH),
        height=inner.integer(PIXEL_HEIGHT) or main.integer(HEIGHT),
    )


def _time(inner: _Directory) -> str:
    """When it was taken, or digitized; the time of the last change is neither."""
    for tag, offset, fraction in (
        (TIME_ORIGINAL, OFFSET_ORIGINAL, FRACTION_ORIGINAL),
        (TIME_DIGITIZED, OFFSET_DIGITIZED, FRACTION_DIGITIZED),
    ):
        time = format_time(inner.whole(tag), inner.text(offset), inner.text(fraction))
        if time:
            return time
    return ""


def _gps_time(gps: _Directory) -> str:
    if DATE_STAMP not in gps.entries or TIME_STAMP not in gps.entries:
        return ""
    return format_gps_time(gps.whole(DATE_STAMP), gps.numbers(TIME_STAMP))


def _position(gps: _Directory) -> tuple[Location | None, str]:
    """The position, or why one that is there is not understood."""
    if (LATITUDE not in gps.entries and LONGITUDE not in gps.entries) or _is_inferred(gps):
        return None, ""
    latitude = _coordinate(gps, LATITUDE, LATITUDE_REF, "NS")
    longitude = _coordinate(gps, LONGITUDE, LONGITUDE_REF, "EW")
    if latitude is not None and longitude is not None:
        location = checked_location(latitude, longitude, _altitude(gps))
        if location is not None or latitude == longitude == 0:
            return location, ""
    return None, "" if gps.is_blank(LATITUDE) and gps.is_blank(LONGITUDE) else UNCLEAR


def _is_inferred(gps: _Directory) -> bool:
    entry = gps.entries.get(PROCESSING_METHOD)
    return entry is not None and GPS_PROCESSING_METHOD.encode() in gps.tiff.value(entry)


def _coordinate(gps: _Directory, tag: int, reference: int, hemispheres: str) -> float | None:
    letter = gps.letter(reference)
    entry = gps.entries.get(tag)
    if entry is not None and entry[1] == _ASCII:
        return parse_coordinate(gps.whole(tag), hemispheres, letter)
    if not letter or letter not in hemispheres:
        return None
    return signed_degrees(gps.numbers(tag), hemispheres, letter, limit=math.inf)


def _altitude(gps: _Directory) -> float | None:
    if ALTITUDE not in gps.entries:
        return None
    reference = gps.text(ALTITUDE_REF) or str(gps.integer(ALTITUDE_REF))
    if gps.entries[ALTITUDE][1] == _ASCII:
        return parse_altitude(gps.whole(ALTITUDE), reference)
    metres = gps.numbers(ALTITUDE)
    return signed_altitude(metres[0], reference) if metres else None
