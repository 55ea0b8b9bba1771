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
POSITION_NAME = b"GPSLatitude"
_TRAILING_NAME = b"latitude"  # also of MIE, and of drones' makers
_EXIF = re.compile(rb"Exif\0\0(?=II\*\0|MM\0\*)")
_EXIF_LENGTH = 2**16
_FILM_MARKS = (b"\xa9xyz", b"ISO6709", b"loci\0\0\0\0")
_FILM = re.compile(rb"\xa9xyz.{4}[+-]\d\d|ISO6709|loci\0\0\0\0", re.DOTALL)
_GOPRO = (b"GPS5", b"GPS9")
# Of a FLIR file that lies in segments: a record of a position that says that it is valid.
_FLIR = b"FLIR\0"
_FLIR_GPS = re.compile(rb"(?:\x01\0\0\0|\0\0\0\x01).{4}[NS]\0[EW]\0", re.DOTALL)


def position_elsewhere(data: bytes) -> str:
    """Why no position may be inferred of a photo that tells none in its blocks; empty otherwise.

    Takes all bytes of the photo. Raises PhotoError when they are no photo's.
    """
    blocks = find_blocks(lambda offset, length: data[offset : offset + length])
    if blocks.format == "jpeg":
        is_there = _is_in_jpeg(data, blocks)
    else:
        is_there = _is_named(data, blocks) or _is_in_film(data) or _is_in_exif(data)
    return _WHY if is_there else ""


def _is_named(data: bytes, blocks: Blocks) -> bool:
    """Whether a name stands in none of the blocks that are read."""
    packets = (packet for packet in blocks.xmps if not any(packet in exif for exif in blocks.exifs))
    extended = (data[start : start + length] for start, length in blocks.extended)
    known = sum(b.count(POSITION_NAME) for b in chain(blocks.exifs, packets, extended))
    return data.count(POSITION_NAME) > known


def _is_in_film(data: bytes) -> bool:
    is_likely = any(mark in data for mark in _FILM_MARKS)  # far faster than the expression
    return is_likely and _FILM.search(data) is not None


def _is_in_jpeg(data: bytes, blocks: Blocks) -> bool:
    segments = list(jpeg_segments(data))
    scan = segments[-1].end if segments else 2
    behind = _behind_picture(data, scan)
    return (
        _is_named(data[:scan], blocks)
        or any(map(_is_in_segment, segments))
        or _is_in_exif(behind)
        or _TRAILING_NAME in behind.lower()
        or _is_in_film(behind)
    )


def _behind_picture(data: bytes, scan: int) -> bytes:
    """What follows the picture's data; with that, where there is a block between."""
    end = data.find(b"\xff\xd9", scan)
    is_plain = end >= 0 and data.find(b"\xff\xe1", scan, end) < 0
    return data[end + 2 :] if is_plain else data[scan:]


def _is_in_exif(data: bytes) -> bool:
    is_likely = EXIF_PREFIX in data
    return is_likely and any(map(_is_placed, islice(_EXIF.finditer(data), MOST_BLOCKS)))


def _is_placed(found: re.Match[bytes]) -> bool:
    block = found.string[found.end() : found.end() + _EXIF_LENGTH]
    metadata = parse_metadata(block)
    return metadata.location is not None or bool(metadata.position_unclear)


def _is_in_segment(segment: Segment) -> bool:
    if segment.marker == _APP6:
        return any(name in segment.payload for name in _GOPRO)
    is_flir = segment.marker == _APP1 and segment.payload.startswith(_FLIR)
    return is_flir and _FLIR_GPS.search(segment.payload) is not None
