"""Objects in Google Cloud Storage, by gcsfs: listed a page at a time, in stretches side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from geotag.stores.base import Enters, Object, StoreError, always, broken_off, check_order
from geotag.stores.generic import GenericStore
from geotag.stores.stretches import Found, Page, Stretch, declined, listed_behind

PAGE = 1000


class GcsStore(GenericStore):
    """Its listings are those of the JSON API: however many objects a folder has, few are held."""

    def __init__(self, **options: Any) -> None:
        super().__init__("gs", **options)

    def _opened(self, **options: Any) -> Any:
        # What fsspec takes asks for a bucket's kind; who may not know it is warned at each request.
        from gcsfs.core import GCSFileSystem

        return GCSFileSystem(**options)

    def list(self, uri: str, enters: Enters = always) -> Iterator[Object]:
        """The objects below a URI in byte order, or the one that it names."""
        bucket, prefix = self._split(uri)
        found = self._below(bucket, prefix)
        first = next(found, None)
        if first is not None:
            yield first
            yield from found
        elif prefix and (single := self.stat(uri.rstrip("/"))) is not None:
            yield single

    def list_behind(self, uri: str, last: str, enters: Enters = always) -> Iterator[Found] | None:
        """The objects below a URI behind that of another one, in stretches, several at once.

        `enters` is called in threads. None where the server does not begin where it is asked to.
        """
        bucket, prefix = self._split(uri)

        def page(stretch: Stretch, size: int) -> Page:
            return self._page(bucket, stretch, size, enters)

        return listed_behind(page, self._key, PAGE, Stretch(prefix, _key_of(self._path(last))))

    def _page(self, bucket: str, stretch: Stretch, size: int, enters: Enters) -> Page:
        start = {"startOffset": stretch.after} if stretch.after else {}
        # A page may begin with the very key behind which it is to go on.
        found = self._listed(bucket, prefix=stretch.prefix, maxResults=size + bool(start), **start)
        objects = self._objects(bucket, found)
        if start and objects and self._key(objects[0]) == stretch.after:
            objects = objects[1:]
        is_last = "nextPageToken" not in found and len(objects) <= size
        objects = objects[:size]
        last = check_order(stretch.after, map(self._key, objects))
        if not objects and not is_last:
            raise broken_off()

        def is_entered(folder: str) -> bool:
            return enters(f"{self.protocol}://{bucket}/{folder}")

        return Page(objects, declined(last, len(stretch.prefix), is_entered) or last, is_last)

    def _below(self, bucket: str, prefix: str) -> Iterator[Object]:
        last, token, tokens = "", "", set[str]()
        while True:
            start = {"pageToken": token} if token else {}
            found = self._listed(bucket, prefix=prefix, maxResults=PAGE, **start)
            objects = self._objects(bucket, found)
            last = check_order(last, map(self._key, objects))
            yield from objects
            token = str(found.get("nextPageToken", ""))
            if not token:
                return
            if token in tokens:
                raise broken_off()
            tokens.add(token)

    def _listed(self, bucket: str, **query: Any) -> Mapping[str, Any]:
        """One page as the server gives it. Raises StoreError, also for an answer that is none."""
        query = {name: value for name, value in query.items() if value}
        page = self._try(lambda: self._fs.call("GET", "b/{}/o", bucket, json_out=True, **query))
        if not isinstance(page, Mapping) or not isinstance(page.get("items", []), list):
            raise StoreError("what came is no listing of a bucket")
        return page

    def _objects(self, bucket: str, page: Mapping[str, Any]) -> Sequence[Object]:
        try:
            return [
                self._object({**item, "name": f"{bucket}/{item['name']}"})
                for item in page.get("items", [])
            ]
        except (LookupError, TypeError, ValueError):
            raise StoreError("what came is no listing of a bucket") from None

    def _split(self, uri: str) -> tuple[str, str]:
        """The bucket, and the prefix of the keys below."""
        bucket, _, key = self._path(uri).partition("/")
        return bucket, key.rstrip("/") + "/" if key else ""

    def _key(self, found: Object) -> str:
        return _key_of(found.uri.removeprefix(f"{self.protocol}://"))


def _key_of(path: str) -> str:
    return path.partition("/")[2]
