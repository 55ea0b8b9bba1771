"""Where what comes from or goes to a bucket has no room on this machine, that is what is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from geotag.errors import CatalogError, GeotagError, SourceError, TableError
from geotag.records import Outcome, Status
from geotag.sources import Library
from geotag.sources.base import Filters
from geotag.state.catalog import open_catalog
from geotag.tables import read_table, write_table
from geotag.tables.parts import opened_parts

ROWS = [Outcome(f"/photos/{number:05d}.jpg", Status.UNCERTAIN) for number in range(2000)]


@contextmanager
def no_room() -> Iterator[None]:
    """No file of this process may grow beyond 4 KiB."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _read(tmp_path: Path) -> None:
    list(read_table("s3://photos/t.csv"))


def _write(tmp_path: Path) -> None:
    write_table("s3://photos/u.csv", ROWS)


def _write_folder(tmp_path: Path) -> None:
    write_table(f"{tmp_path}/folder/", ROWS)


def _merge(tmp_path: Path) -> None:
    with opened_parts(["s3://photos/t.parquet"]):
        pass


def _list(tmp_path: Path) -> None:
    list(Library(["list:s3://photos/t.csv"], Filters()).photos())


def _inventory(tmp_path: Path) -> None:
    list(Library(["inventory:s3://photos/manifest.json"], Filters()).photos())


def _catalog(tmp_path: Path) -> None:
    open_catalog("s3://photos/t.csv")


@pytest.mark.parametrize(
    ("action", "error"),
    [(_read, TableError), (_write, TableError), (_write_folder, TableError), (_merge, TableError),
     (_list, SourceError), (_inventory, SourceError), (_catalog, CatalogError)],
)  # fmt: skip
def test_a_full_folder_for_temporary_files_is_told(
    bucket: Path,
    tmp_path: Path,
    action: Callable[[Path], None],
    error: type[GeotagError],
) -> None:
    write_table("s3://photos/t.csv", ROWS)
    (bucket / "t.parquet").write_bytes((bucket / "t.csv").read_bytes())
    manifest = {
        "sourceBucket": "photos", "destinationBucket": "arn:aws:s3:::photos",
        "fileFormat": "CSV", "fileSchema": "Bucket, Key, Size, ETag",
        "files": [{"key": "t.csv", "MD5checksum": ""}],
    }  # fmt: skip
    (bucket / "manifest.json").write_text(json.dumps(manifest))
    before = {*bucket.iterdir()}
    with no_room(), pytest.raises(error, match="no room for temporary files"):
        action(tmp_path)
    assert {*bucket.iterdir()} == before
