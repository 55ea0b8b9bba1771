"""Scans of a bucket by its inventory, on a real S3 endpoint."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import orc

from geotag.errors import SourceError
from geotag.options import ScanOptions
from geotag.pipeline import scan_library
from geotag.sources import Library
from geotag.sources.base import Filters
from geotag.stores import open_store, store_of
from tests.conftest import gps_ifd, jpeg_bytes, picture
from tests.geotag.conftest import FaultyProxy

MANIFEST = "inventory:s3://photos/inventory/manifest.json"
NAMES = ("b c/ü+1.jpg", "a.jpg", "a.xmp", "a.jpg.xmp", "notes.txt", "z/a,b\"c'.jpg")
EARLIER, LATER = datetime(2026, 10, 1, 8), datetime(2026, 11, 25, 1)
LATE = "z/a,b\"c'.jpg"
FIELDS = ("Bucket", "Key", "IsLatest", "IsDeleteMarker", "Size", "LastModifiedDate", "ETag")
LOWER = ("bucket", "key", "is_latest", "is_delete_marker", "size", "last_modified_date", "e_tag")


def fill(bucket: Path) -> None:
    for seed, name in enumerate(NAMES):
        path = bucket / name
        path.parent.mkdir(exist_ok=True)
        photo = jpeg_bytes(picture(seed=seed), gps=gps_ifd(seed, 2))
        path.write_bytes(photo if name.endswith(".jpg") else b"<x/>")


def take(bucket: Path, layout: str, **changes: Any) -> None:
    """Write an inventory as S3 does: not in order, with old versions and deleted objects."""
    rows: list[tuple[Any, ...]] = []
    for name in NAMES:
        data = (bucket / name).read_bytes()
        etag = hashlib.md5(data).hexdigest()
        rows += [
            ("photos", name, False, False, 1, LATER, "old"),
            ("photos", name, True, False, len(data), LATER if name == LATE else EARLIER, etag),
        ]
    rows.append(("photos", "deleted.jpg", True, True, 0, LATER, ""))
    folder = bucket / "inventory"
    folder.mkdir(exist_ok=True)
    data = _packed(rows, layout)
    (folder / "part").write_bytes(data)
    manifest = {
        "sourceBucket": "photos", "destinationBucket": "arn:aws:s3:::photos",
        "fileFormat": layout, "fileSchema": ", ".join(FIELDS),
        "files": [{"key": "inventory/part", "MD5checksum": hashlib.md5(data).hexdigest()}],
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))


def _packed(rows: list[tuple[Any, ...]], layout: str) -> bytes:
    if layout == "CSV":
        text = io.StringIO()
        writer = csv.writer(text, quoting=csv.QUOTE_ALL)
        for bucket, key, latest, deleted, size, changed, etag in rows:
            when = changed.strftime("%Y-%m-%dT%H:%M:%S.000Z")
            cells = (str(latest).lower(), str(deleted).lower(), size, when, etag)
            writer.writerow((bucket, quote_plus(key), *cells))
        return gzip.compress(text.getvalue().encode())
    table = pa.table(
        {name: list(column) for name, column in zip(LOWER, zip(*rows, strict=True), strict=True)}
    )
    sink = pa.BufferOutputStream()
    (pq if layout == "Parquet" else orc).write_table(table, sink)
    return bytes(sink.getvalue())


@pytest.mark.parametrize("layout", ["CSV", "Parquet", "ORC"])
def test_an_inventory_lists_what_the_bucket_does(bucket: Path, layout: str) -> None:
    fill(bucket)
    live = list(Library(["s3://photos"], Filters()).photos())
    take(bucket, layout)
    assert list(Library([MANIFEST], Filters()).photos()) == live
    assert [photo.sidecars for photo in live] != [()] * len(live)


@pytest.mark.parametrize("layout", ["CSV", "Parquet", "ORC"])
def test_since_a_day_only_what_changed_since_then_is_listed(bucket: Path, layout: str) -> None:
    fill(bucket)
    take(bucket, layout)
    for day, names in ((26, []), (24, [LATE])):
        library = Library(
            [MANIFEST], Filters(since=datetime(2026, 11, day, tzinfo=UTC).timestamp())
        )
        assert [photo.uri for photo in library.photos()] == [f"s3://photos/{n}" for n in names]
        assert library.skipped["not changed since"] == 3 - len(names)


def test_a_night_without_changes_lists_and_reads_nothing(
    bucket: Path, faults: FaultyProxy, tmp_path: Path, model_path: Path
) -> None:
    fill(bucket)
    take(bucket, "CSV")
    table, options = tmp_path / "t.csv", ScanOptions(model=model_path)
    assert scan_library([MANIFEST], str(table), options).read == 3
    before, asked = table.read_bytes(), []
    faults.fault = lambda method, path: asked.append(path)
    summary = scan_library([MANIFEST], str(table), options)
    assert (summary.read, summary.unchanged, summary.exported) == (0, 3, False)
    assert asked and all("/inventory/" in path for path in asked)
    live = tmp_path / "live.csv"
    scan_library(["s3://photos"], str(live), options)
    assert live.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": None}, "not the manifest"),
        ({"sourceBucket": "../x"}, "bucket that cannot be one"),
        ({"fileFormat": "XML"}, "its files are XML"),
        ({"fileSchema": "Bucket, Key, Size"}, "add ETag"),
        ({"fileSchema": "Bucket, Key, ETag"}, "add Size"),
        ({"files": [{"key": "gone", "MD5checksum": ""}]}, "it is not there"),
        ({"files": [{"key": "inventory/part", "MD5checksum": "0"}]}, "its MD5 differs"),
    ],
)
def test_what_is_no_inventory_is_refused(
    bucket: Path, changes: dict[str, Any], message: str
) -> None:
    fill(bucket)
    take(bucket, "CSV", **changes)
    with pytest.raises(SourceError, match=message):
        list(Library([MANIFEST], Filters()).photos())


@pytest.mark.parametrize("missing", ["size", "e_tag", "key"])
@pytest.mark.parametrize("layout", ["Parquet", "ORC"])
def test_an_inventory_without_what_is_needed_is_refused(
    bucket: Path, layout: str, missing: str
) -> None:
    """Without sizes all photos would look empty."""
    fill(bucket)
    take(bucket, layout)
    part, manifest = (bucket / "inventory" / name for name in ("part", "manifest.json"))
    whole = (pq.read_table if layout == "Parquet" else orc.read_table)(part)
    changed = whole.drop_columns([missing])
    (pq if layout == "Parquet" else orc).write_table(changed, part)
    text = json.loads(manifest.read_text())
    text["files"][0]["MD5checksum"] = hashlib.md5(part.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(text))
    with pytest.raises(SourceError, match="add it to the fields of the inventory"):
        list(Library([MANIFEST], Filters()).photos())


def test_deleted_objects_have_no_size_and_no_etag(bucket: Path) -> None:
    fill(bucket)
    take(bucket, "Parquet")
    part, manifest = (bucket / "inventory" / name for name in ("part", "manifest.json"))
    rows = pq.read_table(part).to_pylist()
    rows = [row | {"size": None, "e_tag": None} if row["is_delete_marker"] else row for row in rows]
    pq.write_table(pa.Table.from_pylist(rows), part)
    text = json.loads(manifest.read_text())
    text["files"][0]["MD5checksum"] = hashlib.md5(part.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(text))
    assert len(list(Library([MANIFEST], Filters()).photos())) == 3


@pytest.mark.parametrize("place", ["", "manifest.json", "/m.json", "ftp://h/m.json", "what://x"])
def test_where_no_inventory_can_lie(place: str) -> None:
    with pytest.raises(SourceError, match="of an inventory where it lies"):
        Library([f"inventory:{place}"], Filters())


@pytest.fixture
def memory() -> Iterator[Any]:
    """A bucket in memory, by the way of gs:// and az://; in containers photos and others."""
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
    open_store.cache_clear()
    files = fsspec.filesystem("memory")
    files.store.clear()
    for seed, name in enumerate((*NAMES, "empty.jpg")):
        photo = jpeg_bytes(picture(seed=seed), gps=gps_ifd(seed, 2))
        files.pipe_file(f"/photos/{name}", photo if name.endswith(".jpg") else b"<x/>")
    yield files
    files.store.clear()


def take_in_memory(memory: Any, provider: str, layout: str, **changes: Any) -> str:
    """Write an inventory as a provider does; returns its address."""
    rows = []
    for name in NAMES:
        found = store_of("memory://").stat(f"memory://photos/{name}")
        assert found is not None
        when = datetime.fromtimestamp(found.modified, UTC)
        rows.append((name, found.size, when, found.version, None))
    rows.append(("empty.jpg", 1, LATER, "old", LATER))
    if provider == "google":
        names = ["project", "bucket", "name", "size", "updated", "etag", "timeDeleted"]
        cells = [("p", "photos", *row) for row in rows]
        manifest: dict[str, Any] = {
            "report_config": {}, "records_processed": len(rows), "shard_count": 1,
            "report_shards_file_names": [f"part_0.{layout.lower()}"],
        }  # fmt: skip
    else:
        names = ["Name", "Content-Length", "Last-Modified", "Etag", "Deleted", "hdi_isfolder"]
        cells = [(f"photos/{row[0]}", *row[1:4], row[4] is not None, None) for row in rows]
        cells.append(("photos/z", 0, LATER, "0x1", False, True))
        manifest = {
            "status": "Succeeded", "destinationContainer": "reports",
            "ruleDefinition": {"format": layout.lower()},
            "files": [{"blob": f"1/part_0.{layout.lower()}"}],
        }  # fmt: skip
    if layout == "CSV":
        text = io.StringIO()
        writer = csv.writer(text, delimiter="|" if provider == "google" else ",")
        writer.writerow(names)
        for row in cells:
            whens = (c.isoformat() if isinstance(c, datetime) else c for c in row)
            writer.writerow(str(c).lower() if isinstance(c, bool) else c for c in whens)
        data = text.getvalue().encode()
    else:
        columns = map(list, zip(*cells, strict=True))
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(dict(zip(names, columns, strict=True))), sink)
        data = bytes(sink.getvalue())
    for file in manifest.get("files", ()):
        file["size"] = len(data)
    memory.pipe_file(f"/reports/1/part_0.{layout.lower()}", data)
    memory.pipe_file("/reports/1/manifest.json", json.dumps(manifest | changes).encode())
    return "inventory:memory://reports/1/manifest.json"


@pytest.mark.parametrize("provider", ["google", "azure"])
@pytest.mark.parametrize("layout", ["CSV", "Parquet"])
def test_inventories_of_google_and_azure_list_what_the_bucket_does(
    memory: Any, provider: str, layout: str, tmp_path: Path, model_path: Path
) -> None:
    inventory = take_in_memory(memory, provider, layout)
    filters = Filters(exclude=("empty.jpg",))
    live = list(Library(["memory://photos"], filters).photos())
    assert list(Library([inventory], Filters()).photos()) == live
    assert [photo.sidecars for photo in live] != [()] * len(live)
    out, options = str(tmp_path / "t.csv"), ScanOptions(model=model_path)
    assert scan_library([inventory], out, options).read == 3
    assert scan_library([inventory], out, options).unchanged == 3


@pytest.mark.parametrize(
    ("provider", "changes", "message"),
    [
        ("google", {"shard_count": 2}, "not name all 2 of its files"),
        ("google", {"records_processed": 8}, "hold 7 of 8 objects"),
        ("google", {"report_shards_file_names": ["part.avro"]}, "its files are avro"),
        ("google", {"report_shards_file_names": ["part_1.csv"]}, "it is not there"),
        ("azure", {"status": "Pending"}, "did not succeed"),
        ("azure", {"files": [{"blob": "1/part_0.csv", "size": 1}]}, "its size differs"),
        ("azure", {"destinationContainer": "a/b"}, "bucket that cannot be one"),
        ("azure", {"ruleDefinition": None}, "not the manifest"),
    ],
)
def test_what_is_no_inventory_of_google_or_azure_is_refused(
    memory: Any, provider: str, changes: dict[str, Any], message: str
) -> None:
    inventory = take_in_memory(memory, provider, "CSV", **changes)
    with pytest.raises(SourceError, match=message):
        list(Library([inventory], Filters()).photos())
