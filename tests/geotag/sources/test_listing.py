"""The same photos with the same sidecars are listed on disks and in buckets."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geotag.files.sidecars import other_case_sidecars
from geotag.sources import Library
from geotag.sources.base import Filters
from geotag.sources.listing import File, is_beside, names_beside, with_sidecars
from geotag.stores import open_store
from tests.geotag.conftest import lead_to

# Names that sort between a photo and its sidecar, or look like another's.
_NAMES = (
    "a.jpg", "a.JPG", "a.jpg.xmp", "a.jpg.XMP", "a.xmp", "a.XMP", "a-1.jpg", "a.k.jpg", "a.k.xmp",
    "a", "A.jpg", "a.jpg.jpg", "a b.jpg", "a.png", "b.xmp", ".a.jpg", "a.txt", "é.jpg", "é.xmp",
    "a.JPG.xmp",
    "\U0001f4f7.jpg", "\uffee.jpg", "@eaDir", "a.Xmp",
    "a.json", "a.jpg.json", "a.jpg(1).json", "a(1).jpg", "a-edited.jpg",
    "a.jpg.supplemental-metadata.json", "a.jpg.supplemental-metadata(1).json",
    "x" * 50 + ".jpg", "x" * 46 + ".json", "x" * 46 + "(1).json",
    "x" * 46 + "y(1).jpg", "x" * 44 + ".jpg", "x" * 44 + ".j.json",
)  # fmt: skip
_FOLDERS = ("a", "a.jpg", "a.k", "a.jpg.k", "a!", "a.xm", ".hidden", "@eaDir", "Trash", "é")
keys = st.builds(
    lambda folders, name: "/".join([*folders, name]),
    st.lists(st.sampled_from(_FOLDERS), max_size=2),
    st.sampled_from(_NAMES),
)
trees = st.sets(keys, max_size=12)
filters = st.sampled_from(
    (Filters(), Filters(exclude=("Trash/*",)), Filters(exclude=("a*",)), Filters(("*.jpg",)))
)


@given(st.sets(keys, max_size=30))
def test_each_photo_comes_once_with_all_its_sidecars(tree: set[str]) -> None:
    names = sorted(name.encode() for name in tree)
    files = {name: File(name, 1, name.decode()) for name in names}

    def find(name: bytes) -> File | None:
        assert not is_beside(name), f"asked for {name!r}"
        return files.get(name)

    found = [
        (photo.path, [sidecar.path for sidecar in sidecars])
        for photo, sidecars in with_sidecars(files.values(), find)
    ]
    assert found == [
        (name, [os.fsencode(beside) for beside in its_own(name.decode(), tree)])
        for name in names
        if not is_beside(name)
    ]


def its_own(photo: str, tree: set[str]) -> tuple[str, ...]:
    """The sidecars of a photo; one that differs in its extension's case may be another's."""
    beside = (name for name in names_beside(photo) if name in tree)
    return tuple(
        name for name in beside if name not in other_case_sidecars(photo) or name[:-4] not in tree
    )


def test_a_sidecar_in_other_case_is_the_photos_where_no_other_has_that_name() -> None:
    def sidecars(*names: bytes) -> dict[bytes, list[bytes]]:
        files = {name: File(name, 1, str(name)) for name in sorted(names)}
        pairs = with_sidecars(files.values(), files.get)
        return {photo.path: [each.path for each in beside] for photo, beside in pairs}

    assert sidecars(b"I.jpg", b"I.JPG.XMP") == {b"I.jpg": [b"I.JPG.XMP"]}
    assert sidecars(b"I.JPG", b"I.jpg.xmp") == {b"I.JPG": [b"I.jpg.xmp"]}
    assert sidecars(b"I.JPG", b"I.jpg", b"I.JPG.xmp") == {b"I.JPG": [b"I.JPG.xmp"], b"I.jpg": []}


def test_sidecars_that_come_late_are_looked_up_and_little_is_held() -> None:
    """IMG.xmp comes after a folder IMG.k of a million photos."""
    asked: list[bytes] = []

    def files() -> Iterator[File]:
        yield File(b"IMG.jpg", 1, "")
        for number in range(20_000):
            yield File(b"IMG.k/%05d.jpg" % number, 1, "")
        yield File(b"IMG.xmp", 1, "")

    def find(name: bytes) -> File | None:
        asked.append(name)
        return File(name, 1, "") if name == b"IMG.xmp" else None

    found = list(with_sidecars(files(), find))
    assert len(found) == 20_001
    assert [sidecar.path for sidecar in found[0][1]] == [b"IMG.xmp"]
    assert asked == [b"IMG.xmp"]


def test_sidecars_alike_are_not_held_for_ever() -> None:
    """Photos whose names are alike up to the first dot, and a sidecar for each."""

    def files() -> Iterator[File]:
        for number in range(20_000):
            for suffix in (b"jpg", b"xmp"):
                yield File(b"2024.%05d.%b" % (number, suffix), 1, "")

    found = list(with_sidecars(files(), lambda name: None))
    assert len(found) == 20_000
    assert all(len(sidecars) == 1 for _, sidecars in found)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Any]:
    """An S3 server in memory, where a key may lie below another."""
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        lead_to(server.get_host_and_port()[1], patch)
        import boto3

        client = boto3.client("s3")
        client.create_bucket(Bucket="photos")
        yield client
    server.stop()
    open_store.cache_clear()


def fill(client: Any, keys: set[str]) -> None:
    """Let the bucket hold just these keys; each holds its own name."""
    contents = client.list_objects_v2(Bucket="photos").get("Contents", ())
    old = {entry["Key"] for entry in contents}
    for key in old - keys:
        client.delete_object(Bucket="photos", Key=key)
    for key in keys - old:
        client.put_object(Bucket="photos", Key=key, Body=key.encode())


def listed(source: str, filters: Filters) -> tuple[list[tuple[object, ...]], dict[str, int]]:
    """The photos below a source by their names, and what was passed over."""
    library = Library((source,), filters)
    photos = [
        (
            photo.uri.removeprefix(f"{source}/"),
            photo.size,
            tuple(sidecar.removeprefix(f"{source}/") for sidecar in photo.sidecars),
        )
        for photo in library.photos()
    ]
    return photos, dict(library.skipped)


@pytest.mark.slow
@settings(max_examples=25)
@given(tree=trees, chosen=filters)
def test_the_same_tree_on_disk_and_in_a_bucket(
    endpoint: Any, tree: set[str], chosen: Filters
) -> None:
    folders = {key[:at] for key in tree for at, sign in enumerate(key) if sign == "/"}
    # Without an extension only a file on a disk is looked into.
    tree = {key for key in tree if key not in folders and os.path.basename(key) != "a"}
    fill(endpoint, tree)
    with tempfile.TemporaryDirectory() as root:
        for key in tree:
            path = Path(root, key)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(key.encode())
        near, far = listed(root, chosen), listed("s3://photos", chosen)
    assert near == far


@pytest.mark.slow
@settings(max_examples=15)
@given(tree=trees)
def test_a_key_may_lie_below_another(endpoint: Any, tree: set[str]) -> None:
    fill(endpoint, tree)
    photos, _ = listed("s3://photos", Filters())
    for name, _, sidecars in photos:
        assert sidecars == its_own(str(name), tree)
    names = [str(name) for name, _, _ in photos]
    assert names == sorted(names)
    assert len(set(names)) == len(names)


def test_a_key_that_is_named_like_the_prefix(endpoint: Any) -> None:
    fill(endpoint, {"photos/a.jpg", "photos/b/c.jpg", "photos-2/d.jpg", "photos.jpg"})
    endpoint.put_object(Bucket="photos", Key="photos/", Body=b"")
    endpoint.put_object(Bucket="photos", Key="photos/b/", Body=b"")
    below = ["a.jpg", "b/c.jpg"]
    for source in ("s3://photos/photos", "s3://photos/photos/"):
        assert [photo.uri for photo in Library((source,), Filters()).photos()] == [
            f"s3://photos/photos/{name}" for name in below
        ]
    endpoint.put_object(Bucket="photos", Key="photos", Body=b"")
    assert [name for name, _, _ in listed("s3://photos/photos", Filters())[0]] == below
    endpoint.put_object(Bucket="photos", Key="photos", Body=b"bytes")
    photos, skipped = listed("s3://photos/photos", Filters())
    assert [name for name, _, _ in photos] == below
    assert skipped == {"not a photo": 1}


def test_a_single_object_whatever_its_name_has_its_sidecars(endpoint: Any) -> None:
    fill(endpoint, {"odd.txt", "odd.xmp", "a.jpg", "a.jpg.xmp"})
    for name, sidecar in (("odd.txt", "odd.xmp"), ("a.jpg", "a.jpg.xmp")):
        (photo,) = Library((f"s3://photos/{name}",), Filters()).photos()
        assert photo.sidecars == (f"s3://photos/{sidecar}",)


def test_an_empty_prefix_is_named(endpoint: Any) -> None:
    fill(endpoint, {"photos/a.txt"})
    library = Library(("s3://photos/phtos", "s3://photos/photos"), Filters())
    assert list(library.photos()) == []
    assert [listing.photos for listing in library.listings] == [0, 0]
    assert [listing.why_empty for listing in library.listings] == [
        "it is empty: is the name right, and is its drive mounted?",
        "no photos are in it (passed over: 1 not a photo)",
    ]


@pytest.mark.parametrize("name", ["@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information",
                                  "lost+found", ".Trash-1000", ".@__thumb", ".thumbnails",
                                  "Catalog Previews.lrdata", "files_trashbin", "@tmp",
                                  "appdata_ocab12", "~snapshot", "LOST.DIR", "FOUND.000",
                                  "Network Trash Folder", "A.photoslibrary/resources"])  # fmt: skip
def test_folders_of_systems_are_passed_over_unless_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "2024" / name / "deep").mkdir(parents=True)
    for path in ("2024/a.jpg", f"2024/{name}/b.jpg", f"2024/{name}/deep/c.jpg"):
        (tmp_path / path).write_bytes(b"x")
    photos, skipped = listed(str(tmp_path), Filters())
    assert [photo[0] for photo in photos] == ["2024/a.jpg"]
    assert skipped == {"system folder": 1}
    photos, skipped = listed(str(tmp_path / "2024" / name), Filters())
    assert [photo[0] for photo in photos] == ["b.jpg", "deep/c.jpg"]


def test_excluded_folders_are_not_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/1.jpg", "dir/2.jpg", "dir/deep/3.jpg", "b/dir/4.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    entered: list[str] = []
    scandir = os.scandir

    def enter(path: bytes) -> Any:
        entered.append(os.fsdecode(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", enter)
    photos, skipped = listed(str(tmp_path), Filters(exclude=("dir/*",)))
    assert [photo[0] for photo in photos] == ["a/1.jpg", "b/dir/4.jpg"]
    assert skipped == {"excluded folder": 1}
    assert str(tmp_path / "dir") not in entered
    assert str(tmp_path / "b" / "dir") in entered
