"""Positions in places of a photo where none is read: none may be inferred beside them. Pure.

exiftool reads these only where it is asked to look into embedded files (-ee), or in formats of
their own: a second picture behind the first one (CIPA DC-007), blocks between the scans of a JPEG,
films behind or beside a picture, content credentials (C2PA), and what GoPro and FLIR write.
"""

from __future__ import annotations

import re
from itertools import islice

from geotag.metadata.blocks import EXIF_PREFIX, MOST_BLOCKS, Blocks
from geotag.metadata.containers import find_blocks
from geotag.metadata.exif import parse_metadata
from geotag.metadata.jpeg import Segment, jpeg_segments

_WHY = (
    "it has a position where none is read (behind or between its picture data, in a film, or in a "
    "block of another kind), so none is inferred"
)
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
    is_there = _is_in_jpeg(data) if blocks.format == "jpeg" else _is_in_another(data, blocks)
    return _WHY if is_there else ""


def _is_in_another(data: bytes, blocks: Blocks) -> bool:
    """Whether a name, a film or an Exif block says so that is none of those that are read."""
    known = sum(block.count(POSITION_NAME) for block in (*blocks.exifs, *blocks.xmps))
    return data.count(POSITION_NAME) > known or _is_in_film(data) or _is_in_exif(data)


def _is_in_film(data: bytes) -> bool:
    is_likely = any(mark in data for mark in _FILM_MARKS)  # far faster than the expression
    return is_likely and _FILM.search(data) is not None


def _is_in_jpeg(data: bytes) -> bool:
    segments = list(jpeg_segments(data))
    behind = _behind_picture(data, segments[-1].end if segments else 2)
    return (
        any(map(_is_in_segment, segments))
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
    match segment.marker:
        case 0xE1:
            is_flir = segment.payload.startswith(_FLIR)
            return is_flir and _FLIR_GPS.search(segment.payload) is not None
        case 0xE6:
            return any(name in segment.payload for name in _GOPRO)
        case 0xEB:
            return POSITION_NAME in segment.payload
    return False
