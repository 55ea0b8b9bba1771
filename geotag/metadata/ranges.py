"""Reads of parts of a photo, which may lie on a disk or in a bucket."""

from __future__ import annotations

from collections.abc import Callable

# Reads (offset, length) of a photo; fewer bytes come back only at the end of the file.
ReadRange = Callable[[int, int], bytes]


def buffered(data: bytes, read: ReadRange) -> ReadRange:
    """Reads that are served from `data`, the photo's beginning, where it holds all of them."""

    def read_range(offset: int, length: int) -> bytes:
        if offset + length <= len(data):
            return data[offset : offset + length]
        return read(offset, max(0, length))

    return read_range
