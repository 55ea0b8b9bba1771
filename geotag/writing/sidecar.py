"""Finds XMP sidecars, for photos whose own bytes are better left alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from geotag.files.extensions import PHOTO_EXTENSIONS
from geotag.files.sidecars import (
    is_sidecar,
    other_case_sidecars,
    own_sidecars,
    shared_sidecars,
    sidecar_names,
)
from geotag.metadata.containers import find_blocks
from geotag.metadata.ranges import ReadRange
from geotag.writing.blocks import exif_tags, xmp_tags
from geotag.writing.blocks.tiff import Tiff, TiffError, parse_tiff
from geotag.writing.blocks.xmp import XmpError, XmpPacket, parse_packet
from geotag.writing.files import Files
from geotag.writing.replace import CannotWriteError
from geotag.writing.tags import (
    PLACES,
    Surroundings,
    plain_keywords,
    union,
)

_KEYWORDS = "dc:subject"


class Sidecar(NamedTuple):
    """Where a photo's sidecar is, or would be."""

    path: str
    exists: bool


class SharedSidecarError(CannotWriteError):
    """A sidecar serves other files than the photo as well."""


class SidecarFinder:
    """Finds photos' sidecars. What lies in a folder is listed once, for photos come folder by
    folder and a folder may hold many."""

    def __init__(self) -> None:
        self._folder = ""
        self._stems: dict[str, list[str]] = {}

    def find(self, photo: str, files: Files) -> Sidecar:
        """The sidecar that exists, IMG.jpg.xmp before IMG.xmp; else IMG.jpg.xmp.

        Raises SharedSidecarError when IMG.xmp serves several files, CannotWriteError when it
        cannot be told now.
        """
        for path in sidecars_of(photo, files):
            if path in shared_sidecars(photo):
                self._check_alone(photo, path, files)
            return Sidecar(path, True)
        return Sidecar(own_sidecars(photo)[0], False)

    def _check_alone(self, photo: str, sidecar: str, files: Files) -> None:
        newer = () if files.is_remote else _known_kinds(os.path.splitext(photo)[0])
        for other in (*self._listed(photo, files), *newer):
            if other != photo and files.exists(other) and not _is_same(other, photo):
                raise SharedSidecarError(
                    f"its sidecar {os.path.basename(sidecar)} serves "
                    f"{os.path.basename(other)} as well"
                )

    def _listed(self, photo: str, files: Files) -> list[str]:
        """The files of the photo's stem."""
        folder = os.path.dirname(photo)
        if folder != self._folder:
            self._stems = _files_by_stem(folder, files.names(folder))
            self._folder = folder
        return self._stems.get(os.path.splitext(photo)[0], [])


def _files_by_stem(folder: str, names: list[str]) -> dict[str, list[str]]:
    """The files of a folder that an Adobe sidecar there serves, by the path of their stem."""
    stems = {os.path.splitext(name)[0] for name in names if is_sidecar(name)}
    found: dict[str, list[str]] = {}
    for name in names:
        stem = os.path.splitext(name)[0]
        if stem in stems and not is_sidecar(name):
            found.setdefault(os.path.join(folder, stem), []).append(os.path.join(folder, name))
    return found


def _known_kinds(stem: str) -> Iterator[str]:
    """Photos of a stem that may have come since the folder was listed."""
    for extension in sorted(PHOTO_EXTENSIONS):
        for spelling in (extension, extension.upper(), extension.capitalize()):
            yield f"{stem}.{spelling}"


def sidecars_of(photo: str, files: Files) -> tuple[str, ...]:
    """All names of sidecars that exist for a photo, its own before those it may share."""
    others = other_case_sidecars(photo)
    return tuple(
        name
        for name in sidecar_names(photo)
        if files.exists(name) and not (name in others and _is_of_another(name, photo, files))
    )


def _is_of_another(sidecar: str, photo: str, files: Files) -> bool:
    """Whether there is a photo of the very name, and it is not the same by a name in other case."""
    return files.exists(sidecar[:-4]) and not _is_same(sidecar[:-4], photo)


def _is_same(one: str, other: str) -> bool:
    """Whether two spellings are one file, as on file systems that ignore case."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def has_tags(data: bytes) -> bool:
    """Whether geotag wrote into a sidecar before."""
    packet = packet_in(data)
    return packet is not None and xmp_tags.read_earlier(packet) is not None


def read_surroundings(read: ReadRange) -> Surroundings:
    """The keywords and places of a photo's own blocks: readers that know sidecars no longer look
    at those once there is a sidecar. What is damaged is left out.

    Raises PhotoError when they cannot be read now.
    """
    blocks = find_blocks(read)
    packet = packet_in(blocks.xmp)
    words = plain_keywords(exif_tags.keywords(_tiff(blocks.exif)))
    if packet is None:
        return Surroundings(words)
    words = union((*packet.items(_KEYWORDS), *words))
    earlier = xmp_tags.read_earlier(packet)
    own = earlier.landmark if earlier and _KEYWORDS in earlier.wrote else ""
    places = {name: packet.text(name) for name in PLACES if packet.text(name)}
    return Surroundings(tuple(word for word in words if word != own), {} if earlier else places)


def packet_in(block: bytes | None) -> XmpPacket | None:
    """The packet of a block or sidecar; None where there is none, or it is damaged."""
    try:
        return parse_packet(block) if block else None
    except XmpError:
        return None


def _tiff(block: bytes | None) -> Tiff | None:
    try:
        return parse_tiff(block) if block else None
    except TiffError:
        return None
