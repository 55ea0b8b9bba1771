"""Photos on web servers: one address, or a text file that lists many."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from urllib.parse import unquote, urljoin, urlsplit

from geotag.files.credentials import has_credentials
from geotag.files.extensions import PHOTO_EXTENSIONS, extension
from geotag.files.sorting import sorted_names
from geotag.sources.bucket import BucketSource
from geotag.sources.listing import is_beside
from geotag.sources.named import look_at
from geotag.stores.base import Object, StoreError

_LIST_LIMIT = 64 * 2**20


class WebSource(BucketSource):
    """A photo by its address, or a list: one address a line, relative ones to the list's own;
    empty lines and those that begin with # are passed over."""

    def _objects(self) -> Iterator[Object]:
        if extension(urlsplit(self.uri).path) in PHOTO_EXTENSIONS:
            yield from self.store.list(self.uri)
            return
        addresses = sorted_names(address.encode() for address in self._addresses())
        yield from look_at(address.decode() for address in addresses)

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
        if is_beside(path):
            self.listing.skipped["sidecar"] += 1
            return True
        if not self.filters.admit(path or posixpath.basename(uri)):
            self.listing.skipped["excluded"] += 1
            return False
        return True

    def _look_at(self, path: bytes) -> None:
        """Sidecars count where the list names them."""
