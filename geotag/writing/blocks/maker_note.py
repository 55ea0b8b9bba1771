"""Tells whether a MakerNote can stand an Exif block that grows behind it. Pure.

Programs that do not know a MakerNote move it or cut the block, and leave it with offsets that point
behind the block's end. Nothing is read there, until something else comes to lie there.
"""

from __future__ import annotations

from typing import NamedTuple

from geotag.metadata.tiff import ORDERS, PREFIXES, SIZES, ByteOrder, TiffReader
from geotag.writing.blocks.tiff import LONG, MAKER_NOTE, SMALLEST_DIRECTORY, Tiff


class _Layout(NamedTuple):
    """A MakerNote's directory: where it begins in the note, its byte order, and the place in the
    note from which its offsets count (None: they count from the start of the Exif block)."""

    at: int
    order: ByteOrder
    base: int | None


class _Value(NamedTuple):
    """A value that lies apart from its entry; or a number in its entry, perhaps an offset."""

    start: int
    stop: int
    is_apart: bool


# Makers whose notes have a header and count from the Exif block: the header, and its length.
_HEADERS = (
    (b"Nikon\0\1", 8),
    (b"OLYMP\0", 8),
    (b"EPSON\0", 8),
    (b"AGFA", 8),
    (b"SANYO\0", 8),
    (b"MINOL\0", 8),
    (b"CAMER\0", 8),
    (b"Panasonic\0\0\0", 12),
    (b"SONY ", 12),
    (b"Ricoh", 8),
    (b"RICOH", 8),
    (b"SIGMA\0\0\0", 10),
    (b"FOVEON\0\0", 10),
    (b"QVC\0\0\0", 6),
    (b"AOC\0", 6),
    (b"LEICA\0", 8),
    (b"KYOCERA", 22),
)


def points_outside(tiff: Tiff, growth: int) -> bool:
    """Whether the block's MakerNote is a directory with values that lie outside of the block, or
    with a number that may point to a directory in or before what is to be appended: `growth` bytes.

    A note of a maker that is not known is read as a directory without a header, which most are;
    one that is none has no such values, as far as anyone can tell.
    """
    entry = tiff.get(("exif", MAKER_NOTE))
    if entry is None or not entry.data:
        return False
    layout = _layout(entry.data, tiff.order)
    base = 0 if layout.base is None else entry.value_at + layout.base
    end = len(tiff.block)
    reach = range(end - SMALLEST_DIRECTORY + 1, end + growth)
    return any(
        base + value.stop > end if value.is_apart else base + value.start in reach
        for value in _values(entry.data, layout)
    )


def _layout(note: bytes, order: ByteOrder) -> _Layout:
    own = ORDERS
    if note.startswith(b"Nikon\0\2") and note[10:12] in own:
        order = own[note[10:12]]
        return _Layout(10 + _number(note, 14, order), order, 10)
    if note.startswith(b"Apple iOS\0"):
        return _Layout(14, own.get(note[12:14], "big"), 0)
    if note.startswith(b"OLYMPUS\0"):
        return _Layout(12, own.get(note[8:10], order), 0)
    if note.startswith(b"OM SYSTEM\0"):
        return _Layout(16, own.get(note[12:14], order), 0)
    if note.startswith((b"FUJIFILM", b"GENERALE")):
        return _Layout(_number(note, 8, "little"), "little", 0)
    if note.startswith((b"PENTAX \0", b"SAMSUNG\0")):
        return _Layout(10, own.get(note[8:10], order), 0)
    for header, length in _HEADERS:
        if note.startswith(header):
            return _Layout(length, order, None)
    return _Layout(0, order, None)


def _number(note: bytes, at: int, order: ByteOrder) -> int:
    return int.from_bytes(note[at : at + 4], order)


def _values(note: bytes, layout: _Layout) -> list[_Value]:
    """The values of the note's directory; none where there is no directory.

    Some cameras write a directory in the other byte order than the block's.
    """
    for order in sorted(PREFIXES, key=lambda order: order != layout.order):
        found = _directory(note, layout.at, order)
        if found is not None:
            return found
    return []


def _directory(note: bytes, at: int, order: ByteOrder) -> list[_Value] | None:
    reader = TiffReader(note, order)
    count, table = reader.table(at) if at >= 0 else (0, b"")
    if count == 0 or len(table) != 12 * count:
        return None
    values: list[_Value] = []
    for _, kind, length, inline in reader.entries(table):
        if kind not in SIZES:
            return None
        number, size = reader.number(inline), SIZES[kind] * length
        if size > 4:
            values.append(_Value(number, number + size, True))
        elif kind in (LONG, 13) and length == 1:
            values.append(_Value(number, number, False))
    return values
