"""Objects in Azure Blob Storage, by adlfs: each folder is listed a page at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from geotag.stores.base import AbsentError
from geotag.stores.generic import GenericStore, by_name


class AzureStore(GenericStore):
    """However many objects a folder has, few are held."""

    def __init__(self, **options: Any) -> None:
        super().__init__("az", **options)

    def _entries(self, folder: str) -> Iterable[Mapping[str, Any]]:
        """What lies in a folder: the first page at once, the others as they are taken."""
        container, _, key = folder.strip("/").partition("/")
        client = self._fs.service_client.get_container_client(container)
        prefix = key.rstrip("/") + "/" if key else ""
        found = client.walk_blobs(name_starts_with=prefix, include=["metadata"]).by_page()
        pages = self._pages(found, f"{container}/{prefix}")
        first = next(pages, [])
        # Nothing below: an object, or nothing at all.
        return chain(first, chain.from_iterable(pages)) if first else super()._entries(folder)

    def _pages(self, found: Any, itself: str) -> Iterator[list[Mapping[str, Any]]]:
        from fsspec.asyn import sync

        container = itself.partition("/")[0]

        async def page() -> list[Any] | None:
            try:
                async for items in found:
                    return [item async for item in items]
            except Exception as error:
                if getattr(error, "status_code", 0) == 404:
                    raise AbsentError("no such container: is its name right?") from None
                raise
            return None

        while (items := self._try(lambda: sync(self._fs.loop, page))) is not None:
            entries = [_entry(container, item) for item in items if not _is_folder(item)]
            yield sorted((each for each in entries if each["name"] != itself), key=by_name)


def _is_folder(item: Any) -> bool:
    """Whether a blob stands for a folder, which comes as a prefix as well."""
    return str((getattr(item, "metadata", None) or {}).get("hdi_isfolder", "")).lower() == "true"


def _entry(container: str, item: Any) -> Mapping[str, Any]:
    name = f"{container}/{item.name}"
    if not hasattr(item, "size") or item.get("etag") is None:
        return {"name": name, "type": "directory"}
    return {
        "name": name, "type": "file", "size": item.size, "etag": item.etag,
        "last_modified": item.last_modified,
    }  # fmt: skip
