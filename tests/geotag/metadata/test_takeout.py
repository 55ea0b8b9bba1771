"""What Google Takeout's JSON files say of the photos beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotag.metadata.header import read_header
from geotag.metadata.takeout import JSON_LIMIT, parse_takeout
from geotag.records import Location, Metadata
from geotag.sources.base import Filters
from geotag.sources.local import LocalSource
from tests.conftest import jpeg_bytes, picture
from tests.geotag.metadata.samples import XMP_POSITION

NAMES = ("IMG_1.jpg.json", "IMG_1.jpg")


def place(latitude: object, longitude: object, altitude: object = 0.0) -> dict[str, object]:
    return {"latitude": latitude, "longitude": longitude, "altitude": altitude}


NOWHERE = place(0.0, 0.0)


def takeout(**fields: object) -> bytes:
    told = {"title": "IMG_1.jpg", "photoTakenTime": {"timestamp": "1735732396"}}
    return json.dumps(told | fields).encode()


def parsed(**fields: object) -> Metadata:
    return parse_takeout(takeout(**fields), *NAMES)


def test_what_google_read_in_the_exif_is_measured() -> None:
    found = parsed(geoDataExif=place(54.6737861, 11.9607639, 40.0), geoData=place(1, 2))
    assert found.location == Location(54.6737861, 11.9607639, 40.0)
    assert found.capture.stated == "" and found.taken_at == "2025-01-01T11:53:16+00:00"


@pytest.mark.parametrize("measured", [NOWHERE, None])
def test_what_may_be_googles_guess_is_not_measured(measured: object) -> None:
    found = parsed(geoData=place(54.5, 11), geoDataExif=measured)
    assert found.location is None and found.position_unclear == ""
    assert found.capture.stated == "54.5,11.0"


def test_nought_is_no_position() -> None:
    found = parsed(geoData=NOWHERE, geoDataExif=NOWHERE)
    assert found == parsed() and found.capture.stated == found.position_unclear == ""


@pytest.mark.parametrize(
    "bad",
    [
        place(91, 0), place("54", "11"), place(None, 1), place(True, 1), place(float("nan"), 1),
        place(10**400, 1), [1, 2], "54,11", {},
    ],
)  # fmt: skip
def test_a_position_that_is_not_understood_is_not_replaced(bad: Any) -> None:
    for name in ("geoData", "geoDataExif"):
        found = parsed(**{name: bad})
        assert found.location is None and found.capture.stated == ""
        assert "its sidecar IMG_1.jpg.json" in found.position_unclear


def test_a_file_of_another_program_says_nothing() -> None:
    for data in (b"", b"[]", b'{"shapes": []}', b"null", b"\xff", b"[" * 100_000):
        assert parse_takeout(data, *NAMES) == Metadata()
    assert "is damaged" in parse_takeout(takeout()[:-1], *NAMES).position_unclear
    other = takeout(geoData=place(1, 2), title="IMG_2.jpg")
    assert parse_takeout(other, "IMG_1.json", "IMG_1.jpg") == Metadata()


@pytest.mark.parametrize("stamp", ["", "x", None, [], "9" * 5000, "-1e9", "0", "99999999999"])
def test_a_time_that_is_none(stamp: object) -> None:
    assert parsed(photoTakenTime={"timestamp": stamp}).taken_at is None


@given(st.binary(max_size=60), st.integers(0, 200))
def test_hostile_files_are_read_to_an_end(noise: bytes, at: int) -> None:
    whole = takeout(geoData=place(1, 2))
    parse_takeout(whole[:at] + noise + whole[at:], *NAMES)


def header(folder: Path, **sidecars: bytes) -> Metadata:
    (folder / "IMG.jpg").write_bytes(jpeg_bytes(picture()))
    for name, data in sidecars.items():
        (folder / name.replace("_", ".")).write_bytes(data)
    source = LocalSource(str(folder), Filters())
    (listed,) = source.photos()
    return read_header(source, listed).metadata


def test_an_xmp_sidecar_counts_first(tmp_path: Path) -> None:
    json_file = takeout(geoDataExif=place(1, 2))
    assert header(tmp_path, IMG_jpg_json=json_file).location == Location(1, 2)
    assert header(tmp_path, IMG_xmp=XMP_POSITION).location == Location(10, 20)


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    large = takeout(geoData=place(1, 2)) + b" " * JSON_LIMIT
    assert header(tmp_path, IMG_json=large).position_unclear == ""  # it may be any program's
    assert "larger than" in header(tmp_path, IMG_jpg_json=large).position_unclear
