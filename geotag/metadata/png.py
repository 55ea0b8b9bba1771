"""Walks the chunks of PNGs (PNG specification, third edition), and the profiles that ImageMagick
keeps in their texts."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

from geotag.metadata.blocks import (
    BLOCK_LIMIT,
    EXIF_PREFIX,
    PART_LIMIT,
    TIFF_MAGICS,
    XMP_PREFIX,
    Blocks,
    first_blocks,
    without_prefix,
)
from geotag.metadata.photoshop import blocks_in_resources
from geotag.metadata.ranges import ReadRange, buffered

_XMP_KEYWORD = b"XML:com.adobe.xmp"
_PROFILES = (b"exif", b"app1", b"xmp", b"8bim", b"iptc")
_PROFILE_KEYWORDS = frozenset(b"raw profile type " + name for name in _PROFILES)
# As ImageMagick writes each Exif tag as a text of its own, and others the position.
_POSITION_KEYWORD = re.compile(rb"GPS ?(?:L(?:at|ong)itude|Position|Coordinates)", re.IGNORECASE)
_UNREAD = "the position in its texts cannot be understood, so none is inferred"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_KEYWORD_LIMIT = 79
_INFLATED_LIMIT = 2 * 2**20


def find_in_png(header: bytes, read: ReadRange) -> Blocks:
    """The Exif chunk, the XMP text, and raw profiles of either."""
    found = first_blocks(_found(buffered(header, read)))
    unread = _UNREAD if "position" in found else ""
    return Blocks("png", found["exif"], found["xmp"], size=_size(header), unread_position=unread)


def _found(read: ReadRange) -> Iterator[tuple[str, bytes]]:
    """What all chunks hold, also those behind the last one that counts."""
    at = 8
    for _ in range(PART_LIMIT):
        head = read(at, 8)
        if len(head) < 8:
            break
        length, kind = struct.unpack(">I4s", head)
        if length <= BLOCK_LIMIT:
            yield from _blocks_of(kind, at + 8, length, read)
        at += 12 + length


def _blocks_of(
    kind: bytes, start: int, length: int, read: ReadRange
) -> Iterator[tuple[str, bytes]]:
    """What a chunk holds: "exif" or "xmp", and the block, or a "position" that may be there and is
    not read."""
    if kind.lower() == b"exif":
        yield "exif", without_prefix(read(start, length))
    elif kind == b"zxIf":  # as the compressed one was called in drafts
        block = _inflate(read(start, length)[5:])
        yield ("position", kind) if block is None else ("exif", without_prefix(block))
    elif kind in _TEXTS:
        keyword = read(start, min(length, _KEYWORD_LIMIT + 1)).partition(b"\0")[0]
        behind = start + len(keyword) + 1, length - len(keyword) - 1
        if keyword == _XMP_KEYWORD:
            text = _text(kind, read(*behind))
            yield ("position", keyword) if text is None else ("xmp", text)
        elif keyword.lower() in _PROFILE_KEYWORDS:
            yield from _profile(_text(kind, read(*behind)))
        elif _POSITION_KEYWORD.search(keyword):
            yield "position", keyword


def _size(header: bytes) -> tuple[int, int] | None:
    if len(header) < 24:
        return None
    width, height = struct.unpack_from(">II", header, 16)
    return width, height


def _text(kind: bytes, data: bytes) -> bytes | None:
    """A text, inflated where it is compressed; None where it is damaged."""
    if kind == b"tEXt":
        return data
    if kind == b"zTXt":
        return _inflate(data[1:])
    is_compressed = data[:1] == b"\1"
    text = data[2:].split(b"\0", 2)[-1]  # behind the language and the translated keyword
    return _inflate(text) if is_compressed else text


def _inflate(data: bytes) -> bytes | None:
    """As much as is read; None where it is damaged."""
    try:
        return zlib.decompressobj().decompress(data, _INFLATED_LIMIT)
    except zlib.error:
        return None


def _profile(text: bytes | None) -> Iterator[tuple[str, bytes]]:
    """A profile: a line with its name, one with its length, and its bytes as hexadecimal digits."""
    lines = (text or b"").strip().split(b"\n", 2)
    try:
        block = bytes.fromhex(lines[2].decode("ascii"))
    except (IndexError, ValueError):  # damaged
        yield "position", lines[0] or b"?"
        return
    if block.startswith(EXIF_PREFIX) or block[:4] in TIFF_MAGICS:
        yield "exif", without_prefix(block)
    elif resources := tuple(blocks_in_resources(block)):
        yield from resources
    else:
        yield "xmp", block.removeprefix(XMP_PREFIX)
