"""Metadata blocks inside each container format."""

from __future__ import annotations

import io
import struct
from itertools import pairwise

import piexif
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from geotag.errors import PhotoError
from geotag.metadata.blocks import Blocks
from geotag.metadata.containers import HEADER_SIZE, find_blocks, sniff_format
from geotag.metadata.exif import parse_metadata
from geotag.metadata.jpeg import jpeg_segments
from tests.conftest import gps_ifd, jpeg_bytes, picture

EXIF = piexif.dump({"GPS": gps_ifd(10, 20)})
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"


def blocks_of(data: bytes) -> Blocks:
    def read(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    return find_blocks(read)


def encoded(format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture().save(buffer, format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_exif_is_found_in(format: str) -> None:
    if format == "AVIF" and ".avif" not in Image.registered_extensions():
        pytest.skip("this Pillow has no AVIF")
    found = blocks_of(encoded(format, exif=EXIF))
    assert found.format == format.lower()
    assert found.exif is not None
    location = parse_metadata(found.exif).location
    assert location is not None
    assert (location.latitude, location.longitude) == (10, 20)


def test_exif_and_xmp_in_heif() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(picture()).save(buffer, exif=EXIF, xmp=XMP)
    found = blocks_of(buffer.getvalue())
    assert found.format == "heif"
    assert found.xmp == XMP
    assert found.exif is not None
    assert parse_metadata(found.exif).location is not None


def test_xmp_is_found() -> None:
    assert blocks_of(encoded("JPEG", xmp=XMP)).xmp == XMP
    assert blocks_of(encoded("WEBP", xmp=XMP)).xmp == XMP
    assert blocks_of(encoded("GIF")) == Blocks("gif", size=picture().size)


def test_exif_behind_the_first_64_kib_of_a_jpeg() -> None:
    """Large colour profiles may come first."""
    data = jpeg_bytes(picture(), gps=gps_ifd(10, 20))
    filler = b"\xff\xe2" + struct.pack(">H", 65533) + bytes(65531)
    found = blocks_of(data[:2] + filler * 3 + data[2:])
    assert found.exif == blocks_of(data).exif is not None


def test_exif_that_begins_before_the_64_kib_and_ends_behind() -> None:
    data = jpeg_bytes(picture(), gps=gps_ifd(10, 20))
    filler = b"\xff\xe2" + struct.pack(">H", 65400) + bytes(65398)
    moved = data[:2] + filler + data[2:]
    assert moved.find(b"Exif\0\0") < HEADER_SIZE < moved.find(b"Exif\0\0") + 200
    assert blocks_of(moved).exif == blocks_of(data).exif is not None


@pytest.mark.parametrize("note", [0, 3000, 20_000, 50_000])
def test_of_a_jpeg_little_more_is_read_than_its_metadata(note: int) -> None:
    exif = piexif.dump({"GPS": gps_ifd(10, 20), "Exif": {piexif.ExifIFD.MakerNote: bytes(note)}})
    data = encoded("JPEG", exif=exif, xmp=XMP) + bytes(2**20)
    reads: list[tuple[int, int]] = []

    def read(offset: int, length: int) -> bytes:
        reads.append((offset, length))
        return data[offset : offset + length]

    found = find_blocks(read)
    assert (found.exif, found.xmp, found.size) == (exif[6:], XMP, picture().size)
    assert sum(length for _, length in reads) <= len(exif) + 2 * 4096
    assert len(reads) <= 2


def test_endless_fill_bytes_are_given_up() -> None:
    def read(offset: int, length: int) -> bytes:
        return b"\xff\xd8" + b"\xff" * (length - 2) if offset == 0 else b"\xff" * length

    assert find_blocks(read) == Blocks("jpeg")


def test_fill_bytes_before_a_marker_are_passed_over() -> None:
    data = jpeg_bytes(picture(), gps=gps_ifd(10, 20))
    filled = data[:2] + b"\xff" * 2**20 + data[2:]
    assert blocks_of(filled).exif == blocks_of(data).exif is not None
    assert len(list(jpeg_segments(filled))) == len(list(jpeg_segments(data)))


def test_millions_of_empty_segments_are_given_up() -> None:
    data = jpeg_bytes(picture(), gps=gps_ifd(10, 20))
    filled = data[:2] + b"\xff\xe2\0\2" * 2**20 + data[2:]
    assert blocks_of(filled) == Blocks("jpeg")
    assert len(list(jpeg_segments(filled))) <= 2**16


@pytest.mark.parametrize(
    ("start", "chunk"),
    [(b"\x89PNG\r\n\x1a\n", b"\0\0\0\0tEXt\0\0\0\0"), (b"RIFF\0\0\0\0WEBP", b"ABCD\0\0\0\0")],
)
def test_endless_empty_chunks_are_given_up(start: bytes, chunk: bytes) -> None:
    def read(offset: int, length: int) -> bytes:
        body = start + chunk * 2
        at = offset if offset < len(start) else len(start) + (offset - len(start)) % len(chunk)
        return (body + chunk * (length // len(chunk)))[at : at + length]

    assert find_blocks(read).exif is None


def test_exif_behind_the_pixels_of_a_webp() -> None:
    large = Image.effect_noise((900, 900), 90).convert("RGB")
    buffer = io.BytesIO()
    large.save(buffer, "WEBP", lossless=True, exif=EXIF)
    assert buffer.getvalue().find(b"EXIF") > HEADER_SIZE
    assert blocks_of(buffer.getvalue()).exif is not None


def test_directories_at_the_end_of_a_tiff() -> None:
    buffer = io.BytesIO()
    Image.effect_noise((600, 600), 90).save(buffer, "TIFF", exif=EXIF)
    data = buffer.getvalue()
    found = blocks_of(data)
    assert found.exif is not None
    metadata = parse_metadata(found.exif, lambda at, n: data[at : at + n])
    assert metadata.location is not None


@pytest.mark.parametrize("size", [8, 600])
def test_xmp_in_a_tiff(size: int) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((size, size), 90).save(buffer, "TIFF", tiffinfo={700: XMP})
    assert blocks_of(buffer.getvalue()).xmp == XMP


@pytest.mark.parametrize("order", [b"<II", b">MM"])
def test_xmp_in_a_tiff_of_each_byte_order(order: bytes) -> None:
    code, mark = order[:1].decode(), order[1:]
    entry = struct.pack(f"{code}HHII", 700, 1, len(XMP), 26)
    data = mark + struct.pack(f"{code}HIH", 42, 8, 1) + entry + bytes(4) + XMP
    assert blocks_of(data).xmp == XMP


@pytest.mark.parametrize("start", [b"IIRO", b"IIRS", b"MMOR"])
def test_exif_in_raw_photos_of_olympus(start: bytes) -> None:
    code = "<" if start[:2] == b"II" else ">"
    entry = struct.pack(f"{code}HHII", 700, 1, len(XMP), 26)
    found = blocks_of(start + struct.pack(f"{code}IH", 8, 1) + entry + bytes(4) + XMP)
    assert (found.format, found.xmp) == ("raw", XMP)
    assert found.exif is not None


@pytest.mark.parametrize("data", [b"", b"hello, world", b"\0" * 100, b"PK\3\4", b"%PDF-1.7"])
def test_what_is_no_photo(data: bytes) -> None:
    assert sniff_format(data) is None
    with pytest.raises(PhotoError):
        blocks_of(data)


STARTS = [
    b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"GIF89a", b"II*\0", b"MM\0*",
    b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", b"\0\0\0\x18ftypavif\0\0\0\0mif1avif",
]  # fmt: skip


@given(st.sampled_from(STARTS), st.binary(max_size=300))
def test_hostile_bytes_never_raise(start: bytes, rest: bytes) -> None:
    assert isinstance(blocks_of(start + rest), Blocks)


@given(st.integers(0, 600), st.binary(min_size=1, max_size=6))
def test_damaged_heif_never_raises(at: int, damage: bytes) -> None:
    if ".avif" not in Image.registered_extensions():
        pytest.skip("this Pillow has no AVIF")
    data = bytearray(_avif())
    data[at + 12 : at + 12 + len(damage)] = damage
    assert isinstance(blocks_of(bytes(data)), Blocks)


@pytest.mark.parametrize("kind", [b"iinf", b"iloc"])
def test_heif_that_ends_with_an_empty_box_has_no_metadata(kind: bytes) -> None:
    box = struct.pack(">I4s", 8, kind)
    meta = struct.pack(">I4sI", 12 + len(box), b"meta", 0) + box
    assert blocks_of(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + meta) == Blocks("heif")


def _avif(cache: list[bytes] = []) -> bytes:  # noqa: B006
    if not cache:
        cache.append(encoded("AVIF", exif=EXIF))
    return cache[0]


def test_jpeg_segments_cover_the_header() -> None:
    data = jpeg_bytes(picture(), gps=gps_ifd(10, 20))
    segments = list(jpeg_segments(data))
    assert segments[0].start == 2
    assert all(a.end == b.start for a, b in pairwise(segments))
    assert segments[-1].marker == 0xDA
    assert sum(segment.payload.startswith(b"Exif\0\0") for segment in segments) == 1
