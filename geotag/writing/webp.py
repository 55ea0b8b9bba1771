"""The metadata blocks of a WebP, and the edits of the file that change them. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from geotag.metadata.containers import EXIF_PREFIX
from geotag.metadata.riff import Chunk, riff_chunks
from geotag.writing.edits import CannotEmbedError, Edit

_FLAGS = {"exif": 0x08, "xmp": 0x04}
_KINDS = {"exif": b"EXIF", "xmp": b"XMP "}
_ALPHA = 0x10
_IMAGE_KINDS = (b"VP8 ", b"VP8L", b"ALPH", b"ANMF")


class Layout(NamedTuple):
    """Where a WebP's blocks lie; `prefix` is what some writers wrongly put before the Exif."""

    data: bytes
    chunks: tuple[Chunk, ...]
    exif: Chunk | None
    xmp: Chunk | None
    prefix: bytes

    def block(self, name: str) -> bytes | None:
        """The bare contents of "exif" or "xmp"."""
        chunk: Chunk | None = getattr(self, name, None)
        if chunk is None:
            return None
        return self.data_of(chunk).removeprefix(self.prefix if name == "exif" else b"")

    def data_of(self, chunk: Chunk) -> bytes:
        """A chunk's data."""
        return self.data[chunk.data_at : chunk.data_at + chunk.size]


def parse_layout(data: bytes) -> Layout:
    """Find the blocks of a WebP. Raises CannotEmbedError for damaged or signed files."""
    chunks = tuple(_chunks(data))
    kinds = [chunk.kind for chunk in chunks]
    is_whole = bool(kinds) and kinds[0] in (b"VP8 ", b"VP8L", b"VP8X")
    if not is_whole or (kinds[0] == b"VP8X" and chunks[0].size < 10):
        raise CannotEmbedError("the WebP's structure is damaged")
    if b"C2PA" in kinds:
        raise CannotEmbedError("it carries a signed C2PA manifest, which a change would break")
    if kinds.count(b"EXIF") > 1 or kinds.count(b"XMP ") > 1:
        raise CannotEmbedError("it holds a metadata block twice")
    exif = next((chunk for chunk in chunks if chunk.kind == b"EXIF"), None)
    xmp = next((chunk for chunk in chunks if chunk.kind == b"XMP "), None)
    prefixed = exif is not None and data.startswith(EXIF_PREFIX, exif.data_at)
    return Layout(data, chunks, exif, xmp, EXIF_PREFIX if prefixed else b"")


def _chunks(data: bytes) -> Iterator[Chunk]:
    stop = 8 + struct.unpack("<I", data[4:8])[0] if len(data) >= 12 else 0
    if not 12 <= stop <= len(data) + stop % 2:
        raise CannotEmbedError("the WebP is cut short")
    size = min(stop, len(data))
    for chunk in riff_chunks(lambda offset, length: data[offset : min(offset + length, size)]):
        if chunk.data_at + chunk.size > size:
            raise CannotEmbedError("the WebP is cut short")
        # The padding of the last chunk may be left out.
        yield chunk._replace(end=min(chunk.end, len(data)))


def block_edits(layout: Layout, inner: dict[str, tuple[Edit, ...] | bytes]) -> tuple[Edit, ...]:
    """The edits of the file: for each block the edits of the one that is there, or a new one."""
    edits: list[Edit] = []
    for name in ("exif", "xmp"):
        change = inner.get(name)
        if isinstance(change, bytes):
            at = _place(layout, name)
            edits.append(Edit(at, at, _chunk(_KINDS[name], change)))
        elif change:
            edits += _replace(layout, name, change)
    if edits:
        edits += _flag_edits(layout, tuple(inner))
        size = struct.unpack("<I", layout.data[4:8])[0] + sum(edit.growth for edit in edits)
        edits.append(Edit(4, 8, struct.pack("<I", size)))
    return tuple(edits)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack("<4sI", kind, len(data)) + data + bytes(len(data) % 2)


def _place(layout: Layout, name: str) -> int:
    """Behind the picture; XMP behind the Exif chunk."""
    image = max(c.end for c in layout.chunks if c.kind in (*_IMAGE_KINDS, b"VP8X"))
    return max(image, layout.exif.end) if name == "xmp" and layout.exif else image


def _replace(layout: Layout, name: str, inner: tuple[Edit, ...]) -> Iterator[Edit]:
    chunk: Chunk = getattr(layout, name)
    start, stop = chunk.data_at, chunk.data_at + chunk.size
    size = chunk.size + sum(edit.growth for edit in inner)
    yield Edit(chunk.start + 4, start, struct.pack("<I", size))
    prefix = len(layout.prefix) if name == "exif" else 0
    yield from (edit.moved(start + prefix) for edit in inner)
    yield Edit(stop, chunk.end, bytes(size % 2))


def _flag_edits(layout: Layout, names: tuple[str, ...]) -> Iterator[Edit]:
    flags = 0
    for name in names:
        flags |= _FLAGS[name]
    first = layout.chunks[0]
    if first.kind == b"VP8X":
        at = first.data_at
        yield Edit(at, at + 1, bytes([layout.data[at] | flags]))
        return
    width, height, alpha = _canvas(first.kind, layout.data_of(first))
    canvas = struct.pack("<II", width - 1, height - 1)
    header = bytes([flags | alpha, 0, 0, 0]) + canvas[:3] + canvas[4:7]
    yield Edit(12, 12, _chunk(b"VP8X", header))


def _canvas(kind: bytes, data: bytes) -> tuple[int, int, int]:
    """Width, height and the alpha flag of a simple file's only chunk."""
    if kind == b"VP8L" and len(data) >= 5 and data[0] == 0x2F:
        bits = int.from_bytes(data[1:5], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        return width, height, _ALPHA if bits >> 28 & 1 else 0
    if kind == b"VP8 " and len(data) >= 10 and data[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", data[6:10])
        return width & 0x3FFF, height & 0x3FFF, 0
    raise CannotEmbedError("the WebP's picture header is damaged")


def other_parts(data: bytes) -> tuple[bytes, ...]:
    """All of a file but its metadata chunks, sizes and flags: for the verifier."""
    layout = parse_layout(data)
    kept: list[bytes] = []
    for chunk in layout.chunks:
        content = layout.data_of(chunk)
        if chunk.kind == b"VP8X":
            kept += (bytes([content[0] & ~(_FLAGS["exif"] | _FLAGS["xmp"])]), content[4:])
        elif chunk.kind not in (b"EXIF", b"XMP "):
            kept.append(chunk.kind + content)
    if layout.chunks[0].kind != b"VP8X":
        width, height, alpha = _canvas(layout.chunks[0].kind, layout.data_of(layout.chunks[0]))
        size = struct.pack("<II", width - 1, height - 1)
        kept[:0] = (bytes([alpha]), size[:3] + size[4:7])
    end = 8 + struct.unpack("<I", data[4:8])[0]
    return (*kept, data[end:])
