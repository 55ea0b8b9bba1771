"""Walks the marker segments of JPEGs (ITU-T T.81, B.1.1; Exif 2.32, 4.5.4)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from geotag.metadata.blocks import (
    BLOCK_LIMIT,
    EXIF_PREFIX,
    MOST_BLOCKS,
    PART_LIMIT,
    TIFF_MAGICS,
    TOO_MANY,
    XMP_PREFIX,
    Blocks,
)
from geotag.metadata.photoshop import PREFIX as PHOTOSHOP_PREFIX
from geotag.metadata.photoshop import blocks_in_resources
from geotag.metadata.ranges import ReadRange

# What a walk reads at a time where reading costs by the byte, on a disk; twice as much each time
# where it finds no segment.
STEP = 4096
_LARGEST_STEP = 2**20
_APP1, _APP13, _SOS = 0xE1, 0xED, 0xDA
_STAND_ALONE = frozenset((0x01, *range(0xD0, 0xDA)))  # no length follows
_ENDS = _STAND_ALONE | {_SOS}
# Frame headers, which tell the size of the picture (B.2.2).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_FILL = re.compile(rb"\xff*(?=\xff)")
_MARKER = re.compile(rb"\xff(?=[^\x00\xff])")
# Some cameras leave the second NUL out, or put something before.
_UNUSUAL_EXIF = re.compile(rb".{0,4}Exif\0.", re.IGNORECASE | re.DOTALL)
_UNUSUAL_XMP = re.compile(rb"<\?xpacket|<x:xmpmeta|<rdf:RDF")
_EXTENDED_PREFIX = b"http://ns.adobe.com/xmp/extension/\0"
_EXTENDED_HEAD = len(_EXTENDED_PREFIX) + 40  # and its GUID, whole length, and offset
_LARGEST_GAP = 64
# Of a block that goes on over several segments: positions come first.
_SPLIT_LIMIT = 2**20


class Segment(NamedTuple):
    """One marker segment of a JPEG: `start` is the offset of its 0xFF, `end` is behind it."""

    marker: int
    start: int
    end: int
    payload: bytes


def jpeg_segments(data: bytes) -> Iterator[Segment]:
    """The marker segments from SOI up to the start of scan (included, as its header alone).

    Stops at the first byte that is no marker, at a segment that `data` does not hold whole, and
    where there are too many.
    """
    at = 2
    for _ in range(PART_LIMIT):
        found = _FILL.match(data, at)
        segment = _segment_at(data, found.end() if found else at)
        if segment is None:
            return
        yield segment
        if segment.marker == _SOS:
            return
        at = segment.end


def _segment_at(data: bytes, at: int) -> Segment | None:
    if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] in _STAND_ALONE:
        return None
    end = at + 2 + (data[at + 2] << 8 | data[at + 3])
    if end < at + 4 or end > len(data):
        return None
    return Segment(data[at + 1], at, end, data[at + 4 : end])


def without_gaps(data: bytes) -> bytes:
    """The same picture without fill and foreign bytes between its segments, where there are many.

    Decoders pass over them byte by byte.
    """
    parts, at, gaps = [data[:2]], 2, 0
    for _ in range(PART_LIMIT):
        found = _MARKER.search(data, at)
        segment = _segment_at(data, found.start()) if found else None
        if segment is None or segment.marker == _SOS:
            break
        gaps += segment.start - at
        parts.append(data[segment.start : segment.end])
        at = segment.end
    start = max(at, found.start()) if found else at
    if gaps + start - at <= _LARGEST_GAP:
        return data
    return b"".join((*parts, data[start:]))


def find_in_jpeg(header: bytes, read: ReadRange) -> Blocks:
    """Walks the markers without copying segments: this is the hot path of a metadata scan."""
    exifs: list[bytes] = []
    xmps: list[bytes] = []
    extended: list[tuple[bytes, int, int, int]] = []
    size = None
    at, base, data, step = 2, 0, header, STEP
    for _ in range(PART_LIMIT):
        here = at - base
        if here + 40 > len(data):
            data, base, here = read(at, step), at, 0
            if len(data) < 4 or at > BLOCK_LIMIT:
                break
        marker = data[here + 1]
        if data[here] != 0xFF or marker == 0xFF or marker == 0:
            found = _MARKER.search(data, here)
            at = base + (found.start() if found else len(data) - 1)
            step = STEP if found else min(2 * step, _LARGEST_STEP)
            continue
        if marker in _ENDS:
            break
        length = max(2, data[here + 2] << 8 | data[here + 3])
        payload = here + 4
        if marker == _APP1 or (marker == _APP13 and data.startswith(PHOTOSHOP_PREFIX, payload)):
            behind = here + 2 + length
            if data.startswith(_EXTENDED_PREFIX, payload):
                extended += _extended_part(data[payload : payload + _EXTENDED_HEAD], at, length)
            else:
                if behind > len(data):  # one read for the rest and for what follows
                    data = data[here:] + read(base + len(data), behind - len(data) + STEP)
                    base, here, payload, behind = at, 0, 4, 2 + length
                _take_block(data[payload:behind], exifs, xmps)
        elif marker in _FRAMES and here + 9 <= len(data):
            height, width = struct.unpack_from(">HH", data, here + 5)
            size = (width, height) if width and height else None
        at += 2 + length
    parts = tuple((packet, start, length) for packet, _, start, length in sorted(extended))
    unread = TOO_MANY if len(exifs) + len(xmps) > MOST_BLOCKS else ""
    return Blocks(
        "jpeg", tuple(exifs), tuple(xmps), extended=parts, size=size, unread_position=unread
    )


def _take_block(payload: bytes, exifs: list[bytes], xmps: list[bytes]) -> None:
    """What a segment holds. A block above 64 KiB goes on in the next segment, behind an
    identifier but without a TIFF header of its own."""
    if len(exifs) + len(xmps) > MOST_BLOCKS:
        return
    if payload.startswith(XMP_PREFIX):
        xmps.append(payload[len(XMP_PREFIX) :])
    elif payload.startswith(EXIF_PREFIX):
        if not exifs or payload[6:10] in TIFF_MAGICS:
            exifs.append(payload[6:])
        elif len(exifs[-1]) < _SPLIT_LIMIT:
            exifs[-1] += payload[6:]
    elif payload.startswith(PHOTOSHOP_PREFIX):
        for kind, block in islice(blocks_in_resources(payload), MOST_BLOCKS):
            (exifs if kind == "exif" else xmps).append(block)
    elif found := _UNUSUAL_EXIF.match(payload):
        exifs.append(payload[found.end() :])
    elif found := _UNUSUAL_XMP.search(payload):
        xmps.append(payload[found.start() :])


def _extended_part(head: bytes, at: int, length: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Of which packet it is a part, by its GUID; where it belongs in that, where it lies in the
    file, and its length."""
    if len(head) == _EXTENDED_HEAD < length:
        (offset,) = struct.unpack(">I", head[-4:])
        yield head[-40:-8], offset, at + 4 + _EXTENDED_HEAD, length - 2 - _EXTENDED_HEAD
