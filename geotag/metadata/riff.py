"""Walks the chunks of RIFF files: of WebP.

WebP container specification (RIFF): developers.google.com/speed/webp/docs/riff_container.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from geotag.metadata.blocks import PART_LIMIT
from geotag.metadata.ranges import ReadRange


class Chunk(NamedTuple):
    """Where a chunk lies: the offset of its header, the size of its data, and the offset behind
    its padding."""

    kind: bytes
    start: int
    size: int
    end: int

    @property
    def data_at(self) -> int:
        return self.start + 8


def riff_chunks(read: ReadRange) -> Iterator[Chunk]:
    """The chunks of a file, as their headers tell; the last ones may be cut short."""
    at = 12
    for _ in range(PART_LIMIT):
        head = read(at, 8)
        if len(head) < 8:
            return
        kind, size = struct.unpack("<4sI", head)
        end = at + 8 + size + size % 2
        yield Chunk(kind, at, size, end)
        at = end
