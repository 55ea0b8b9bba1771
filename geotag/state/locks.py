"""One run at a time: a lock file that the system frees when its holder dies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from geotag.errors import CatalogError, LockedError

try:
    import fcntl
except ImportError:  # no flock here: SQLite's own exclusive lock must do
    fcntl = None  # type: ignore[assignment]

LOCK_SUFFIX = ".lock"


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


def _acquire(lock: Path, path: Path) -> int:
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        except OSError as error:
            raise CatalogError(
                f"{lock}: the lock file cannot be made ({error.strerror}); "
                "name a place that can be written with --catalog"
            ) from error
        try:
            _flock(descriptor)
        except OSError as error:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise LockedError(f"{path}: another run is using this catalog{holder}") from error
        if _is_at(descriptor, lock):
            with suppress(OSError):  # on a full disk: its holder's number is a courtesy
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            return descriptor
        os.close(descriptor)  # its last holder removed it while we waited: try the new one


def _flock(descriptor: int) -> None:
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(descriptor: int) -> str:
    with suppress(OSError):
        text = os.pread(descriptor, 32, 0)
        if text.isdigit():
            return f" (process {text.decode()})"
    return ""


def _is_at(descriptor: int, lock: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(lock))
    except OSError:
        return False
