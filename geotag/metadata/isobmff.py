"""Finds the metadata of HEIF, AVIF and CR3 files (ISO/IEC 14496-12, 23008-12).

Canon's boxes of CR3 are as exiftool and Laurent Clévy ("Describing the Canon Raw v3 file format")
tell.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from geotag.metadata.blocks import BLOCK_LIMIT, MOST_BLOCKS, TIFF_MAGICS, Blocks
from geotag.metadata.ranges import ReadRange, buffered

_META_LIMIT = 4 * 2**20
_FILE_SIZE_LIMIT = 2**40
_BOX_COUNT_LIMIT = 4096
_CANON = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_CANON_BLOCKS = (b"CMT1", b"CMT2", b"CMT4")  # IFD0, the Exif directory, the one of the position
_IN_FILE, _IN_IDAT, _IN_ANOTHER = 0, 1, -1  # construction methods of items, and another file
_EXIF_HEAD = 64  # bytes of an item in which its TIFF header begins
_UNREAD = "it has a metadata item that cannot be read, so no position is inferred"
# Sequences of pictures may tell their position as films do, and Canon's in a box of its own.
_FILM_BRANDS = (b"msf1", b"hevc", b"hevx", b"avis")
_FILM_BOXES = (b"moov", b"udta")
_FILM_POSITIONS = (b"\xa9xyz", b"location.ISO6709", b"loci", b"CMT4")
_AS_IN_FILMS = "it has a position in the way of videos, which is not read, so none is inferred"


class _Box(NamedTuple):
    kind: bytes
    start: int
    end: int


class _Item(NamedTuple):
    """Where an item lies: in the file or in the idat box, in one or more extents."""

    method: int
    extents: tuple[tuple[int, int], ...]


_NOWHERE = _Item(_IN_FILE, ())


def find_in_heif(format: str, header: bytes, read: ReadRange) -> Blocks:
    """The Exif and XMP items of a HEIF or AVIF file, and packets in boxes of their own."""
    is_film = any(brand in header[8:64] for brand in _FILM_BRANDS)
    read = buffered(header, read)
    meta: _Box | None = None
    xmps: list[bytes] = []
    unread = ""
    for box in _boxes(read, 0, _FILE_SIZE_LIMIT):
        if box.kind == b"uuid" and len(xmps) < MOST_BLOCKS and read(box.start, 16) == _XMP:
            xmps.append(read(box.start + 16, min(box.end - box.start - 16, BLOCK_LIMIT)))
        elif box.kind in _FILM_BOXES and _is_placed_as_films_are(read, box):
            unread = _AS_IN_FILMS
        meta = meta or (box if box.kind == b"meta" else None)
        if meta is not None and box.end > len(header) and not is_film:  # not worth another read
            break
    if meta is None:
        return Blocks(format, xmps=tuple(xmps), unread_position=unread)
    if meta.end - meta.start > _META_LIMIT:
        return Blocks(format, xmps=tuple(xmps), unread_position=_UNREAD)
    body = read(meta.start, meta.end - meta.start)
    items = _Items(read, body)
    exifs = tuple(map(_bare_tiff, items.read_all(b"Exif")))
    if not all(exifs):
        unread = _UNREAD
    exifs = tuple(filter(None, exifs))
    packets = tuple(items.read_all(b"mime"))
    return Blocks(format, exifs, (*packets, *xmps), unread_position=items.unread or unread)


def _is_placed_as_films_are(read: ReadRange, box: _Box) -> bool:
    data = read(box.start, min(box.end - box.start, _META_LIMIT))
    return any(mark in data for mark in _FILM_POSITIONS)


def find_in_cr3(header: bytes, read: ReadRange) -> Blocks:
    """The directories that Canon keeps apart, and the XMP packet."""
    read = buffered(header, read)
    blocks: dict[bytes, bytes] = {}
    for box in _boxes(read, 0, _FILE_SIZE_LIMIT):
        if box.kind == b"moov":
            for child in _boxes(read, box.start, box.end):
                if child.kind == b"uuid" and read(child.start, 16) == _CANON:
                    blocks |= _canon_blocks(read, child)
        elif box.kind == b"uuid" and read(box.start, 16) == _XMP:
            blocks[b"xmp"] = read(box.start + 16, min(box.end - box.start - 16, BLOCK_LIMIT))
    exifs = tuple(blocks[kind] for kind in _CANON_BLOCKS[:2] if kind in blocks)
    xmps = (blocks[b"xmp"],) if b"xmp" in blocks else ()
    return Blocks("raw", exifs, xmps, gps=blocks.get(b"CMT4"))


def _canon_blocks(read: ReadRange, parent: _Box) -> dict[bytes, bytes]:
    return {
        box.kind: read(box.start, box.end - box.start)
        for box in _boxes(read, parent.start + 16, parent.end)
        if box.kind in _CANON_BLOCKS and box.end - box.start <= BLOCK_LIMIT
    }


def _boxes(read: ReadRange, start: int, end: int) -> Iterator[_Box]:
    """The boxes from `start` to `end`, payload bounds only."""
    for _ in range(_BOX_COUNT_LIMIT):
        head = read(start, 16)
        if start + 8 > end or len(head) < 8:
            return
        size, kind = struct.unpack(">I4s", head[:8])
        payload = start + 8
        if size == 1 and len(head) == 16:
            (size,) = struct.unpack(">Q", head[8:])
            payload = start + 16
        elif size == 0:
            size = end - start
        if size < payload - start:
            return
        yield _Box(kind, payload, min(start + size, end))
        start += size


def _children(body: bytes, start: int) -> Iterator[_Box]:
    return _boxes(lambda offset, length: body[offset : offset + length], start, len(body))


def _payloads(body: bytes, kind: bytes) -> Iterator[bytes]:
    """What the boxes of a kind hold that are in a metadata box."""
    return (body[b.start : b.end] for b in _children(body, 4) if b.kind == kind)


def _item_kinds(body: bytes) -> dict[int, bytes]:
    """Item id to type, from the item information box; `mime` only when it is XMP."""
    kinds: dict[int, bytes] = {}
    for info in _payloads(body, b"iinf"):
        for entry in _children(info, 6 if info[:1] == b"\0" else 8):
            data = info[entry.start : entry.end]
            if entry.kind != b"infe" or len(data) < 12 or data[0] not in (2, 3):
                continue
            wide = data[0] == 3
            item = int.from_bytes(data[4 : 8 if wide else 6], "big")
            at = 10 if wide else 8
            kind = data[at : at + 4]
            if kind != b"mime" or b"application/rdf+xml" in data[at:]:
                kinds[item] = kind
    return kinds


def _item_places(body: bytes) -> dict[int, _Item]:
    """Item id to its place."""
    try:
        return dict(_parse_iloc(next(_payloads(body, b"iloc"), b"")))
    except (IndexError, struct.error):
        return {}


def _parse_iloc(data: bytes) -> Iterator[tuple[int, _Item]]:
    """The items' places; no count is believed that has no bytes behind it."""
    version = data[0]
    offset_size, length_size = data[4] >> 4, data[4] & 15
    base_size, index_size = data[5] >> 4, (data[5] & 15) if version else 0
    extent_size = index_size + offset_size + length_size
    at = 6

    def number(size: int) -> int:
        nonlocal at
        if at + size > len(data):
            raise IndexError(at)
        at += size
        return int.from_bytes(data[at - size : at], "big")

    wide = 4 if version == 2 else 2
    for _ in range(number(wide)):
        item = number(wide)
        method = number(2) & 15 if version else _IN_FILE
        if number(2):  # it lies in another file
            method = _IN_ANOTHER
        base = number(base_size)
        count = number(2)
        if not length_size or at + count * extent_size > len(data):
            return
        extents = []
        for _ in range(count):
            number(index_size)
            offset = number(offset_size)
            extents.append((base + offset, number(length_size)))
        yield item, _Item(method, tuple(extents))


class _Items:
    """The items of a metadata box; `unread` says so where one of them could not be read."""

    def __init__(self, read: ReadRange, body: bytes) -> None:
        self.unread = ""
        self._read = read
        self._body = body
        self._kinds = _item_kinds(body)
        self._places = _item_places(body)

    def read_all(self, kind: bytes) -> Iterator[bytes]:
        """The items of a kind that can be read, no more of them than are large together."""
        total = 0
        for number, item in enumerate(i for i in sorted(self._kinds) if self._kinds[i] == kind):
            place = self._places.get(item, _NOWHERE)
            length = sum(length for _, length in place.extents)
            total += length
            if number == MOST_BLOCKS or total > BLOCK_LIMIT:
                self.unread = _UNREAD
                return
            fetch = _in_idat(self._body) if place.method == _IN_IDAT else self._read
            is_known = place.method in (_IN_FILE, _IN_IDAT)
            data = b"".join(fetch(*extent) for extent in place.extents) if is_known else b""
            if len(data) < max(length, 1):
                self.unread = _UNREAD
            if data:
                yield data


def _in_idat(body: bytes) -> ReadRange:
    """Reads of the box that holds items inside of the metadata."""
    data = next(_payloads(body, b"idat"), b"")
    return lambda offset, length: data[offset : offset + length]


def _bare_tiff(item: bytes) -> bytes:
    """An Exif item begins with the offset of its TIFF header, which some writers leave out, and
    others get wrong. Empty where there is no such header."""
    if item[:4] in TIFF_MAGICS:
        return item
    skip = int.from_bytes(item[:4], "big")
    if item[4 + skip : 8 + skip] in TIFF_MAGICS:
        return item[4 + skip :]
    found = (item.find(magic, 0, _EXIF_HEAD) for magic in TIFF_MAGICS)
    at = min((at for at in found if at >= 0), default=len(item))
    return item[at:]
