"""Coordinates and altitudes as people and programs spell them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotag.metadata.positions import (
    checked_location,
    degrees_to_rationals,
    parse_altitude,
    parse_coordinate,
    signed_degrees,
)


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("48,30N", 48.5), ("48,30.0S", -48.5), ("48.25N", 48.25), ("48,30,36N", 48.51),
        ("48, 30.0 N", 48.5), ("48 30 36 S", -48.51), ("N48 30", 48.5), ("48.25", 48.25),
        ("-48.25", -48.25), ("+48.25", 48.25), ("-48,30", -48.5), ("-0,30", -0.5),
        ("48/1 30/1 36/1 N", 48.51), ("48 deg 30\' 36.00\" N", 48.51), ("48°30′36″S", -48.51),
        ("48.25 North", 48.25), ("48,30", 48.5), ("  48,30n ", 48.5),
        ("48,30E", None), ("N", None), ("", None), ("1..2,3N", None), ("48,8583N", None),
        ("-48.25S", -48.25), ("-48.25N", None), ("48/0N", None),
        ("48,30,20,10N", None), ("N48S", None),
        ("48 and a half N", None), ("48,-30N", None), ("nan", None),
    ],
)  # fmt: skip
def test_coordinates(text: str, degrees: float | None) -> None:
    found = parse_coordinate(text, "NS")
    assert found == (None if degrees is None else pytest.approx(degrees))


def test_a_hemisphere_told_apart_counts_and_must_agree() -> None:
    assert parse_coordinate("48.5", "NS", "S") == -48.5
    assert parse_coordinate("48.5S", "NS", "South") == -48.5
    assert parse_coordinate("48.5N", "NS", "S") is None
    assert parse_coordinate("48.5", "NS", "W") is None


@given(st.text(max_size=300))
def test_no_text_raises(text: str) -> None:
    for read in (parse_coordinate(text, "EW"), parse_altitude(text, "1")):
        assert read is None or isinstance(read, float)


@given(st.floats(-90, 90), st.sampled_from(["{:.7f}", "{:+.7f}", "{:.7f} "]))
def test_decimals_survive(degrees: float, form: str) -> None:
    assert parse_coordinate(form.format(degrees), "NS") == pytest.approx(degrees, abs=1e-7)


@pytest.mark.parametrize(
    ("text", "reference", "metres"),
    [
        ("25/10", "0", 2.5), ("25/10", "1", -2.5), ("-2.5", "", -2.5), ("-2.5", "1", -2.5),
        ("2.5", "2", 2.5), ("2.5", "3", -2.5), ("12 m", "0", 12), ("1/0", "0", None),
        ("high", "0", None), ("", "", None),
    ],
)  # fmt: skip
def test_altitudes(text: str, reference: str, metres: float | None) -> None:
    assert parse_altitude(text, reference) == metres


@pytest.mark.parametrize("place", [(91.0, 0.0), (0.0, 181.0), (0.0, 0.0), (math.nan, 1.0)])
def test_what_is_no_place_on_earth(place: tuple[float, float]) -> None:
    assert checked_location(*place) is None


@given(st.floats(-180, 180) | st.sampled_from([-180.0, -90.0, 0.0, 90.0, 180.0, 59.99999999999]))
def test_degrees_there_and_back_within_a_centimetre(degrees: float) -> None:
    back = signed_degrees([n / d for n, d in degrees_to_rationals(degrees)], "EW")
    assert back is not None
    assert abs(back - abs(degrees)) * 111_320 < 0.01
