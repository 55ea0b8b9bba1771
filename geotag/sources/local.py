"""Photos in folders and files of this machine."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple

from geotag.errors import PhotoError, SourceError, TransientPhotoError
from geotag.files.extensions import PHOTO_EXTENSIONS
from geotag.files.paths import format_path
from geotag.files.sorting import sorted_names
from geotag.metadata.containers import sniff_format
from geotag.metadata.ranges import ReadRange
from geotag.records import READ_LIMIT, UNKNOWN_SIZE, Photo
from geotag.sources.base import Filters, check_size
from geotag.sources.content import content_key
from geotag.sources.listing import File, Listing, is_beside, look_for_sidecars, with_sidecars

_EXTENSIONS = frozenset(name.encode() for name in PHOTO_EXTENSIONS)
_ABSENT = (errno.ENOENT, errno.ENOTDIR)
_FORBIDDEN = (errno.EACCES, errno.EPERM)
# A FIFO that took a photo's place must not block the scan.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_Identity = tuple[int, int]


class _Folder(NamedTuple):
    """A folder that is being walked: its path ends with a slash; `names` are yet to come."""

    path: bytes
    identity: _Identity
    names: Iterator[bytes]


class LocalSource:
    """A folder, walked recursively, or a single file."""

    bytes_fetched = 0
    requests = 0

    def __init__(self, root: str, filters: Filters) -> None:
        if not root:  # which would be the current folder
            raise SourceError("an empty name is no folder (of a variable that is not set?)")
        self.root = os.fsencode(os.path.abspath(root))
        self.filters = filters
        self.listing = Listing(format_path(os.fsdecode(self.root)), self.root)
        self._entries = 0  # that were looked at, but for hidden ones

    def photos(self) -> Iterator[Photo]:
        """List the photos below the root in byte order; links only as the filters say."""
        self.listing.begin()
        try:
            status = os.stat(self.root)
        except OSError as error:
            raise SourceError(f"{self.listing.source}: {_because(error)}") from error
        if stat.S_ISDIR(status.st_mode):
            files = self._walk((status.st_dev, status.st_ino))
            for photo, sidecars in with_sidecars(files, self._look_at):
                self.listing.photos += 1
                yield _photo(photo, sidecars)
        elif stat.S_ISREG(status.st_mode):
            self.listing.photos += 1
            yield _photo(*look_for_sidecars(_file(self.root, status), self._look_at))
        else:
            raise SourceError(f"{self.listing.source}: neither a folder nor a regular file")

    def named(self, path: bytes) -> Photo | None:
        """The photo of a name that somebody gave; None where there is something else."""
        try:
            status = os.stat(path, follow_symlinks=self.filters.follow_symlinks)
        except (OSError, ValueError):  # reading it tells why
            return Photo(os.fsdecode(path), UNKNOWN_SIZE, "")
        if not stat.S_ISREG(status.st_mode):
            self._skip("symlink" if stat.S_ISLNK(status.st_mode) else "folder or special file")
        elif not self.filters.is_recent(status.st_mtime):
            self._skip("not changed since")
        else:
            return _photo(*look_for_sidecars(_file(path, status), self._look_at))
        return None

    def is_gone(self, uri: str) -> bool:
        """Whether the system says that there is no such file. What is excluded may lie on a drive
        that is not mounted."""
        if not self.filters.wants(self._relative(os.fsencode(uri))):
            return False
        try:
            os.lstat(uri)
        except OSError as error:
            return error.errno in _ABSENT
        return False

    def _walk(self, identity: _Identity) -> Iterator[File]:
        """Photos and sidecars in byte order of their paths."""
        folders = [_Folder(os.path.join(self.root, b""), identity, self._names(self.root))]
        while folders:
            folder = folders[-1]
            name = next(folder.names, None)
            if name is None:
                folders.pop()
            elif name.endswith(b"/"):
                folders += self._enter(folder.path + name, folders)
            elif file := self._wanted(folder.path, name):
                yield file

    def _enter(self, path: bytes, above: list[_Folder]) -> list[_Folder]:
        """The folder, unless it is one of those above it or cannot be entered."""
        try:
            status = os.stat(path)
        except OSError as error:
            self._miss("folder", path[:-1], error)
            return []
        identity = status.st_dev, status.st_ino
        if any(folder.identity == identity for folder in above):
            self.listing.skipped["symlink loop"] += 1
            return []
        return [_Folder(path, identity, self._names(path[:-1]))]

    def _names(self, folder: bytes) -> Iterator[bytes]:
        """The names of what may be a photo or sidecar, and of folders with a slash behind, so that
        a walk runs in byte order of whole paths."""
        try:
            before = self._entries
            with os.scandir(folder) as entries:
                names = sorted_names(name for entry in entries if (name := self._name(entry)))
            if self._entries == before and folder != self.root:
                self.listing.empty.append(folder)
            return names
        except OSError as error:
            if folder == self.root:
                raise SourceError(f"{self.listing.source}: {_because(error)}") from error
            self._miss("folder", folder, error)
            return iter(())

    def _name(self, entry: os.DirEntry[bytes]) -> bytes:
        """The name of an entry that is to be listed or entered; empty for others."""
        name = entry.name
        if name.startswith(b"."):
            return self._skip(self.filters.why_not_enter(os.fsdecode(name)))
        self._entries += 1
        try:
            if not self.filters.follow_symlinks and entry.is_symlink():
                return name if is_beside(name) else self._skip("symlink")
            if entry.is_dir():
                reason = self.filters.why_not_enter(self._relative(entry.path))
                return self._skip(reason) if reason else name + b"/"
            if not entry.is_file():
                if not entry.is_symlink():
                    return self._skip("special file")
                self.listing.empty.append(entry.path)  # perhaps to a folder that is not mounted
                return self._skip("broken link")
        except OSError as error:
            if error.errno == errno.ELOOP:
                return self._skip("symlink loop")
            self._miss("link" if error.errno in _FORBIDDEN else "file", entry.path, error)
            return b""
        _, dot, suffix = name.rpartition(b".")
        if dot and suffix.lower() not in _EXTENSIONS:
            self.listing.skipped["sidecar" if is_beside(name) else "not a photo"] += 1
            return name if is_beside(name) else b""
        filtered = self.filters.include or self.filters.exclude
        if filtered and not self.filters.admit(self._relative(entry.path)):
            return self._skip("excluded")
        return name

    def _wanted(self, folder: bytes, name: bytes) -> File | None:
        """A photo or sidecar; None for what is no photo by its content or has vanished."""
        path = folder + name
        if b"." not in name:
            try:
                if not _is_photo(path):
                    self.listing.skipped["not a photo"] += 1
                    return None
            except OSError as error:
                self._miss("file", path, error)
                return None
        file = self._look_at(path)
        if file is None:
            if not is_beside(path):
                self.listing.skipped["vanished"] += 1
        elif self.filters.since is not None and not self._is_recent(file):
            self.listing.skipped["not changed since"] += 1
            return None
        return file

    def _is_recent(self, file: File) -> bool:
        """Whether a file last changed since the filters want it; all sidecars count."""
        return is_beside(file.path) or self.filters.is_recent(int(file.version or 0) / 1e9)

    def _look_at(self, path: bytes) -> File | None:
        """A photo or sidecar as it is now; None where there is no such file."""
        try:
            status = os.stat(path, follow_symlinks=self.filters.follow_symlinks)
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            return File(path, UNKNOWN_SIZE, "")
        if stat.S_ISLNK(status.st_mode) and is_beside(path):
            return File(path, UNKNOWN_SIZE, "")  # it may hold a position, and is not read
        return _file(path, status) if stat.S_ISREG(status.st_mode) else None

    def _relative(self, path: bytes) -> str:
        return os.fsdecode(path[len(self.root) :].lstrip(b"/") or os.path.basename(path))

    def _skip(self, reason: str) -> bytes:
        self.listing.skipped[reason] += 1
        return b""

    def _miss(self, kind: str, path: bytes, error: OSError) -> None:
        self.listing.miss(kind, path, _because(error))

    def open(self, photo: Photo) -> AbstractContextManager[ReadRange]:
        return _OpenFile(photo.uri)

    def content_key(self, photo: Photo, data: bytes | None = None) -> str:
        """A key of size and samples."""
        if data is not None:
            return content_key(photo.uri, len(data), lambda at, length: data[at : at + length])
        with self.open(photo) as read:
            return content_key(photo.uri, photo.size, read)

    def ahead(self, photos: Iterable[Photo]) -> Iterator[Photo]:
        """The same photos: opening takes no time here."""
        return iter(photos)

    def expect(self, photo: Photo) -> None:
        """Nothing to do: the system reads ahead by itself."""

    def read_photo(self, photo: Photo) -> bytes:
        """All bytes of a photo, up to READ_LIMIT."""
        return self.read(photo.uri)

    def read(self, uri: str, limit: int = READ_LIMIT) -> bytes:
        """All bytes of a file, up to a limit; a link to a sidecar only where links are followed."""
        if not self.filters.follow_symlinks and is_beside(uri) and os.path.islink(uri):
            raise PhotoError("it is a symbolic link: follow it with --follow-symlinks")
        try:
            with open(uri, "rb", opener=_opener) as file:
                size = os.fstat(file.fileno()).st_size
                check_size(size, limit)
                return file.read(size + 1)
        except OSError as error:
            raise TransientPhotoError(_because(error)) from error


class _OpenFile:
    """A file that is open for ranged reads; no generator, for a scan opens every photo."""

    def __init__(self, uri: str) -> None:
        self.descriptor = _open(uri)

    def __enter__(self) -> ReadRange:
        return self.read

    def __exit__(self, *error: object) -> None:
        os.close(self.descriptor)

    def read(self, offset: int, length: int) -> bytes:
        return _pread(self.descriptor, length, offset)


def _file(path: bytes, status: os.stat_result) -> File:
    return File(path, status.st_size, str(status.st_mtime_ns))


def _photo(photo: File, sidecars: list[File]) -> Photo:
    uri = os.fsdecode(photo.path)
    if not sidecars:
        return Photo(uri, photo.size, photo.version)
    version = photo.version + "".join(map(_stamp, sidecars))
    return Photo(uri, photo.size, version, tuple(os.fsdecode(s.path) for s in sidecars))


def _stamp(sidecar: File) -> str:
    known = sidecar.size != UNKNOWN_SIZE
    return f"+{sidecar.size}.{sidecar.version}" if known else "+?"


def _is_photo(path: bytes) -> bool:
    """Whether a file is a photo by its content. Raises OSError."""
    with open(path, "rb", opener=_opener) as file:
        return sniff_format(file.read(64)) is not None


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | _OPEN_FLAGS)


def _open(uri: str) -> int:
    try:
        return os.open(uri, _OPEN_FLAGS)
    except OSError as error:
        raise TransientPhotoError(_because(error)) from error


def _pread(descriptor: int, length: int, offset: int) -> bytes:
    """Fewer bytes only at the end of the file: some file systems give them in part."""
    try:
        data = os.pread(descriptor, length, offset)
        while 0 < len(data) < length:
            more = os.pread(descriptor, length - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data
    except (OSError, OverflowError, ValueError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise TransientPhotoError(_because(error)) from error
        return b""


def _because(error: OSError) -> str:
    """The reason without the path, which the row or message already names."""
    if error.errno == errno.ENOENT:
        return "no such file or folder (moved or deleted?)"
    if error.errno in _FORBIDDEN:
        return "no permission to read it"
    return f"cannot be read ({os.strerror(error.errno or 0)})"
