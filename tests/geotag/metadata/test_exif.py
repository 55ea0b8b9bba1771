"""Exif bytes to Metadata."""

from __future__ import annotations

import math
import struct
from typing import Any

import piexif
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotag.metadata.exif import (
    degrees_to_rationals,
    format_time,
    parse_metadata,
    rationals_to_degrees,
)
from geotag.metadata.marks import GPS_PROCESSING_METHOD
from geotag.records import Location, Metadata
from tests.conftest import gps_ifd

GPS = piexif.GPSIFD


def exif(**directories: dict[int, Any]) -> bytes:
    named = {"0th": directories.get("zeroth", {}), "Exif": directories.get("exif", {})}
    return piexif.dump({**named, "GPS": directories.get("gps", {})})[6:]


def location(gps: dict[int, Any]) -> Location | None:
    return parse_metadata(exif(gps=gps)).location


def test_reads_what_the_camera_wrote() -> None:
    gps = gps_ifd(-33.8568, 151.2153) | {GPS.GPSAltitudeRef: 0, GPS.GPSAltitude: (125, 10)}
    block = exif(
        zeroth={piexif.ImageIFD.Make: b"NIKON", piexif.ImageIFD.Model: b"NIKON D70",
                piexif.ImageIFD.Orientation: 6},
        exif={piexif.ExifIFD.DateTimeOriginal: b"2008:10:22 16:28:39",
              piexif.ExifIFD.OffsetTimeOriginal: b"+02:00"},
        gps=gps,
    )  # fmt: skip
    metadata = parse_metadata(block)
    assert metadata.taken_at == "2008-10-22T16:28:39+02:00"
    assert metadata.orientation == 6
    assert metadata.camera == "NIKON D70"
    assert metadata.location is not None
    assert metadata.location.latitude == pytest.approx(-33.8568, abs=1e-6)
    assert metadata.location.longitude == pytest.approx(151.2153, abs=1e-6)
    assert metadata.location.altitude == 12.5


def test_below_the_sea() -> None:
    gps = gps_ifd(31.5, 35.5) | {GPS.GPSAltitudeRef: 1, GPS.GPSAltitude: (430, 1)}
    assert location(gps) == Location(31.5, 35.5, -430.0)


@pytest.mark.parametrize(
    "damage",
    [
        {GPS.GPSLatitude: ((0, 1), (0, 1), (0, 1)), GPS.GPSLongitude: ((0, 1), (0, 1), (0, 1))},
        {GPS.GPSLatitude: ((10, 0), (0, 1), (0, 1))},
        {GPS.GPSLatitude: ((10, 1), (0, 0), (0, 0))},
        {GPS.GPSLatitude: ((91, 1), (0, 1), (0, 1))},
        {GPS.GPSLongitude: ((180, 1), (0, 1), (1, 1))},
        {GPS.GPSLatitudeRef: b""},
        {GPS.GPSLongitudeRef: b"X"},
        {GPS.GPSProcessingMethod: b"ASCII\0\0\0" + GPS_PROCESSING_METHOD.encode()},
    ],
    ids=["0,0", "zero denominator", "zero minutes denominator", "latitude 91", "longitude 180+",
         "no hemisphere", "wrong hemisphere", "our own mark"],
)  # fmt: skip
def test_never_taken_for_a_position(damage: dict[int, Any]) -> None:
    assert location(gps_ifd(10, 20)) == Location(10, 20)
    assert location(gps_ifd(10, 20) | damage) is None


@pytest.mark.parametrize("missing", [1, 2, 3, 4])
def test_half_a_position_is_none(missing: int) -> None:
    gps = gps_ifd(10, 20)
    del gps[missing]
    assert location(gps) is None


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_floats_that_are_no_numbers(number: float) -> None:
    """Some writers use the type DOUBLE; piexif cannot, so this block is put together here."""
    assert parse_metadata(_double_gps(48.5, 2.25)).location == Location(48.5, 2.25)
    assert parse_metadata(_double_gps(number, 2.25)).location is None


def _double_gps(latitude: float, longitude: float) -> bytes:
    header = struct.pack("<2sHI", b"II", 42, 8)
    ifd0 = struct.pack("<HHHII", 1, 0x8825, 4, 1, 26) + bytes(4)
    data = 26 + 2 + 4 * 12 + 4
    gps = struct.pack("<H", 4)
    gps += struct.pack("<HHI4s", 1, 2, 2, b"N\0\0\0") + struct.pack("<HHII", 2, 12, 1, data)
    gps += struct.pack("<HHI4s", 3, 2, 2, b"E\0\0\0") + struct.pack("<HHII", 4, 12, 1, data + 8)
    return header + ifd0 + gps + bytes(4) + struct.pack("<dd", latitude, longitude)


def test_big_endian_and_little_endian_agree() -> None:
    little = _double_gps(48.5, 2.25)
    assert little[:2] == b"II"
    assert exif(gps=gps_ifd(48.5, 2.25))[:2] == b"MM"
    assert location(gps_ifd(48.5, 2.25)) == parse_metadata(little).location


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2008:10:22 16:28:39", "2008-10-22T16:28:39"),
        ("2008-10-22 16:28:39", "2008-10-22T16:28:39"),
        ("0000:00:00 00:00:00", None),
        ("2008:13:01 00:00:00", None),
        ("    :  :     :  :  ", None),
        ("", None),
    ],
)
def test_times(text: str, iso: str | None) -> None:
    assert format_time(text) == iso


def test_make_is_not_said_twice() -> None:
    block = exif(zeroth={piexif.ImageIFD.Make: b"Canon", piexif.ImageIFD.Model: b"Canon EOS 40D"})
    assert parse_metadata(block).camera == "Canon EOS 40D"
    block = exif(zeroth={piexif.ImageIFD.Make: b"Apple", piexif.ImageIFD.Model: b"iPhone 11"})
    assert parse_metadata(block).camera == "Apple iPhone 11"


@given(st.floats(-180, 180))
def test_degrees_there_and_back_within_a_decimetre(degrees: float) -> None:
    back = rationals_to_degrees(degrees_to_rationals(degrees))
    assert abs(back - abs(degrees)) * 111_320 < 0.1


@given(st.floats(-90, 90), st.floats(-180, 180))
def test_positions_survive_exif(latitude: float, longitude: float) -> None:
    found = location(gps_ifd(latitude, longitude))
    if abs(latitude) < 1e-7 and abs(longitude) < 1e-7:
        return
    assert found is not None
    assert abs(found.latitude - latitude) * 111_320 < 0.1
    assert abs(found.longitude - longitude) * 111_320 < 0.1


@given(st.binary(max_size=400))
def test_hostile_bytes_never_raise(data: bytes) -> None:
    assert isinstance(parse_metadata(b"II*\0" + data), Metadata)
    assert isinstance(parse_metadata(data), Metadata)


@given(st.integers(0, 200), st.binary(min_size=1, max_size=8))
def test_damaged_blocks_never_raise(at: int, damage: bytes) -> None:
    block = bytearray(exif(gps=gps_ifd(10, 20), exif={piexif.ExifIFD.DateTimeOriginal: b"x" * 19}))
    block[at : at + len(damage)] = damage
    assert isinstance(parse_metadata(bytes(block)), Metadata)
