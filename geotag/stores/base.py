"""What every store of objects (a bucket, a web server) offers, and how its requests are retried."""

from __future__ import annotations

import errno
import hashlib
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from geotag.errors import GeotagError
from geotag.records import UNKNOWN_SIZE as UNKNOWN_SIZE

# Waits double from the first on, each drawn up to its length ("full jitter", AWS Builders'
# Library, "Timeouts, retries and backoff with jitter").
ATTEMPTS = 6
FIRST_WAIT = 0.2
LONGEST_WAIT = 10.0
CONNECT_TIMEOUT = 10
READ_TIMEOUT = 30
CONNECTIONS = 64
# What comes more slowly than this, after some time for the answer to begin, comes too late: a
# server that sends a byte now and then would hold up a scan for ever.
_LONGEST_RETRYING = 90.0  # seconds after which no other attempt begins
_LEAST_RATE = 16 * 1024  # bytes a second
# What a network or server that wants a login sends in place of a file.
PAGES = frozenset(("text/html", "application/xhtml+xml"))
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", re.ASCII)
_DOWNLOAD = 2**24
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class StoreError(GeotagError):
    """A request failed. Its message never quotes the server, whose words may hold credentials.

    `retry` says whether asking again at once can help.
    """

    def __init__(self, reason: str, retry: bool = False) -> None:
        super().__init__(reason)
        self.retry = retry


class AbsentError(StoreError):
    """There is no such object."""

    def __init__(self, reason: str = "no such file (moved or deleted?)") -> None:
        super().__init__(reason)


class ForbiddenError(StoreError):
    """It may not be read or written with these credentials."""


class ChangedError(StoreError):
    """The object is not the version that was asked for."""

    def __init__(self) -> None:
        super().__init__("changed while it was being read")


class Object(NamedTuple):
    """One object; `version` is its ETag or the like and empty when the store has none.

    `size` may be UNKNOWN_SIZE. `modified` is when it last changed, in seconds since 1970; 0 where
    that is not known.
    """

    uri: str
    size: int
    version: str
    modified: float = 0.0


class Part(NamedTuple):
    """Bytes of an object, and the size of the whole."""

    data: bytes
    total: int


def seconds_of(time: object) -> float:
    """A time as a provider gives it, in seconds since 1970; 0 where it makes no sense."""
    try:
        if isinstance(time, str):
            time = _parse_time(time)
        if isinstance(time, datetime):
            return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
        return float(time or 0)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return 0.0


def _parse_time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return parsedate_to_datetime(text)


Enters = Callable[[str], bool]


def always(folder: str) -> bool:
    return True


class Store(Protocol):
    """Objects by URI. All methods raise StoreError; requests that can be retried have been."""

    bytes_fetched: int

    def list(self, uri: str, enters: Enters = always) -> Iterator[Object]:
        """The objects below a URI, or the one that it names, in byte order, streaming.

        Objects in a folder that `enters` declines (given its URI) may be left out.
        """
        ...

    def stat(self, uri: str) -> Object | None:
        """One object; None when there is none."""
        ...

    def get(self, uri: str, start: int, length: int, version: str = "") -> Part:
        """Bytes of an object, of this version if one is named; fewer only at its end."""
        ...

    def put(self, uri: str, path: Path) -> str:
        """Write an object from a file, whole or not at all; returns its version."""
        ...

    def put_if(self, uri: str, path: Path, version: str | None) -> str:
        """Write it only over this version (None: only a new one). Raises ChangedError."""
        ...

    def delete(self, uri: str) -> None:
        """Remove an object, if there is one."""
        ...


def download(store: Store, uri: str, path: Path) -> str | None:
    """Write an object to a file, all of one version; returns that, or None when there is none."""
    present = store.stat(uri)
    if present is None:
        return None
    with temporary_room(path.parent), path.open("wb") as file:
        at = 0
        while at < present.size:
            part = store.get(uri, at, _DOWNLOAD, present.version)
            if not part.data:
                raise StoreError("fewer bytes came than the file has")
            file.write(part.data)
            at += len(part.data)
    return present.version


def md5_of(path: Path) -> str:
    """The MD5 of a file, by which providers tell contents: 32 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def check_range(content_range: str, start: int) -> int | None:
    """The size of the whole object, where an answer's Content-Range tells it. Raises StoreError
    for bytes that begin elsewhere than those that were asked for."""
    found = _CONTENT_RANGE.fullmatch(content_range)
    if found is None or int(found[1]) != start:
        raise StoreError("other bytes came than those that were asked for", retry=True)
    return int(found[2]) if found[2] != "*" else None


def check_order(last: str, keys: Iterable[str]) -> str:
    """The last of a listing's keys, the next ones of which follow `last`. Raises StoreError rather
    than list a part, or without end."""
    for key in keys:
        if key <= last:
            raise StoreError("the bucket does not list its objects in order")
        last = key
    return last


def broken_off() -> StoreError:
    """A page of a listing that is not the last, and after which none follows."""
    return StoreError("the bucket's listing broke off: it does not tell how it goes on")


def seconds_for(length: int, timeout: float) -> float:
    """How long a request for so many bytes may take in all."""
    return 2 * timeout + length / _LEAST_RATE


@contextmanager
def temporary_room(folder: Path) -> Iterator[None]:
    """A full disk is told by the folder of temporary files that fills it. Raises StoreError."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise StoreError(
            f"there is no room for temporary files in {folder.parent} ({error.strerror}): make "
            "some, or set TMPDIR to another folder"
        ) from error


def asked(loop: Any, request: Callable[[], Awaitable[_Result]]) -> _Result:
    """The result of a request on fsspec's loop, from any thread, with retries."""
    from fsspec.asyn import sync

    def ask() -> _Result:
        result: _Result = sync(loop, request)
        return result

    return retried(ask)


def retried(request: Callable[[], _Result]) -> _Result:
    """The result of a request, asked again with growing waits while that can help; not much longer
    than a slow answer takes."""
    began = time.monotonic()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return request()
        except StoreError as error:
            is_late = time.monotonic() > began + _LONGEST_RETRYING
            if not error.retry or attempt == ATTEMPTS or is_late:
                raise
            _log.debug("attempt %d of %d: %s", attempt, ATTEMPTS, error)
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1))
        time.sleep(random.uniform(longest / 2, longest))
    raise AssertionError("unreachable")
