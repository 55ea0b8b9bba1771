"""Objects in any store that fsspec knows: Google Cloud Storage, Azure Blob Storage ..."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from geotag.stores.base import (
    AbsentError,
    ChangedError,
    Enters,
    ForbiddenError,
    Object,
    Part,
    StoreError,
    always,
    retried,
    seconds_of,
)

_VERSION_FIELDS = ("etag", "ETag", "generation", "md5Hash", "last_modified", "mtime", "created")
_TIME_FIELDS = ("last_modified", "updated", "mtime", "created")
# Folders that are listed at once.
_LISTERS = 16
_Result = TypeVar("_Result")
_Entry = Mapping[str, Any]
_Listing = Future[Iterable[_Entry]]


class GenericStore:
    """A file system of fsspec; credentials come from its provider's usual chain.

    Conditional writes are a look followed by a write.
    """

    def __init__(self, protocol: str, **options: Any) -> None:
        self.bytes_fetched = 0
        self.protocol = protocol
        self._fs = self._opened(use_listings_cache=False, **options)

    def _opened(self, **options: Any) -> Any:
        import fsspec

        return fsspec.filesystem(self.protocol, **options)

    def list(self, uri: str, enters: Enters = always) -> Iterator[Object]:
        """The objects below a folder in byte order, or a single one; the next folders are listed
        meanwhile."""
        pool = ThreadPoolExecutor(_LISTERS, "listing")

        def begun(entries: Iterable[_Entry]) -> Iterator[tuple[_Entry, _Listing | None]]:
            for entry in entries:
                if entry["type"] != "directory":
                    yield entry, None
                elif enters(self._uri(entry)):
                    yield entry, pool.submit(self._entries, entry["name"])

        try:
            folders = [_ahead(begun(self._entries(self._path(uri))))]
            while folders:
                entry, listing = next(folders[-1], (None, None))
                if listing is not None:
                    folders.append(_ahead(begun(listing.result())))
                elif entry is not None:
                    yield self._object(entry)
                else:
                    folders.pop()
        finally:
            pool.shutdown(cancel_futures=True)

    def stat(self, uri: str) -> Object | None:
        try:
            return self._object(self._try(lambda: self._fs.info(self._path(uri))))
        except AbsentError:
            return None

    def get(self, uri: str, start: int, length: int, version: str = "") -> Part:
        """Bytes of an object. The version is looked at afterwards: one that differs, or that
        changed in between, is an error."""
        path = self._path(uri)
        data = bytes(self._try(lambda: self._fs.cat_file(path, start=start, end=start + length)))
        self.bytes_fetched += len(data)
        present = self.stat(uri)
        if present is None:
            raise AbsentError
        if version and present.version != version:
            raise ChangedError
        if len(data) != max(0, min(length, present.size - start)):
            raise StoreError("fewer bytes came than the file has")
        return Part(data, present.size)

    def put(self, uri: str, path: Path) -> str:
        self._try(lambda: self._fs.put_file(str(path), self._path(uri)))
        written = self.stat(uri)
        return written.version if written is not None else ""

    def put_if(self, uri: str, path: Path, version: str | None) -> str:
        present = self.stat(uri)
        if (present.version if present is not None else None) != version:
            raise ChangedError
        return self.put(uri, path)

    def delete(self, uri: str) -> None:
        try:
            self._try(lambda: self._fs.rm_file(self._path(uri)))
        except AbsentError:
            return

    def _entries(self, folder: str) -> Iterable[_Entry]:
        """What lies in a folder, without what stands for the folder itself; for an object alone,
        that one."""
        entries = self._try(lambda: self._fs.ls(folder, detail=True, refresh=True))
        itself = folder.strip("/")
        below = [entry for entry in entries if entry["name"].strip("/") != itself]
        alone = [entry for entry in entries if entry["type"] != "directory"]
        return sorted(below, key=by_name) if below else alone[:1]

    def _path(self, uri: str) -> str:
        return str(self._fs._strip_protocol(uri))

    def _object(self, info: Mapping[str, Any]) -> Object:
        version = next((_text(info[f]) for f in _VERSION_FIELDS if info.get(f)), "")
        modified = next((info[f] for f in _TIME_FIELDS if info.get(f)), None)
        return Object(self._uri(info), int(info["size"] or 0), version, seconds_of(modified))

    def _uri(self, info: Mapping[str, Any]) -> str:
        return f"{self.protocol}://{str(info['name']).strip('/')}"

    @staticmethod
    def _try(request: Callable[[], _Result]) -> _Result:
        def attempt() -> _Result:
            try:
                return request()
            except StoreError:
                raise
            except FileNotFoundError:
                raise AbsentError from None
            except PermissionError:
                raise ForbiddenError("no permission to read or write it") from None
            except Exception as error:
                raise _store_error(error) from None

        return retried(attempt)


def _ahead(
    begun: Iterator[tuple[_Entry, _Listing | None]],
) -> Iterator[tuple[_Entry, _Listing | None]]:
    """The same, so many listings ahead."""
    coming: deque[tuple[_Entry, _Listing | None]] = deque()
    listings = 0
    for each in begun:
        coming.append(each)
        listings += each[1] is not None
        while coming and (listings > _LISTERS or coming[0][1] is None):
            given = coming.popleft()
            listings -= given[1] is not None
            yield given
    yield from coming


def _text(version: object) -> str:
    """One text for a version, whether it was listed or asked for."""
    if isinstance(version, datetime):
        version = version.timestamp()
    return str(version).strip('"').replace(" ", "_")


def by_name(entry: Mapping[str, Any]) -> bytes:
    """Folders stand where the objects in them do."""
    name = str(entry["name"]).rstrip("/").encode()
    return name + b"/" if entry["type"] == "directory" else name


def _store_error(error: Exception) -> StoreError:
    """Told by kind and status alone: what a provider says may hold credentials."""
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    kind = f"{type(error).__name__} {status}" if status else type(error).__name__
    refused = isinstance(status, int) and 400 <= status < 500 and status not in (408, 429)
    return StoreError(f"the request failed ({kind})", retry=not refused)
