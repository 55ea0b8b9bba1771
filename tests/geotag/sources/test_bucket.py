"""Scans of a bucket on a real S3 endpoint, with and without faults."""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from pathlib import Path

import pytest

import geotag
from geotag.cli import main
from geotag.errors import MissingDependencyError, SourceError, UsageError
from geotag.metadata.header import read_header
from geotag.options import ScanOptions, parse_since
from geotag.pipeline import scan_library
from geotag.records import Outcome, Photo, Status
from geotag.sources import Library
from geotag.sources.base import Filters
from geotag.state.summary import Summary
from geotag.stores import open_store
from geotag.tables import read_table
from tests.conftest import gps_ifd, jpeg_bytes, picture
from tests.geotag.conftest import KEY_ID, FaultyProxy

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="48,30.0N" '
    b'exif:GPSLongitude="2,15.0E"/></rdf:RDF></x:xmpmeta>'
)


def put(bucket: Path, name: str, colour: str = "", seed: int = 0, gps: bool = False) -> Path:
    path = bucket / name
    path.parent.mkdir(parents=True, exist_ok=True)
    position = gps_ifd(48.5 + seed / 100, 2.25) if gps else None
    path.write_bytes(jpeg_bytes(picture(colour, seed=seed), gps=position))
    return path


def scan(table: Path, model: Path, **settings: object) -> tuple[Summary, dict[str, Outcome]]:
    """Scan s3://photos; the rows by key."""
    options = ScanOptions(model=model)._replace(**settings)
    summary = scan_library(["s3://photos"], str(table), options)
    return summary, {row.path.removeprefix("s3://photos/"): row for row in read_table(table)}


def listed(*texts: str, **filters: tuple[str, ...]) -> tuple[list[Photo], dict[str, int]]:
    library = Library(texts or ("s3://photos",), Filters(**filters))
    return list(library.photos()), dict(library.skipped)


def test_a_bucket_is_listed_in_byte_order_with_its_sidecars(bucket: Path) -> None:
    for name in ("b.jpg", "a/IMG.jpg", "a/IMG.jpg.xmp", "a/IMG-2.jpg", "Z.JPG", "ü.png",
                 "notes.txt", ".hidden/x.jpg", "plain", "é dir/x y+z%.jpg", "IMG_1.dng",
                 "IMG_1.xmp", "a/IMG-2.jpg.supplemental-metadata.json"):  # fmt: skip
        (bucket / name).parent.mkdir(parents=True, exist_ok=True)
        (bucket / name).write_bytes(name.encode())
    photos, skipped = listed()
    uris = [photo.uri.removeprefix("s3://photos/") for photo in photos]
    assert uris == sorted(uris, key=str.encode)
    assert set(uris) == {"b.jpg", "a/IMG.jpg", "a/IMG-2.jpg", "Z.JPG", "ü.png",
                         "é dir/x y+z%.jpg", "IMG_1.dng"}  # fmt: skip
    sidecars = {photo.uri: photo.sidecars for photo in photos if photo.sidecars}
    assert sidecars == {
        "s3://photos/a/IMG.jpg": ("s3://photos/a/IMG.jpg.xmp",),
        "s3://photos/IMG_1.dng": ("s3://photos/IMG_1.xmp",),
        "s3://photos/a/IMG-2.jpg": ("s3://photos/a/IMG-2.jpg.supplemental-metadata.json",),
    }
    assert skipped == {"not a photo": 2, "hidden": 1, "sidecar": 3}
    photos, _ = listed("s3://photos/a/")
    assert len(photos) == 2
    photos, _ = listed("s3://photos/b.jpg")
    assert [(photo.uri, photo.size) for photo in photos] == [("s3://photos/b.jpg", 5)]
    photos, skipped = listed(include=("*.png", "plain"))
    assert [photo.uri for photo in photos] == ["s3://photos/plain", "s3://photos/ü.png"]


def test_more_objects_than_a_page(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geotag.stores.s3.PAGE", 10)
    for number in range(123):
        (bucket / f"{number:04d}.jpg").write_bytes(b"x")
    photos, _ = listed()
    assert [photo.uri[-8:-4] for photo in photos] == [f"{n:04d}" for n in range(123)]


def test_the_rows_of_a_bucket_are_those_of_a_folder(
    bucket: Path, tmp_path: Path, model_path: Path
) -> None:
    for seed, colour in enumerate(("eiffel_tower", "taj_mahal", "stonehenge", "")):
        put(bucket, f"{colour}.jpg", colour, seed)
        put(bucket, f"gps/{seed}.jpg", colour, seed, gps=True)
    (bucket / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0nothing")
    (bucket / "empty.jpg").write_bytes(b"")
    put(bucket, "side.jpg", "taj_mahal", 9)
    (bucket / "side.xmp").write_bytes(XMP)
    picture("taj_mahal", (400, 300)).save(bucket / "large.png")
    _, far = scan(tmp_path / "far.csv", model_path)
    scan_library([str(bucket)], str(tmp_path / "near.csv"), ScanOptions(model=model_path))
    near = {row.path.removeprefix(f"{bucket}/"): row for row in read_table(tmp_path / "near.csv")}
    assert {name: row._replace(path="") for name, row in far.items()} == {
        name: row._replace(path="") for name, row in near.items()
    }
    assert far["side.jpg"].latitude == pytest.approx(48.5)
    assert far["eiffel_tower.jpg"].status is Status.TAGGED


def test_headers_decide_and_bytes_are_counted(
    bucket: Path, tmp_path: Path, model_path: Path
) -> None:
    noise = random.Random(0).randbytes(4_000_000)
    for number in range(5):
        path = put(bucket, f"gps{number}.jpg", seed=number, gps=True)
        path.write_bytes(path.read_bytes() + noise)
    summary, rows = scan(tmp_path / "t.csv", model_path)
    assert {row.status for row in rows.values()} == {Status.HAS_GPS}
    assert summary.bytes_fetched <= 5 * 100_000
    whole = put(bucket, "tower.jpg", "eiffel_tower")
    whole.write_bytes(whole.read_bytes() + noise)
    summary, rows = scan(tmp_path / "t.csv", model_path)
    assert rows["tower.jpg"].status is Status.TAGGED
    assert summary.bytes_fetched == whole.stat().st_size


def test_metadata_behind_the_header_is_found(
    bucket: Path, tmp_path: Path, model_path: Path
) -> None:
    """A JPEG with a long colour profile before its Exif: another ranged read, and no more."""
    path = put(bucket, "profile.jpg", gps=True)
    data = path.read_bytes()
    profile = b"\xff\xe2" + (60_002).to_bytes(2, "big") + b"p" * 60_000
    path.write_bytes(data[:2] + 2 * profile + data[2:] + b"\0" * 500_000)
    summary, rows = scan(tmp_path / "t.csv", model_path)
    assert rows["profile.jpg"].status is Status.HAS_GPS
    assert 65_536 < summary.bytes_fetched < 200_000


def test_only_what_is_new_is_read_and_a_renamed_photo_is_known(
    bucket: Path, tmp_path: Path, model_path: Path
) -> None:
    for seed in range(6):
        put(bucket, f"{seed}.jpg", "eiffel_tower", seed)
    table = tmp_path / "t.csv"
    _, rows = scan(table, model_path)
    (bucket / "0.jpg").rename(bucket / "renamed.jpg")
    put(bucket, "new.jpg", "taj_mahal", 7)
    second, after = scan(table, model_path)
    assert (second.read, second.moved, second.unchanged) == (1, 1, 5)
    assert after["renamed.jpg"]._replace(path="") == rows["0.jpg"]._replace(path="")
    assert "0.jpg" not in after
    third, _ = scan(table, model_path)
    assert (third.read, third.moved, third.unchanged, third.exported) == (0, 0, 7, False)
    assert third.bytes_fetched == 0


def test_table_catalog_and_summary_in_the_bucket(
    bucket: Path, s3_endpoint: object, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(bucket, "tower.jpg", "eiffel_tower")
    put(bucket, "gps.jpg", gps=True)
    arguments = ["scan", "s3://photos", "--out", "s3://photos/out/tags.parquet",
                 "--summary", "s3://photos/out/run.json", "--model", str(model_path)]  # fmt: skip
    for read, exported in ((2, True), (0, False)):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
        run = json.loads((bucket / "out" / "run.json").read_text())
        assert (run["read"], run["exported"], run["photos"]) == (read, exported, 2)
        assert run["statuses"]["tagged"] == 1
    rows = list(read_table(bucket / "out" / "tags.parquet"))
    assert [row.path for row in rows] == ["s3://photos/gps.jpg", "s3://photos/tower.jpg"]
    assert sorted(file.name for file in (bucket / "out").iterdir()) == [
        "run.json", "tags.parquet", "tags.parquet.geotag"
    ]  # fmt: skip


def test_from_python(bucket: Path, model_path: Path) -> None:
    put(bucket, "gps.jpg", gps=True)
    (row,) = geotag.scan_rows("s3://photos", out="s3://photos/out/tags.jsonl", model=model_path)
    assert (row.path, row.status) == ("s3://photos/gps.jpg", Status.HAS_GPS)


def test_the_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    open_store.cache_clear()
    with pytest.raises(MissingDependencyError, match=r"pip install '\.\[s3\]'"):
        Library(("s3://photos",), Filters())


@pytest.mark.slow
@pytest.mark.parametrize("fault", [503, 500, "reset", "cut", "hang"])
def test_passing_faults_are_retried(
    faults: FaultyProxy, bucket: Path, tmp_path: Path, model_path: Path, fault: int | str
) -> None:
    put(bucket, "tower.jpg", "eiffel_tower")
    put(bucket, "gps.jpg", gps=True)
    _, clean = scan(tmp_path / "clean.csv", model_path)
    seen: set[str] = set()

    def first_time(method: str, path: str) -> int | str | None:
        new = f"{method} {path}" not in seen
        seen.add(f"{method} {path}")
        return fault if new and method == "GET" else None

    faults.fault = first_time
    summary, rows = scan(tmp_path / "faults.csv", model_path)
    assert rows == clean
    assert summary.failures == {}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(503, "overloaded or failing"), ("cut", "connection"), ("reset", "connection"),
     (403, "no permission"), (404, "no such file")],
)  # fmt: skip
def test_lasting_faults_are_rows_and_pass_with_their_cause(
    faults: FaultyProxy, bucket: Path, tmp_path: Path, model_path: Path, fault: int | str,
    reason: str,
) -> None:  # fmt: skip
    put(bucket, "tower.jpg", "eiffel_tower")
    put(bucket, "gps.jpg", gps=True)
    faults.fault = lambda method, path: fault if "tower" in path else None
    table = tmp_path / "t.csv"
    summary, rows = scan(table, model_path)
    assert rows["tower.jpg"].status is Status.UNREADABLE
    assert reason in rows["tower.jpg"].error
    assert rows["gps.jpg"].status is Status.HAS_GPS
    assert summary.failures == {"transient": 1}
    assert KEY_ID not in table.read_text()
    faults.fault = lambda method, path: None
    _, rows = scan(table, model_path)
    assert rows["tower.jpg"].status is Status.TAGGED


def test_sidecars_are_fetched_ahead_where_the_photo_has_no_position(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request for each photo, and one for each sidecar that is needed, beside the others."""
    for number in range(8):
        put(bucket, f"{number}.jpg", seed=number, gps=number % 2 == 0)
        (bucket / f"{number}.jpg.xmp").write_bytes(XMP)
    library = Library(("s3://photos",), Filters())
    (source,) = library.sources
    get, asked = source.store.get, []

    def noted(uri: str, *range_: object) -> tuple[bytes, int]:
        asked.append((uri, threading.current_thread() is threading.main_thread()))
        return get(uri, *range_)

    monkeypatch.setattr(source.store, "get", noted)
    ahead = source.ahead(list(library.photos()))
    found = [read_header(source, photo).metadata.location for photo in ahead]
    assert None not in found and len(asked) == 8 + 4
    assert not any(is_here for _, is_here in asked)


@pytest.mark.slow
def test_many_requests_are_in_flight_but_not_all(
    faults: FaultyProxy, bucket: Path, tmp_path: Path, model_path: Path
) -> None:
    for seed in range(80):
        put(bucket, f"{seed}.jpg", seed=seed, gps=True)
    faults.fault = lambda method, path: time.sleep(0.05)
    scan(tmp_path / "t.csv", model_path)
    assert 10 < faults.most_at_once < 60


def test_a_photo_that_changes_while_it_is_read_is_no_wrong_row(
    faults: FaultyProxy, bucket: Path, tmp_path: Path, model_path: Path
) -> None:
    put(bucket, "a.jpg", "eiffel_tower")

    def replace(method: str, path: str) -> None:
        if path.startswith("/photos/a.jpg"):
            put(bucket, "a.jpg", "taj_mahal", 5)

    faults.fault = replace
    table = tmp_path / "t.csv"
    _, rows = scan(table, model_path)
    assert rows["a.jpg"].status is Status.UNREADABLE
    assert "changed" in rows["a.jpg"].error
    faults.fault = lambda method, path: None
    _, rows = scan(table, model_path)
    assert rows["a.jpg"].landmark == "Taj Mahal"


def test_a_listing_that_fails_halfway_changes_nothing(
    faults: FaultyProxy,
    bucket: Path,
    tmp_path: Path,
    model_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("geotag.stores.s3.PAGE", 10)
    for number in range(15):
        (bucket / f"{number:04d}.jpg").write_bytes(b"not a photo")
    table = tmp_path / "t.csv"
    scan(table, model_path)
    before = table.read_bytes()
    faults.fault = lambda method, path: 503 if "continuation-token" in path else None
    with pytest.raises(SourceError, match="s3://photos: the bucket is overloaded"):
        scan(table, model_path, prune=True)
    assert table.read_bytes() == before
    faults.fault = lambda method, path: None
    summary, _ = scan(table, model_path)
    assert (summary.unchanged, summary.read) == (15, 0)


def test_a_missing_bucket_is_one_line(bucket: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"s3://nowhere: no such bucket"):
        list(Library(("s3://nowhere",), Filters()).photos())


def test_many_objects_are_listed_in_stretches_and_lose_no_sidecar(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(150):
        folder = bucket / f"{number % 3}" / (".hidden" if number % 10 == 0 else f"{number % 7}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"IMG_{number}.jpg").write_bytes(b"%d" % number)
        if number % 4 == 0:
            (folder / f"IMG_{number}.xmp").write_bytes(XMP)
        if number % 5 == 0:
            (folder / f"IMG_{number}.XMP").write_bytes(XMP)
        if number % 6 == 0:
            (folder / f"IMG_{number}.jpg.xmp").write_bytes(XMP)
    one_by_one, skipped = listed()
    assert {len(photo.sidecars) for photo in one_by_one} == {0, 1, 2}
    monkeypatch.setattr("geotag.stores.s3.PAGE", 4)
    monkeypatch.setattr("geotag.sources.bucket.MANY", 20)
    in_stretches, also_skipped = listed()
    assert sorted(in_stretches) == sorted(one_by_one)
    assert also_skipped["hidden"] == skipped["hidden"] == 3


@pytest.mark.parametrize("source", ["s3://photos", "folder"])
def test_only_photos_that_changed_since_are_listed(bucket: Path, source: str) -> None:
    for name, seconds in (("old.jpg", 1_700_000_000), ("new.jpg", 1_800_000_000)):
        (bucket / name).write_bytes(b"x")
        (bucket / f"{name}.xmp").write_bytes(XMP)
        os.utime(bucket / f"{name}.xmp", (1_600_000_000,) * 2)
        os.utime(bucket / name, (seconds,) * 2)
    text = str(bucket) if source == "folder" else source
    library = Library([text], Filters(since=parse_since("2025-01-01T00:00+01:00")))
    (photo,) = library.photos()
    assert photo.uri.endswith("new.jpg") and len(photo.sidecars) == 1
    assert library.skipped["not changed since"] == 1
    assert not library.is_gone(f"{text}/old.jpg")
    for wrong in ("", "yesterday", "2026-13-01"):
        with pytest.raises(UsageError, match="no day or time"):
            parse_since(wrong)
