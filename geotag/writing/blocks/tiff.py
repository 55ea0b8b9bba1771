"""Edits an Exif block without moving a byte of it: new values and directories go to its end.

MakerNotes hold offsets that count from the start of the block, and private tags have meanings
that nobody else knows, so an existing block is never built anew: what has to change is appended,
and the few pointers that lead to it are set. This is how TIFF 6.0 means files to be edited.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from geotag.metadata.tiff import ENTRY_LIMIT, PREFIXES, SIZES, ByteOrder, TiffReader, open_tiff
from geotag.writing.edits import Edit

BYTE, ASCII, LONG, RATIONAL, UNDEFINED = 1, 2, 4, 5, 7
EXIF_POINTER, GPS_POINTER, INTEROP_POINTER = 0x8769, 0x8825, 0xA005
MAKER_NOTE = 0x927C
SUB_IFDS = 0x014A
# Where a block keeps small pictures: the directories, and their tags of offset and length. Strips
# that a JPEG's first directory speaks of are those of another file, from which it was made.
_JPEG, _STRIPS = (0x0201, 0x0202), (0x0111, 0x0117)
_PICTURES = (("ifd0", _JPEG), ("ifd1", _JPEG), ("ifd1", _STRIPS))
SMALLEST_DIRECTORY = 18  # a count, one entry, the offset of the next

# A directory's name and a tag's number.
Tag = tuple[str, int]


class TiffError(ValueError):
    """The block is damaged, or of a kind that cannot be edited safely."""


class Value(NamedTuple):
    """A tag's value: the TIFF type and the bytes in the block's byte order."""

    type: int
    data: bytes

    @property
    def length(self) -> int:
        return len(self.data) // SIZES[self.type]


class Entry(NamedTuple):
    """One directory entry: where it lies, and its value (None for types that we don't know)."""

    at: int
    raw: bytes
    type: int
    data: bytes | None
    value_at: int


class Directory(NamedTuple):
    """One image file directory; `tail` is the offset of the next one, as bytes."""

    at: int
    entries: Mapping[int, Entry]
    tail: bytes


class Tiff(NamedTuple):
    """A parsed block; the directories are "ifd0", "exif", "gps", "interop" and "ifd1"."""

    block: bytes
    order: ByteOrder
    directories: Mapping[str, Directory]

    def get(self, tag: Tag) -> Entry | None:
        directory = self.directories.get(tag[0])
        return directory.entries.get(tag[1]) if directory else None

    def data(self, tag: Tag) -> bytes:
        """The value's bytes, empty where there is none."""
        entry = self.get(tag)
        return entry.data or b"" if entry else b""

    def longs(self, tag: Tag) -> tuple[int, ...]:
        """The value as unsigned numbers: rationals as numerators and denominators in turn."""
        data = self.data(tag)
        return struct.unpack(f"{PREFIXES[self.order]}{len(data) // 4}I", data[: len(data) // 4 * 4])


def parse_tiff(block: bytes) -> Tiff:
    """Read the directories of a block.

    Raises TiffError when anything points outside the block: bytes put behind its end would
    suddenly be taken for those values.
    """
    reader = open_tiff(block)
    if reader is None or block[:4] not in (b"II*\0", b"MM\0*") or len(block) < 14:
        raise TiffError("not a TIFF structure")
    directories: dict[str, Directory] = {}
    tiff = Tiff(block, reader.order, directories)
    directories["ifd0"] = _directory(reader, reader.first)
    for name, tag in (
        ("exif", ("ifd0", EXIF_POINTER)),
        ("gps", ("ifd0", GPS_POINTER)),
        ("interop", ("exif", INTEROP_POINTER)),
    ):
        entry = tiff.get(tag)
        if entry is not None:
            directories[name] = _directory(reader, _pointer(reader, entry))
    if any(at > len(block) - SMALLEST_DIRECTORY for at in tiff.longs(("ifd0", SUB_IFDS))):
        raise TiffError("a pointer to a directory is malformed")
    after = reader.number(directories["ifd0"].tail)
    if after:
        directories["ifd1"] = _directory(reader, after)
    if any(stop > len(block) for _, stop in _pictures(tiff)):
        raise TiffError("the thumbnail lies outside the block")
    further = _further(reader, directories["ifd1"]) if after else []
    starts = [*(directory.at for directory in directories.values()), *further]
    if len(set(starts)) != len(starts):
        raise TiffError("its directories point at each other")
    return tiff


def _pointer(reader: TiffReader, entry: Entry) -> int:
    if entry.type not in (LONG, 13) or entry.data is None or len(entry.data) != 4:
        raise TiffError("a pointer to a directory is malformed")
    return reader.number(entry.data)


def _directory(reader: TiffReader, at: int) -> Directory:
    if not 8 <= at <= len(reader.data) - 2:
        raise TiffError("a directory lies outside the block")
    count, table = reader.table(at)
    if len(table) != 12 * count:
        raise TiffError("a directory is cut short")
    start, end = at + 2, at + 2 + 12 * count
    entries: dict[int, Entry] = {}
    for place, (number, kind, length, inline) in zip(
        range(start, end, 12), reader.entries(table), strict=True
    ):
        if number in entries:
            raise TiffError("a directory holds a tag twice")
        raw = table[place - start : place - start + 12]
        size = SIZES.get(kind, 0) * length
        value_at = place + 8 if size <= 4 else reader.number(inline)
        if value_at + size > len(reader.data):
            raise TiffError("a value lies outside the block")
        data = reader.data[value_at : value_at + size] if kind in SIZES else None
        entries[number] = Entry(place, raw, kind, data, value_at)
    # Some writers leave the offset of the next directory out at the very end of the block.
    tail = reader.data[end : end + 4]
    return Directory(at, entries, tail if len(tail) == 4 else bytes(4))


def _further(reader: TiffReader, directory: Directory) -> list[int]:
    """Where the directories behind the thumbnail's begin, up to the first one seen twice."""
    starts: list[int] = []
    while (at := reader.number(directory.tail)) and len(set(starts)) == len(starts):
        starts.append(at)
        directory = _directory(reader, at)
    return starts


def encode_value(order: ByteOrder, kind: int, value: bytes | tuple[tuple[int, int], ...]) -> Value:
    """A value in a block's byte order: bytes as they are, rationals as pairs of numbers."""
    if isinstance(value, bytes):
        return Value(kind, value)
    return Value(kind, b"".join(number.to_bytes(4, order) for pair in value for number in pair))


def edit_tiff(tiff: Tiff, changes: Mapping[Tag, Value | None]) -> tuple[Edit, ...]:
    """The edits that set (or with None remove) tags of "ifd0", "exif" and "gps".

    Every byte of the block stays where it is; only pointers to what is appended are set, and the
    bytes of positions that nothing points at any more are blanked: they tell where a photo was.
    """
    return tuple(_Appender(tiff).edits(changes))


class _Appender:
    """Collects what goes to the end of the block, and the pointers to set."""

    def __init__(self, tiff: Tiff) -> None:
        self.tiff = tiff
        self.appended = bytearray(len(tiff.block) % 2)
        self.pointers: list[Edit] = []

    def edits(self, changes: Mapping[Tag, Value | None]) -> Iterator[Edit]:
        main, inner, gps = (
            {tag: value for (name, tag), value in changes.items() if name == wanted}
            for wanted in ("ifd0", "exif", "gps")
        )
        for name, values, pointer in (("gps", gps, GPS_POINTER), ("exif", inner, EXIF_POINTER)):
            at = self._change(name, values) if values else None
            if at is not None:
                main[pointer] = Value(LONG, at.to_bytes(4, self.tiff.order))
        at = self._change("ifd0", main) if main else None
        if at is not None:
            self.pointers.append(Edit(4, 8, at.to_bytes(4, self.tiff.order)))
        yield from self.pointers
        yield from self._blanks(gps)
        end = len(self.tiff.block)
        yield Edit(end, end, bytes(self.appended))

    def _blanks(self, tags: Iterable[int]) -> Iterator[Edit]:
        """Edits of the values of the "gps" tags that go, but for what anything else may hold."""
        gone = {("gps", tag) for tag in tags}
        spans = [*_values(self.tiff, gone)]
        kept = [*_values(self.tiff, all_but=gone), *_directories(self.tiff), *_pictures(self.tiff)]
        for start, stop in spans:
            others = [span for span in spans if span != (start, stop)]
            if all(stop <= low or high <= start for low, high in (*kept, *others)):
                yield Edit(start, stop, bytes(stop - start))

    def _append(self, data: bytes) -> int:
        at = len(self.tiff.block) + len(self.appended)
        self.appended += data + bytes(len(data) % 2)
        return at

    def _change(self, name: str, values: Mapping[int, Value | None]) -> int | None:
        """Change one directory; returns the offset of its copy if it had to be copied."""
        directory = self.tiff.directories.get(name, Directory(0, {}, bytes(4)))
        packed = {tag: self._packed(tag, value) for tag, value in values.items() if value}
        if all(value is not None and tag in directory.entries for tag, value in values.items()):
            for tag, raw in packed.items():
                at = directory.entries[tag].at
                self.pointers.append(Edit(at, at + 12, raw))
            return None
        rows = [(tag, e.raw) for tag, e in directory.entries.items() if tag not in values]
        for tag in sorted(packed):
            rows.insert(_place(rows, tag), (tag, packed[tag]))
        if len(rows) > ENTRY_LIMIT:
            raise TiffError("a directory has too many entries")
        head = len(rows).to_bytes(2, self.tiff.order)
        return self._append(head + b"".join(raw for _, raw in rows) + directory.tail)

    def _packed(self, tag: int, value: Value) -> bytes:
        order = self.tiff.order
        head = struct.pack(PREFIXES[order] + "HHI", tag, value.type, value.length)
        if len(value.data) <= 4:
            return head + value.data.ljust(4, b"\0")
        return head + self._append(value.data).to_bytes(4, order)


def _values(
    tiff: Tiff, of: Collection[Tag] | None = None, all_but: Collection[Tag] = ()
) -> Iterator[tuple[int, int]]:
    """Where values lie that are too long for their entries."""
    for name, directory in tiff.directories.items():
        for number, entry in directory.entries.items():
            is_wanted = (of is None or (name, number) in of) and (name, number) not in all_but
            if is_wanted and entry.data is not None and len(entry.data) > 4:
                yield entry.value_at, entry.value_at + len(entry.data)


def _directories(tiff: Tiff) -> Iterator[tuple[int, int]]:
    for directory in tiff.directories.values():
        yield directory.at, directory.at + 2 + 12 * len(directory.entries) + 4


def _pictures(tiff: Tiff) -> Iterator[tuple[int, int]]:
    for name, (offsets, sizes) in _PICTURES:
        starts, lengths = tiff.longs((name, offsets)), tiff.longs((name, sizes))
        for start, length in zip(starts, lengths, strict=False):
            yield start, start + length


def _place(rows: list[tuple[int, bytes]], tag: int) -> int:
    """Where a tag belongs. Those that are there keep their order, even if it is not by number:
    a reader may give up at a damaged entry, and must not meet it earlier than before."""
    return max((at + 1 for at, (other, _) in enumerate(rows) if other <= tag), default=0)
