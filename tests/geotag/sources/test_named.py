"""Scans of what a list names, of files and of a bucket on a real S3 endpoint."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from geotag.errors import AbsenceError, SourceError
from geotag.options import ScanOptions
from geotag.pipeline import scan_library
from geotag.records import Photo, Status
from geotag.sources import Library
from geotag.sources.base import Filters
from geotag.sources.shards import Shard
from geotag.tables import read_table
from tests.conftest import gps_ifd, jpeg_bytes, picture
from tests.geotag.conftest import FaultyProxy


def photo(seed: int) -> bytes:
    return jpeg_bytes(picture(seed=seed), gps=gps_ifd(seed, 2))


def listed(text: str, filters: Filters | None = None) -> tuple[list[Photo], dict[str, int]]:
    library = Library([text], filters or Filters())
    return list(library.photos()), dict(library.skipped)


def fed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_a_list_of_a_folder_lists_what_the_folder_does(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    names = ["b c.jpg", "#a.jpg", "ü.jpg", os.fsdecode(b"\xff.jpg")]
    for seed, name in enumerate(names):
        (folder / name).write_bytes(photo(seed))
    (folder / "#a.xmp").write_bytes(b"<x/>")
    text = tmp_path / "list.txt"
    lines = [os.fsencode(f"photos/{name}") for name in names] + [os.fsencode(folder / "#a.xmp")]
    text.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(lines))
    photos, skipped = listed(f"list:{text}")
    assert photos == list(Library([str(folder)], Filters()).photos())
    assert skipped == {"sidecar": 1}


def test_a_list_out_of_a_bucket_lists_what_the_bucket_does(bucket: Path) -> None:
    for seed, name in enumerate(("b c/ü+1.jpg", "a.jpg", "z")):
        (bucket / name).parent.mkdir(exist_ok=True)
        (bucket / name).write_bytes(photo(seed))
    (bucket / "a.xmp").write_bytes(b"<x/>")
    keys = ("z", "b c/ü+1.jpg", "a.xmp", "a.jpg")
    (bucket / "keys.txt").write_text("\n".join(f"s3://photos/{key}" for key in keys))
    photos, skipped = listed("list:s3://photos/keys.txt")
    everything = Library(["s3://photos"], Filters(include=("*.jpg", "z"))).photos()
    assert (photos, skipped) == (list(everything), {})
    assert photos[0].sidecars == ("s3://photos/a.xmp",)


def test_paths_and_keys_in_one_list_are_scanned_and_known_the_next_night(
    bucket: Path, faults: FaultyProxy, tmp_path: Path, model_path: Path
) -> None:
    (bucket / "a.jpg").write_bytes(photo(1))
    (tmp_path / "b.jpg").write_bytes(photo(2))
    gone = tmp_path / "gone.jpg"
    text, table = tmp_path / "l.txt", str(tmp_path / "t.csv")
    text.write_text(f"s3://photos/a.jpg\ns3://photos/gone.jpg\n{gone}\nb.jpg\n")
    options = ScanOptions(model=model_path)
    assert scan_library([f"list:{text}"], table, options).read == 4
    rows = {row.path: row for row in read_table(table)}
    assert {row.status for row in rows.values()} == {Status.HAS_GPS, Status.UNREADABLE}
    assert "no such file" in rows[str(gone)].error
    assert "no such file" in rows["s3://photos/gone.jpg"].error
    asked: list[str] = []
    faults.fault = lambda method, path: asked.append(method)
    summary = scan_library([f"list:{text}"], table, options)
    assert (summary.unchanged, summary.read) == (2, 2)
    assert asked.count("HEAD") >= 2 and asked.count("GET") == 1  # of the one that is not there


def test_a_list_of_another_name_each_night_is_the_same_library(
    tmp_path: Path, model_path: Path
) -> None:
    lists = [tmp_path / f"keys-2026-11-{day}.txt" for day in (25, 26, 27)]
    for number in range(6):
        (tmp_path / f"{number}.jpg").write_bytes(photo(number))
    whole, more, new = (f"list:{path}" for path in lists)
    lists[0].write_text("0.jpg\n1.jpg\n2.jpg\n3.jpg\n")
    lists[1].write_text("1.jpg\n2.jpg\n3.jpg\n4.jpg\n")
    lists[2].write_text("5.jpg\n")
    table, options = tmp_path / "t.csv", ScanOptions(model=model_path)
    assert scan_library([whole], str(table), options).read == 4
    assert scan_library([more], str(table), options).read == 1
    assert [Path(row.path).stem for row in read_table(table)] == ["1", "2", "3", "4"]
    before = table.read_bytes()
    with pytest.raises(AbsenceError, match="give the old lists, too"):
        scan_library([new], str(table), options)
    assert table.read_bytes() == before
    assert scan_library([more, new], str(table), options).read == 1
    assert [Path(row.path).stem for row in read_table(table)] == ["1", "2", "3", "4", "5"]
    scan_library([new], str(table), options._replace(replace=True))
    assert [Path(row.path).stem for row in read_table(table)] == ["5"]


def test_hostile_lines_are_counted_and_hold_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = tmp_path / "a.jpg"
    good.write_bytes(photo(1))
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "link.jpg").symlink_to(good)
    lines = [
        b"http://169.254.169.254/latest/a.jpg", b"ftp://x/a.jpg", b"memory://a/b.jpg",
        b"s3://key:secret@photos/a.jpg", b"s3://photos/a.jpg?X-Amz-Signature=1", b"s3://photos",
        b"s3:///a.jpg", b"s3://photos/\xff.jpg", b"s3://photos/a\x1b[2J.jpg", b"a\0b.jpg",
        b"/" + b"x" * 2**20, bytes(tmp_path / "pipe.jpg"), bytes(tmp_path / "link.jpg"),
        bytes(tmp_path), b"/dev/zero", b"", b"\r", bytes(good), bytes(tmp_path) + b"/./x/../a.jpg",
    ]  # fmt: skip
    fed(monkeypatch, b"\n".join(lines))
    photos, skipped = listed("list:-")
    assert [found.uri for found in photos] == [str(good)]
    assert skipped == {
        "line of another scheme": 3, "address with credentials": 2, "address of no object": 4,
        "strange line": 2, "folder or special file": 3, "symlink": 1, "named twice": 1,
    }  # fmt: skip


def test_a_list_out_of_a_bucket_names_no_files_here(bucket: Path) -> None:
    (bucket / "keys.txt").write_text("/etc/hostname\n../a.jpg\nfile:///etc/hostname\n")
    assert listed("list:s3://photos/keys.txt") == ([], {"path in a list out of a bucket": 3})


def test_filters_hold_for_lists(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"x")
    os.utime(tmp_path / "a.jpg", (1, 1))
    text = tmp_path / "l"
    text.write_text("a.jpg\nb.jpg\n")
    assert listed(f"list:{text}", Filters(exclude=("a*",)))[1] == {"excluded": 1}
    photos, skipped = listed(f"list:{text}", Filters(since=100.0))
    assert ([Path(found.uri).name for found in photos], skipped) == (
        ["b.jpg"],
        {"not changed since": 1},
    )


def test_a_shard_looks_only_at_its_own_keys(bucket: Path, faults: FaultyProxy) -> None:
    names = [f"{number}.jpg" for number in range(40)]
    for name in names:
        (bucket / name).write_bytes(b"x")
    (bucket / "l").write_text("\n".join(f"s3://photos/{name}" for name in names))
    asked: list[str] = []
    faults.fault = lambda method, path: asked.append(path)
    photos = list(Library(["list:s3://photos/l"], Filters(), Shard(1, 4)).photos())
    assert 0 < len(photos) < 40
    assert sum(path.endswith(".jpg") for path in asked) == len(photos)


@pytest.mark.slow
def test_a_list_is_never_held_in_memory(tmp_path: Path) -> None:
    import tracemalloc

    text = tmp_path / "l"
    with text.open("w") as file:
        file.writelines(
            f"/nowhere/{number * 7919 % 100_000:050d}.jpg\n" for number in range(100_000)
        )
    tracemalloc.start()
    count = sum(1 for _ in Library([f"list:{text}"], Filters()).photos())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 100_000
    assert peak < 6_000_000 < text.stat().st_size


@pytest.mark.parametrize("name", ["gone", ".", "s3://photos/gone", ""])
def test_a_list_that_cannot_be_read_ends_the_scan(bucket: Path, tmp_path: Path, name: str) -> None:
    place = name if "://" in name or not name else str(tmp_path / name)
    with pytest.raises(SourceError, match="list:"):
        listed(f"list:{place}")


def test_standard_input_without_a_line_changes_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    fed(monkeypatch, b"")
    with pytest.raises(SourceError, match="held no line"):
        listed("list:-")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_list_in_utf_16_is_told(tmp_path: Path, encoding: str) -> None:
    """Else all of its lines would be passed over, and the table be empty."""
    names = tmp_path / "list.txt"
    names.write_bytes(("\ufeff" + "/photos/a.jpg\r\n").encode(encoding))
    with pytest.raises(SourceError, match="it is UTF-16"):
        list(Library([f"list:{names}"], Filters()).photos())
