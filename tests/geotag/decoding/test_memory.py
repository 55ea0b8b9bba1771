"""Memory: small files of large pictures are decoded within a limit, or not at all."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from geotag.decoding.loader import decode
from geotag.decoding.memory import PICTURES, MemoryBudget, decoding_bytes
from geotag.errors import PhotoError
from geotag.metadata.header import Header
from geotag.records import Metadata
from tests.conftest import picture

SIZE = 32
MIB = 2**20


def _png(width: int, height: int, bits: int, colour: int, channels: int, rows: int = 0) -> bytes:
    """A black PNG, of which only the first `rows` are there."""
    row = b"\0" + bytes(width * channels * bits // 8)
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(row) for _ in range(rows)) + packer.flush()

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"".join((b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", head), chunk(b"IDAT", body),
                     chunk(b"IEND", b"")))  # fmt: skip


def _saved(image: Image.Image, format: str, **options: object) -> Image.Image:
    file = io.BytesIO()
    image.save(file, format, **options)
    return Image.open(file)


def _decode(data: bytes, format: str) -> object:
    return decode(data, Header(format, Metadata()), SIZE, "squash")


def test_as_much_as_there_is_may_be_held_and_no_more() -> None:
    budget = MemoryBudget(100)
    with budget.hold(100):
        pass
    with pytest.raises(PhotoError, match=r"too large: .* limit"), budget.hold(101):
        pass
    with pytest.raises(KeyError), budget.hold(100):
        raise KeyError  # what was held is given back all the same
    with budget.hold(100):
        pass


def test_workers_wait_for_each_others_memory() -> None:
    budget, lock = MemoryBudget(100), threading.Lock()
    held = most = 0

    def work(size: int) -> None:
        nonlocal held, most
        with budget.hold(size):
            with lock:
                held += size
                most = max(most, held)
            with lock:
                held -= size

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [60, 30, 100, 1, 50] * 40))
    assert 0 < most <= 100


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(_png(60_000, 60_000, 16, 0, 1), id="16 bits"),
        pytest.param(_png(12_000, 12_000, 8, 6, 4), id="transparent"),
    ],
)
def test_a_png_that_would_take_too_much_is_refused_undecoded(data: bytes) -> None:
    with pytest.raises(PhotoError, match=r"too large: .* 640 MiB are the limit"):
        _decode(data, "png")


def test_a_progressive_jpeg_is_held_whole_whatever_its_scale() -> None:
    file = io.BytesIO()
    picture(size=(64, 48)).save(file, "JPEG", progressive=True)
    at = file.getvalue().index(b"\xff\xc2") + 5
    huge = file.getvalue()[:at] + struct.pack(">HH", 65_000, 65_000) + file.getvalue()[at + 4 :]
    with pytest.raises(PhotoError, match="too large"):
        _decode(huge, "jpeg")


@pytest.mark.parametrize(
    ("mode", "format", "options", "bytes_a_pixel"),
    [
        ("L", "PNG", {}, 1),
        ("1", "PNG", {}, 2),
        ("P", "GIF", {}, 5),
        ("P", "PNG", {"transparency": 0}, 9),
        ("RGB", "PNG", {}, 4),
        ("RGBA", "PNG", {}, 9),
        ("CMYK", "TIFF", {"tiffinfo": {278: 1}}, 4),
        ("RGB", "TIFF", {"compression": "tiff_lzw", "tiffinfo": {278: 400}}, 4 + 3),
        ("RGB", "WEBP", {}, 20),
        ("RGB", "JPEG", {}, 4),
        ("RGB", "JPEG", {"progressive": True}, 4 + 3),
        ("RGB", "JPEG", {"progressive": True, "subsampling": 0}, 4 + 6),
    ],
)
def test_what_decoding_takes(
    mode: str, format: str, options: dict[str, object], bytes_a_pixel: int
) -> None:
    image = _saved(picture(size=(400, 400)).convert(mode), format, **options)
    found = decoding_bytes(image, image.size)
    assert found / 400**2 == pytest.approx(bytes_a_pixel, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_of_200_megapixels_is_decoded_to_scale(progressive: bool) -> None:
    file = io.BytesIO()
    Image.new("L", (16_384, 12_288), 200).save(file, "JPEG", progressive=progressive)
    pixels = decode(file.getvalue(), Header("jpeg", Metadata()), SIZE, "squash")
    assert abs(int(pixels.mean()) - 200) <= 1


_WORKERS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from geotag.decoding.loader import decode
from geotag.metadata.header import parse_header
def work(path):
    data = path.read_bytes()
    return decode(data, parse_header(data, path.name), 224, "squash")
with ThreadPoolExecutor(4) as pool:
    list(pool.map(work, sorted(Path(sys.argv[1]).iterdir()) * 2))
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_together_stay_within_the_limit(tmp_path: Path) -> None:
    shapes = {"grey": (10_000, 16, 0, 1), "alpha": (7_000, 8, 6, 4), "colour": (10_000, 8, 2, 3)}
    for name, (side, bits, colour, channels) in shapes.items():
        data = _png(side, side, bits, colour, channels, rows=side)
        assert len(data) < 2**19
        (tmp_path / f"{name}.png").write_bytes(data)
    command = [sys.executable, "-c", _WORKERS, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(result.stdout) < PICTURES.limit // MIB + 250
