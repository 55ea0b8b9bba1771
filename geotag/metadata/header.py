"""Reads what the camera and the sidecars say of a photo, header first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import reduce
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, Protocol

from geotag.errors import PhotoError, TransientPhotoError
from geotag.files.extensions import RAW_EXTENSIONS, extension
from geotag.files.takeout import is_of, is_takeout
from geotag.metadata.assembled import assemble, merge
from geotag.metadata.blocks import BLOCK_LIMIT, Blocks
from geotag.metadata.containers import find_blocks
from geotag.metadata.elsewhere import POSITION_NAME, position_elsewhere
from geotag.metadata.exif import UNCLEAR, parse_gps, parse_metadata, parse_thumbnail
from geotag.metadata.marks import inferred_offset
from geotag.metadata.ranges import ReadRange
from geotag.metadata.takeout import JSON_LIMIT, parse_takeout
from geotag.metadata.xmp import PACKET_LIMIT, mentions_position, packet_in, parse_sidecar, parse_xmp
from geotag.records import Failure, FailureKind, Metadata, Photo

# Grows whenever more is read of photos and sidecars, or it is understood otherwise: those that an
# older version read are then read again.
READER_VERSION = 5
_LEFT_OVER = (
    "the position in an XMP packet that is left over from another version of it may not be its "
    "own, so none is inferred"
)


class Files(Protocol):
    """What reads photos and their sidecars: any source. Both methods raise PhotoError."""

    def open(self, photo: Photo) -> AbstractContextManager[ReadRange]:
        """Open a photo for ranged reads."""
        ...

    def read(self, uri: str, limit: int) -> bytes:
        """All bytes of a sidecar, up to a limit."""
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

    Raises PhotoError when the file cannot be read or is no photo, or a sidecar that may hold its
    position cannot be read now.
    """
    with files.open(photo) as read:
        header = _parse(read, photo.uri)
    if header.metadata.location is not None or not photo.sidecars:
        return header
    metadata = header.metadata
    for sidecar in photo.sidecars:
        found = _read_sidecar(files, sidecar, photo.uri)
        if is_takeout(sidecar) and metadata.capture.time:
            found = found._replace(capture=found.capture._replace(gps_time=""))
        metadata = merge(metadata, found)
        if metadata.location is not None:
            break
    thumbnail = header.thumbnail if metadata.location is None else None
    return header._replace(metadata=metadata, thumbnail=thumbnail)


def parse_header(data: bytes, uri: str) -> Header:
    """The header of a whole photo in memory. Raises PhotoError when it is no photo."""
    return read_on(_parse(lambda offset, length: data[offset : offset + length], uri), data)


def read_on(header: Header, data: bytes) -> Header:
    """The header with what all bytes of the photo tell: whether a position is where none is read.

    That takes some milliseconds, and is done where the whole photo is in memory anyway.
    """
    metadata = header.metadata
    if metadata.location is not None or metadata.position_unclear:
        return header
    why = position_elsewhere(data)
    return header._replace(metadata=metadata._replace(position_unclear=why)) if why else header


def _parse(read: ReadRange, uri: str) -> Header:
    blocks = find_blocks(read)
    metadata = _metadata(blocks, read)
    thumbnail = None
    if metadata.location is None and blocks.exif and blocks.size and blocks.format == "jpeg":
        jpeg = parse_thumbnail(blocks.exif)
        thumbnail = Thumbnail(jpeg, blocks.size) if jpeg is not None else None
    if blocks.size and (metadata.capture.width, metadata.capture.height) != blocks.size:
        width, height = blocks.size
        capture = metadata.capture._replace(width=width, height=height)
        metadata = metadata._replace(capture=capture)
    return Header(_effective_format(blocks.format, uri), metadata, thumbnail)


def _metadata(blocks: Blocks, read: ReadRange) -> Metadata:
    """What the blocks say together: of Exif blocks the last counts most, of packets the first."""
    parsed = [parse_metadata(exif) for exif in reversed(blocks.exifs[blocks.is_tiff :])]
    if blocks.is_tiff:
        parsed.append(parse_metadata(blocks.exifs[0], read))
    metadata = reduce(merge, parsed) if parsed else Metadata()
    if blocks.unread_position and metadata.location is None:
        metadata = metadata._replace(position_unclear=blocks.unread_position)
    if blocks.gps:
        metadata = merge(metadata, parse_gps(blocks.gps))
    for xmp in blocks.xmps:
        is_whole = metadata.capture.time and metadata.capture.model
        if not is_whole or (metadata.location is None and mentions_position(xmp)):
            metadata = merge(metadata, parse_xmp(xmp))
    for xmp in blocks.xmps:
        metadata = _without_inferred_offset(metadata, inferred_offset(xmp))
    for exif in blocks.exifs if metadata.location is None else ():
        packet = packet_in(exif)
        if mentions_position(packet):
            metadata = merge(metadata, parse_xmp(packet))
        elif POSITION_NAME in exif:  # of a packet that is damaged, or no packet
            metadata = merge(metadata, Metadata(position_unclear=UNCLEAR))
    for guid, xmp in _extended(blocks, read) if metadata.location is None else ():
        if mentions_position(xmp):
            is_named = any(guid in packet for packet in blocks.xmps)
            said = parse_xmp(xmp) if is_named else Metadata(position_unclear=_LEFT_OVER)
            metadata = merge(metadata, said)
    return metadata


def _without_inferred_offset(metadata: Metadata, offset: str) -> Metadata:
    """What the camera wrote: an offset from UTC that geotag gave its time is none of it."""
    capture = metadata.capture
    if not offset or not capture.time.endswith(offset):
        return metadata
    capture = capture._replace(time=capture.time.removesuffix(offset))
    return assemble(metadata.location, metadata.position_unclear, capture, metadata.orientation)


def _extended(blocks: Blocks, read: ReadRange) -> Iterator[tuple[bytes, bytes]]:
    """The extended XMP packets, each with its GUID: what the photo's own packet does not name is
    left over from an earlier one (XMP specification, part 3, 1.1.3.1)."""
    if sum(length for _, _, length in blocks.extended) <= BLOCK_LIMIT:
        for guid, parts in groupby(blocks.extended, itemgetter(0)):
            yield guid, b"".join(read(*place) for _, *place in parts)


def _read_sidecar(files: Files, uri: str, photo: str) -> Metadata:
    name = uri.rpartition("/")[2]
    is_json = is_takeout(name)
    try:
        if is_json:
            return parse_takeout(files.read(uri, JSON_LIMIT), uri, photo)
        return parse_sidecar(files.read(uri, PACKET_LIMIT), name)
    except PhotoError as error:
        if error.transient:
            raise TransientPhotoError(f"its sidecar {name} cannot be read now: {error}") from error
        if is_json and not is_of(uri, photo, ""):
            return Metadata()
        why = f"its sidecar {name} cannot be read ({error}), so no position is inferred"
        return Metadata(position_unclear=why)


def failure_of(error: PhotoError) -> Failure:
    """The failure that a row shows for an error."""
    kind = FailureKind.TRANSIENT if error.transient else FailureKind.PERMANENT
    return Failure(kind, str(error))


def _effective_format(format: str, uri: str) -> str:
    """Most raw files are TIFFs by content; their extension alone tells them apart."""
    if format == "tiff" and extension(uri) in RAW_EXTENSIONS:
        return "raw"
    return format
