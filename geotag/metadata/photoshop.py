"""Finds Exif and XMP blocks among image resources (Adobe Photoshop File Formats Specification)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from geotag.metadata.blocks import without_prefix

PREFIX = b"Photoshop 3.0\0"
_SIGNATURES = (b"8BIM", b"PHUT", b"DCSR", b"AgHg", b"MeSa")
_KINDS = {0x0422: "exif", 0x0424: "xmp"}


def blocks_in_resources(data: bytes) -> Iterator[tuple[str, bytes]]:
    """ "exif" or "xmp", and the block, of each resource that is one; the last may be cut short."""
    at = len(PREFIX) if data.startswith(PREFIX) else 0
    while at + 12 <= len(data) and data[at : at + 4] in _SIGNATURES:
        (number,) = struct.unpack_from(">H", data, at + 4)
        size_at = at + 6 + (data[at + 6] + 2) // 2 * 2  # behind the name, of even length
        size = int.from_bytes(data[size_at : size_at + 4], "big")
        start, at = size_at + 4, size_at + 4 + size + size % 2
        if number in _KINDS:
            yield _KINDS[number], without_prefix(data[start : start + size])
