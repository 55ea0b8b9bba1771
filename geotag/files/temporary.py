"""Temporary files and folders, which later runs remove once the process that made them is gone."""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from glob import escape
from pathlib import Path

_PREFIX = "geotag-run-"
_FOLDER = re.compile(re.escape(_PREFIX) + r"[a-z0-9_]{8}")
_LEAST_AGE = 1  # second, by which what was made is locked


class TemporaryFolder(tempfile.TemporaryDirectory[str]):
    """A folder among the system's temporary ones; those that killed runs left there go first."""

    def __init__(self) -> None:
        for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            if _FOLDER.fullmatch(folder.name) and _is_left(folder, stat.S_ISDIR):
                shutil.rmtree(folder, ignore_errors=True)
        super().__init__(prefix=_PREFIX)
        self._descriptor = os.open(self.name, os.O_RDONLY) if sys.platform != "win32" else None
        if self._descriptor is not None:
            lock(self._descriptor)

    def cleanup(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        super().cleanup()


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files that writers of `path` left when they were killed."""
    for leftover in path.parent.glob(f".{escape(path.name)}.????????.tmp"):
        if _is_left(leftover, stat.S_ISREG):
            with suppress(OSError):
                leftover.unlink()


def lock(descriptor: int) -> bool:
    """Say that a file or folder is in use, for as long as it is open; False where another does, or
    nothing can be locked."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


def _is_left(path: Path, is_kind: Callable[[int], bool]) -> bool:
    """Whether something is this user's, and nobody has it open any more."""
    try:
        status = path.lstat()
        age = time.time() - status.st_mtime
        if not is_kind(status.st_mode) or status.st_uid != _user(status) or age < _LEAST_AGE:
            return False
        access = os.O_RDONLY if stat.S_ISDIR(status.st_mode) else os.O_RDWR  # as NFS wants it
        descriptor = os.open(path, access | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        return lock(descriptor)
    finally:
        os.close(descriptor)


def _user(status: os.stat_result) -> int:
    """Who runs this; on Windows, where nobody can tell, whoever owns a file."""
    return os.getuid() if sys.platform != "win32" else status.st_uid
