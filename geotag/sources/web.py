"""Photos on web servers: one address, or a text file that lists many."""

from __future__ import annotations

import posixpath
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from urllib.parse import unquote, urljoin, urlsplit

from geotag.files.credentials import has_credentials
from geotag.files.extensions import PHOTO_EXTENSIONS, extension
from geotag.files.sidecars import is_sidecar
from geotag.files.sorting import sorted_names
from geotag.sources.bucket import BucketSource
from geotag.stores import store_of
from geotag.stores.base import UNKNOWN_SIZE, Object, StoreError

_LIST_LIMIT = 64 * 2**20
_IN_FLIGHT = 32


class WebSource(BucketSource):
    """A photo by its address, or a list: one address a line, relative ones to the list's own;
    empty lines and those that begin with # are passed over."""

    def _objects(self) -> Iterator[Object]:
        if extension(urlsplit(self.uri).path) in PHOTO_EXTENSIONS:
            yield from self.store.list(self.uri)
            return
        with ThreadPoolExecutor(_IN_FLIGHT, "list") as pool:
            coming: deque[Future[Object]] = deque()
            addresses = (address.encode() for address in self._addresses())
            for address in sorted_names(addresses):
                coming.append(pool.submit(_stat, address.decode()))
                if len(coming) > _IN_FLIGHT:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()

    def _addresses(self) -> Iterator[str]:
        data, total = self.store.get(self.uri, 0, _LIST_LIMIT)
        if total > len(data):
            raise StoreError(f"the list is larger than {_LIST_LIMIT >> 20} MiB")
        for line in data.decode("utf-8", "replace").splitlines():
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            address = urljoin(self.uri, text)
            if urlsplit(address).scheme not in ("http", "https"):
                self.listing.skipped["not a web address"] += 1
            elif has_credentials(address):
                self.listing.skipped["address with credentials"] += 1
            else:
                yield address

    def is_gone(self, uri: str) -> bool:
        """Never known: a list may have lost a line."""
        return False

    def _wants(self, uri: str) -> bool:
        """What is listed is meant, whatever its name."""
        path = unquote(urlsplit(uri).path).lstrip("/")
        if is_sidecar(path):
            self.listing.skipped["sidecar"] += 1
            return True
        if not self.filters.admit(path or posixpath.basename(uri)):
            self.listing.skipped["excluded"] += 1
            return False
        return True

    def _look_at(self, path: bytes) -> None:
        """Sidecars count where the list names them."""


def _stat(address: str) -> Object:
    """What cannot be looked at now is listed all the same: reading it will tell why."""
    try:
        found = store_of(address).stat(address)
    except StoreError:
        found = None
    return found or Object(address, UNKNOWN_SIZE, "")
