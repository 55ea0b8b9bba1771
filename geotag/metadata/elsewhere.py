"""Positions in places of a photo where none is read: none may be inferred beside them. Pure.

exiftool reads these only where it is asked to look into embedded files (-ee), or in formats of
their own: a second picture behind the first one (CIPA DC-007), blocks between the scans of a JPEG,
films behind or beside a picture, content credentials (C2PA), and what GoPro and FLIR write.
"""

from __future__ import annotations

import re
from itertools import chain, islice

from geotag.metadata.blocks import EXIF_PREFIX, MOST_BLOCKS, Blocks
from geotag.metadata.containers import find_blocks
from geotag.metadata.exif import parse_metadata
from geotag.metadata.jpeg import Segment, jpeg_segments

_WHY = (
    "it has a position where none is read (behind or between its picture data, in a film, or in a "
    "block of another kind), so none is inferred"
)
_APP1, _APP6 = 0xE1, 0xE6
_END = b"\xff\xd9"
_END_OR_BLOCK = re.compile(rb"\xff[\xd9\xe1]")  # a third of the time of two plain searches
POSITION_NAME = b"GPSLatitude"
_TRAILING_NAMES = (b"Latitude", b"latitude")  # also of MIE, and of drones' makers
_EXIF = re.compile(rb"Exif\0\0(?=II\*\0|MM\0\*)")
_EXIF_LENGTH = 2**16
_FILM_MARKS = (b"\xa9xyz", b"ISO6709", b"loci\0\0\0\0")
_FILM = re.compile(rb"\xa9xyz.{4}[+-]\d\d|ISO6709|loci\0\0\0\0", re.DOTALL)
_GOPRO = (b"GPS5", b"GPS9")
# Of a FLIR file that lies in segments: a record of a position says first whether it is valid.
_FLIR = b"FLIR\0"
_FLIR_GPS = re.compile(rb"[NS]\0[EW]\0")
_VALID = (b"\1\0\0\0", b"\0\0\0\1")


def position_elsewhere(data: bytes) -> str:
    """Why no position may be inferred of a photo that tells none in its blocks; empty otherwise.

    Takes all bytes of the photo, and copies none of them. Raises PhotoError when they are no
    photo's.
    """
    blocks = find_blocks(lambda offset, length: data[offset : offset + length])
    if blocks.format == "jpeg":
        is_there = _is_in_jpeg(data, blocks)
    else:
        is_there = _is_named(data, len(data), blocks) or _is_behind(data, 0)
    return _WHY if is_there else ""


def _is_named(data: bytes, end: int, blocks: Blocks) -> bool:
    """Whether a name stands before `end` in none of the blocks that are read."""
    packets = (packet for packet in blocks.xmps if not any(packet in exif for exif in blocks.exifs))
    extended = (data[start : start + length] for _, start, length in blocks.extended)
    known = sum(b.count(POSITION_NAME) for b in chain(blocks.exifs, packets, extended))
    return data.count(POSITION_NAME, 0, end) > known


def _is_behind(data: bytes, start: int) -> bool:
    """Whether there is a film with a position behind an offset, or an Exif block with one."""
    # Plain searches are far faster than expressions.
    is_film = any(data.find(mark, start) >= 0 for mark in _FILM_MARKS)
    if is_film and _FILM.search(data, start):
        return True
    is_exif = data.find(EXIF_PREFIX, start) >= 0
    return is_exif and any(map(_is_placed, islice(_EXIF.finditer(data, start), MOST_BLOCKS)))


def _is_in_jpeg(data: bytes, blocks: Blocks) -> bool:
    scan = 2
    for segment in jpeg_segments(data):
        if _is_in_segment(segment):
            return True
        scan = segment.end
    behind = _behind_picture(data, scan)
    return (
        _is_named(data, scan, blocks)
        or _is_behind(data, behind)
        or any(data.find(name, behind) >= 0 for name in _TRAILING_NAMES)
    )


def _behind_picture(data: bytes, scan: int) -> int:
    """Where that begins which follows the picture's data; or these, where there is a block between
    them."""
    found = _END_OR_BLOCK.search(data, scan)
    return found.end() if found and found[0] == _END else scan


def _is_placed(found: re.Match[bytes]) -> bool:
    block = found.string[found.end() : found.end() + _EXIF_LENGTH]
    metadata = parse_metadata(block)
    return metadata.location is not None or bool(metadata.position_unclear)


def _is_in_segment(segment: Segment) -> bool:
    if segment.marker == _APP6:
        return any(name in segment.payload for name in _GOPRO)
    if segment.marker != _APP1 or not segment.payload.startswith(_FLIR):
        return False
    found = islice(_FLIR_GPS.finditer(segment.payload, 8), MOST_BLOCKS)
    return any(segment.payload[one.start() - 8 : one.start() - 4] in _VALID for one in found)
