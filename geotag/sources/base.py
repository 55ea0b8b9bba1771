"""What every source of photos offers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from fnmatch import fnmatchcase
from typing import NamedTuple, Protocol

from geotag.errors import PhotoError
from geotag.metadata.ranges import ReadRange
from geotag.records import READ_LIMIT, Photo
from geotag.sources.listing import Listing, is_system_folder


class Source(Protocol):
    """Where photos are listed and read: one place, or a library of several."""

    @property
    def bytes_fetched(self) -> int:
        """How much was read over a network; 0 where there is none."""
        ...

    def photos(self) -> Iterator[Photo]:
        """List the photos in the byte order of their URIs; those of a large bucket in stretches
        that are each in order. Raises SourceError."""
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


class Lister(Protocol):
    """What tells which photos there are; `listing` is what came of it."""

    listing: Listing

    def photos(self) -> Iterator[Photo]: ...

    def is_gone(self, uri: str) -> bool:
        """Whether a photo that the listing covers and does not hold is no longer there, rather than
        passed over by the filters."""
        ...


class SingleSource(Source, Lister, Protocol):
    """A folder, bucket or list on a web server; `requests` for bytes have gone to it."""

    requests: int


class Filters(NamedTuple):
    """Which photos to list: globs on the path below the source, and on the name alone; and since
    when they must have changed, in seconds since 1970."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    follow_symlinks: bool = False
    since: float | None = None

    def admit(self, relative: str) -> bool:
        """Whether a path below the source is wanted."""
        if self.include and not _matches(relative, self.include):
            return False
        return not _matches(relative, self.exclude)

    def why_not_enter(self, folder: str) -> str:
        """Why nothing below a folder (its path below the source) is wanted; empty if it may be."""
        if is_system_folder(folder):
            return "system folder"
        if folder.rpartition("/")[2].startswith("."):
            return "hidden"
        # A glob that ends with * and matches a folder matches whatever is below it.
        below = (glob for glob in self.exclude if glob.endswith("*"))
        return "excluded folder" if any(fnmatchcase(folder + "/", glob) for glob in below) else ""

    def is_recent(self, modified: float) -> bool:
        """Whether a photo that last changed then (0: not known) is wanted."""
        return self.since is None or modified == 0 or modified >= self.since

    def enters(self, folder: str) -> bool:
        """Whether anything in a folder (its path below the source) may be wanted."""
        ends = (*(at for at, sign in enumerate(folder) if sign == "/"), len(folder))
        return not any(folder[:end] and self.why_not_enter(folder[:end]) for end in ends)

    def wants(self, relative: str) -> bool:
        """Whether a photo of this path below the source is listed, if it is there."""
        folders = relative.split("/")[:-1]
        paths = ("/".join(folders[:depth]) for depth in range(1, len(folders) + 1))
        return self.admit(relative) and not any(map(self.why_not_enter, paths))


def check_size(size: int, limit: int = READ_LIMIT) -> None:
    """Raises PhotoError for a file that is too large to be read."""
    if size > limit:
        raise PhotoError(f"larger than {limit >> 20} MiB, not read")


def _matches(relative: str, globs: tuple[str, ...]) -> bool:
    name = relative.rpartition("/")[2]
    return any(fnmatchcase(relative, glob) or fnmatchcase(name, glob) for glob in globs)
