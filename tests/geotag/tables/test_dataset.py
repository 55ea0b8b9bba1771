"""Tables as folders of Parquet files, on a disk and in a bucket."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from geotag.errors import TableError
from geotag.options import ScanOptions
from geotag.pipeline import scan_library
from geotag.records import Outcome, Status
from geotag.tables import check_table, read_table, table_state, write_table
from tests.conftest import WritePhoto, gps_ifd
from tests.geotag.conftest import FaultyProxy


def rows(count: int, changed: str = "") -> Iterator[Outcome]:
    for number in range(count):
        path = f"/photos/{number:04d}.jpg"
        yield Outcome(path, Status.HAS_GPS, 1.5, 2.0 + (path == changed), camera="Ä, x")


def parts(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}


def test_the_rows_are_those_of_a_single_file_for_every_reader(tmp_path: Path) -> None:
    folder = tmp_path / "table"
    write_table(f"{folder}/", rows(500))
    assert list(read_table(f"{folder}/")) == list(read_table(folder)) == list(rows(500))
    single = tmp_path / "single.parquet"
    write_table(str(single), rows(500))
    expected = pd.read_parquet(single)
    for frame in (pd.read_parquet(folder), ds.dataset(folder).to_table().to_pandas()):
        frame = frame.sort_values("path", ignore_index=True)
        pd.testing.assert_frame_equal(frame, expected)
    assert len(parts(folder)) == 64


def test_a_table_is_read_without_holding_it(tmp_path: Path) -> None:
    """Neither the rows nor Arrow's text: 64 parts of a table are open side by side."""
    single, held, folder = tmp_path / "t.parquet", 0, "/photos/" + "a" * 200
    long = (row._replace(path=f"{folder}/{n:05d}.jpg") for n, row in enumerate(rows(10_000)))
    write_table(str(single), long)
    before = pa.total_allocated_bytes()
    for row in read_table(single):
        assert row.path.startswith(folder)
        held = max(held, pa.total_allocated_bytes() - before)
    assert 0 < held < 2**20


def test_duckdb_reads_it(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="DuckDB (25 MB) is not installed")
    write_table(f"{tmp_path}/table/", rows(500))
    query = f"SELECT count(*), min(path), sum(latitude) FROM '{tmp_path}/table/*.parquet'"
    assert duckdb.sql(query).fetchall() == [(500, "/photos/0000.jpg", 750.0)]


def test_only_the_parts_that_changed_are_written_again(tmp_path: Path) -> None:
    place, folder = f"{tmp_path}/table/", tmp_path / "table"
    write_table(place, rows(500))
    before = parts(folder)
    write_table(place, rows(501, changed="/photos/0007.jpg"))
    after = parts(folder)
    assert 1 <= sum(before[name] != after[name] for name in before) <= 2
    assert list(read_table(place)) == list(rows(501, changed="/photos/0007.jpg"))
    write_table(place, rows(501, changed="/photos/0007.jpg"))
    assert parts(folder) == after


def test_a_crash_between_parts_leaves_each_old_or_new_and_the_next_run_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"{tmp_path}/table/"
    write_table(place, rows(300))
    replaced, replace = [], os.replace

    def dying(source: str, target: object) -> None:
        if len(replaced) == 20:
            raise KeyboardInterrupt
        replaced.append(target)
        replace(source, str(target))

    new = [row._replace(altitude=5.0) for row in rows(300)]
    monkeypatch.setattr(os, "replace", dying)
    with pytest.raises(KeyboardInterrupt):
        write_table(place, new)
    monkeypatch.undo()
    found = list(read_table(place))
    assert [row.path for row in found] == [row.path for row in new]
    assert {row.altitude for row in found} == {None, 5.0}
    write_table(place, new)
    assert list(read_table(place)) == new


def test_what_another_changed_is_written_again(tmp_path: Path) -> None:
    place = f"{tmp_path}/table/"
    write_table(place, rows(300))
    (tmp_path / "table" / "part-03.parquet").write_bytes(b"x")
    (tmp_path / "table" / "part-04.parquet").unlink()
    with pytest.raises(TableError, match=r"part-04\.parquet is missing"):
        list(read_table(place))
    write_table(place, rows(300))
    assert list(read_table(place)) == list(rows(300))
    (tmp_path / "table" / "_geotag.json").write_text(json.dumps([1]))
    write_table(place, rows(299))
    assert list(read_table(place)) == list(rows(299))


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(TableError, match=r"holds other files \(photo\.jpg\)"):
        check_table(f"{tmp_path}/")
    with pytest.raises(TableError, match="it is a file"):
        check_table(f"{tmp_path}/photo.jpg/")
    with pytest.raises(TableError, match="missing"):
        list(read_table(tmp_path))


def test_a_scan_goes_on_from_it(tmp_path: Path, write_photo: WritePhoto, model_path: Path) -> None:
    for seed in range(30):
        write_photo(f"{seed}.jpg", gps=gps_ifd(seed, 2))
    place, folder = f"{tmp_path}/table/", tmp_path / "table"
    options = ScanOptions(model=model_path)
    assert scan_library([str(tmp_path / "photos")], place, options).read == 30
    before = parts(folder)
    assert (tmp_path / "table.geotag").exists()
    summary = scan_library([str(tmp_path / "photos")], place, options)
    assert (summary.read, summary.exported) == (0, False)
    write_photo("new.jpg", gps=gps_ifd(1, 2))
    assert scan_library([str(tmp_path / "photos")], place, options).read == 1
    assert sum(before[name] != now for name, now in parts(folder).items()) == 1
    single = tmp_path / "t.csv"
    scan_library([str(tmp_path / "photos")], str(single), options)
    assert list(read_table(place)) == list(read_table(single))


def test_shards_make_one(tmp_path: Path, write_photo: WritePhoto, model_path: Path) -> None:
    from click.testing import CliRunner

    from geotag.cli import cli
    from geotag.sources.shards import Shard

    for seed in range(20):
        write_photo(f"{seed}.jpg", gps=gps_ifd(seed, 2))
    options = ScanOptions(model=model_path)
    names = [str(tmp_path / f"p{number}.parquet") for number in (1, 2)]
    for number, name in enumerate(names, 1):
        scan_library([str(tmp_path / "photos")], name, options._replace(shard=Shard(number, 2)))
    place = f"{tmp_path}/table/"
    assert CliRunner().invoke(cli, ["merge", *names, "--out", place]).exit_code == 0
    scan_library([str(tmp_path / "photos")], str(tmp_path / "t.csv"), options)
    assert list(read_table(place)) == list(read_table(tmp_path / "t.csv"))
    with pytest.raises(TableError, match=r"other files \(_geotag\.json\)"):
        scan_library([str(tmp_path / "photos")], place, options._replace(shard=Shard(1, 2)))


@pytest.mark.slow
def test_in_a_bucket_only_what_changed_is_put(bucket: Path, faults: FaultyProxy) -> None:
    place = "s3://photos/out/table/"
    check_table(place)
    write_table(place, rows(500))
    assert list(read_table(place)) == list(rows(500))
    state = table_state(place)
    asked: list[tuple[str, str]] = []
    faults.fault = lambda method, path: asked.append((method, path))
    write_table(place, rows(501))
    put = [path.rpartition("/")[2] for method, path in asked if method == "PUT"]
    assert len(put) == 2 and "_geotag.json" in put[1]
    assert table_state(place) != state
    assert list(read_table(place)) == list(rows(501))
    (bucket / "out" / "table" / "a.jpg").write_bytes(b"x")
    with pytest.raises(TableError, match="holds other files"):
        check_table(place)
