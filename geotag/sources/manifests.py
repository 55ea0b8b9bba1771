"""What the manifest of a bucket's inventory says. Pure.

Known are those that are described in "Amazon S3 Inventory" (Amazon S3 user guide), "Inventory
reports" (Google Cloud Storage) and "Azure Storage blob inventory" (Microsoft).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from geotag.errors import SourceError

LAYOUTS = ("CSV", "Parquet", "ORC")
_BUCKET = re.compile(r"[a-z0-9$][a-z0-9._-]{1,220}[a-z0-9]")
_MEANT = "an inventory of S3, Google Cloud Storage or Azure"


class Columns(NamedTuple):
    """What a provider calls the columns that count.

    The bucket stands in the key where it has no column of its own. An object is no longer there
    where `current` is false, or any of `gone` is set.
    """

    key: str
    size: str
    modified: str
    current: str
    gone: tuple[str, ...]
    bucket: str = ""
    etag: str = "ETag"

    @property
    def needed(self) -> tuple[str, ...]:
        """Without which an inventory is of no use."""
        return tuple(filter(None, (self.bucket, self.key, self.size, self.etag)))

    @property
    def plain(self) -> frozenset[str]:
        """All of them, as `plain_name` has them."""
        return frozenset(map(plain_name, (*self.needed, self.modified, self.current, *self.gone)))


_S3 = Columns("Key", "Size", "LastModifiedDate", "IsLatest", ("IsDeleteMarker",))
_GOOGLE = Columns("name", "size", "updated", "", ("timeDeleted",), "bucket", "etag")
_AZURE = Columns(
    "Name",
    "Content-Length",
    "Last-Modified",
    "IsCurrentVersion",
    ("Deleted", "Snapshot", "hdi_isfolder"),
)


class InventoryFile(NamedTuple):
    """One file of an inventory, with what is known of its bytes."""

    address: str
    md5: str = ""
    size: int | None = None


class Manifest(NamedTuple):
    """An inventory: all its objects lie below `root`.

    CSV files without a header have the columns `names`, and keys as in addresses. There are no
    fewer `records` than the manifest says.
    """

    root: str
    layout: str
    columns: Columns
    files: tuple[InventoryFile, ...]
    names: tuple[str, ...] = ()
    records: int = 0


def parse_manifest(data: bytes, uri: str) -> Manifest:
    """A manifest that lies at an address, with the photos' provider. Raises SourceError."""
    place = f"inventory:{uri}"
    scheme, _, path = uri.partition("://")
    try:
        fields = json.loads(data)
        if "report_shards_file_names" in fields:
            return _google(fields, scheme, path.rpartition("/")[0], place)
        if "destinationContainer" in fields:
            return _azure(fields, scheme, place)
        return _s3(fields, scheme, place)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise SourceError(f"{place}: not the manifest of {_MEANT}") from None


def _s3(fields: Mapping[str, Any], scheme: str, place: str) -> Manifest:
    bucket, target = fields["sourceBucket"], fields["destinationBucket"].rpartition(":")[2]
    _check_buckets(place, bucket, target)
    files = tuple(
        InventoryFile(f"{scheme}://{target}/{file['key']}", str(file["MD5checksum"]))
        for file in fields["files"]
    )
    names = tuple(name.strip() for name in fields["fileSchema"].split(","))
    layout = _layout(fields["fileFormat"], place)
    if layout == "CSV" and (missing := [name for name in _S3.needed if name not in names]):
        raise SourceError(f"{place}: add {missing[0]} to the fields of the inventory")
    return Manifest(f"{scheme}://{bucket}", layout, _S3, files, names)


def _google(fields: Mapping[str, Any], scheme: str, folder: str, place: str) -> Manifest:
    names = [str(name).rpartition("/")[2] for name in fields["report_shards_file_names"]]
    if len(names) != fields["shard_count"]:
        raise SourceError(f"{place}: it does not name all {fields['shard_count']} of its files")
    layout = _layout(names[0].rpartition(".")[2], place) if names else "CSV"
    files = tuple(InventoryFile(f"{scheme}://{folder}/{name}") for name in names)
    return Manifest(
        f"{scheme}://", layout, _GOOGLE, files, records=int(fields["records_processed"])
    )


def _azure(fields: Mapping[str, Any], scheme: str, place: str) -> Manifest:
    if fields["status"] != "Succeeded":
        raise SourceError(f"{place}: this inventory did not succeed ({fields['status']!s:.20})")
    container = fields["destinationContainer"]
    _check_buckets(place, container)
    files = tuple(
        InventoryFile(f"{scheme}://{container}/{file['blob']}", size=int(file["size"]))
        for file in fields["files"]
    )
    layout = _layout(fields["ruleDefinition"]["format"], place)
    return Manifest(f"{scheme}://", layout, _AZURE, files)


def _check_buckets(place: str, *names: object) -> None:
    if not all(_BUCKET.fullmatch(str(name)) for name in names):
        raise SourceError(f"{place}: it names a bucket that cannot be one")


def _layout(name: object, place: str) -> str:
    found = [layout for layout in LAYOUTS if layout.lower() == str(name).lower()]
    if not found:
        raise SourceError(f"{place}: its files are {name!s:.20}, not {', '.join(LAYOUTS)}")
    return found[0]


def plain_name(column: str) -> str:
    """A column's name as CSV, Parquet and ORC files of any provider have it in common."""
    return re.sub(r"[^a-z0-9]", "", column.lower())
