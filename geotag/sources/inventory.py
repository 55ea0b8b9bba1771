"""Photos of an S3 bucket as its inventory lists them: nothing is listed by requests.

The layout is that of "Amazon S3 Inventory" in the Amazon S3 user guide: a manifest.json that names
files of CSV (gzip), Parquet or ORC.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from geotag.errors import GeotagError, SourceError
from geotag.files.sorting import sorted_names
from geotag.files.temporary import TemporaryFolder
from geotag.sources.base import Filters
from geotag.sources.bucket import BucketSource
from geotag.sources.listing import File, with_sidecars
from geotag.stores import is_remote, store_of
from geotag.stores.base import Object, StoreError, download

PREFIX = "inventory:"
_MANIFEST_LIMIT = 64 * 2**20
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SEPARATOR = b"\1"  # no key of a photo holds it, nor a zero
_BATCH = 10_000
# Columns by their names in Parquet and ORC, which CSV's become without capitals.
_COLUMNS = ("key", "size", "e_tag", "last_modified_date", "is_latest", "is_delete_marker")
_NEEDED = _COLUMNS[:3]
_FIELDS = ("Key", "Size", "ETag")


class _Manifest(NamedTuple):
    bucket: str
    layout: str
    columns: tuple[str, ...]
    files: tuple[tuple[str, str], ...]  # address and MD5


class InventorySource(BucketSource):
    """The photos of an inventory; they are read from the bucket itself."""

    def __init__(self, text: str, filters: Filters) -> None:
        self.manifest_uri = text.removeprefix(PREFIX)
        if not is_remote(self.manifest_uri):
            raise SourceError(
                f"{text}: name the manifest.json of an S3 inventory where it lies, such as "
                f"{PREFIX}s3://reports/photos/all/2026-11-25T01-00Z/manifest.json"
            )
        try:
            data, total = store_of(self.manifest_uri).get(self.manifest_uri, 0, _MANIFEST_LIMIT)
        except StoreError as error:
            raise SourceError(f"{text}: {error}") from error
        if total > len(data):
            raise SourceError(f"{text}: the manifest is larger than {_MANIFEST_LIMIT >> 20} MiB")
        self.manifest = _parse_manifest(data, text)
        super().__init__(f"s3://{self.manifest.bucket}", filters)

    def is_gone(self, uri: str) -> bool:
        """Never known: an inventory is a day old or two."""
        return False

    def _files(self) -> Iterator[tuple[File, list[File]]]:
        objects = (_parse_record(record) for record in sorted_names(self._records()))
        files = (
            File(found.uri.encode(), found.size, found.version)
            for found in (each._replace(uri=f"{self.uri}/{each.uri}") for each in objects)
            if self._wants(found.uri) and self._is_recent(found)
        )
        return with_sidecars(files, self._look_at)

    def _records(self) -> Iterator[bytes]:
        """Each present object as one text that sorts as its key does. Raises SourceError."""
        for address, md5 in self.manifest.files:
            with TemporaryFolder() as folder:
                path = Path(folder, "inventory")
                if download(store_of(address), address, path) is None:
                    raise SourceError(f"{address}: the inventory names it, and it is not there")
                _check_whole(path, md5, address)
                try:
                    for row in _READERS[self.manifest.layout](path, self.manifest):
                        yield from self._record(row)
                except GeotagError:
                    raise
                except Exception as error:  # whatever its parsers stumble over
                    raise SourceError(f"{address}: cannot be read ({error})") from error

    def _record(self, row: Mapping[str, Any]) -> Iterator[bytes]:
        if _is_false(row.get("is_latest")) or _is_true(row.get("is_delete_marker")):
            return
        if missing := [name for name in _NEEDED if row.get(name) in (None, "")]:
            name = _FIELDS[_COLUMNS.index(missing[0])]
            raise ValueError(f"no {name} in a row: add it to the fields of the inventory")
        key = str(row["key"]).encode()
        if b"\0" in key or _SEPARATOR in key:
            self.listing.skipped["strange name"] += 1
            return
        etag = str(row["e_tag"]).strip('"').encode()
        size, modified = int(row["size"]), _seconds(row.get("last_modified_date"))
        yield key + _SEPARATOR + b"%d %d %b" % (size, modified, etag)


def _parse_record(record: bytes) -> Object:
    key, _, rest = record.rpartition(_SEPARATOR)
    size, modified, etag = rest.split(b" ", 2)
    return Object(key.decode(), int(size), etag.decode(), float(modified))


def _parse_manifest(data: bytes, place: str) -> _Manifest:
    """Raises SourceError for what is no manifest."""
    try:
        fields = json.loads(data)
        bucket, layout = fields["sourceBucket"], fields["fileFormat"]
        target = fields["destinationBucket"].rpartition(":")[2]
        files = tuple(
            (f"s3://{target}/{file['key']}", str(file["MD5checksum"])) for file in fields["files"]
        )
        columns = tuple(name.strip() for name in fields["fileSchema"].split(","))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise SourceError(f"{place}: not the manifest.json of an S3 inventory") from None
    if not _BUCKET.fullmatch(str(bucket)) or not _BUCKET.fullmatch(target):
        raise SourceError(f"{place}: it names a bucket that cannot be one")
    if layout not in _READERS:
        raise SourceError(f"{place}: its files are {layout!s:.20}, not {', '.join(_READERS)}")
    if layout == "CSV" and (missing := [name for name in _FIELDS if name not in columns]):
        raise SourceError(f"{place}: add {missing[0]} to the fields of the inventory")
    return _Manifest(bucket, layout, columns, files)


def _check_whole(path: Path, md5: str, address: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != md5:
        raise SourceError(f"{address}: not the file that the manifest means (by its MD5)")


def _csv_rows(path: Path, manifest: _Manifest) -> Iterator[Mapping[str, Any]]:
    names = [re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower() for name in manifest.columns]
    names = ["e_tag" if name == "etag" else name for name in names]
    with gzip.open(path) as packed, io.TextIOWrapper(packed, "utf-8", newline="") as file:
        for cells in csv.reader(file):
            row = dict(zip(names, cells, strict=True))
            yield row | {"key": unquote_plus(row["key"])}


def _parquet_rows(path: Path, manifest: _Manifest) -> Iterator[Mapping[str, Any]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        columns = [name for name in _COLUMNS if name in file.schema_arrow.names]
        for batch in file.iter_batches(_BATCH, columns=columns):
            yield from batch.to_pylist()


def _orc_rows(path: Path, manifest: _Manifest) -> Iterator[Mapping[str, Any]]:
    from pyarrow import orc

    file = orc.ORCFile(path)
    columns = [name for name in _COLUMNS if name in file.schema.names]
    for number in range(file.nstripes):
        yield from file.read_stripe(number, columns=columns).to_pylist()


_READERS = {"CSV": _csv_rows, "Parquet": _parquet_rows, "ORC": _orc_rows}


def _seconds(time: object) -> float:
    """A time of the inventory, in seconds since 1970; 0 where there is none."""
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    if not isinstance(time, datetime):
        return 0.0
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _is_true(value: object) -> bool:
    return value is True or value == "true"


def _is_false(value: object) -> bool:
    return value is False or value == "false"
