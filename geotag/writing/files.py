"""Where photos and sidecars lie: on this machine, or in buckets."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from geotag.errors import GeotagError, PhotoError, SourceError
from geotag.files.temporary import TemporaryFolder
from geotag.records import Photo
from geotag.sources import open_source
from geotag.sources.base import Filters
from geotag.sources.local import LocalSource
from geotag.stores import is_remote, scheme_of, store_of
from geotag.stores.base import ChangedError, Object, StoreError
from geotag.writing import replace as local
from geotag.writing.replace import CHANGED, SIZE_LIMIT, CannotWriteError, Original, sha256_of


class LocalFiles:
    """Files of this machine; all methods raise CannotWriteError."""

    is_remote = False
    read = staticmethod(local.read_original)
    look_at = staticmethod(local.look_at)
    check_replaceable = staticmethod(local.check_replaceable)
    replace = staticmethod(local.replace)
    remove = staticmethod(local.remove)

    def __init__(self) -> None:
        self.source = open_source(os.sep, Filters())

    def exists(self, path: str) -> bool:
        """Whether there is anything of that name, such as a broken link."""
        try:
            os.lstat(path)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                return False
            reason = f"cannot be looked for now ({os.strerror(error.errno or 0)})"
            raise CannotWriteError(f"{os.path.basename(path)} {reason}") from error
        return True

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder, without those in folders below."""
        try:
            with os.scandir(folder) as entries:
                return [entry.name for entry in entries if not _is_folder(entry)]
        except OSError as error:
            raise CannotWriteError(f"its folder cannot be listed ({error.strerror})") from error

    def photo(self, path: str, sidecars: tuple[str, ...] = ()) -> Photo:
        """A photo as `source` can open it: the path is enough."""
        return Photo(path, 0, "", sidecars)

    def hash_now(self, path: str) -> str:
        """The hash of its bytes, empty where there is none. Raises OSError as well when it cannot
        be told: a folder that is gone tells nothing of its files."""
        try:
            return sha256_of(local.read_file(path)[0])
        except FileNotFoundError:
            if not os.path.isdir(os.path.dirname(path)):
                raise
            return ""


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """A link that leads nowhere is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


class ObjectFiles:
    """Objects of one bucket, written only over the version that was read; used as LocalFiles."""

    is_remote = True

    def __init__(self, root: str) -> None:
        self.source = open_source(root, Filters())
        self.store = store_of(root)

    def exists(self, path: str) -> bool:
        with _reasons():
            return self.store.stat(path) is not None

    def names(self, folder: str) -> list[str]:
        with _reasons():
            below = self.store.list(folder, lambda inner: False)
            found = (each.uri.removeprefix(f"{folder}/") for each in below)
            return [name for name in found if name and "/" not in name]

    def photo(self, path: str, sidecars: tuple[str, ...] = ()) -> Photo:
        """A photo of the size and version that it has now."""
        present = self._stat(path)
        return Photo(path, present.size, present.version, sidecars)

    def _stat(self, path: str) -> Object:
        with _reasons():
            present = self.store.stat(path)
        if present is None:
            raise CannotWriteError("no such object (moved or deleted?)")
        return present

    def read(self, path: str, force: bool = False) -> Original:
        """All bytes of an object, and its version."""
        present = self._stat(path)
        if not present.version:
            raise CannotWriteError(
                "its store gives no versions of objects, so a write could undo another program's"
            )
        if present.size > SIZE_LIMIT:
            raise CannotWriteError(f"larger than {SIZE_LIMIT >> 20} MiB")
        with _reasons():
            data = self.store.get(path, 0, present.size, present.version).data
        if len(data) != present.size:
            raise CannotWriteError("it is being changed by another program")
        return Original(path, data, None, present.version)

    look_at = read

    def check_replaceable(self, original: Original, force: bool = False) -> None:
        """A store tells that when it is written to."""

    def replace(
        self, original: Original, new: bytes, temporary: str, mtime_ns: int | None = None
    ) -> None:
        """Put new bytes in its place by a conditional write."""
        try:
            with _reasons(), TemporaryFolder() as folder:
                path = Path(folder) / "object"
                path.write_bytes(new)
                self.store.put_if(original.path, path, original.version or None)
        except OSError as error:
            raise CannotWriteError(f"no room for a temporary file ({error.strerror})") from error

    def remove(self, original: Original) -> None:
        """Remove an object that is still the version that was read."""
        if self.read(original.path).version != original.version:
            raise CannotWriteError(CHANGED)
        with _reasons():
            self.store.delete(original.path)

    def hash_now(self, path: str) -> str:
        return self.read(path).sha256 if self.exists(path) else ""


@contextmanager
def _reasons() -> Iterator[None]:
    """Whatever a store cannot do is the photo's reason."""
    try:
        yield
    except ChangedError as error:
        raise CannotWriteError(CHANGED) from error
    except StoreError as error:
        raise CannotWriteError(str(error)) from error


Files = LocalFiles | ObjectFiles


def files_of(path: str) -> Files:
    """The files among which a path or URI lies. Raises PhotoError for a URI that is no store's."""
    if is_remote(path):
        return _object_files("/".join(path.split("/")[:3]))
    if scheme_of(path):
        raise CannotWriteError(f"no photos are written at {scheme_of(path)}://")
    return _local_files()


_local_files = cache(LocalFiles)


@cache
def _object_files(root: str) -> ObjectFiles:
    try:
        return ObjectFiles(root)
    except GeotagError as error:
        raise PhotoError(str(error)) from error


def listed(path: str) -> Photo | None:
    """A photo as a scan of it alone lists it; None in a bucket, where any look costs a request."""
    if scheme_of(path):
        return None
    try:
        return next(LocalSource(path, Filters()).photos(), None)
    except SourceError:
        return None
