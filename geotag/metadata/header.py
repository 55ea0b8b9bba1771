"""Reads what the camera and the sidecars say of a photo, header first."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from geotag.errors import PhotoError
from geotag.files.extensions import RAW_EXTENSIONS, extension
from geotag.metadata.containers import find_blocks
from geotag.metadata.exif import parse_metadata, parse_thumbnail
from geotag.metadata.ranges import ReadRange
from geotag.metadata.xmp import parse_location
from geotag.records import Failure, FailureKind, Location, Metadata, Photo


class Files(Protocol):
    """What reads photos and their sidecars: any source. Both methods raise PhotoError."""

    def open(self, photo: Photo) -> AbstractContextManager[ReadRange]:
        """Open a photo for ranged reads."""
        ...

    def read(self, uri: str) -> bytes:
        """All bytes of a sidecar."""
        ...


class Thumbnail(NamedTuple):
    """The small JPEG that most cameras put into a photo's header, and the photo's own shape."""

    jpeg: bytes
    photo_size: tuple[int, int]


class Header(NamedTuple):
    """What the first bytes of a photo tell: the format by content, and the metadata.

    `thumbnail` is kept only of JPEGs without a position.
    """

    format: str
    metadata: Metadata
    thumbnail: Thumbnail | None = None


def read_header(files: Files, photo: Photo) -> Header:
    """Read a photo's header; a sidecar's position counts where the photo has none of its own.

    Raises PhotoError when the file cannot be read or is no photo.
    """
    with files.open(photo) as read:
        header = _parse(read, photo.uri)
    if header.metadata.location is None:
        location = _sidecar_location(files, photo)
        if location is not None:
            return header._replace(
                metadata=header.metadata._replace(location=location), thumbnail=None
            )
    return header


def parse_header(data: bytes, uri: str) -> Header:
    """The header of a whole photo in memory. Raises PhotoError when it is no photo."""
    return _parse(lambda offset, length: data[offset : offset + length], uri)


def _parse(read: ReadRange, uri: str) -> Header:
    blocks = find_blocks(read)
    # Only a photo that is one TIFF structure has its directories at offsets of the file.
    behind = read if blocks.format in ("tiff", "raw") else None
    metadata = parse_metadata(blocks.exif, behind) if blocks.exif else Metadata()
    thumbnail = None
    if metadata.location is None:
        location = parse_location(blocks.xmp) if blocks.xmp else None
        if location is not None:
            metadata = metadata._replace(location=location)
        elif blocks.exif and blocks.size:
            jpeg = parse_thumbnail(blocks.exif)
            thumbnail = Thumbnail(jpeg, blocks.size) if jpeg is not None else None
    return Header(_effective_format(blocks.format, uri), metadata, thumbnail)


def failure_of(error: PhotoError) -> Failure:
    """The failure that a row shows for an error."""
    kind = FailureKind.TRANSIENT if error.transient else FailureKind.PERMANENT
    return Failure(kind, str(error))


def _effective_format(format: str, uri: str) -> str:
    """Most raw files are TIFFs by content; their extension alone tells them apart."""
    if format == "tiff" and extension(uri) in RAW_EXTENSIONS:
        return "raw"
    return format


def _sidecar_location(files: Files, photo: Photo) -> Location | None:
    for sidecar in photo.sidecars:
        try:
            location = parse_location(files.read(sidecar))
        except PhotoError:
            continue
        if location is not None:
            return location
    return None
