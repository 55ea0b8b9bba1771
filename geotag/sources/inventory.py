"""Photos of a bucket as its inventory lists them: nothing is listed by requests."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from geotag.errors import GeotagError, SourceError
from geotag.files.sorting import sorted_names
from geotag.files.temporary import TemporaryFolder
from geotag.sources.base import Filters
from geotag.sources.bucket import BucketSource
from geotag.sources.listing import File, with_sidecars
from geotag.sources.manifests import InventoryFile, Manifest, parse_manifest, plain_name
from geotag.stores import is_remote, store_of
from geotag.stores.base import Object, StoreError, download, md5_of, seconds_of

PREFIX = "inventory:"
_MANIFEST_LIMIT = 64 * 2**20
_HEADER_LIMIT = 2**16
_SEPARATOR = b"\1"  # no key of a photo holds it, nor a zero
_BATCH = 10_000


class InventorySource(BucketSource):
    """The photos of an inventory; they are read from the bucket itself."""

    def __init__(self, text: str, filters: Filters) -> None:
        uri = text.removeprefix(PREFIX)
        if not is_remote(uri):
            raise SourceError(
                f"{text}: name the manifest of an inventory where it lies, such as "
                f"{PREFIX}s3://reports/photos/all/2026-11-25T01-00Z/manifest.json"
            )
        try:
            data, total = store_of(uri).get(uri, 0, _MANIFEST_LIMIT)
        except StoreError as error:
            raise SourceError(f"{text}: {error}") from error
        if total > len(data):
            raise SourceError(f"{text}: the manifest is larger than {_MANIFEST_LIMIT >> 20} MiB")
        self.text = text
        self.manifest = parse_manifest(data, uri)
        super().__init__(self.manifest.root, filters)

    def is_gone(self, uri: str) -> bool:
        """Never known: an inventory is a day old or two."""
        return False

    def _files(self) -> Iterator[tuple[File, list[File]]]:
        objects = map(self._parse_record, sorted_names(self._records()))
        files = (
            File(found.uri.encode(), found.size, found.version)
            for found in objects
            if self._wants(found.uri) and self._is_recent(found)
        )
        return with_sidecars(files, self._look_at)

    def _records(self) -> Iterator[bytes]:
        """Each present object as one text that sorts as its key does. Raises SourceError."""
        count = 0
        for file in self.manifest.files:
            address = file.address
            with TemporaryFolder() as folder:
                path = Path(folder, "inventory")
                if download(store_of(address), address, path) is None:
                    raise SourceError(f"{address}: the inventory names it, and it is not there")
                _check_whole(path, file)
                try:
                    for row in _READERS[self.manifest.layout](path, self.manifest):
                        count += 1
                        yield from self._record(row)
                except GeotagError:
                    raise
                except Exception as error:  # whatever its parsers stumble over
                    raise SourceError(f"{address}: cannot be read ({error})") from error
        if count < self.manifest.records:
            raise SourceError(
                f"{self.text}: its files hold {count} of {self.manifest.records} objects"
            )

    def _record(self, row: Mapping[str, Any]) -> Iterator[bytes]:
        columns = self.manifest.columns

        def cell(name: str) -> Any:
            return row.get(plain_name(name))

        if _is_false(cell(columns.current)) or any(_is_set(cell(name)) for name in columns.gone):
            return
        if missing := [name for name in columns.needed if cell(name) in (None, "")]:
            raise ValueError(
                f"no {missing[0]} in a row: add it to the fields of the inventory (and, where CSV "
                "files have none, a header)"
            )
        key = "/".join(str(cell(name)) for name in (columns.bucket, columns.key) if name).encode()
        if b"\0" in key or _SEPARATOR in key:
            self.listing.skipped["strange name"] += 1
            return
        etag = str(cell(columns.etag)).strip('"').encode()
        size, modified = int(cell(columns.size)), seconds_of(cell(columns.modified))
        yield key + _SEPARATOR + b"%d %d %b" % (size, modified, etag)

    def _parse_record(self, record: bytes) -> Object:
        key, _, rest = record.rpartition(_SEPARATOR)
        size, modified, etag = rest.split(b" ", 2)
        separator = "" if self.uri.endswith("/") else "/"
        uri = f"{self.uri}{separator}{key.decode()}"
        return Object(uri, int(size), etag.decode(), float(modified))


def _check_whole(path: Path, file: InventoryFile) -> None:
    if file.size not in (None, path.stat().st_size):
        raise SourceError(f"{file.address}: not the file that the manifest lists: its size differs")
    if file.md5 and md5_of(path) != file.md5:
        raise SourceError(f"{file.address}: not the file that the manifest lists: its MD5 differs")


def _csv_rows(path: Path, manifest: Manifest) -> Iterator[Mapping[str, Any]]:
    names, delimiter = list(manifest.names), ","
    with path.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
    with (
        (gzip.open if is_packed else open)(path, "rb") as unpacked,
        io.TextIOWrapper(unpacked, "utf-8-sig", newline="") as text,
    ):
        if not names:
            header = text.readline(_HEADER_LIMIT)
            delimiter = next((sign for sign in header if sign in ",;|\t"), ",")
            (names,) = csv.reader([header], delimiter=delimiter)
        names = [plain_name(name) for name in names]
        for cells in csv.reader(text, delimiter=delimiter):
            row = dict(zip(names, cells, strict=True))
            yield row | {"key": unquote_plus(row["key"])} if manifest.names else row


def _parquet_rows(path: Path, manifest: Manifest) -> Iterator[Mapping[str, Any]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        columns = _wanted(file.schema_arrow.names, manifest)
        for batch in file.iter_batches(_BATCH, columns=list(columns)):
            yield from batch.rename_columns(list(columns.values())).to_pylist()


def _orc_rows(path: Path, manifest: Manifest) -> Iterator[Mapping[str, Any]]:
    from pyarrow import orc

    file = orc.ORCFile(path)
    columns = _wanted(file.schema.names, manifest)
    for number in range(file.nstripes):
        stripe = file.read_stripe(number, columns=list(columns))
        yield from stripe.rename_columns(list(columns.values())).to_pylist()


def _wanted(names: list[str], manifest: Manifest) -> Mapping[str, str]:
    """The columns that count, in their order, with their plain names."""
    plain = {name: plain_name(name) for name in names}
    return {name: plain[name] for name in names if plain[name] in manifest.columns.plain}


_READERS = {"CSV": _csv_rows, "Parquet": _parquet_rows, "ORC": _orc_rows}


def _is_set(value: object) -> bool:
    return value not in (None, "", False) and not _is_false(value)


def _is_false(value: object) -> bool:
    return value is False or str(value).lower() == "false"
