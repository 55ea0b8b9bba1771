"""What photos and their sidecars say together."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from geotag.errors import PhotoError, TransientPhotoError
from geotag.metadata.header import Header, parse_header, read_header
from geotag.metadata.marks import GPS_PROCESSING_METHOD
from geotag.records import Location
from geotag.sources.base import Filters
from geotag.sources.local import LocalSource
from tests.conftest import gps_ifd, jpeg_bytes, picture
from tests.geotag.metadata.samples import XMP_POSITION, packet, segment

PLAIN = jpeg_bytes(picture())
XMP = b"http://ns.adobe.com/xap/1.0/\0"
HERE = Location(10, 20)
UNCLEAR = packet("exif:GPSLatitude='ten' exif:GPSLongitude='20,0E'")


def with_xmp(block: bytes) -> bytes:
    return PLAIN[:2] + segment(XMP + block) + PLAIN[2:]


def header_of(folder: Path, photo: bytes = PLAIN, **sidecars: bytes) -> Header:
    """The header of a photo beside which the named sidecars lie."""
    (folder / "a.jpg").write_bytes(photo)
    for name, data in sidecars.items():
        (folder / name.replace("_", ".")).write_bytes(data)
    source = LocalSource(str(folder), Filters())
    (listed,) = source.photos()
    return read_header(source, listed)


def test_a_sidecars_position_counts_where_the_photo_has_none(tmp_path: Path) -> None:
    metadata = header_of(tmp_path, a_xmp=XMP_POSITION).metadata
    assert metadata.location == HERE and metadata.position_unclear == ""


def test_a_sidecars_position_counts_where_the_photos_is_not_understood(tmp_path: Path) -> None:
    assert "its XMP" in parse_header(with_xmp(UNCLEAR), "a.jpg").metadata.position_unclear
    metadata = header_of(tmp_path, with_xmp(UNCLEAR), a_xmp=XMP_POSITION).metadata
    assert metadata.location == HERE and metadata.position_unclear == ""


@pytest.mark.parametrize(
    "damaged",
    [b"", b"\0" * 500, XMP_POSITION[:100], b"<html>", XMP_POSITION + bytes(2**20)],
    ids=["empty", "zeros", "cut short", "no XMP", "large"],
)
def test_of_a_damaged_sidecar_no_position_is_clear(damaged: bytes, tmp_path: Path) -> None:
    metadata = header_of(tmp_path, a_jpg_xmp=damaged).metadata
    assert metadata.location is None
    assert "its sidecar a.jpg.xmp" in metadata.position_unclear


def test_a_second_sidecar_counts_where_the_first_is_damaged(tmp_path: Path) -> None:
    metadata = header_of(tmp_path, a_jpg_xmp=b"", a_xmp=XMP_POSITION).metadata
    assert metadata.location == HERE and metadata.position_unclear == ""


def test_a_sidecar_without_a_position_is_clear(tmp_path: Path) -> None:
    metadata = header_of(tmp_path, a_xmp=packet("xmp:CreateDate='2008-10-22T16:28:39'")).metadata
    assert metadata.location is None and metadata.position_unclear == ""
    assert metadata.taken_at == "2008-10-22T16:28:39"


def test_a_sidecar_that_cannot_be_read_now_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(PLAIN)
    (tmp_path / "a.xmp").mkdir()
    source = LocalSource(str(tmp_path), Filters())
    photo = next(source.photos())._replace(sidecars=(str(tmp_path / "a.xmp"),))
    with pytest.raises(TransientPhotoError, match=r"its sidecar a\.xmp cannot be read now"):
        read_header(source, photo)
    with pytest.raises(TransientPhotoError, match=r"its sidecar b\.xmp cannot be read now"):
        read_header(source, photo._replace(sidecars=(str(tmp_path / "b.xmp"),)))


def test_a_sidecar_is_not_read_where_the_photo_has_a_position(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg_bytes(picture(), gps_ifd(10, 20)))
    source = LocalSource(str(tmp_path), Filters())
    photo = next(source.photos())._replace(sidecars=(str(tmp_path / "gone.xmp"),))
    assert read_header(source, photo).metadata.location == HERE


def test_a_position_of_geotags_own_in_a_sidecar_is_none(tmp_path: Path) -> None:
    own = XMP_POSITION.replace(
        b"rdf:about=''", f"rdf:about='' exif:GPSProcessingMethod='{GPS_PROCESSING_METHOD}'".encode()
    )
    metadata = header_of(tmp_path, a_xmp=own).metadata
    assert metadata.location is None and metadata.position_unclear == ""


def test_the_size_is_that_of_the_stored_picture() -> None:
    assert parse_header(PLAIN, "a.jpg").metadata.capture[6:8] == picture().size


def test_what_is_no_photo(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="not a photo"):
        header_of(tmp_path, os.urandom(0) + b"hello, world")
