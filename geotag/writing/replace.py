"""Puts new bytes in the place of a file, whole or not at all, and loses nothing on the way.

The new bytes are on the disk, with the old file's mode, owner, extended attributes and times,
before its name changes hands; a file that changed since it was read is left alone.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from geotag.errors import PhotoError
from geotag.files.atomic import sync_folder

SIZE_LIMIT = 2**30
_TEMPORARY = re.compile(r"\.geotag-[0-9a-f]{16}\.tmp")
CHANGED = "another program changed it meanwhile; run again to write it"
_MADE = "another program made it meanwhile; run again"


def _flags(*names: str) -> int:
    """Flags of `os.open`, of which some systems lack some."""
    return sum(getattr(os, f"O_{name}", 0) for name in ("NOFOLLOW", "CLOEXEC", "BINARY", *names))


_READ_FLAGS = os.O_RDONLY | _flags("NONBLOCK")
_CREATE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _flags()


class CannotWriteError(PhotoError):
    """A file cannot or must not be changed; it is as it was."""


class Original(NamedTuple):
    """A file as it was when it was read: its status, or of an object in a bucket its version.

    One that does not exist yet has neither.
    """

    path: str
    data: bytes
    status: os.stat_result | None = None
    version: str = ""

    @property
    def exists(self) -> bool:
        """Whether there was a file to read."""
        return self.status is not None or bool(self.version)

    @property
    def sha256(self) -> str:
        """The hash of its bytes, empty for a file that does not exist."""
        return sha256_of(self.data) if self.exists else ""


def sha256_of(data: bytes) -> str:
    """The hash by which the journal knows a file's bytes."""
    return hashlib.sha256(data).hexdigest()


def read_original(path: str, force: bool = False) -> Original:
    """Read a file that is to be replaced.

    Raises CannotWriteError for what a replacement would harm: symbolic links and files with
    several names (unless forced; a symbolic link is then followed), read-only and special files.
    """
    original = look_at(path, force)
    check_replaceable(original, force)
    return original


def look_at(path: str, force: bool = False) -> Original:
    """Read a file that may have to be replaced: `check_replaceable` tells whether it can be.

    Raises CannotWriteError for symbolic links (unless forced) and special files.
    """
    try:
        if force:
            path = os.path.realpath(path)
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            raise CannotWriteError(
                "a symbolic link (write to the file it points at, or use --force)"
            )
        _check_readable(status)
        data, status = read_file(path)
    except OSError as error:
        raise CannotWriteError(_because(error)) from error
    return Original(path, data, status)


def check_replaceable(original: Original, force: bool = False) -> None:
    """Raise CannotWriteError for a file with several names (unless forced), or a read-only one."""
    status = original.status
    if status is None:
        return
    if status.st_nlink > 1 and not force:
        raise CannotWriteError(
            f"it has {status.st_nlink} names (hard links), of which only one would change "
            "(use --sidecar, or --force to part them)"
        )
    if not status.st_mode & stat.S_IWUSR:
        raise CannotWriteError("read-only (use --sidecar, or make it writable)")


def _check_readable(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise CannotWriteError("not a regular file")
    if status.st_size > SIZE_LIMIT:
        raise CannotWriteError(f"larger than {SIZE_LIMIT >> 20} MiB")


def read_file(path: str) -> tuple[bytes, os.stat_result]:
    """All bytes of a file, never of a link or a pipe, and what it was when they were read.

    Raises OSError, and CannotWriteError for a file that is larger than SIZE_LIMIT or changing.
    """
    descriptor = os.open(path, _READ_FLAGS)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        _check_readable(status)
        data = file.read(status.st_size + 1)
        status = os.fstat(descriptor)
    if len(data) != status.st_size:
        raise CannotWriteError("it is being changed by another program")
    return data, status


def temporary_beside(path: str) -> str:
    """A unique name in the same folder, short whatever the file's own name is."""
    return os.path.join(os.path.dirname(path), f".geotag-{secrets.token_hex(8)}.tmp")


def remove_temporary(temporary: str, path: str) -> None:
    """Remove what a crash left beside a file, if it has the name of a temporary file of ours."""
    folder, name = os.path.split(temporary)
    if folder == os.path.dirname(path) and _TEMPORARY.fullmatch(name):
        with suppress(OSError):
            os.unlink(temporary)


def replace(original: Original, new: bytes, temporary: str, mtime_ns: int | None = None) -> None:
    """Put new bytes in the place of a file, or create the one that does not exist yet.

    The modification time stays, unless another is given. Neither the file nor the temporary one
    may have become another meanwhile, by whoever else can write into the folder. Raises
    CannotWriteError; the file is then as it was.
    """
    with _new_file(temporary, 0o666 if original.status is None else 0o600) as descriptor:
        _fill(descriptor, original, new, mtime_ns)
        if not _is_same(temporary, descriptor):
            raise CannotWriteError(
                "another program changed the temporary file; run again to write it"
            )
        if original.status is None:
            _create(temporary, original.path)
        else:
            _check_unchanged(original)
            os.replace(temporary, original.path)
    sync_folder(Path(original.path).parent)


def _is_same(temporary: str, descriptor: int) -> bool:
    """Whether a temporary file's name is still that of the file that we opened."""
    try:
        return os.path.samestat(os.lstat(temporary), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def remove(original: Original) -> None:
    """Remove a file that has not changed since it was read. Raises CannotWriteError."""
    _check_unchanged(original)
    try:
        os.unlink(original.path)
    except OSError as error:
        raise CannotWriteError(_because(error)) from error
    sync_folder(Path(original.path).parent)


def _check_unchanged(original: Original) -> None:
    """Raises CannotWriteError when the file is not the one that was read."""
    try:
        now = os.lstat(original.path)
    except OSError as error:
        raise CannotWriteError(_because(error)) from error
    if original.status is None or _identity(now) != _identity(original.status):
        raise CannotWriteError(CHANGED)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (
        status.st_dev,
        status.st_ino,
        status.st_mode,
        status.st_nlink,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


@contextmanager
def _new_file(temporary: str, mode: int) -> Iterator[int]:
    """A temporary file, open for writing; removed when anything fails. Raises CannotWriteError."""
    try:
        descriptor = os.open(temporary, _CREATE_FLAGS, mode)
    except OSError as error:
        raise CannotWriteError(_because(error)) from error
    try:
        yield descriptor
    except BaseException as error:
        with suppress(OSError):
            if _is_same(temporary, descriptor):
                os.unlink(temporary)
        if isinstance(error, OSError):
            raise CannotWriteError(_because(error)) from error
        raise
    finally:
        os.close(descriptor)


def _fill(descriptor: int, original: Original, new: bytes, mtime_ns: int | None) -> None:
    """Write the new bytes, with the old file's attributes, through the open file alone."""
    view = memoryview(new)
    while view:
        view = view[os.write(descriptor, view) :]
    status = original.status
    if status is not None:
        _copy_attributes(original.path, status, descriptor)
        times = (status.st_atime_ns, status.st_mtime_ns if mtime_ns is None else mtime_ns)
        os.utime(descriptor, ns=times)
    os.fsync(descriptor)


def _copy_attributes(path: str, status: os.stat_result, descriptor: int) -> None:
    """Owner before mode: a change of owner clears the set-id bits."""
    own = os.fstat(descriptor)
    if (own.st_uid, own.st_gid) != (status.st_uid, status.st_gid):
        os.fchown(descriptor, status.st_uid, status.st_gid)
    if hasattr(os, "listxattr"):
        _copy_extended(path, descriptor)
    os.fchmod(descriptor, stat.S_IMODE(status.st_mode))


def _copy_extended(path: str, descriptor: int) -> None:
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENOSYS):
            return
        raise
    for name in names:
        try:
            os.setxattr(descriptor, name, os.getxattr(path, name, follow_symlinks=False))
        except OSError:
            # The kernel labels new files itself; what users and ACLs set must not get lost.
            if not name.startswith("security."):
                raise


def _create(temporary: str, path: str) -> None:
    """Give the file its name only where no other has it."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise CannotWriteError(_MADE) from None
    except OSError:  # FAT and some network file systems have no hard links
        if os.path.lexists(path):
            raise CannotWriteError(_MADE) from None
        os.replace(temporary, path)
        return
    os.unlink(temporary)


_REASONS = {
    errno.ENOENT: "no such file (moved or deleted?)",
    errno.EACCES: "no permission to change it or its folder",
    errno.EPERM: "its owner or attributes do not allow a change",
    errno.EROFS: "it lies on a read-only file system",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.ELOOP: "a symbolic link (write to the file it points at, or use --force)",
}


def _because(error: OSError) -> str:
    """The reason without the path, which the row names."""
    number = error.errno or 0
    return _REASONS.get(number, f"it cannot be changed ({os.strerror(number)})")
