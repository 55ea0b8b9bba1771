"""Photos in buckets and on web servers: headers first, many requests in flight."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import chain, islice
from threading import Lock
from typing import NamedTuple

from geotag.errors import PhotoError, SourceError, TransientPhotoError
from geotag.files.extensions import PHOTO_EXTENSIONS, extension
from geotag.metadata.containers import HEADER_SIZE
from geotag.metadata.header import parse_header
from geotag.metadata.ranges import ReadRange
from geotag.metadata.xmp import PACKET_LIMIT
from geotag.records import READ_LIMIT, Photo
from geotag.sources.base import Filters, check_size
from geotag.sources.listing import File, Joining, Listing, is_beside, look_for_sidecars
from geotag.stores import store_of
from geotag.stores.base import UNKNOWN_SIZE, ForbiddenError, Object, Store, StoreError
from geotag.stores.stretches import Found

# Requests for headers in flight at once; for whole photos, and how many bytes these may hold.
_HEADERS = 48
_BODIES = 16
_BODY_BYTES = 256 * 2**20
# What is read at once behind the header, where a format keeps its metadata further on.
_BLOCK = 16 * 1024
# Objects that are listed one after the other before several stretches are at once.
MANY = 5000
# An ETag that is the MD5 of the content, or that of its parts' MD5s.
_CONTENT_ETAG = re.compile(r"[0-9a-f]{32}(-\d+)?")


class BucketSource:
    """The objects below a URI; a photo's version is its ETag, with those of its sidecars."""

    def __init__(self, text: str, filters: Filters) -> None:
        self.uri = text
        self.filters = filters
        self.store: Store = store_of(text)
        self.listing = Listing(text, text.encode())
        self._entered = ""
        self._passed_over: set[str] = set()
        self.requests = 0
        self._fetched_before = self.store.bytes_fetched
        self._headers: dict[str, Future[_Begun]] = {}
        self._bodies: dict[str, Future[bytes]] = {}
        self._opened: tuple[str, bytes] = ("", b"")
        self._beside: dict[str, bytes] = {}
        self._body_bytes = 0
        self._lock = Lock()
        self._header_pool = ThreadPoolExecutor(_HEADERS, "header")
        self._body_pool = ThreadPoolExecutor(_BODIES, "body")

    @property
    def bytes_fetched(self) -> int:
        """Bytes of photos that came over the network, also for requests that failed later."""
        return self.store.bytes_fetched - self._fetched_before

    def photos(self) -> Iterator[Photo]:
        """List the photos in byte order, many in stretches. Raises SourceError when any of it
        cannot be listed."""
        self.listing.begin()
        self._entered, self._passed_over = "", set()
        try:
            for photo, sidecars in self._files():
                self.listing.photos += 1
                yield photo_of(photo, sidecars)
        except StoreError as error:
            raise SourceError(f"{self.uri}: {error}") from error

    def is_gone(self, uri: str) -> bool:
        """Whether it would have been listed: a listing is whole or fails, but for older photos."""
        return self.filters.since is None and self.filters.wants(self._relative(uri))

    def _files(self) -> Iterator[tuple[File, list[File]]]:
        """Photos with their sidecars in byte order of their keys."""
        objects = self._objects()
        head = list(islice(objects, 2))
        if [found.uri for found in head] == [self.uri]:  # a single photo, whatever its name
            return iter([look_for_sidecars(_file(head[0]), self._look_at)])
        return self._many(chain(head, objects))

    def _many(self, objects: Iterator[Object]) -> Iterator[tuple[File, list[File]]]:
        """One after the other at first; where there are many, in stretches of several at once."""
        joining, last = Joining(self._look_at), ""
        for found in islice(objects, MANY):
            last = found.uri
            yield from self._joined(joining, found)
        behind = getattr(self.store, "list_behind", None)
        following = next(objects, None)
        stretches = (
            behind(self.uri, last, lambda folder: self.filters.enters(self._relative(folder)))
            if behind is not None and following is not None
            else None
        )
        if stretches is not None:
            yield from joining.end(is_whole=False)
            yield from self._stretches(stretches)
            return
        for found in chain([following] if following is not None else [], objects):
            yield from self._joined(joining, found)
        yield from joining.end(is_whole=True)

    def _stretches(self, pages: Iterator[Found]) -> Iterator[tuple[File, list[File]]]:
        joinings: dict[int, Joining] = {}
        for page in pages:
            bucket = "/".join(self.uri.split("/")[:3])
            after = f"{bucket}/{page.after}".encode()
            joining = joinings.setdefault(page.number, Joining(self._look_at, after))
            for found in page.objects:
                yield from self._joined(joining, found)
            if page.is_last:
                yield from joinings.pop(page.number).end(is_whole=False)

    def _joined(self, joining: Joining, found: Object) -> Iterator[tuple[File, list[File]]]:
        if self._wants(found.uri) and self._is_recent(found):
            yield from joining.take(_file(found))

    def _is_recent(self, found: Object) -> bool:
        """Whether a photo changed since it was asked for; a sidecar comes with its photo."""
        if self.filters.is_recent(found.modified) or is_beside(found.uri):
            return True
        self.listing.skipped["not changed since"] += 1
        return False

    def _objects(self) -> Iterator[Object]:
        return self.store.list(self.uri, lambda folder: self._enters(self._relative(folder)))

    def _wants(self, uri: str) -> bool:
        """Whether an object may be a photo that is wanted, or a sidecar."""
        folder, _, name = self._relative(uri).rpartition("/")
        suffix = extension(name)
        if not name or not self._enters(folder):  # none: an object that stands for a folder
            return False
        if is_beside(name):
            self.listing.skipped["sidecar"] += 1
            return True
        if name.startswith("."):
            self.listing.skipped["hidden"] += 1
        elif suffix not in PHOTO_EXTENSIONS and (suffix or not self.filters.include):
            self.listing.skipped["not a photo"] += 1
        elif not self.filters.admit(self._relative(uri)):
            self.listing.skipped["excluded"] += 1
        else:
            return True
        return False

    def _enters(self, folder: str) -> bool:
        """Whether anything below a folder may be wanted; one that is passed over counts once."""
        if folder == self._entered:
            return True
        for end in (*(at for at, sign in enumerate(folder) if sign == "/"), len(folder)):
            if folder and (reason := self.filters.why_not_enter(folder[:end])):
                if folder[:end] not in self._passed_over:
                    self._passed_over.add(folder[:end])
                    self.listing.skipped[reason] += 1
                return False
        self._entered = folder
        return True

    def _relative(self, uri: str) -> str:
        """The path below the source; the name of one that is named like it."""
        return uri.removeprefix(self.uri).lstrip("/") or uri.rpartition("/")[2]

    def _look_at(self, path: bytes) -> File | None:
        """A sidecar; None where there is none, or where it would be forbidden to look."""
        try:
            found = self.store.stat(path.decode())
        except ForbiddenError:
            return None
        return _file(found) if found is not None else None

    def ahead(self, photos: Iterable[Photo]) -> Iterator[Photo]:
        """The same photos; the headers of the next ones are fetched meanwhile."""
        coming: deque[Photo] = deque()
        try:
            for photo in photos:
                self._headers[photo.uri] = self._header_pool.submit(self._begin, photo)
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
        begun = waiting.result() if waiting is not None else _Begun(self._header(photo), {})
        header, self._beside = begun
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
        data = self._beside.pop(uri, None)
        if data is None:
            data = self._get(uri, 0, limit + 1, "")
        check_size(len(data), limit)
        return data

    def _begin(self, photo: Photo) -> _Begun:
        """A photo's header and, where that holds no position, its sidecars as well: in a thread of
        their own, for each takes a request."""
        header, beside = self._header(photo), dict[str, bytes]()
        for uri in photo.sidecars if not _has_position(header, photo) else ():
            with suppress(PhotoError):  # which reading it again will tell
                beside[uri] = self._get(uri, 0, PACKET_LIMIT + 1, "")
        return _Begun(header, beside)

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
        with self._lock:
            self.requests += 1
        try:
            data, total = self.store.get(uri, start, length, version)
        except StoreError as error:
            raise TransientPhotoError(str(error)) from error
        if size not in (UNKNOWN_SIZE, total):
            raise TransientPhotoError("changed while it was being read")
        return data


class _Begun(NamedTuple):
    """What was fetched of a photo before it is opened: the header, and sidecars by their URIs."""

    header: bytes
    beside: dict[str, bytes]


def _has_position(header: bytes, photo: Photo) -> bool:
    """Whether a header is surely one with a position, or none of a photo."""
    if not photo.sidecars:
        return True
    try:
        return parse_header(header, photo.uri).metadata.location is not None
    except PhotoError:
        return True


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


def _file(found: Object) -> File:
    return File(found.uri.encode(), found.size, found.version)


def photo_of(photo: File, sidecars: list[File]) -> Photo:
    """An object as a photo; its version is its ETag, with those of its sidecars."""
    version = " ".join([photo.version, *(sidecar.version for sidecar in sidecars)])
    names = tuple(sidecar.path.decode() for sidecar in sidecars)
    return Photo(photo.path.decode(), photo.size, version, names)


def _etag(photo: Photo) -> str:
    return photo.version.split(" ", 1)[0]
