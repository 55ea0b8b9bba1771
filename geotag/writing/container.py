"""The one interface of files that take tags inside: JPEG, WebP, and XMP sidecars. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

from geotag.writing.edits import BlockChange, Edit
from geotag.writing.jpeg import Jpeg
from geotag.writing.webp import WebP


class Container(Protocol):
    """A file in memory whose metadata blocks have been found."""

    @property
    def data(self) -> bytes:
        """All of the file."""
        ...

    @property
    def is_photo(self) -> bool:
        """Whether it is a photo, which can hold an Exif block; a sidecar is an XMP packet alone."""
        ...

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Find the blocks. Raises CannotEmbedError for files that a change could harm."""
        ...

    def block(self, name: str) -> bytes | None:
        """The bare contents of "exif", "xmp", "extended xmp" or "iim"."""
        ...

    def edits(self, changes: Mapping[str, BlockChange]) -> tuple[Edit, ...]:
        """The edits of the file that change its blocks so. Raises CannotEmbedError."""
        ...

    def other_parts(self) -> tuple[bytes, ...]:
        """All of the file but its metadata, and what depends on their sizes: for the verifier."""
        ...


@dataclass(frozen=True)
class XmpFile:
    """An XMP sidecar: the packet is all of the file, which is empty until it is first written."""

    data: bytes
    is_photo: ClassVar[bool] = False

    @classmethod
    def parse(cls, data: bytes) -> XmpFile:
        """Any bytes."""
        return cls(data)

    def block(self, name: str) -> bytes | None:
        """The packet."""
        return self.data if name == "xmp" and self.data else None

    def edits(self, changes: Mapping[str, BlockChange]) -> tuple[Edit, ...]:
        """Those of the packet."""
        change = changes["xmp"]
        return (Edit(0, 0, change),) if isinstance(change, bytes) else change

    def other_parts(self) -> tuple[bytes, ...]:
        """Nothing."""
        return ()


# By a photo's format; photos of all other formats have their tags in a sidecar.
CONTAINERS: dict[str, type[Container]] = {"jpeg": Jpeg, "webp": WebP}
