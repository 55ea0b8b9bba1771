"""Finds and drafts XMP sidecars, for photos whose own bytes are better left alone."""

from __future__ import annotations

import os
from typing import NamedTuple

from geotag import __version__
from geotag.errors import PhotoError
from geotag.files.extensions import PHOTO_EXTENSIONS
from geotag.files.sidecars import own_sidecars, sidecar_names
from geotag.metadata.containers import find_blocks
from geotag.metadata.ranges import ReadRange
from geotag.writing.blocks import exif_claim, xmp_claim
from geotag.writing.blocks.tiff import Tiff, TiffError, parse_tiff
from geotag.writing.blocks.xmp import XmpError, XmpPacket, new_packet, parse_packet
from geotag.writing.claim import (
    Claim,
    Surroundings,
    changes_between,
    plain_keywords,
    union,
)
from geotag.writing.edits import Edit, trimmed
from geotag.writing.embedded import NAMED_BY_USER, Draft
from geotag.writing.files import Files
from geotag.writing.replace import CannotWriteError
from geotag.writing.verify import check_packet

_KEYWORDS = "dc:subject"


class Sidecar(NamedTuple):
    """Where a photo's sidecar is, or would be."""

    path: str
    exists: bool


def find_sidecar(photo: str, files: Files) -> Sidecar:
    """The sidecar that exists, IMG.jpg.xmp before IMG.xmp; else IMG.jpg.xmp.

    Raises CannotWriteError when IMG.xmp serves several photos.
    """
    for path in sidecars_of(photo, files):
        if path not in own_sidecars(photo):
            _check_alone(photo, path, files)
        return Sidecar(path, True)
    return Sidecar(own_sidecars(photo)[0], False)


def sidecars_of(photo: str, files: Files) -> tuple[str, ...]:
    """All names of sidecars that exist for a photo, its own before those it may share."""
    return tuple(name for name in sidecar_names(photo) if files.exists(name))


def _check_alone(photo: str, sidecar: str, files: Files) -> None:
    stem = os.path.splitext(photo)[0]
    for extension in sorted(PHOTO_EXTENSIONS):
        for spelling in (extension, extension.upper(), extension.capitalize()):
            other = f"{stem}.{spelling}"
            if other != photo and files.exists(other) and not _is_same(other, photo):
                raise CannotWriteError(
                    f"its sidecar {os.path.basename(sidecar)} serves "
                    f"{os.path.basename(other)} as well"
                )


def _is_same(one: str, other: str) -> bool:
    """Whether two spellings are one file, as on file systems that ignore case."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def draft_sidecar(
    data: bytes | None, claim: Claim | None, around: Surroundings, measured: bool = False
) -> Draft:
    """The edits that put a claim into a sidecar (None: one that does not exist yet), or with no
    claim take an earlier one out.

    `around` is what the photo's own blocks say (keywords only for a sidecar made anew); `measured`
    says that the photo's position is known. Raises CannotWriteError.
    """
    old = data or b""
    try:
        packet = parse_packet(old) if data is not None else new_packet(_tool())
    except XmpError as error:
        raise CannotWriteError(f"its sidecar cannot be edited: {error}") from error
    previous = xmp_claim.read_previous(packet)
    if claim is None and previous is None:
        return Draft()
    if claim and previous and previous.outweighs(claim):
        return Draft(notes=(NAMED_BY_USER,))
    fields = xmp_claim.snapshot(packet)
    if claim is None:
        assert previous is not None
        xmp_claim.remove_claim(packet, previous)
    else:
        xmp_claim.add_claim(packet, claim, around, positions=True, measured=measured)
    changes = changes_between(fields, xmp_claim.snapshot(packet))
    if all(change.field in xmp_claim.VOLATILE for change in changes):
        return Draft()
    new = packet.serialize(len(old))
    check_packet(parse_packet(old) if data is not None else new_packet(_tool()), parse_packet(new))
    return Draft((trimmed(old, Edit(0, len(old), new)),), changes)


def _tool() -> str:
    return f"geotag {__version__}"


def has_claim(data: bytes) -> bool:
    """Whether geotag wrote into a sidecar before."""
    try:
        return xmp_claim.read_previous(parse_packet(data)) is not None
    except XmpError:
        return False


def read_surroundings(read: ReadRange) -> Surroundings:
    """The keywords and places of a photo's own blocks: readers that know sidecars no longer look
    at those once there is a sidecar. What cannot be read is left out."""
    try:
        blocks = find_blocks(read)
    except PhotoError:
        return Surroundings()
    packet = _packet(blocks.xmp)
    words = plain_keywords(exif_claim.keywords(_tiff(blocks.exif)))
    if packet is None:
        return Surroundings(words)
    words = union((*packet.items(_KEYWORDS), *words))
    previous = xmp_claim.read_previous(packet)
    own = previous.landmark if previous and _KEYWORDS in previous.wrote else ""
    places = {name: packet.text(name) for name in xmp_claim.PLACES if packet.text(name)}
    return Surroundings(tuple(word for word in words if word != own), {} if previous else places)


def _packet(block: bytes | None) -> XmpPacket | None:
    try:
        return parse_packet(block) if block else None
    except XmpError:
        return None


def _tiff(block: bytes | None) -> Tiff | None:
    try:
        return parse_tiff(block) if block else None
    except TiffError:
        return None
