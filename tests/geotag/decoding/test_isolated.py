"""A decoder that crashes, hangs or ends its process costs its own photo and nothing else."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geotag.decoding.isolated import IsolatedDecoder
from geotag.decoding.loader import decode, decode_thumbnail
from geotag.decoding.memory import PICTURES
from geotag.errors import MissingDependencyError, PhotoError, TransientPhotoError
from geotag.metadata.header import Header, Thumbnail
from geotag.records import Metadata

JPEG, TIFF, HEIF = (Header(name, Metadata(orientation=6)) for name in ("jpeg", "tiff", "heif"))
# A decoder of HEIF that does what its photo asks for.
DECODER = """
import ctypes, os, sys, time
from PIL import Image

def HeifImageFile(file, name):
    command = file.read().decode()
    print("noise of a library", flush=True)
    os.write(1, b"more of it")
    exec(command)
    return Image.new("RGB", (4000, 300), (200, 100, 50))
"""


@pytest.fixture
def decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[IsolatedDecoder]:
    (tmp_path / "pillow_heif.py").write_text(DECODER)
    monkeypatch.syspath_prepend(tmp_path)
    decoder = IsolatedDecoder()
    yield decoder
    decoder.close()


def _heif(decoder: IsolatedDecoder, command: str) -> np.ndarray:
    return decoder.decode(command.encode(), HEIF, 32, "squash")


def _picture(format: str) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((80, 60), 40).convert("RGB").save(file, format)
    return file.getvalue()


def test_pixels_are_those_of_the_same_decoder_here(decoder: IsolatedDecoder) -> None:
    data = _picture("TIFF")
    there = decoder.decode(data, TIFF, 32, "crop")
    assert np.array_equal(there, decode(data, TIFF, 32, "crop"))
    assert there.dtype == np.uint8 and there.std() > 0


@pytest.mark.parametrize("colour", [(200, 100, 50), (0, 0, 0)])
def test_thumbnails_are_those_of_the_same_decoder_here(
    decoder: IsolatedDecoder, colour: tuple[int, int, int]
) -> None:
    """With the bars that fill them up cut off, or refused for want of the photo's shape."""
    file = io.BytesIO()
    picture = Image.new("RGB", (160, 120))
    picture.paste(Image.new("RGB", (160, 90), colour), (0, 15))
    picture.save(file, "JPEG")
    for photo_size in ((4000, 2250), (2250, 4000)):
        header = JPEG._replace(thumbnail=Thumbnail(file.getvalue(), photo_size))
        try:
            expected = decode_thumbnail(file.getvalue(), header, 32, "squash")
        except PhotoError as error:
            with pytest.raises(PhotoError, match=str(error)):
                decoder.decode_thumbnail(file.getvalue(), header, 32, "squash")
        else:
            there = decoder.decode_thumbnail(file.getvalue(), header, 32, "squash")
            assert np.array_equal(there, expected)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("ctypes.string_at(0)", r"damaged: its decoder crashed \(SIGSEGV\)"),
        ("os.abort()", r"crashed \(SIGABRT\)"),
        ("os._exit(0)", r"crashed \(exit code 0\)"),
        ("raise SystemExit", "damaged: SystemExit"),
        ("raise ZeroDivisionError('of a matrix')", "damaged: of a matrix"),
    ],
)
def test_the_others_are_decoded_after_a_crash(
    decoder: IsolatedDecoder, command: str, message: str
) -> None:
    assert _heif(decoder, "").tolist()[0][0] == [200, 100, 50]
    with pytest.raises(PhotoError, match=message) as caught:
        _heif(decoder, command)
    assert not caught.value.transient
    assert _heif(decoder, "").tolist()[0][0] == [200, 100, 50]


@pytest.mark.slow
def test_one_that_hangs_is_given_up_for_now(decoder: IsolatedDecoder) -> None:
    impatient = IsolatedDecoder(seconds=2)
    for command in ("time.sleep(60)", "while True: pass"):
        with pytest.raises(TransientPhotoError, match="not decoded within 2 seconds"):
            _heif(impatient, command)
    impatient.close()
    assert _heif(decoder, "").shape == (32, 32, 3)


def test_a_decoder_that_is_ended_from_outside_says_nothing_of_its_photo(
    decoder: IsolatedDecoder,
) -> None:
    with pytest.raises(TransientPhotoError, match="from outside"):
        _heif(decoder, "os.kill(os.getpid(), 9)")


def test_signals_that_stop_a_scan_let_a_photo_that_is_begun_end(decoder: IsolatedDecoder) -> None:
    stop = "[os.kill(os.getpid(), number) for number in (2, 15)]"
    assert _heif(decoder, stop).shape == (32, 32, 3)


def test_a_process_that_was_ended_meanwhile_is_replaced(decoder: IsolatedDecoder) -> None:
    pid = _heif(decoder, f"open({str(Path(sys.path[0], 'pid'))!r}, 'w').write(str(os.getpid()))")
    assert pid.shape == (32, 32, 3)
    os.kill(int(Path(sys.path[0], "pid").read_text()), signal.SIGKILL)
    time.sleep(0.2)
    assert _heif(decoder, "").shape == (32, 32, 3)


def test_errors_are_those_of_the_same_decoder_here(decoder: IsolatedDecoder) -> None:
    (Path(sys.path[0]) / "pillow_heif.py").write_text("raise ImportError")
    with pytest.raises(MissingDependencyError, match="HEIC"):
        _heif(decoder, "")
    with pytest.raises(PhotoError, match="damaged: cannot be decoded as TIFF"):
        decoder.decode(b"nonsense", TIFF, 32, "squash")


def test_what_a_library_prints_of_a_damaged_photo_is_part_of_the_reason(
    decoder: IsolatedDecoder, capfd: pytest.CaptureFixture[str]
) -> None:
    file = io.BytesIO()
    Image.effect_noise((300, 200), 50).convert("RGB").save(file, "TIFF", compression="tiff_lzw")
    damaged = bytearray(file.getvalue())
    damaged[1000:1100] = b"\xff" * 100
    for _ in range(2):
        with pytest.raises(PhotoError, match=r"^damaged: decoder error -2 \(.*code.*\)$"):
            decoder.decode(bytes(damaged), TIFF, 32, "squash")
        with pytest.raises(PhotoError, match=r"^damaged: oh \(noise of a library\)$"):
            _heif(decoder, "raise ValueError('oh')")
    assert capfd.readouterr() == ("", "")


def test_a_library_that_prints_without_end_fills_nothing(decoder: IsolatedDecoder) -> None:
    assert _heif(decoder, "[ctypes.CDLL(None).puts(b'x' * 999) for _ in range(9999)]").any()
    assert _heif(decoder, "").any()


def test_threads_decode_side_by_side_within_one_budget(
    decoder: IsolatedDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    original = PICTURES.hold

    def hold(size: int) -> AbstractContextManager[None]:
        held.append(size)
        return original(size)

    monkeypatch.setattr(PICTURES, "hold", hold)
    with ThreadPoolExecutor(3) as pool:
        pictures = list(pool.map(lambda _: _heif(decoder, ""), range(9)))
    assert all(picture.shape == (32, 32, 3) for picture in pictures)
    assert len(held) == 9 and min(held) > 0


def test_without_processes_photos_are_decoded_here_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    data = _picture("JPEG")
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    decoder = IsolatedDecoder()
    for _ in range(2):
        pixels = decoder.decode(data, JPEG, 32, "squash")
        assert np.array_equal(pixels, decode(data, JPEG, 32, "squash"))
    assert len(caplog.records) == 1


@pytest.mark.slow
def test_a_tiff_is_read_by_its_memory_and_not_by_its_pixels(decoder: IsolatedDecoder) -> None:
    """Pillow refuses more than 178,956,970."""
    file = io.BytesIO()
    Image.new("L", (16_384, 12_288), 200).save(file, "TIFF", compression="tiff_adobe_deflate")
    pixels = decoder.decode(file.getvalue(), Header("tiff", Metadata()), 32, "squash")
    assert abs(int(pixels.mean()) - 200) <= 1
