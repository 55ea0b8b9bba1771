"""Cheap keys of photos' content, so that renamed ones are known again, and keys of pictures."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from geotag.files.extensions import RAW_EXTENSIONS, extension
from geotag.metadata.containers import HEADER_SIZE, sniff_format
from geotag.metadata.jpeg import jpeg_segments
from geotag.metadata.ranges import ReadRange
from geotag.records import Photo
from geotag.sources.base import Source

if TYPE_CHECKING:
    from geotag.metadata.header import Thumbnail

_SAMPLE_SIZE = 4096
_SAMPLES = 8
_SOS, _COM = 0xDA, 0xFE


def content_key(name: str, size: int, read: ReadRange) -> str:
    """A key of a photo's size, first 64 KiB, eight spread samples and end.

    Compressed pictures that differ anywhere differ in all that follows; the samples tell apart
    uncompressed ones. The extension counts where it decides how a file is decoded.
    """
    digest = hashlib.blake2b(digest_size=16)
    suffix = extension(name)
    digest.update(b"%d %b " % (size, suffix.encode() if suffix in RAW_EXTENSIONS else b""))
    digest.update(read(0, HEADER_SIZE))
    step = (size - HEADER_SIZE - _SAMPLE_SIZE) // _SAMPLES
    if step > 0:
        for number in range(1, _SAMPLES + 1):
            digest.update(read(HEADER_SIZE + number * step, _SAMPLE_SIZE))
    elif size > HEADER_SIZE:
        digest.update(read(HEADER_SIZE, size - HEADER_SIZE))
    return digest.hexdigest()


def thumbnail_key(photo: Photo, thumbnail: Thumbnail, orientation: int) -> str:
    """A key of all that is seen of a photo whose thumbnail alone is looked at; empty where its size
    is not known."""
    parts = [b"%d %d %d" % (*thumbnail.photo_size, orientation), thumbnail.jpeg]
    return f"thumbnail {_digest(parts)}" if photo.size >= 0 else ""


def picture_key(source: Source, photo: Photo) -> str:
    """The same as long as a photo's picture is, whatever was done to its metadata.

    That holds for the formats that geotag writes tags into; of another one the whole content
    counts. JPEG and WebP are read whole. Raises PhotoError.
    """
    with source.open(photo) as read:
        picture_of = _PICTURES.get(sniff_format(read(0, 64)) or "")
    if picture_of is not None and (parts := picture_of(source.read_photo(photo))):
        return _digest(parts)
    return source.content_key(photo) or _digest([source.read_photo(photo)])


def _digest(parts: list[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(b"%d " % len(part))
        digest.update(part)
    return digest.hexdigest()


def _jpeg_picture(data: bytes) -> list[bytes]:
    """From the first scan on, and before it all but application segments and comments.

    Empty for a damaged one.
    """
    segments = list(jpeg_segments(data))
    if not segments or segments[-1].marker != _SOS:
        return []
    coding = (s for s in segments[:-1] if not 0xE0 <= s.marker <= 0xEF and s.marker != _COM)
    return [*(data[s.start : s.end] for s in coding), data[segments[-1].start :]]


def _webp_picture(data: bytes) -> list[bytes]:
    """The chunks that hold the picture; empty for a damaged one."""
    parts, at = [], 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        if kind in (b"VP8 ", b"VP8L", b"ALPH", b"ANMF"):
            parts.append(data[at : at + 8 + size])
        at += 8 + size + size % 2
    return parts


_PICTURES: dict[str, Callable[[bytes], list[bytes]]] = {
    "jpeg": _jpeg_picture,
    "webp": _webp_picture,
}
