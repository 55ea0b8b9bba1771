"""Photos in folders and files of this machine."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager

from geotag.errors import SourceError, TransientPhotoError
from geotag.files.extensions import PHOTO_EXTENSIONS
from geotag.files.paths import format_path
from geotag.files.sidecars import is_sidecar, sidecar_names
from geotag.metadata.containers import sniff_format
from geotag.metadata.ranges import ReadRange
from geotag.records import Photo
from geotag.sources.base import READ_LIMIT, Filters, check_size
from geotag.sources.content import content_key

_log = logging.getLogger(__name__)
_EXTENSIONS = frozenset(b"." + name.encode() for name in PHOTO_EXTENSIONS)
# A FIFO that took a photo's place must not block the scan.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


class LocalSource:
    """A folder, walked recursively, or a single file."""

    bytes_fetched = 0

    def __init__(self, root: str, filters: Filters) -> None:
        if not root:  # which would be the current folder
            raise SourceError("an empty name is no folder (of a variable that is not set?)")
        self.root = os.fsencode(os.path.abspath(root))
        self.roots = [self.root]
        self.filters = filters
        self.skipped: Counter[str] = Counter()

    def photos(self) -> Iterator[Photo]:
        """List the photos below the root in byte order; links only as the filters say."""
        self.skipped.clear()
        try:
            status = os.stat(self.root)
        except OSError as error:
            raise SourceError(f"{os.fsdecode(self.root)}: {_because(error)}") from error
        if stat.S_ISDIR(status.st_mode):
            yield from self._walk(self.root, ((status.st_dev, status.st_ino),))
        elif stat.S_ISREG(status.st_mode):
            yield self._single(status)
        else:
            raise SourceError(f"{os.fsdecode(self.root)}: neither a folder nor a regular file")

    def _single(self, status: os.stat_result) -> Photo:
        folder, name = os.path.split(self.root)
        names = {name}
        names.update(n for n in sidecar_names(name) if os.path.exists(os.path.join(folder, n)))
        return _photo(folder, name, status, names)

    def _walk(self, folder: bytes, ancestors: tuple[tuple[int, int], ...]) -> Iterator[Photo]:
        try:
            with os.scandir(folder) as scan:
                entries = list(scan)
        except OSError as error:
            if folder == self.root:
                raise SourceError(f"{os.fsdecode(folder)}: {_because(error)}") from error
            self._pass_by("folder", folder, error)
            return
        names = {entry.name for entry in entries if is_sidecar(entry.name)}
        for key, entry, is_folder in sorted(self._visible(entries), key=lambda item: item[0]):
            if is_folder:
                yield from self._descend(entry, ancestors)
            elif self._is_photo(entry, key):
                try:
                    status = entry.stat()
                except OSError:
                    self.skipped["vanished"] += 1
                    continue
                yield _photo(folder, entry.name, status, names)

    def _visible(
        self, entries: list[os.DirEntry[bytes]]
    ) -> Iterator[tuple[bytes, os.DirEntry[bytes], bool]]:
        """What to look at, each with the key that makes a walk run in byte order of full paths."""
        follow = self.filters.follow_symlinks
        for entry in entries:
            if entry.name.startswith(b"."):
                self.skipped["hidden"] += 1
            elif not follow and entry.is_symlink():
                self.skipped["symlink"] += 1
            elif entry.is_dir():
                yield entry.name + b"/", entry, True
            elif entry.is_file():
                yield entry.name, entry, False
            else:
                self.skipped["broken link" if entry.is_symlink() else "special file"] += 1

    def _descend(
        self, entry: os.DirEntry[bytes], ancestors: tuple[tuple[int, int], ...]
    ) -> Iterator[Photo]:
        try:
            status = entry.stat()
        except OSError:
            self.skipped["vanished"] += 1
            return
        identity = (status.st_dev, status.st_ino)
        if identity in ancestors:
            self.skipped["symlink loop"] += 1
            return
        yield from self._walk(entry.path, (*ancestors, identity))

    def _is_photo(self, entry: os.DirEntry[bytes], name: bytes) -> bool:
        suffix = os.path.splitext(name)[1].lower()
        try:
            reason = "" if suffix in _EXTENSIONS else _why_no_photo(entry.path, suffix)
        except OSError as error:
            self._pass_by("file", entry.path, error)
            return False
        if reason:
            self.skipped[reason] += 1
            return False
        if self.filters.include or self.filters.exclude:
            relative = os.fsdecode(entry.path[len(self.root) :].lstrip(b"/"))
            if not self.filters.admit(relative):
                self.skipped["excluded"] += 1
                return False
        return True

    def _pass_by(self, kind: str, path: bytes, error: OSError) -> None:
        """What may hold photos but cannot be looked at: the listing is not whole."""
        self.skipped[f"unreadable {kind}"] += 1
        _log.warning("%s: %s", format_path(os.fsdecode(path)), _because(error))

    def open(self, photo: Photo) -> AbstractContextManager[ReadRange]:
        """Open a photo for ranged reads."""
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
        """All bytes of a file, up to a limit."""
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


def _photo(folder: bytes, name: bytes, status: os.stat_result, names: set[bytes]) -> Photo:
    sidecars = tuple(n for n in sidecar_names(name) if n in names) if names else ()
    version = str(status.st_mtime_ns)
    if sidecars:
        version += "".join(_stamp(os.path.join(folder, sidecar)) for sidecar in sidecars)
    prefix = folder if folder.endswith(b"/") else folder + b"/"
    return Photo(
        os.fsdecode(prefix + name),
        status.st_size,
        version,
        tuple(os.fsdecode(prefix + sidecar) for sidecar in sidecars),
    )


def _stamp(path: bytes) -> str:
    try:
        status = os.stat(path)
    except OSError:
        return "+?"
    return f"+{status.st_size}.{status.st_mtime_ns}"


def _why_no_photo(path: bytes, suffix: bytes) -> str:
    """Why a file is none by its suffix, or without one by its content; empty for a photo.

    Raises OSError.
    """
    if suffix:
        return "sidecar" if is_sidecar(path) else "not a photo"
    with open(path, "rb", opener=_opener) as file:
        return "" if sniff_format(file.read(64)) is not None else "not a photo"


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | _OPEN_FLAGS)


def _open(uri: str) -> int:
    try:
        return os.open(uri, _OPEN_FLAGS)
    except OSError as error:
        raise TransientPhotoError(_because(error)) from error


def _pread(descriptor: int, length: int, offset: int) -> bytes:
    try:
        return os.pread(descriptor, length, offset)
    except (OSError, OverflowError, ValueError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise TransientPhotoError(_because(error)) from error
        return b""


def _because(error: OSError) -> str:
    """The reason without the path, which the row or message already names."""
    if error.errno == errno.ENOENT:
        return "no such file or folder (moved or deleted?)"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "no permission to read it"
    return f"cannot be read ({os.strerror(error.errno or 0)})"
