"""What every source of photos offers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from fnmatch import fnmatchcase
from typing import NamedTuple, Protocol

from geotag.errors import PhotoError
from geotag.metadata.ranges import ReadRange
from geotag.records import Photo

# The largest photo that is read, and what all workers hold of photos' files at once.
READ_LIMIT = 320 * 2**20


class Source(Protocol):
    """A folder or bucket of photos; `skipped` is complete once `photos` has run."""

    @property
    def skipped(self) -> Counter[str]:
        """Counts by reason, for people."""
        ...

    @property
    def roots(self) -> list[bytes]:
        """Folders or files, one of which the URI of each photo is or lies below."""
        ...

    @property
    def bytes_fetched(self) -> int:
        """How much was read over a network; 0 where there is none."""
        ...

    def photos(self) -> Iterator[Photo]:
        """List the photos in the byte order of their URIs. Raises SourceError."""
        ...

    def open(self, photo: Photo) -> AbstractContextManager[ReadRange]:
        """Open a photo for ranged reads. Raises PhotoError, also from the reads."""
        ...

    def content_key(self, photo: Photo, data: bytes | None = None) -> str:
        """The same for photos of the same content, also under other names; empty when unknown.

        `data` are the photo's bytes where the caller has them. Raises PhotoError.
        """
        ...

    def ahead(self, photos: Iterable[Photo]) -> Iterator[Photo]:
        """The same photos; where opening takes a while, the next ones are opened meanwhile."""
        ...

    def expect(self, photo: Photo) -> None:
        """Hear that this photo will be read whole, soon."""
        ...

    def read_photo(self, photo: Photo) -> bytes:
        """All bytes of a photo, of the version that was listed. Raises PhotoError."""
        ...

    def read(self, uri: str, limit: int = READ_LIMIT) -> bytes:
        """All bytes of a sidecar. Raises PhotoError, also for more than the limit."""
        ...


class Filters(NamedTuple):
    """Which photos to list: globs on the path below the source, and on the name alone."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    follow_symlinks: bool = False

    def admit(self, relative: str) -> bool:
        """Whether a path below the source is wanted."""
        if self.include and not _matches(relative, self.include):
            return False
        return not _matches(relative, self.exclude)


def check_size(size: int, limit: int = READ_LIMIT) -> None:
    """Raises PhotoError for a file that is too large to be read."""
    if size > limit:
        raise PhotoError(f"larger than {limit >> 20} MiB, not read")


def _matches(relative: str, globs: tuple[str, ...]) -> bool:
    name = relative.rpartition("/")[2]
    return any(fnmatchcase(relative, glob) or fnmatchcase(name, glob) for glob in globs)
