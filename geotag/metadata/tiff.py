"""Walks the directories of TIFF structures: Exif blocks, TIFF and raw files, MakerNotes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from geotag.metadata.ranges import ReadRange

ByteOrder = Literal["little", "big"]
# Tag, type, count, and the value itself where it fits into four bytes, else its offset. A plain
# tuple, for a metadata scan makes hundreds of thousands.
Entry = tuple[int, int, int, bytes]

# The bytes of one component of each type; 129 is UTF-8, since Exif 3.0.
SIZES = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1,
}  # fmt: skip
PREFIXES: dict[ByteOrder, str] = {"little": "<", "big": ">"}
ENTRY_LIMIT = 1000
_ENTRIES = {"little": struct.Struct("<HHI4s"), "big": struct.Struct(">HHI4s")}
ORDERS: dict[bytes, ByteOrder] = {b"II": "little", b"MM": "big"}
_VALUE_LIMIT = 65536
_LATER_LIMIT = 32  # directories: pages of a scan, or pictures of a raw file


@dataclass(slots=True)
class TiffReader:
    """A TIFF structure of which `data` holds the beginning; `read` fetches what lies behind."""

    data: bytes
    order: ByteOrder
    read: ReadRange | None = None

    @property
    def first(self) -> int:
        return int.from_bytes(self.data[4:8], self.order)

    def bytes_at(self, offset: int, length: int) -> bytes:
        """As many of the bytes at an offset as there are."""
        if offset + length <= len(self.data):
            return self.data[offset : offset + length]
        return self.read(offset, length) if self.read is not None else b""

    def table(self, offset: int) -> tuple[int, bytes]:
        """How many entries the directory at an offset says that it has, and the bytes of those
        that are there."""
        count = int.from_bytes(self.bytes_at(offset, 2), self.order)
        table = self.bytes_at(offset + 2, 12 * min(count, ENTRY_LIMIT)) if count else b""
        return count, table[: len(table) - len(table) % 12]

    def entries(self, table: bytes) -> Iterator[Entry]:
        return _ENTRIES[self.order].iter_unpack(table)

    def directory(self, offset: int, wanted: frozenset[int]) -> dict[int, Entry]:
        """The wanted entries of the directory at an offset; empty where there is none."""
        if offset < 8:
            return {}
        rows = self.entries(self.table(offset)[1])
        return {row[0]: row for row in rows if row[0] in wanted}

    def next(self, offset: int) -> int:
        """The offset of the directory that follows the one at an offset; 0 where none does."""
        return self.number(self.bytes_at(offset + 2 + 12 * self.table(offset)[0], 4))

    def later(self) -> Iterator[int]:
        """The offsets of the directories that follow the first, of which each tells the next."""
        seen, offset = {0, self.first}, self.next(self.first)
        while offset not in seen and len(seen) < _LATER_LIMIT:
            yield offset
            seen.add(offset)
            offset = self.next(offset)

    def value(self, entry: Entry, limit: int = _VALUE_LIMIT) -> bytes:
        """An entry's value; empty for one that is larger than the limit or of an unknown type."""
        _, kind, count, inline = entry
        length = SIZES.get(kind, 0) * count
        if length <= 4:
            return inline[:length]
        if length > limit:
            return b""
        at = int.from_bytes(inline, self.order)
        end = at + length  # the same as in bytes_at: a scan asks for a million values
        return self.data[at:end] if end <= len(self.data) else self.bytes_at(at, length)

    def number(self, data: bytes) -> int:
        """An unsigned number."""
        return int.from_bytes(data, self.order)


def open_tiff(data: bytes, read: ReadRange | None = None) -> TiffReader | None:
    """A reader of a structure (or its beginning, with `read`); None when the bytes are none."""
    order = ORDERS.get(data[:2])
    return TiffReader(data, order, read) if order is not None and len(data) >= 8 else None
