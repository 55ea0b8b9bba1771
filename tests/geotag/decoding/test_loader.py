"""Decoding: a bad photo is a failure, never an exception; thumbnails only where they fit."""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from geotag.decoding.loader import Item, Loader, ThumbnailLoader, decode, without_bars
from geotag.errors import PhotoError
from geotag.metadata.header import Header, Thumbnail
from geotag.records import FailureKind, Metadata, Photo
from geotag.sources.base import Filters
from geotag.sources.local import LocalSource
from tests.conftest import jpeg_bytes, picture

SIZE = 32
JPEG = Header("jpeg", Metadata())


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def _loader(folder: Path, pool: ThreadPoolExecutor, window: int = 4) -> Loader:
    return Loader(LocalSource(str(folder), Filters()), SIZE, "squash", pool, window)


def _item(path: Path, header: Header = JPEG) -> Item:
    return Item(Photo(str(path), 0, "1"), header)


def test_photos_come_back_in_their_order(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    items = []
    for number in range(20):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(jpeg_bytes(picture("eiffel_tower", seed=number)))
        items.append(_item(path))
    loader = _loader(tmp_path, pool)
    back = [decoded for item in items for decoded in loader.submit(item)]
    assert len(back) == 16
    back += loader.drain()
    assert [decoded.item for decoded in back] == items
    assert all(d.pixels is not None and d.pixels.shape == (SIZE, SIZE, 3) for d in back)
    assert list(loader.drain()) == []


def test_a_bad_photo_is_a_failure_among_good_ones(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    data = jpeg_bytes(picture())
    contents = {"a.jpg": data, "b.jpg": b"\xff\xd8\xff" + bytes(99), "c.jpg": b"", "d.jpg": data}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    loader = _loader(tmp_path, pool, window=9)
    for name in (*contents, "missing.jpg"):
        assert list(loader.submit(_item(tmp_path / name))) == []
    good, bad, empty, fine, missing = loader.drain()
    assert good.pixels is not None and fine.pixels is not None
    for failed in (bad, empty):
        assert failed.pixels is None
        assert failed.failure is not None and failed.failure.kind is FailureKind.PERMANENT
    assert missing.failure is not None and missing.failure.kind is FailureKind.TRANSIENT
    assert str(tmp_path) not in missing.failure.reason


def test_a_raw_file_that_cannot_be_shown_says_so_in_words() -> None:
    pytest.importorskip("rawpy")
    data = jpeg_bytes(picture())
    with pytest.raises(PhotoError, match=r"^no preview in this raw file \([A-Z][a-z ]+ file"):
        decode(data, Header("raw", Metadata()), SIZE, "squash")


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_a_truncated_photo_is_damaged(keep: float) -> None:
    data = jpeg_bytes(picture(size=(400, 300)))
    with pytest.raises(PhotoError, match="damaged"):
        decode(data[: int(keep * len(data))], JPEG, SIZE, "squash")


class _Panic(BaseException):
    """As decoders in Rust raise."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RuntimeError("bad state"), FailureKind.PERMANENT),
        (ZeroDivisionError(), FailureKind.PERMANENT),
        (EOFError("the end"), FailureKind.PERMANENT),
        (RecursionError("deep"), FailureKind.PERMANENT),
        (SystemExit(3), FailureKind.PERMANENT),
        (_Panic("panicked"), FailureKind.PERMANENT),
        (OSError("broken data stream"), FailureKind.PERMANENT),
        (OSError(errno.EMFILE, "Too many open files"), FailureKind.TRANSIENT),
        (MemoryError(), FailureKind.TRANSIENT),
    ],
    ids=repr,
)
def test_whatever_a_decoder_raises_is_the_photos_failure(
    error: BaseException,
    kind: FailureKind,
    tmp_path: Path,
    pool: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(image: Image.Image) -> None:
        raise error

    path = tmp_path / "a.png"
    picture().save(path)
    monkeypatch.setattr(PngImageFile, "load", load)
    loader = _loader(tmp_path, pool)
    list(loader.submit(_item(path, JPEG._replace(format="png"))))
    (decoded,) = loader.drain()
    assert decoded.failure is not None and decoded.failure.kind is kind
    assert decoded.failure.reason.startswith("damaged: ") is (kind is FailureKind.PERMANENT)


def test_ctrl_c_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(image: Image.Image) -> None:
        raise KeyboardInterrupt

    file = io.BytesIO()
    picture().save(file, "PNG")
    monkeypatch.setattr(PngImageFile, "load", load)
    with pytest.raises(KeyboardInterrupt):
        decode(file.getvalue(), JPEG._replace(format="png"), SIZE, "squash")


def test_only_the_format_that_the_content_tells_is_decoded() -> None:
    """Pillow knows formats that run other programs, and many that no camera writes."""
    file = io.BytesIO()
    picture().save(file, "BMP")
    with pytest.raises(PhotoError, match="cannot be decoded as PNG"):
        decode(file.getvalue(), JPEG._replace(format="png"), SIZE, "squash")


def _with_scans(count: int, progressive: bool) -> bytes:
    """A JPEG that goes over its picture again and again, in all of its colours or in one."""
    file = io.BytesIO()
    picture(size=(160, 120)).save(file, "JPEG", progressive=progressive)
    head, mark, last = file.getvalue()[:-2].rpartition(b"\xff\xda")
    if not progressive:
        last = b"\0\x08\x01\x01\0\0\x3f\0"
    return head + (count + 1) * (mark + last) + b"\xff\xd9"


@pytest.mark.parametrize("progressive", [True, False])
def test_a_photo_of_too_many_scans(progressive: bool, pool: ThreadPoolExecutor) -> None:
    data = _with_scans(100, progressive)
    with pytest.raises(PhotoError, match="too many scans"):
        decode(data, JPEG, SIZE, "squash")
    assert _look(Thumbnail(data, (1600, 1200)), pool) is None
    few = _with_scans(50, progressive)
    assert decode(few, JPEG, SIZE, "squash").shape == (SIZE, SIZE, 3)


def test_what_stands_behind_a_photo_is_no_scan() -> None:
    data = jpeg_bytes(picture(size=(160, 120))) + 200 * b"\xff\xda\0"
    assert decode(data, JPEG, SIZE, "squash").shape == (SIZE, SIZE, 3)


def _thumbnail(photo_size: tuple[int, int], bar: int = 0, bars: int = 0) -> Thumbnail:
    """160 by 120 pixels, with `bar` rows of brightness `bars` above and below."""
    image = Image.new("RGB", (160, 120), (bars, bars, bars))
    image.paste(picture("taj_mahal", size=(160, 120 - 2 * bar)), (0, bar))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95)
    return Thumbnail(file.getvalue(), photo_size)


def _look(thumbnail: Thumbnail | None, pool: ThreadPoolExecutor) -> np.ndarray | None:
    loader = ThumbnailLoader(LocalSource("/", Filters()), SIZE, "squash", pool, 4)
    item = _item(Path("/nowhere/photo.jpg"), JPEG._replace(thumbnail=thumbnail))
    list(loader.submit(item))
    (decoded,) = loader.drain()
    return decoded.pixels


@pytest.mark.parametrize("photo_size", [(4032, 3024), (4000, 3000), (1600, 1201)])
def test_a_thumbnail_of_the_photos_shape(
    photo_size: tuple[int, int], pool: ThreadPoolExecutor
) -> None:
    pixels = _look(_thumbnail(photo_size), pool)
    assert pixels is not None
    assert pixels[..., 1].min() > 100


def test_black_bars_are_cut_off(pool: ThreadPoolExecutor) -> None:
    pixels = _look(_thumbnail((6000, 4000), bar=7), pool)
    assert pixels is not None
    assert pixels[..., 1].min() > 60


def test_bars_beside_a_tall_photo() -> None:
    image = Image.new("RGB", (160, 120))
    image.paste(picture("taj_mahal", size=(90, 120)), (35, 0))
    assert without_bars(image, (3000, 4000)).size == (90, 120)


def test_a_thumbnail_of_another_shape_is_an_old_one(pool: ThreadPoolExecutor) -> None:
    assert _look(_thumbnail((3000, 3000)), pool) is None
    assert _look(_thumbnail((6000, 4000), bar=7, bars=200), pool) is None


@pytest.mark.parametrize("filler", [b"\xff" * 2**21, b"\0" * 2**21], ids=["fill", "foreign"])
def test_bytes_between_segments_are_not_gone_through_one_by_one(
    filler: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0
    read = io.BytesIO.read

    class Counting(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            nonlocal reads
            reads += 1
            return read(self, size)

    monkeypatch.setattr(io, "BytesIO", Counting)
    data = jpeg_bytes(picture(size=(64, 48)))
    pixels = decode(data[:20] + filler + data[20:], JPEG, SIZE, "squash")
    assert np.array_equal(pixels, decode(data, JPEG, SIZE, "squash"))
    assert 0 < reads < 1000


def test_a_large_picture_is_no_thumbnail(pool: ThreadPoolExecutor) -> None:
    for width, fits in ((2000, True), (2400, False)):
        jpeg = jpeg_bytes(Image.new("RGB", (width, width * 3 // 4)))
        assert (_look(Thumbnail(jpeg, (4000, 3000)), pool) is not None) is fits


@pytest.mark.parametrize("jpeg", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0" + bytes(40)])
def test_a_damaged_thumbnail_says_nothing(jpeg: bytes, pool: ThreadPoolExecutor) -> None:
    assert _look(Thumbnail(jpeg, (4000, 3000)), pool) is None
    assert _look(None, pool) is None
