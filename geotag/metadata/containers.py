"""Finds the metadata blocks (Exif, XMP) inside the container formats of photos."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from geotag.errors import PhotoError
from geotag.metadata.isobmff import find_items
from geotag.metadata.ranges import ReadRange, buffered
from geotag.metadata.riff import riff_chunks
from geotag.metadata.tiff import open_tiff

# What one request fetches of a photo over a network: most cameras' metadata whole.
HEADER_SIZE = 64 * 1024
# What a walk from marker to marker reads at a time where reading costs by the byte: on a disk.
_STEP = 4096
BLOCK_LIMIT = 16 * 2**20
_FILE_SIZE_LIMIT = 2**40
# Far more segments or chunks than any writer makes: 512 MiB of chunks of 8 KiB, libpng's size.
_PART_LIMIT = 2**16
_XMP_TAG = 0x02BC
EXIF_PREFIX = b"Exif\0\0"
XMP_PREFIX = b"http://ns.adobe.com/xap/1.0/\0"


class Blocks(NamedTuple):
    """The format by content, the Exif block as a bare TIFF structure, and the XMP packet.

    `size` is the width and height in pixels, told of JPEGs alone.
    """

    format: str
    exif: bytes | None = None
    xmp: bytes | None = None
    size: tuple[int, int] | None = None


class Segment(NamedTuple):
    """One marker segment of a JPEG: `start` is the offset of its 0xFF, `end` is behind it."""

    marker: int
    start: int
    end: int
    payload: bytes


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
    if header[:4] in (b"IIRO", b"IIRS", b"IIU\0") or header[:15] == b"FUJIFILMCCD-RAW":
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
    header = read(0, _STEP)
    if not header:
        raise PhotoError("the file is empty")
    found = sniff_format(header)
    if found is None:
        raise PhotoError("not a photo: its first bytes fit no known format")
    if found != "jpeg":
        header += read(len(header), HEADER_SIZE - len(header))
    return _FINDERS[found](header, read)


def jpeg_segments(data: bytes) -> Iterator[Segment]:
    """The marker segments from SOI up to the start of scan (included, as its header alone).

    Stops at the first byte that is no marker, at a segment that `data` does not hold whole, and
    where there are too many.
    """
    at = 2
    size = len(data)
    for _ in range(_PART_LIMIT):
        at = _behind_fill(data, at)
        if at + 4 > size or data[at] != 0xFF:
            return
        marker = data[at + 1]
        if marker == 0x01 or 0xD0 <= marker <= 0xD9:  # stand alone: no length follows
            return
        end = at + 2 + (data[at + 2] << 8 | data[at + 3])
        if end < at + 4 or end > size:
            return
        yield Segment(marker, at, end, data[at + 4 : end])
        if marker == 0xDA:
            return
        at = end


_FILL = re.compile(rb"\xff*(?=\xff)")


def _behind_fill(data: bytes, at: int) -> int:
    """Where a marker begins: the last of the 0xFF bytes at `at`, where there are several."""
    found = _FILL.match(data, at)
    return found.end() if found else at


# Frame headers, which tell the size of the picture (ITU-T T.81, B.2.2).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _find_in_jpeg(header: bytes, read: ReadRange) -> Blocks:
    """Walks the markers without copying segments: this is the hot path of a metadata scan."""
    exif = xmp = size = None
    at = 2
    base = 0
    data = header
    for _ in range(_PART_LIMIT):
        if at - base + 40 > len(data):
            data, base = read(at, _STEP), at
            if len(data) < 4 or at > BLOCK_LIMIT:
                break
        here = at - base
        if data[here] != 0xFF:
            break
        marker = data[here + 1]
        if marker == 0xFF:
            at = base + _behind_fill(data, here)
            continue
        if marker == 0xDA or marker == 0x01 or 0xD0 <= marker <= 0xD9:
            break
        length = data[here + 2] << 8 | data[here + 3]
        if marker == 0xE1:
            payload = here + 4
            is_exif = exif is None and data[payload : payload + 6] == EXIF_PREFIX
            is_xmp = xmp is None and data[payload : payload + 29] == XMP_PREFIX
            missing = here + 2 + length - len(data)
            if missing > 0 and (is_exif or is_xmp):
                # One read for the rest and for what follows.
                data += read(base + len(data), missing + _STEP)
            if is_exif:
                exif = data[payload + 6 : payload - 2 + max(length, 8)]
            elif is_xmp:
                xmp = data[payload + 29 : payload - 2 + max(length, 31)]
        elif marker in _FRAMES and here + 9 <= len(data):
            height, width = struct.unpack_from(">HH", data, here + 5)
            size = (width, height) if width and height else None
        at += 2 + max(length, 2)
    return Blocks("jpeg", exif, xmp, size)


def _find_in_png(header: bytes, read: ReadRange) -> Blocks:
    exif = xmp = None
    at = 8
    read = buffered(header, read)
    for _ in range(_PART_LIMIT):
        head = read(at, 8)
        if len(head) < 8:
            break
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IEND":
            break
        if kind == b"eXIf" and length <= BLOCK_LIMIT:
            exif = _without_prefix(read(at + 8, length))
        elif kind == b"iTXt" and length <= BLOCK_LIMIT:
            text = read(at + 8, length)
            if text.startswith(b"XML:com.adobe.xmp\0\0\0\0\0"):
                xmp = text[22:]
        at += 12 + length
    return Blocks("png", exif, xmp)


def _find_in_webp(header: bytes, read: ReadRange) -> Blocks:
    exif = xmp = None
    read = buffered(header, read)
    for chunk in riff_chunks(read):
        if chunk.size <= BLOCK_LIMIT and chunk.kind == b"EXIF":
            exif = _without_prefix(read(chunk.data_at, chunk.size))
        elif chunk.size <= BLOCK_LIMIT and chunk.kind == b"XMP ":
            xmp = read(chunk.data_at, chunk.size)
    return Blocks("webp", exif, xmp)


def _without_prefix(block: bytes) -> bytes:
    return block[6:] if block.startswith(EXIF_PREFIX) else block


def _find_in_tiff(header: bytes, read: ReadRange) -> Blocks:
    """A TIFF is its own Exif block; directories behind the header are read where they lie."""
    return Blocks("tiff", header, _xmp_in_tiff(header, read))


def _xmp_in_tiff(header: bytes, read: ReadRange) -> bytes | None:
    """The packet that the first directory holds (XMP specification, part 3, section 1.1.5.1)."""
    tiff = open_tiff(header, read)
    if tiff is None:
        return None
    entry = tiff.directory(tiff.first, frozenset((_XMP_TAG,))).get(_XMP_TAG)
    return tiff.value(entry, BLOCK_LIMIT) or None if entry is not None else None


def _find_in_isobmff(name: str) -> Callable[[bytes, ReadRange], Blocks]:
    def find(header: bytes, read: ReadRange) -> Blocks:
        return Blocks(name, *find_items(buffered(header, read), _FILE_SIZE_LIMIT))

    return find


def _find_in_raw(header: bytes, read: ReadRange) -> Blocks:
    """Most raw formats are a TIFF with a number of their own; of the others only the name."""
    if header[:2] in (b"II", b"MM"):
        return Blocks("raw", header, _xmp_in_tiff(header, read))
    return Blocks("raw")


def _find_in_gif(header: bytes, read: ReadRange) -> Blocks:
    return Blocks("gif")


_FINDERS: dict[str, Callable[[bytes, ReadRange], Blocks]] = {
    "jpeg": _find_in_jpeg,
    "png": _find_in_png,
    "webp": _find_in_webp,
    "gif": _find_in_gif,
    "tiff": _find_in_tiff,
    "raw": _find_in_raw,
    "heif": _find_in_isobmff("heif"),
    "avif": _find_in_isobmff("avif"),
}
