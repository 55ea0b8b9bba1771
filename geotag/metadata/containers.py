"""Finds the metadata blocks (Exif, XMP) inside the container formats of photos."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain

from geotag.errors import PhotoError
from geotag.metadata.blocks import (
    BLOCK_LIMIT,
    MOST_BLOCKS,
    TOO_MANY,
    Blocks,
    first_blocks,
    without_prefix,
)
from geotag.metadata.isobmff import find_in_cr3, find_in_heif
from geotag.metadata.jpeg import STEP, find_in_jpeg
from geotag.metadata.photoshop import blocks_in_resources
from geotag.metadata.png import find_in_png
from geotag.metadata.ranges import ReadRange, buffered
from geotag.metadata.riff import riff_chunks
from geotag.metadata.tiff import open_tiff

# What one request fetches of a photo over a network: most cameras' metadata whole.
HEADER_SIZE = 64 * 1024
_XMP_TAG, _PHOTOSHOP_TAG, _JPEG_TAG = 0x02BC, 0x8649, 0x002E
_WANTED = frozenset((_XMP_TAG, _PHOTOSHOP_TAG, _JPEG_TAG))
_RESOURCES_LIMIT = 2**20
_PANASONIC = b"IIU\0"
_OLYMPUS = (b"IIRO", b"IIRS", b"MMOR")
# Of a GIF's application extension (XMP specification, part 3, section 1.1.2), and of the bytes that
# lead a reader from block to block out of the packet.
_GIF_XMP, _GIF_XMP_END = b"\x21\xff\x0bXMP DataXMP", b"\x01\xff\xfe\xfd"
_WEBP_KINDS = (b"EXIF", b"XMP ")
_BIG_TIFF = "it is a BigTIFF, which may hold a position that is not read: none is inferred"
# Where a RAF keeps the offset and length of its JPEG, which holds the metadata.
_RAF_JPEG_AT = 84


def sniff_format(header: bytes) -> str | None:
    """The format that the first bytes tell, or None when they are no photo's."""
    if header[:3] == b"\xff\xd8\xff":
        return "jpeg"
    if header[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if header[:4] == b"RIFF" and header[8:12] == b"WEBP":
        return "webp"
    if header[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if header[4:8] == b"ftyp":
        return _sniff_isobmff(header)
    if header[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "raw" if header[8:11] == b"CR\x02" else "tiff"
    if header[:4] in (*_OLYMPUS, _PANASONIC) or header[:15] == b"FUJIFILMCCD-RAW":
        return "raw"
    return None


_HEIF_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis")
)


def _sniff_isobmff(header: bytes) -> str | None:
    (size,) = struct.unpack(">I", header[:4])
    brands = {header[8:12]} | {header[at : at + 4] for at in range(16, min(size, 256), 4)}
    if header[8:12] == b"crx ":
        return "raw"
    if brands & {b"avif", b"avis"}:
        return "avif"
    return "heif" if brands & _HEIF_BRANDS else None


def find_blocks(read: ReadRange) -> Blocks:
    """Find a photo's metadata; of a JPEG little more is read than that.

    Raises PhotoError when the bytes are no photo's.
    """
    header = read(0, STEP)
    if not header:
        raise PhotoError("the file is empty")
    found = sniff_format(header)
    if found is None:
        raise PhotoError("not a photo: its first bytes fit no known format")
    if found != "jpeg":
        header += read(len(header), HEADER_SIZE - len(header))
    return _FINDERS[found](header, read)


def _find_in_webp(header: bytes, read: ReadRange) -> Blocks:
    read = buffered(header, read)
    wanted = (c for c in riff_chunks(read) if c.kind in _WEBP_KINDS and c.size <= BLOCK_LIMIT)
    found = first_blocks(
        ("exif" if c.kind == b"EXIF" else "xmp", without_prefix(read(c.data_at, c.size)))
        for c in wanted
    )
    unread = TOO_MANY if "position" in found else ""
    return Blocks("webp", found["exif"], found["xmp"], unread_position=unread)


def _find_in_tiff(format: str, header: bytes, read: ReadRange) -> Blocks:
    """A TIFF is its own Exif block; directories behind the header are read where they lie."""
    if header[2:4] in (b"+\0", b"\0+"):
        return Blocks(format, unread_position=_BIG_TIFF)
    found = first_blocks(chain((("exif", header),), _blocks_in_tiff(header, read)))
    unread = TOO_MANY if "position" in found else ""
    return Blocks(format, found["exif"], found["xmp"], is_tiff=True, unread_position=unread)


def _blocks_in_tiff(header: bytes, read: ReadRange) -> Iterator[tuple[str, bytes]]:
    """The packets that directories hold (XMP specification, part 3, section 1.1.5.1), what is
    among Photoshop's resources, and the Exif block of Panasonic's JPEG."""
    tiff = open_tiff(header, read)
    if tiff is None:
        return
    for offset in chain((tiff.first,), tiff.later()):
        entries = tiff.directory(offset, _WANTED)
        if (entry := entries.get(_XMP_TAG)) is not None:
            yield "xmp", tiff.value(entry, BLOCK_LIMIT)
        if (entry := entries.get(_PHOTOSHOP_TAG)) is not None:
            yield from blocks_in_resources(tiff.value(entry, _RESOURCES_LIMIT))
        if header[:4] == _PANASONIC and (entry := entries.get(_JPEG_TAG)) is not None:
            blocks = _find_in_inner(read, tiff.number(entry[3]), entry[2])
            yield from (("exif", exif) for exif in blocks.exifs)


def _find_in_raw(header: bytes, read: ReadRange) -> Blocks:
    """Most raw formats are a TIFF with a number of their own."""
    if header[:2] in (b"II", b"MM"):
        return _find_in_tiff("raw", header, read)
    if header[4:8] == b"ftyp":
        return find_in_cr3(header, read)
    return _find_in_raf(header, read)


def _find_in_raf(header: bytes, read: ReadRange) -> Blocks:
    place = header[_RAF_JPEG_AT : _RAF_JPEG_AT + 8]
    return _find_in_inner(read, *struct.unpack(">II", place.ljust(8, b"\0")))


def _find_in_inner(read: ReadRange, start: int, length: int) -> Blocks:
    """The blocks of the JPEG inside of a raw file, if it is one."""

    def inside(offset: int, count: int) -> bytes:
        return read(start + offset, min(count, max(0, length - offset)))

    head = inside(0, HEADER_SIZE)
    if sniff_format(head) != "jpeg":
        return Blocks("raw")
    return find_in_jpeg(head, inside)._replace(format="raw", extended=(), size=None)


def _find_in_gif(header: bytes, read: ReadRange) -> Blocks:
    size = struct.unpack("<HH", header[6:10]) if len(header) >= 10 else None
    return Blocks("gif", (), tuple(_packets_in_gif(read(0, BLOCK_LIMIT))), size=size)


def _packets_in_gif(data: bytes) -> Iterator[bytes]:
    parts = data.split(_GIF_XMP, MOST_BLOCKS + 1)[1:]
    for part in parts[:MOST_BLOCKS]:
        packet, end, _ = part.partition(_GIF_XMP_END)
        yield packet if end else _joined(part)


def _joined(blocks: bytes) -> bytes:
    """The data of blocks that each begin with their length, up to the empty one."""
    data, at = bytearray(), 0
    while at < len(blocks) and blocks[at]:
        data += blocks[at + 1 : at + 1 + blocks[at]]
        at += 1 + blocks[at]
    return bytes(data)


_FINDERS: dict[str, Callable[[bytes, ReadRange], Blocks]] = {
    "jpeg": find_in_jpeg,
    "png": find_in_png,
    "webp": _find_in_webp,
    "gif": _find_in_gif,
    "tiff": partial(_find_in_tiff, "tiff"),
    "raw": _find_in_raw,
    "heif": partial(find_in_heif, "heif"),
    "avif": partial(find_in_heif, "avif"),
}
