"""The files that take tags inside: JPEG, WebP, and XMP sidecars. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from geotag.writing.edits import BlockChange, Edit
from geotag.writing.jpeg import Jpeg
from geotag.writing.webp import WebP


@dataclass(frozen=True)
class XmpFile:
    """An XMP sidecar: the packet is all of the file, which is empty until it is first written.

    `is_photo` tells it from photos, which can hold an Exif block.
    """

    data: bytes
    is_photo: ClassVar[bool] = False

    @classmethod
    def parse(cls, data: bytes) -> XmpFile:
        return cls(data)

    def block(self, name: str) -> bytes | None:
        return self.data if name == "xmp" and self.data else None

    def edits(self, changes: Mapping[str, BlockChange]) -> tuple[Edit, ...]:
        change = changes["xmp"]
        return (Edit(0, 0, change),) if isinstance(change, bytes) else change

    def other_parts(self) -> tuple[bytes, ...]:
        return ()


# A file in memory whose metadata blocks have been found.
Container = Jpeg | WebP | XmpFile
# By a photo's format; photos of all other formats have their tags in a sidecar.
CONTAINERS: dict[str, type[Jpeg | WebP]] = {"jpeg": Jpeg, "webp": WebP}
