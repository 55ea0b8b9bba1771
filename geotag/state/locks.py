"""One run at a time: a lock file that the system frees when its holder dies."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from geotag.errors import CatalogError, LockedError

try:
    import fcntl
except ImportError:  # no flock here: SQLite's own exclusive lock must do
    fcntl = None  # type: ignore[assignment]

LOCK_SUFFIX = ".lock"
_FOREIGN = "this is no lock file of geotag's: remove it, or name another place with --catalog"
_LONGEST = 32  # digits of a process's number
# Length and start of what SQLite locks of a file ("File Locking and Concurrency in SQLite").
_SHARED_BYTES = 510, 0x40000002


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold PATH.lock by flock(2) while the block runs; the file is gone afterwards.

    Raises LockedError while another process holds it. A lock whose holder died is free.
    """
    lock = path.with_name(path.name + LOCK_SUFFIX)
    descriptor = _acquire(lock, path)
    try:
        yield
    finally:
        # Under the lock, so that it is our file that goes and never a successor's.
        with suppress(OSError):
            os.unlink(lock)
        os.close(descriptor)


def hold_to_read(descriptor: int, path: Path) -> None:
    """Lock a catalog's file as SQLite does to read it, until it is closed.

    Raises LockedError where another process has it open, OSError where nothing can be locked.
    """
    if fcntl is not None:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, *_SHARED_BYTES)
        except (BlockingIOError, PermissionError) as error:
            raise LockedError(f"{path}: another run is using this catalog") from error


def _acquire(lock: Path, path: Path) -> int:
    while True:
        descriptor = _open(lock)
        try:
            if not _is_lock(descriptor):
                os.close(descriptor)
                raise CatalogError(f"{lock}: {_FOREIGN}")
            _flock(descriptor)
        except (BlockingIOError, PermissionError) as error:  # Windows shares deny what is held
            holder = _holder(descriptor)
            os.close(descriptor)
            raise LockedError(f"{path}: another run is using this catalog{holder}") from error
        except OSError as error:
            os.close(descriptor)
            if error.errno == errno.EBADF:  # NFS locks no file that is open for reading alone
                raise CatalogError(_not_opened(lock, error)) from error
            raise CatalogError(
                f"{lock}: files cannot be locked here ({error.strerror}); name a place on another "
                "file system with --catalog"
            ) from error
        if _is_at(descriptor, lock):
            with suppress(OSError):  # on a full disk: its holder's number is a courtesy
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            return descriptor
        os.close(descriptor)  # its last holder removed it while we waited: try the new one


def _open(lock: Path) -> int:
    """The lock file, made where there is none. One that another user left can be held as well, by
    whoever can read it. Whatever else has its name, such as a link, is not ours to write into."""
    flags = sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"))
    try:
        try:
            return os.open(lock, os.O_RDWR | flags)
        except FileNotFoundError:
            return os.open(lock, os.O_RDWR | os.O_CREAT | flags, 0o644)
        except PermissionError:
            return os.open(lock, os.O_RDONLY | flags)
    except OSError as error:
        if lock.is_symlink():
            raise CatalogError(f"{lock}: {_FOREIGN}") from error
        raise CatalogError(_not_opened(lock, error)) from error


def _not_opened(lock: Path, error: OSError) -> str:
    why = f"the lock file cannot be made ({error.strerror}): make its folder writable"
    if lock.exists():
        why = f"the lock file of another user cannot be opened ({error.strerror}): remove it"
    return f"{lock}: {why}, or name another place with --catalog"


def _is_lock(descriptor: int) -> bool:
    """Whether a file may be a lock: with one name, and empty or with the number of a process, or
    with the zeros that a power cut leaves in its place."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        return False
    text = os.read(descriptor, _LONGEST + 1)
    return len(text) <= _LONGEST and (text.isdigit() or not text.strip(b"\0"))


def _flock(descriptor: int) -> None:
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(descriptor: int) -> str:
    with suppress(OSError):
        text = os.pread(descriptor, _LONGEST, 0)
        if text.isdigit():
            return f" (process {text.decode()})"
    return ""


def _is_at(descriptor: int, lock: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(lock))
    except OSError:
        return False
