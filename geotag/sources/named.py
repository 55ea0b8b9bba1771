"""Photos that a list names, one path or key a line: in a file, in a bucket or on standard input."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from geotag.errors import SourceError
from geotag.files.credentials import has_credentials
from geotag.files.paths import format_path, parse_path
from geotag.files.sorting import sorted_names
from geotag.files.temporary import TemporaryFolder
from geotag.records import UNKNOWN_SIZE, Photo
from geotag.sources.base import Filters
from geotag.sources.bucket import photo_of
from geotag.sources.listing import File, Listing, is_beside, with_sidecars
from geotag.sources.local import LocalSource
from geotag.stores import SCHEMES, Kind, is_remote, scheme_of, store_of
from geotag.stores.base import Object, StoreError, download

PREFIX = "list:"
STDIN = "-"
_LINE_LIMIT = 8192  # no path and no key is as long
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_IN_FLIGHT = 32
# A list is often another program's: it cannot send this one to web servers.
_KINDS = (Kind.FILES, Kind.BUCKET)
_UNLISTED = ("memory",)


class NamedSource:
    """A list; its photos are read by the sources of their schemes.

    Lines are sorted, so that photos come in byte order; `wants` says which of them are this run's.
    """

    def __init__(
        self, text: str, filters: Filters, wants: Callable[[str], bool] | None = None
    ) -> None:
        self.place = text.removeprefix(PREFIX)
        if not self.place:
            raise SourceError(f"{text}: name a file, or - for standard input, behind {PREFIX}")
        if self.place != STDIN and not is_remote(self.place):
            self.place = os.path.abspath(parse_path(self.place))
        self.filters = filters
        self.wants = wants
        self.listing = Listing(format_path(text), os.fsencode(PREFIX + self.place))
        self._files = LocalSource("/", filters)

    def photos(self) -> Iterator[Photo]:
        """Each photo once, in byte order. Raises SourceError where there is no list."""
        self.listing.begin()
        self._files.listing = self.listing
        with self._opened() as file:
            names = self._distinct(sorted_names(self._names(file)))
            for is_path, group in groupby(names, lambda name: name.startswith(b"/")):
                for photo in self._local(group) if is_path else self._remote(group):
                    self.listing.photos += 1
                    yield photo

    def is_gone(self, uri: str) -> bool:
        """Never known: a list may have lost a line."""
        return False

    def _local(self, paths: Iterable[bytes]) -> Iterator[Photo]:
        return (photo for path in paths if (photo := self._files.named(path)) is not None)

    def _remote(self, addresses: Iterable[bytes]) -> Iterator[Photo]:
        """Keys, each looked at by a request; sidecars count where the list names them."""
        found = look_at(address.decode() for address in addresses)
        files = (
            File(each.uri.encode(), each.size, each.version)
            for each in found
            if is_beside(each.uri) or self._is_recent(each)
        )
        return (photo_of(*pair) for pair in with_sidecars(files, lambda name: None))

    def _is_recent(self, found: Object) -> bool:
        is_recent = self.filters.is_recent(found.modified)
        self.listing.skipped.update([] if is_recent else ["not changed since"])
        return is_recent

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        """The list's bytes. Raises SourceError."""
        if self.place == STDIN:
            yield sys.stdin.buffer
            return
        with TemporaryFolder() as folder:
            path = Path(self.place)
            try:
                if is_remote(self.place):
                    path = Path(folder, "list")
                    if download(store_of(self.place), self.place, path) is None:
                        raise SourceError(f"{self.listing.source}: there is no such object")
                file = path.open("rb")
            except StoreError as error:
                raise SourceError(f"{self.listing.source}: {error}") from error
            except OSError as error:
                raise SourceError(f"{self.listing.source}: {error.strerror or error}") from error
            with file:
                yield file

    def _names(self, file: BinaryIO) -> Iterator[bytes]:
        """The paths and addresses of the lines that can be one; others are counted."""
        count = 0
        for line in self._lines(file):
            count += 1
            name = self._name(line)
            if name and (self.wants is None or self.wants(os.fsdecode(name))):
                yield name
        if not count and self.place == STDIN:  # or it was read before
            raise SourceError(f"{self.listing.source}: standard input held no line")

    def _lines(self, file: BinaryIO) -> Iterator[bytes]:
        """The lines that are not empty, without their ends."""
        start = b"\xef\xbb\xbf"  # that some editors put before UTF-8
        try:
            while line := file.readline(_LINE_LIMIT):
                if start and line.startswith(_UTF_16):
                    raise SourceError(
                        f"{self.listing.source}: it is UTF-16, as PowerShell's > writes it: save "
                        "it as UTF-8 (Out-File -Encoding utf8)"
                    )
                is_whole = line.endswith(b"\n") or len(line) < _LINE_LIMIT
                while not is_whole and (rest := file.readline(_LINE_LIMIT)):
                    is_whole = rest.endswith(b"\n")
                    line = b"\0"
                name, start = line.removeprefix(start).rstrip(b"\r\n"), b""
                if name:
                    yield name
        except OSError as error:
            raise SourceError(f"{self.listing.source}: {error.strerror or error}") from error

    def _name(self, line: bytes) -> bytes:
        """The absolute path or the address that a line is; empty for one that is passed over."""
        reason, name = self._checked(line)
        if not reason and not self.filters.admit(os.fsdecode(name).lstrip("/")):
            reason = "excluded"
        elif not reason and name.startswith(b"/") and is_beside(name):
            reason = "sidecar"  # which its photo is asked for
        self.listing.skipped.update([reason] if reason else [])
        return b"" if reason else name

    def _checked(self, line: bytes) -> tuple[str, bytes]:
        """Why a line names no photo, empty where it may; and the name."""
        if b"\0" in line:
            return "strange line", b""
        text = os.fsdecode(line)
        name = scheme_of(text)
        if name not in SCHEMES or name in _UNLISTED or SCHEMES[name].kind not in _KINDS:
            return "line of another scheme", b""
        if SCHEMES[name].kind is Kind.FILES:
            # A list out of a bucket may be anybody's: files of this machine are not for it to name.
            if is_remote(self.place):
                return "path in a list out of a bucket", b""
            base = "" if self.place == STDIN else os.path.dirname(self.place)
            return "", os.fsencode(os.path.abspath(os.path.join(base, parse_path(text))))
        if has_credentials(text):
            return "address with credentials", b""
        bucket, _, key = text.partition("://")[2].partition("/")
        is_key = bucket and key and not key.endswith("/") and text.isprintable()
        return ("", line) if is_key else ("address of no object", b"")

    def _distinct(self, names: Iterator[bytes]) -> Iterator[bytes]:
        last = b""
        for name in names:
            if name == last:
                self.listing.skipped["named twice"] += 1
            else:
                yield name
            last = name


def look_at(addresses: Iterable[str]) -> Iterator[Object]:
    """The objects of these addresses in the same order, many requests in flight."""
    with ThreadPoolExecutor(_IN_FLIGHT, "list") as pool:
        coming: deque[Future[Object]] = deque()
        for address in addresses:
            coming.append(pool.submit(_stat, address))
            if len(coming) > _IN_FLIGHT:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


def _stat(address: str) -> Object:
    """What cannot be looked at now is listed all the same: reading it will tell why."""
    try:
        found = store_of(address).stat(address)
    except StoreError:
        found = None
    return found or Object(address, UNKNOWN_SIZE, "")
