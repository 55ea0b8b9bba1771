"""Which sidecar is a photo's, in buckets as on disks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from geotag.writing.files import files_of
from geotag.writing.sidecar import SharedSidecarError, SidecarFinder


@pytest.fixture(params=["disk", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """What photos' names begin with, and the folder in which they lie."""
    if request.param == "disk":
        yield str(tmp_path), tmp_path
    else:
        yield "s3://photos", request.getfixturevalue("bucket")


def find(root: str, name: str) -> str:
    photo = f"{root}/{name}"
    return SidecarFinder().find(photo, files_of(photo)).path.removeprefix(f"{root}/")


def test_a_sidecar_is_shared_with_any_other_file_of_its_stem(place: tuple[str, Path]) -> None:
    root, folder = place
    inner = folder / "2024" / "a.d"
    inner.mkdir(parents=True)
    for name in ("a.jpg", "a.xmp", "b.jpg", "b.xmp", "b.psd", "c.jpg", "a.d/a.jpg", "ab.jpg"):
        (folder / "2024" / name).write_bytes(b"x")
    assert find(root, "2024/a.jpg") == "2024/a.xmp"
    assert find(root, "2024/c.jpg") == "2024/c.jpg.xmp"
    with pytest.raises(SharedSidecarError, match=r"b\.xmp serves b\.psd as well"):
        find(root, "2024/b.jpg")
    for name in ("a.mp4", "a"):
        (folder / "2024" / name).write_bytes(b"x")
        with pytest.raises(SharedSidecarError, match=name):
            find(root, "2024/a.jpg")
        (folder / "2024" / name).unlink()


def test_a_link_to_itself_keeps_no_sidecar_from_being_found(tmp_path: Path) -> None:
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    for name in ("a.jpg", "a.xmp"):
        (tmp_path / name).write_bytes(b"x")
    assert find(str(tmp_path), "a.jpg") == "a.xmp"
