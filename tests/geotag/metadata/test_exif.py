"""Exif bytes to Metadata."""

from __future__ import annotations

import math
import struct
from typing import Any

import piexif
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotag.metadata.exif import parse_metadata
from geotag.metadata.marks import GPS_PROCESSING_METHOD
from geotag.records import Capture, Location, Metadata
from tests.conftest import gps_ifd
from tests.geotag.metadata.samples import (
    ASCII,
    LONG,
    Row,
    ascii_row,
    exif_block,
    gps_rows,
    position,
    rationals,
)

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


_BLANK = (2, ASCII, 1, b"\0"), (4, ASCII, 1, b"\0")


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [ascii_row(0, "2.3.0.0")],
        position((0, 0, 0), (0, 0, 0)),
        gps_rows(rationals(2, (0, 0), (0, 0), (0, 0)), rationals(4, (0, 0))),
        gps_rows(rationals(2, (0, 1)), rationals(4, (0, 1)), "", ""),
        gps_rows(*_BLANK),
    ],
    ids=["none", "version", "zero", "by zero", "no fix", "blank"],
)
def test_where_there_is_no_position_all_is_clear(rows: list[Row]) -> None:
    metadata = parse_metadata(exif_block(gps=rows))
    assert metadata.location is None and metadata.position_unclear == ""


def test_a_position_of_geotags_own_is_none_and_clear() -> None:
    method = b"ASCII\0\0\0" + GPS_PROCESSING_METHOD.encode()
    metadata = parse_metadata(exif_block(gps=[*position(), (0x1B, 7, len(method), method)]))
    assert metadata.location is None and metadata.position_unclear == ""


@pytest.mark.parametrize(
    "rows",
    [
        gps_rows(rationals(2, (10, 0)), rationals(4, (20, 1))),
        gps_rows(rationals(2, (91, 1)), rationals(4, (20, 1))),
        gps_rows(rationals(2, (10, 1)), rationals(4, (20, 1)), "X"),
        gps_rows(rationals(2, (10, 1)), rationals(4, (20, 1)), ""),
        gps_rows(ascii_row(2, "ten"), rationals(4, (20, 1))),
        gps_rows(rationals(2, (-10, 1), signed=True), rationals(4, (20, 1))),
        gps_rows(rationals(2, *4 * [(10, 1)]), rationals(4, (20, 1))),
        [(2, 99, 1, b"\1\2\3\4"), rationals(4, (20, 1))],
        [(2, 99, 1, b"\1\2\3\4"), (4, 99, 1, b"\1\2\3\4")],
        [ascii_row(1, "N"), rationals(2, (10, 1))],
        [ascii_row(1, "N"), (2, 5, 0xFFFFFFF, bytes(8)), *position()[2:]],
    ],
    ids=["by zero", "range", "letter", "no letter", "words", "sign and letter", "four parts",
         "unknown type", "unknown types", "half", "no bytes behind it"],
)  # fmt: skip
def test_a_position_that_is_not_understood_is_said_to_be_there(rows: list[Row]) -> None:
    metadata = parse_metadata(exif_block(gps=rows))
    assert metadata.location is None
    assert "Exif" in metadata.position_unclear


@pytest.mark.parametrize("kind", [7, 11, 16, 18, 99])
def test_a_directory_that_a_number_of_another_kind_leads_to(kind: int) -> None:
    block = exif_block([(0x8825, kind, 1, struct.pack("<I", 26))])
    assert "Exif" in parse_metadata(block).position_unclear


def test_text_of_exif_3() -> None:
    block = exif_block([(0x0110, 129, 7, "Café 7\0".encode()[:7])])
    assert parse_metadata(block).camera == "Café 7"


@pytest.mark.parametrize(("at", "is_unclear"), [(0, False), (10**6, True), (4, True)])
def test_a_directory_that_is_not_where_it_should_be(at: int, is_unclear: bool) -> None:
    block = exif_block([(0x8825, LONG, 1, struct.pack("<I", at))])
    assert bool(parse_metadata(block).position_unclear) is is_unclear


def test_when_and_with_what_it_was_taken() -> None:
    block = exif_block(
        [ascii_row(0x010F, "Canon"), ascii_row(0x0110, "EOS 80D"), ascii_row(0x0131, "1.0.2")],
        [
            ascii_row(0x9003, "2008:10:22 16:28:39"),
            ascii_row(0x9291, "25"),
            ascii_row(0x9011, "+02:00"),
            ascii_row(0xA431, "012345"),
            (0xA002, LONG, 1, struct.pack("<I", 6000)),
            (0xA003, LONG, 1, struct.pack("<I", 4000)),
        ],
        [ascii_row(0x1D, "2008:10:22"), rationals(7, (14, 1), (27, 1), (724, 100))],
    )
    metadata = parse_metadata(block)
    assert metadata.capture == Capture(
        "2008-10-22T16:28:39.25+02:00", "2008-10-22T14:27:07.240+00:00", "Canon", "EOS 80D",
        "012345", "1.0.2", 6000, 4000,
    )  # fmt: skip
    assert metadata.taken_at == "2008-10-22T16:28:39+02:00"


def test_the_receivers_time_is_the_last_resort_and_the_edit_time_none() -> None:
    edited = ascii_row(0x0132, "2020:01:01 00:00:00")
    stamp = [ascii_row(0x1D, "2008:10:22"), rationals(7, (14, 1), (27, 1), (7, 1))]
    assert parse_metadata(exif_block([edited])).taken_at is None
    metadata = parse_metadata(exif_block([edited], gps=stamp))
    assert metadata.taken_at == "2008-10-22T14:27:07+00:00"
    assert metadata.capture.time == ""


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


def test_make_is_not_said_twice() -> None:
    block = exif(zeroth={piexif.ImageIFD.Make: b"Canon", piexif.ImageIFD.Model: b"Canon EOS 40D"})
    assert parse_metadata(block).camera == "Canon EOS 40D"
    block = exif(zeroth={piexif.ImageIFD.Make: b"Apple", piexif.ImageIFD.Model: b"iPhone 11"})
    assert parse_metadata(block).camera == "Apple iPhone 11"


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


@pytest.mark.parametrize("time", ["2008:10:22 1\x11:28:39", "2008:10:\x7f2 16:28:39"])
def test_a_time_with_a_damaged_digit_is_no_other_time(time: str) -> None:
    other = ascii_row(0x9004, "2008:10:22 16:28:40")
    assert parse_metadata(exif_block(exif=[ascii_row(0x9003, time)])).taken_at is None
    found = parse_metadata(exif_block(exif=[ascii_row(0x9003, time), other]))
    assert found.taken_at == "2008-10-22T16:28:40"
