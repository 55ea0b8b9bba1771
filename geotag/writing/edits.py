"""Edits of a file's bytes, the new ones and their exact undoing. Pure."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import NamedTuple

from geotag.errors import PhotoError

_HEAD = struct.Struct("<QQQ")
# What the blocks that were taken out of a file can hold, and the places of its edits.
_ROOM = 4 * 2**20
_MOST = 10_000  # of a file; those of a photo are some dozens


class CannotEmbedError(PhotoError):
    """The tags must not go into this file; a sidecar can hold them."""


class Edit(NamedTuple):
    """Replace the bytes from `start` up to `stop` by `new`; equal ends insert."""

    start: int
    stop: int
    new: bytes

    @property
    def growth(self) -> int:
        """How many bytes longer the file becomes."""
        return len(self.new) - (self.stop - self.start)

    def moved(self, by: int) -> Edit:
        """The same edit for data that lies `by` bytes further on."""
        return Edit(self.start + by, self.stop + by, self.new)


# A new block's contents, or the edits of the contents of the one that is there.
BlockChange = bytes | tuple[Edit, ...]


def apply_edits(data: bytes, edits: Iterable[Edit]) -> bytes:
    """The data with all edits made; offsets are those of the data as given.

    Raises ValueError when edits overlap or lie outside the data.
    """
    pieces: list[bytes] = []
    at = 0
    for edit in _in_order(edits):
        if not at <= edit.start <= edit.stop <= len(data):
            raise ValueError("edits overlap or lie outside the data")
        pieces += (data[at : edit.start], edit.new)
        at = edit.stop
    pieces.append(data[at:])
    return b"".join(pieces)


def invert_edits(data: bytes, edits: Iterable[Edit]) -> tuple[Edit, ...]:
    """The edits that lead from the edited data back to `data`."""
    inverse: list[Edit] = []
    shift = 0
    for edit in _in_order(edits):
        start = edit.start + shift
        inverse.append(Edit(start, start + len(edit.new), data[edit.start : edit.stop]))
        shift += edit.growth
    return tuple(inverse)


def _in_order(edits: Iterable[Edit]) -> list[Edit]:
    """By position; inserts at one place keep the order in which they were given."""
    return sorted(edits, key=lambda edit: (edit.start, edit.stop))


def trimmed(data: bytes, edit: Edit) -> Edit:
    """The edit without the bytes at its two ends that stay the same."""
    old, new = data[edit.start : edit.stop], edit.new
    limit = min(len(old), len(new))
    front = next((at for at in range(limit) if old[at] != new[at]), limit)
    limit -= front
    back = next((at for at in range(limit) if old[-1 - at] != new[-1 - at]), limit)
    return Edit(edit.start + front, edit.stop - back, new[front : len(new) - back])


def format_edits(edits: Iterable[Edit]) -> bytes:
    """The edits as compressed bytes for the journal. Raises CannotEmbedError for too many."""
    edits = tuple(edits)
    if len(edits) > _MOST:
        raise CannotEmbedError(f"it takes more than {_MOST:,} edits")
    return zlib.compress(
        b"".join(_HEAD.pack(start, stop, len(new)) + new for start, stop, new in edits)
    )


def parse_edits(packed: bytes, file_size: int) -> tuple[Edit, ...]:
    """The reverse of `format_edits`, for a file of a size.

    Raises ValueError when the bytes are none of its, or more than such a file's edits can be.
    """
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(packed, file_size + _ROOM)
    except zlib.error as error:
        raise ValueError(f"damaged edits ({error})") from error
    if not unpacker.eof:
        raise ValueError("damaged edits (cut short, or too large)")
    edits: list[Edit] = []
    at = 0
    while at < len(data):
        if at + _HEAD.size > len(data):
            raise ValueError("damaged edits (cut short)")
        start, stop, size = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        new = data[at : at + size]
        if len(new) != size:
            raise ValueError("damaged edits (cut short)")
        if len(edits) == _MOST:
            raise ValueError("damaged edits (too many)")
        edits.append(Edit(start, stop, new))
        at += size
    return tuple(edits)
