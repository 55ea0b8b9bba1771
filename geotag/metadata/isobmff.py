"""Finds the Exif and XMP items of HEIF and AVIF files (ISO/IEC 14496-12, 23008-12)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from geotag.metadata.ranges import ReadRange

META_LIMIT = 4 * 2**20
ITEM_LIMIT = 16 * 2**20
_BOX_COUNT_LIMIT = 4096


class _Box(NamedTuple):
    kind: bytes
    start: int
    end: int


class _Extent(NamedTuple):
    offset: int
    length: int


def find_items(read: ReadRange, file_size: int) -> tuple[bytes | None, bytes | None]:
    """The Exif block as a bare TIFF structure, and the XMP packet; None for what is not there."""
    meta = next((b for b in _boxes(read, 0, file_size) if b.kind == b"meta"), None)
    if meta is None or meta.end - meta.start > META_LIMIT:
        return None, None
    body = read(meta.start, meta.end - meta.start)
    kinds = _item_kinds(body)
    extents = _item_extents(body)
    exif = _read_item(read, kinds, extents, b"Exif")
    return _bare_tiff(exif), _read_item(read, kinds, extents, b"mime")


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


def _children(body: bytes, start: int, end: int) -> Iterator[_Box]:
    return _boxes(lambda offset, length: body[offset : offset + length], start, end)


def _item_kinds(body: bytes) -> dict[int, bytes]:
    """Item id to type, from the item information box; `mime` only when it is XMP."""
    kinds: dict[int, bytes] = {}
    for box in _children(body, 4, len(body)):
        if box.kind != b"iinf":
            continue
        first = box.start + (6 if body[box.start : box.start + 1] == b"\0" else 8)
        for entry in _children(body, first, box.end):
            data = body[entry.start : entry.end]
            if entry.kind != b"infe" or len(data) < 12 or data[0] not in (2, 3):
                continue
            wide = data[0] == 3
            item = int.from_bytes(data[4 : 8 if wide else 6], "big")
            at = 10 if wide else 8
            kind = data[at : at + 4]
            if kind != b"mime" or b"application/rdf+xml" in data[at:]:
                kinds[item] = kind
    return kinds


def _item_extents(body: bytes) -> dict[int, _Extent]:
    """Item id to its place in the file: items of one extent that lie in the file itself."""
    for box in _children(body, 4, len(body)):
        if box.kind == b"iloc":
            try:
                return dict(_parse_iloc(body[box.start : box.end]))
            except (IndexError, struct.error):
                return {}
    return {}


def _parse_iloc(data: bytes) -> Iterator[tuple[int, _Extent]]:
    version = data[0]
    offset_size, length_size = data[4] >> 4, data[4] & 15
    base_size, index_size = data[5] >> 4, (data[5] & 15) if version else 0
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
        method = number(2) & 15 if version else 0
        number(2)  # data reference index
        base = number(base_size)
        extents = []
        for _ in range(number(2)):
            number(index_size)
            offset = number(offset_size)
            extents.append(_Extent(base + offset, number(length_size)))
        if method == 0 and len(extents) == 1:
            yield item, extents[0]


def _read_item(
    read: ReadRange, kinds: dict[int, bytes], extents: dict[int, _Extent], kind: bytes
) -> bytes | None:
    for item in sorted(kinds):
        if kinds[item] == kind and item in extents and extents[item].length <= ITEM_LIMIT:
            return read(*extents[item])
    return None


def _bare_tiff(item: bytes | None) -> bytes | None:
    """An Exif item begins with the offset of its TIFF header."""
    if item is None or len(item) < 8:
        return None
    (skip,) = struct.unpack(">I", item[:4])
    return item[4 + skip :]
