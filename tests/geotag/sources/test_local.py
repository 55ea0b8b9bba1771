"""Listing and reading folders and files."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geotag.errors import PhotoError, SourceError, TransientPhotoError
from geotag.metadata.header import read_header
from geotag.records import UNKNOWN_SIZE, Photo
from geotag.sources import Library
from geotag.sources.base import Filters
from geotag.sources.local import LocalSource
from tests.conftest import WritePhoto, gps_ifd, jpeg_bytes, picture
from tests.geotag.metadata.samples import XMP_POSITION


def listed(root: Path | str, **filters: object) -> tuple[list[str], dict[str, int]]:
    """The names below the root, and what was skipped."""
    source = LocalSource(str(root), Filters(**filters))  # type: ignore[arg-type]
    photos = list(source.photos())
    return [os.path.relpath(photo.uri, root) for photo in photos], dict(source.listing.skipped)


@pytest.fixture
def photos(tmp_path: Path, write_photo: WritePhoto) -> Path:
    for name in ("b.jpg", "a/x.JPG", "a-b/y.jpeg", "a.jpg", "a/z.png"):
        write_photo(name)
    return tmp_path / "photos"


def test_recursive_in_byte_order_of_whole_paths(photos: Path) -> None:
    names, _ = listed(photos)
    assert names == ["a-b/y.jpeg", "a.jpg", "a/x.JPG", "a/z.png", "b.jpg"]
    assert names == sorted(names, key=os.fsencode)


def test_uris_are_absolute_wherever_one_stands(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    relative = list(LocalSource(".", Filters()).photos())
    assert relative == list(LocalSource(str(photos), Filters()).photos())
    assert all(os.path.isabs(photo.uri) for photo in relative)


def test_a_single_file_whatever_its_name(photos: Path) -> None:
    (photos / "odd.txt").write_bytes(jpeg_bytes(picture()))
    (photo,) = LocalSource(str(photos / "odd.txt"), Filters()).photos()
    assert photo.uri == str(photos / "odd.txt")
    assert photo.size == (photos / "odd.txt").stat().st_size


def test_what_is_skipped_is_counted(photos: Path) -> None:
    (photos / ".hidden.jpg").write_bytes(b"")
    (photos / ".thumbnails").mkdir()
    (photos / "notes.txt").write_text("no photo")
    (photos / "a.xmp").write_text("<x/>")
    (photos / "link.jpg").symlink_to(photos / "b.jpg")
    os.mkfifo(photos / "fifo.jpg")
    names, skipped = listed(photos)
    assert len(names) == 5
    assert skipped == {
        "hidden": 1, "system folder": 1, "not a photo": 1, "sidecar": 1, "symlink": 1,
        "special file": 1,
    }  # fmt: skip


def test_no_extension_is_judged_by_content(photos: Path) -> None:
    (photos / "3f2a77").write_bytes(jpeg_bytes(picture()))
    (photos / "README").write_text("no photo")
    names, skipped = listed(photos)
    assert "3f2a77" in names
    assert skipped == {"not a photo": 1}


def test_links_are_followed_when_asked_and_loops_end(photos: Path) -> None:
    (photos / "a" / "loop").symlink_to(photos)
    (photos / "link.jpg").symlink_to(photos / "b.jpg")
    (photos / "broken.jpg").symlink_to(photos / "gone.jpg")
    names, skipped = listed(photos, follow_symlinks=True)
    assert names == ["a-b/y.jpeg", "a.jpg", "a/x.JPG", "a/z.png", "b.jpg", "link.jpg"]
    assert skipped == {"symlink loop": 1, "broken link": 1}


def test_include_and_exclude(photos: Path) -> None:
    assert listed(photos, include=("*.jpg",))[0] == ["a.jpg", "b.jpg"]
    assert listed(photos, exclude=("a/*",))[0] == ["a-b/y.jpeg", "a.jpg", "b.jpg"]
    names, skipped = listed(photos, include=("a/*",), exclude=("*.png",))
    assert names == ["a/x.JPG"]
    assert skipped["excluded"] == 4


def test_names_that_are_not_utf8(photos: Path) -> None:
    name = b"caf\xe9\n.jpg"
    Path(os.fsdecode(os.fsencode(photos) + b"/" + name)).write_bytes(jpeg_bytes(picture()))
    uris = [photo.uri for photo in LocalSource(str(photos), Filters()).photos()]
    (odd,) = (uri for uri in uris if os.fsencode(uri).endswith(name))
    assert LocalSource(str(photos), Filters()).read(odd)[:2] == b"\xff\xd8"


def test_sidecars_count_as_a_change(photos: Path) -> None:
    def photo() -> Photo:
        return next(p for p in LocalSource(str(photos), Filters()).photos() if "a.jpg" in p.uri)

    before = photo()
    (photos / "a.xmp").write_text("<x/>")
    (photos / "a.jpg.xmp").write_text("<x/>")
    after = photo()
    assert after.sidecars == (str(photos / "a.jpg.xmp"), str(photos / "a.xmp"))
    assert before.version != after.version
    (photos / "a.xmp").write_text("<x></x>")
    assert photo().version != after.version


@pytest.mark.parametrize("name", ["b.xmp", "b.jpg.XMP", "b.Xmp"])
def test_a_link_to_a_sidecar_is_one_that_is_not_read(
    photos: Path, tmp_path: Path, name: str
) -> None:
    """It may hold the photo's position, so none is inferred; it counts where links are followed."""
    (tmp_path / "there").write_bytes(XMP_POSITION)
    (photos / name).symlink_to(tmp_path / "there")
    found = []
    for follow_symlinks in (False, True):
        source = LocalSource(str(photos), Filters(follow_symlinks=follow_symlinks))
        photo = next(p for p in source.photos() if p.uri.endswith("b.jpg"))
        assert photo.sidecars == (str(photos / name),)
        found.append(read_header(source, photo).metadata)
    assert found[0].location is None and "--follow-symlinks" in found[0].position_unclear
    assert found[1].location is not None and not found[1].position_unclear


def test_ranged_reads(photos: Path) -> None:
    source = LocalSource(str(photos), Filters())
    photo = next(source.photos())
    data = Path(photo.uri).read_bytes()
    with source.open(photo) as read:
        assert read(0, 10) == data[:10]
        assert read(5, 10**9) == data[5:]
        assert read(len(data), 5) == b""
        assert read(2**80, 5) == b""


def test_a_file_system_that_gives_less_than_is_asked_for_hides_no_position(
    write_photo: WritePhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_photo("a.jpg", gps=gps_ifd(10, 20))
    whole = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, length, at: whole(fd, min(length, 20), at))
    header = read_header(LocalSource(str(path), Filters()), Photo(str(path), 0, ""))
    assert header.metadata.location is not None


def test_a_vanished_photo_may_come_back(photos: Path) -> None:
    source = LocalSource(str(photos), Filters())
    photo = next(source.photos())
    os.unlink(photo.uri)
    with pytest.raises(TransientPhotoError, match="no such file"), source.open(photo):
        pass


def test_a_fifo_in_a_photos_place_does_not_block(photos: Path) -> None:
    source = LocalSource(str(photos), Filters())
    photo = next(source.photos())
    os.unlink(photo.uri)
    os.mkfifo(photo.uri)
    with pytest.raises(PhotoError), source.open(photo) as read:
        read(0, 10)


def test_a_folder_in_a_photos_place_is_an_error_of_ours(photos: Path) -> None:
    source = LocalSource(str(photos), Filters())
    with pytest.raises(TransientPhotoError, match="Is a directory"):
        source.read(str(photos / "a"))


def test_a_missing_root_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="missing"):
        list(LocalSource(str(tmp_path / "missing"), Filters()).photos())


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Names of files and folders that the system cannot look at, with the error's number."""
    errors: dict[str, int] = {}
    for function in ("stat", "scandir", "open"):
        monkeypatch.setattr(os, function, _failing(getattr(os, function), errors))
    return errors


def _failing(original: Callable[..., Any], errors: dict[str, int]) -> Callable[..., Any]:
    def call(path: Any, *arguments: Any, **options: Any) -> Any:
        text = os.fsdecode(path) if isinstance(path, (str, bytes)) else ""
        number = errors.get(os.path.basename(text.rstrip("/")))
        if number is not None:
            raise OSError(number, os.strerror(number), path)
        return original(path, *arguments, **options)

    return call


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE, errno.ENOTCONN])
def test_a_photo_that_cannot_be_looked_at_is_listed_all_the_same(
    photos: Path, broken: dict[str, int], number: int
) -> None:
    broken["b.jpg"] = number
    source = LocalSource(str(photos), Filters())
    photo = next(p for p in source.photos() if p.uri.endswith("b.jpg"))
    assert (photo.size, photo.version) == (UNKNOWN_SIZE, "")
    assert source.listing.skipped == {}
    with pytest.raises(TransientPhotoError), source.open(photo):
        pass


def test_a_photo_that_vanished_is_not_listed(photos: Path, broken: dict[str, int]) -> None:
    broken["b.jpg"] = errno.ENOENT
    names, skipped = listed(photos)
    assert "b.jpg" not in names
    assert skipped == {"vanished": 1}


def test_a_sidecar_that_cannot_be_looked_at_stays_one(photos: Path, broken: dict[str, int]) -> None:
    (photos / "b.xmp").write_text("<x/>")
    source = LocalSource(str(photos), Filters())
    before = next(p for p in source.photos() if p.uri.endswith("b.jpg"))
    broken["b.xmp"] = errno.EIO
    after = next(p for p in source.photos() if p.uri.endswith("b.jpg"))
    assert after.sidecars == before.sidecars == (str(photos / "b.xmp"),)
    assert after.version != before.version
    (alone,) = LocalSource(str(photos / "b.jpg"), Filters()).photos()
    assert alone == after


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE, errno.ENAMETOOLONG])
def test_a_folder_that_cannot_be_listed_is_counted_and_the_rest_goes_on(
    photos: Path, broken: dict[str, int], number: int, caplog: pytest.LogCaptureFixture
) -> None:
    broken["a"] = number
    library = Library([str(photos)], Filters())
    uris = [photo.uri for photo in library.photos()]
    assert [os.path.relpath(uri, photos) for uri in uris] == ["a-b/y.jpeg", "a.jpg", "b.jpg"]
    (listing,) = library.listings
    assert listing.skipped == {"unreadable folder": 1}
    assert listing.incomplete == [bytes(photos / "a")]
    assert f"{photos / 'a'}: " in caplog.text
    os.unlink(photos / "b.jpg")
    assert library.is_gone(str(photos / "b.jpg"))
    assert not library.is_gone(str(photos / "a" / "gone.jpg"))
    assert not library.is_gone(str(photos / "a.jpg"))


def test_of_many_folders_that_cannot_be_listed_the_first_are_named(
    photos: Path, broken: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(30):
        (photos / f"folder{number}").mkdir()
        broken[f"folder{number}"] = errno.EACCES
    library = Library([str(photos)], Filters())
    assert len(list(library.photos())) == 5
    (listing,) = library.listings
    assert (
        listing.skipped
        == {"unreadable folder": len(listing.incomplete)}
        == {"unreadable folder": 30}
    )
    assert len(caplog.messages) == 10
    assert caplog.messages[-1].endswith("; any others are only counted")
    assert not library.is_gone("/elsewhere/b.jpg")


def test_each_source_speaks_for_itself(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    library = Library([str(photos), str(tmp_path / "empty")], Filters(exclude=("x*",)))
    assert len(list(library.photos())) == 4
    listings = [(listing.photos, bool(listing.why_empty)) for listing in library.listings]
    assert listings == [(4, False), (0, True)]
    assert library.is_gone(str(photos / "gone.jpg"))
    assert not library.is_gone(str(tmp_path / "empty" / "gone.jpg"))
    assert not library.is_gone(str(photos / "a" / "x.JPG"))  # it is there, and excluded


def test_links_that_lead_nowhere_cost_their_own_count_alone(photos: Path) -> None:
    (photos / "itself.jpg").symlink_to("itself.jpg")
    (photos / "one").symlink_to("two")
    (photos / "two").symlink_to("one")
    names, skipped = listed(photos, follow_symlinks=True)
    assert len(names) == 5
    assert skipped == {"symlink loop": 3}


@pytest.mark.parametrize("name", ["d", "d" * 200])
def test_folders_nested_600_deep(tmp_path: Path, name: str) -> None:
    """Short names make a path that the system takes; of long ones what is below is counted."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "first.jpg").write_bytes(b"x")
    folder = os.open(root, os.O_RDONLY)
    for depth in range(600):
        os.mkdir(name, dir_fd=folder)
        below = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
        if depth in (5, 599):
            os.close(os.open("p.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    names, skipped = listed(root)
    subprocess.run(["rm", "-r", root], check=True)  # which goes deeper than Python's own
    if len(name) == 1:
        assert (len(names), skipped) == (3, {})
    else:
        assert (len(names), skipped) == (2, {"unreadable folder": 1})


@pytest.mark.slow
def test_a_folder_of_very_many_is_in_order(tmp_path: Path) -> None:
    count = 70_000  # more than are sorted in memory
    for number in range(count):
        os.close(os.open(tmp_path / f"{number * 7919 % count}.jpg", os.O_CREAT | os.O_WRONLY))
    names = [os.path.basename(p.uri) for p in LocalSource(str(tmp_path), Filters()).photos()]
    assert len(names) == count
    assert names == sorted(names)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_link_into_a_closed_folder_is_counted(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir()
    (photos / "link").symlink_to(tmp_path / "closed" / "inner")
    (tmp_path / "closed").chmod(0)
    names, skipped = listed(photos, follow_symlinks=True)
    (tmp_path / "closed").chmod(0o700)
    assert (len(names), skipped) == (5, {"unreadable link": 1})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder_is_counted(photos: Path) -> None:
    (photos / "a").chmod(0)
    assert listed(photos)[1] == {"unreadable folder": 1}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_that_may_be_a_photo_is_counted(photos: Path) -> None:
    (photos / "3f2a77").write_bytes(jpeg_bytes(picture()))
    (photos / "3f2a77").chmod(0)
    library = Library([str(photos)], Filters())
    assert len(list(library.photos())) == 5
    assert library.skipped == {"unreadable file": 1}
    assert library.listings[0].incomplete == [bytes(photos / "3f2a77")]


def test_what_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.touch()
    os.truncate(path, 2**40)  # a file of holes
    source = LocalSource(str(tmp_path), Filters())
    with pytest.raises(PhotoError, match="larger than 320 MiB"):
        source.read(str(path))
    os.truncate(path, 2**20 + 1)
    with pytest.raises(PhotoError, match="larger than 1 MiB"):
        source.read(str(path), 2**20)
