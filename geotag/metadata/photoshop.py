"""Walks image resources, and finds Exif and XMP blocks among them (Adobe Photoshop File Formats
Specification)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from geotag.metadata.blocks import without_prefix

PREFIX = b"Photoshop 3.0\0"
_SIGNATURES = (b"8BIM", b"PHUT", b"DCSR", b"AgHg", b"MeSa")
_KINDS = {0x0422: "exif", 0x0424: "xmp"}


class Resource(NamedTuple):
    """Where an image resource has its size and its data, and where it ends, behind the padding."""

    id: int
    size_at: int
    start: int
    stop: int
    end: int


def blocks_in_resources(data: bytes) -> Iterator[tuple[str, bytes]]:
    """ "exif" or "xmp", and the block, of each resource that is one; the last may be cut short."""
    for resource in resources_in(data):
        if resource.id in _KINDS:
            block = data[resource.start : resource.stop]
            yield _KINDS[resource.id], without_prefix(block)


def resources_in(data: bytes) -> Iterator[Resource]:
    """The resources, as their headers tell, up to the first that has none."""
    at = len(PREFIX) if data.startswith(PREFIX) else 0
    while at + 12 <= len(data) and data[at : at + 4] in _SIGNATURES:
        (number,) = struct.unpack_from(">H", data, at + 4)
        size_at = at + 6 + (data[at + 6] + 2) // 2 * 2  # behind the name, of even length
        size = int.from_bytes(data[size_at : size_at + 4], "big")
        start, stop = size_at + 4, size_at + 4 + size
        at = stop + size % 2
        yield Resource(number, size_at, start, stop, at)
