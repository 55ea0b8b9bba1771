"""The metadata blocks of a WebP, and the edits of the file that change them. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from geotag.metadata.blocks import EXIF_PREFIX
from geotag.metadata.riff import Chunk, riff_chunks
from geotag.writing.edits import BlockChange, CannotEmbedError, Edit

_FLAGS = {"exif": 0x08, "xmp": 0x04}
_KINDS = {"exif": b"EXIF", "xmp": b"XMP "}
_ALPHA = 0x10
_IMAGE_KINDS = (b"VP8 ", b"VP8L", b"ALPH", b"ANMF")


@dataclass(frozen=True)
class WebP:
    """A WebP: its chunks, those that hold blocks, and what some writers wrongly put before the
    Exif block."""

    data: bytes
    chunks: tuple[Chunk, ...]
    blocks: Mapping[str, Chunk]
    prefix: bytes
    is_photo: ClassVar[bool] = True

    @classmethod
    def parse(cls, data: bytes) -> WebP:
        """Find the blocks. Raises CannotEmbedError for damaged or signed files."""
        chunks = tuple(_chunks(data))
        kinds = [chunk.kind for chunk in chunks]
        is_whole = bool(kinds) and kinds[0] in (b"VP8 ", b"VP8L", b"VP8X")
        if not is_whole or (kinds[0] == b"VP8X" and chunks[0].size < 10):
            raise CannotEmbedError("the WebP's structure is damaged")
        if b"C2PA" in kinds:
            raise CannotEmbedError("it has a signed C2PA manifest, which a change would break")
        if any(kinds.count(kind) > 1 for kind in _KINDS.values()):
            raise CannotEmbedError("it has a metadata block twice")
        names = {kind: name for name, kind in _KINDS.items()}
        blocks = {names[chunk.kind]: chunk for chunk in chunks if chunk.kind in names}
        prefixed = "exif" in blocks and data.startswith(EXIF_PREFIX, blocks["exif"].data_at)
        return cls(data, chunks, blocks, EXIF_PREFIX if prefixed else b"")

    def block(self, name: str) -> bytes | None:
        chunk = self.blocks.get(name)
        if chunk is None:
            return None
        return self._content(chunk).removeprefix(self.prefix if name == "exif" else b"")

    def _content(self, chunk: Chunk) -> bytes:
        return self.data[chunk.data_at : chunk.data_at + chunk.size]

    def edits(self, changes: Mapping[str, BlockChange]) -> tuple[Edit, ...]:
        """The edits of the file that change its blocks so."""
        edits: list[Edit] = []
        for name, change in changes.items():
            if isinstance(change, bytes):
                at = self._place(name)
                edits.append(Edit(at, at, _chunk(_KINDS[name], change)))
            else:
                edits += self._change(name, change)
        edits.append(self._flag_edit(sum(_FLAGS[name] for name in changes)))
        size = struct.unpack("<I", self.data[4:8])[0] + sum(edit.growth for edit in edits)
        return (*edits, Edit(4, 8, struct.pack("<I", size)))

    def _place(self, name: str) -> int:
        """Behind the picture; XMP behind the Exif chunk."""
        image = max(c.end for c in self.chunks if c.kind in (*_IMAGE_KINDS, b"VP8X"))
        is_xmp = name == "xmp" and "exif" in self.blocks
        return max(image, self.blocks["exif"].end) if is_xmp else image

    def _change(self, name: str, inner: tuple[Edit, ...]) -> Iterator[Edit]:
        chunk = self.blocks[name]
        start, stop = chunk.data_at, chunk.data_at + chunk.size
        size = chunk.size + sum(edit.growth for edit in inner)
        yield Edit(chunk.start + 4, start, struct.pack("<I", size))
        prefix = len(self.prefix) if name == "exif" else 0
        yield from (edit.moved(start + prefix) for edit in inner)
        yield Edit(stop, chunk.end, bytes(size % 2))

    def _flag_edit(self, flags: int) -> Edit:
        """Say in the header of the extended format which blocks there are; a file of the simple
        format gets such a header."""
        if self.chunks[0].kind == b"VP8X":
            at = self.chunks[0].data_at
            return Edit(at, at + 1, bytes([self.data[at] | flags]))
        alpha, size = self._canvas()
        return Edit(12, 12, _chunk(b"VP8X", bytes([flags | alpha, 0, 0, 0]) + size))

    def _canvas(self) -> tuple[int, bytes]:
        """The alpha flag and the canvas size of a file of the simple format, as a header of the
        extended one has them."""
        data = self._content(self.chunks[0])
        if self.chunks[0].kind == b"VP8L" and len(data) >= 5 and data[0] == 0x2F:
            bits = int.from_bytes(data[1:5], "little")
            width, height, alpha = bits & 0x3FFF, bits >> 14 & 0x3FFF, bits >> 28 & 1
        elif self.chunks[0].kind == b"VP8 " and len(data) >= 10 and data[3:6] == b"\x9d\x01\x2a":
            width, height = ((side & 0x3FFF) - 1 for side in struct.unpack("<HH", data[6:10]))
            alpha = 0
        else:
            width = height = alpha = -1
        if min(width, height) < 0:
            raise CannotEmbedError("the WebP's picture header is damaged")
        return alpha * _ALPHA, width.to_bytes(3, "little") + height.to_bytes(3, "little")

    def other_parts(self) -> tuple[bytes, ...]:
        """All of the file but its metadata chunks, sizes and flags."""
        kept: list[bytes] = []
        for chunk in self.chunks:
            content = self._content(chunk)
            if chunk.kind == b"VP8X":
                kept += (bytes([content[0] & ~sum(_FLAGS.values())]), content[4:])
            elif chunk.kind not in _KINDS.values():
                kept.append(chunk.kind + content)
        if self.chunks[0].kind != b"VP8X":
            alpha, size = self._canvas()
            kept[:0] = (bytes([alpha]), size)
        end = 8 + struct.unpack("<I", self.data[4:8])[0]
        return (*kept, self.data[end:])


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


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack("<4sI", kind, len(data)) + data + bytes(len(data) % 2)
