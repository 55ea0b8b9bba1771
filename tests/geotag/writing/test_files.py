"""Photos in buckets: sidecars beside them, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from geotag.state.catalog import Catalog
from geotag.writing.blocks.xmp import parse_packet
from geotag.writing.files import files_of
from geotag.writing.replace import Original
from geotag.writing.result import Action
from tests.geotag.writing.kinds import made
from tests.geotag.writing.rows import Write, revert_last
from tests.geotag.writing.samples import (
    SUBJECTS,
    picture,
    save,
    xmp_packet,
)


@pytest.fixture
def bucket() -> Iterator[Callable[[str, bytes], str]]:
    """A bucket in memory; puts an object and returns its URI."""
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")

    def put(name: str, data: bytes) -> str:
        system.pipe_file(f"/bucket/{name}", data)
        return f"memory://bucket/{name}"

    yield put
    system.store.clear()


def test_photo_in_a_bucket_gets_a_sidecar_beside_it(
    bucket: Callable[[str, bytes], str], write: Write, catalog: Catalog
) -> None:
    photo = bucket("a.jpg", made("xmp.jpg"))
    result = write(photo, position=True)
    assert (result.action, result.files) == (Action.WRITTEN, (f"{photo}.xmp",))
    files = files_of(photo)
    assert files.read(photo).data == made("xmp.jpg")
    packet = parse_packet(files.read(f"{photo}.xmp").data)
    assert packet.items("dc:subject") == ("holiday", "été", "Eiffel Tower")
    assert write(photo, position=True).action is Action.UNCHANGED
    (reverted,) = revert_last(catalog)
    assert reverted.action is Action.REVERTED and not files.exists(f"{photo}.xmp")


def test_sidecar_in_a_bucket_is_edited_and_brought_back(
    bucket: Callable[[str, bytes], str], write: Write, catalog: Catalog
) -> None:
    photo = bucket("a.png", save(picture(), "PNG"))
    sidecar = bucket("a.xmp", xmp_packet(SUBJECTS))
    assert write(photo).files == (sidecar,)
    assert files_of(photo).read(sidecar).data != xmp_packet(SUBJECTS)
    assert revert_last(catalog)[0].action is Action.REVERTED
    assert files_of(photo).read(sidecar).data == xmp_packet(SUBJECTS)


def test_sidecar_that_another_changed_in_the_bucket_is_left_alone(
    bucket: Callable[[str, bytes], str], write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = bucket("a.png", save(picture(), "PNG"))
    sidecar = bucket("a.png.xmp", xmp_packet())
    files = files_of(photo)
    read = files.read

    def read_then_change(path: str, force: bool = False) -> Original:
        original = read(path, force)
        bucket("a.png.xmp", xmp_packet(SUBJECTS))
        return original

    monkeypatch.setattr(files, "look_at", read_then_change)
    result = write(photo)
    monkeypatch.undo()
    assert result.action is Action.FAILED and "meanwhile" in result.reason
    assert files.read(sidecar).data == xmp_packet(SUBJECTS)


def test_photo_that_vanished_from_a_bucket_is_a_row_with_the_reason(
    bucket: Callable[[str, bytes], str], write: Write
) -> None:
    bucket("b.jpg", b"another")
    result = write("memory://bucket/a.jpg")
    assert result.action is Action.FAILED and "no such" in result.reason
