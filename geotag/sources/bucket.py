"""Photos in buckets and on web servers: headers first, many requests in flight."""

from __future__ import annotations

import os
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from threading import Lock

from geotag.errors import SourceError, TransientPhotoError
from geotag.files.extensions import PHOTO_EXTENSIONS, extension
from geotag.files.sidecars import is_sidecar, sidecar_names
from geotag.metadata.containers import HEADER_SIZE
from geotag.metadata.ranges import ReadRange
from geotag.records import Photo
from geotag.sources.base import READ_LIMIT, Filters, check_size
from geotag.stores import store_of
from geotag.stores.base import UNKNOWN_SIZE, Object, Store, StoreError

# Requests for headers in flight at once; for whole photos, and how many bytes these may hold.
_HEADERS = 48
_BODIES = 16
_BODY_BYTES = 256 * 2**20
# What is read at once behind the header, where a format keeps its metadata further on.
_BLOCK = 16 * 1024
# An ETag that is the MD5 of the content, or that of its parts' MD5s.
_CONTENT_ETAG = re.compile(r"[0-9a-f]{32}(-\d+)?")


class BucketSource:
    """The objects below a URI; a photo's version is its ETag, with those of its sidecars."""

    def __init__(self, text: str, filters: Filters) -> None:
        self.uri = text
        self.filters = filters
        self.skipped: Counter[str] = Counter()
        self.store: Store = store_of(text)
        self.roots = [os.fsencode(text)]
        self._fetched_before = self.store.bytes_fetched
        self._headers: dict[str, Future[bytes]] = {}
        self._bodies: dict[str, Future[bytes]] = {}
        self._opened: tuple[str, bytes] = ("", b"")
        self._body_bytes = 0
        self._lock = Lock()
        self._header_pool = ThreadPoolExecutor(_HEADERS, "header")
        self._body_pool = ThreadPoolExecutor(_BODIES, "body")

    @property
    def bytes_fetched(self) -> int:
        """Bytes of photos that came over the network, also for requests that failed later."""
        return self.store.bytes_fetched - self._fetched_before

    def photos(self) -> Iterator[Photo]:
        """List the photos in byte order. Raises SourceError when any of it cannot be listed."""
        self.skipped.clear()
        try:
            for _, objects in groupby(self._objects(), key=lambda o: _stem(o.uri)):
                yield from self._photos_of(list(objects))
        except StoreError as error:
            raise SourceError(f"{self.uri}: {error}") from error

    def _objects(self) -> Iterator[Object]:
        return self.store.list(self.uri)

    def _photos_of(self, objects: list[Object]) -> Iterator[Photo]:
        """The photos among objects whose names are alike up to the first dot, so that sidecars
        stand beside their photos."""
        sidecars = {o.uri: o for o in objects if is_sidecar(o.uri)}
        for found in objects:
            if self._is_photo(found.uri):
                names = sidecar_names(found.uri)
                yield _photo(found, [sidecars[name] for name in names if name in sidecars])

    def _is_photo(self, uri: str) -> bool:
        name = uri.rpartition("/")[2]
        relative = uri.removeprefix(self.uri).lstrip("/") or name
        suffix = extension(name)
        if not name:
            return False
        if any(part.startswith(".") for part in relative.split("/")):
            self.skipped["hidden"] += 1
        elif suffix not in PHOTO_EXTENSIONS and (suffix or not self.filters.include):
            self.skipped["sidecar" if is_sidecar(name) else "not a photo"] += 1
        elif not self.filters.admit(relative):
            self.skipped["excluded"] += 1
        else:
            return True
        return False

    def ahead(self, photos: Iterable[Photo]) -> Iterator[Photo]:
        """The same photos; the headers of the next ones are fetched meanwhile."""
        coming: deque[Photo] = deque()
        try:
            for photo in photos:
                self._headers[photo.uri] = self._header_pool.submit(self._header, photo)
                coming.append(photo)
                if len(coming) > _HEADERS:
                    yield coming.popleft()
            while coming:
                yield coming.popleft()
        finally:
            for photo in coming:
                self._headers.pop(photo.uri, None)

    @contextmanager
    def open(self, photo: Photo) -> Iterator[ReadRange]:
        """Open a photo for ranged reads, each of this version of it alone."""
        waiting = self._headers.pop(photo.uri, None)
        header = waiting.result() if waiting is not None else self._header(photo)
        self._opened = photo.uri, header
        yield _Ranges(photo, header, self._range).read

    def content_key(self, photo: Photo, data: bytes | None = None) -> str:
        """The ETag, where it is made from the content: in S3, unless it is encrypted."""
        etag = _etag(photo)
        known = photo.uri.startswith("s3://") and _CONTENT_ETAG.fullmatch(etag)
        return f"etag {etag}" if known else ""

    def expect(self, photo: Photo) -> None:
        """Begin to fetch a photo that will be read soon, as long as memory allows.

        Of the one that was opened last, only what lies behind its header.
        """
        uri, header = self._opened
        header = header if uri == photo.uri else b""
        with self._lock:
            size = max(photo.size, 0)
            if self._body_bytes + size > _BODY_BYTES or photo.uri in self._bodies:
                return
            self._body_bytes += size
            self._bodies[photo.uri] = self._body_pool.submit(self._body, photo, header)

    def read_photo(self, photo: Photo) -> bytes:
        """All bytes of this version of a photo."""
        with self._lock:
            waiting = self._bodies.pop(photo.uri, None)
        if waiting is None:
            return self._body(photo)
        try:
            return waiting.result()
        finally:
            with self._lock:
                self._body_bytes -= max(photo.size, 0)

    def read(self, uri: str, limit: int = READ_LIMIT) -> bytes:
        """All bytes of a sidecar, up to a limit."""
        data = self._get(uri, 0, limit + 1, "")
        check_size(len(data), limit)
        return data

    def _header(self, photo: Photo) -> bytes:
        return self._range(photo, 0, HEADER_SIZE)

    def _body(self, photo: Photo, header: bytes = b"") -> bytes:
        check_size(photo.size)
        return header + self._range(photo, len(header), READ_LIMIT - len(header))

    def _range(self, photo: Photo, start: int, length: int) -> bytes:
        if photo.size != UNKNOWN_SIZE:
            length = min(length, photo.size - start)
        if length <= 0:
            return b""
        return self._get(photo.uri, start, length, _etag(photo), photo.size)

    def _get(
        self, uri: str, start: int, length: int, version: str, size: int = UNKNOWN_SIZE
    ) -> bytes:
        try:
            data, total = self.store.get(uri, start, length, version)
        except StoreError as error:
            raise TransientPhotoError(str(error)) from error
        if size not in (UNKNOWN_SIZE, total):
            raise TransientPhotoError("changed while it was being read")
        return data


class _Ranges:
    """Reads of one photo that ask the store only for what lies behind the header."""

    def __init__(
        self, photo: Photo, header: bytes, fetch: Callable[[Photo, int, int], bytes]
    ) -> None:
        self.photo = photo
        self.fetch = fetch
        self._at, self._block = 0, header
        self._header = header

    def read(self, offset: int, length: int) -> bytes:
        if offset < 0 or length <= 0:
            return b""
        for at, block in ((0, self._header), (self._at, self._block)):
            if at <= offset and offset + length <= at + len(block):
                return block[offset - at : offset - at + length]
        # A read that begins in the header and ends behind it fetches only the rest.
        known = self._header[offset:]
        start = offset + len(known)
        self._at, self._block = start, self.fetch(self.photo, start, max(_BLOCK, length))
        return known + self._block[: length - len(known)]


def _photo(found: Object, sidecars: list[Object]) -> Photo:
    version = " ".join([found.version, *(sidecar.version for sidecar in sidecars)])
    return Photo(found.uri, found.size, version, tuple(sidecar.uri for sidecar in sidecars))


def _etag(photo: Photo) -> str:
    return photo.version.split(" ", 1)[0]


def _stem(uri: str) -> str:
    folder, slash, name = uri.rpartition("/")
    return folder + slash + name.split(".", 1)[0]
