"""Times in the spellings of cameras and programs."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotag.metadata.times import format_gps_time, format_offset, format_time, without_fraction

NOON = "2008-10-22T12:00:00"


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2008:10:22 16:28:39", "2008-10-22T16:28:39"),
        ("2008-10-22 16:28:39", "2008-10-22T16:28:39"),
        ("2008/10/22 16:28:39", "2008-10-22T16:28:39"),
        ("2008.10.22 16:28:39", "2008-10-22T16:28:39"),
        ("2008:10:22T16:28:39", "2008-10-22T16:28:39"),
        ("2008:10:22 16:28", "2008-10-22T16:28:00"),
        ("2008:10:22 16:28:39.25", "2008-10-22T16:28:39.25"),
        ("2008-10-22T16:28:39.25+02:00", "2008-10-22T16:28:39.25+02:00"),
        ("2008-10-22T16:28:39Z", "2008-10-22T16:28:39+00:00"),
        ("2008:10:22 24:00:00", "2008-10-23T00:00:00"),
        ("2008:12:31 23:59:60", "2009-01-01T00:00:00"),
        ("2008: 1: 2  3: 4: 5", "2008-01-02T03:04:05"),
        ("2008:10:22 04:28:39 PM", "2008-10-22T16:28:39"),
        ("2008:10:22 12:28:39 a.m.", "2008-10-22T00:28:39"),
        ("2008:10:22 16:28:39\0\0 ", "2008-10-22T16:28:39"),
        ("2008.10.22 16.28.39", "2008-10-22T16:28:39"),
        ("2008.10.22 16.28.39.25", "2008-10-22T16:28:39.25"),
        ("2008-10-22_16-28-39", "2008-10-22T16:28:39"),
        ("2008:10:22 16;28;39", "2008-10-22T16:28:39"),
        ("2008:10:22 16h28m39s", "2008-10-22T16:28:39"),
        ("2008年10月22日 16:28:39", "2008-10-22T16:28:39"),
        ("2008:10:22 下午 04:28:39", "2008-10-22T16:28:39"),
        ("2008:10:22 오전 4:28:39", "2008-10-22T04:28:39"),
        ("2008:10:22 16:28:39 PM", "2008-10-22T16:28:39"),
        ("2008:10:22 16:28:39 AM", ""),
        ("20081022T162839", "2008-10-22T16:28:39"),
        ("20081022 162839.25+0200", "2008-10-22T16:28:39.25+02:00"),
        ("2008:10:22 16:28:39 UTC+02:00", "2008-10-22T16:28:39+02:00"),
        ("2008-10-22T16:28-02:00", "2008-10-22T16:28:00-02:00"),
        ("22/10/2008 16:28:39", ""),
        ("0000:00:00 00:00:00", ""),
        ("2008:13:01 00:00:00", ""),
        ("2008:02:30 00:00:00", ""),
        ("2008:10:22 24:00:01", ""),
        ("2008:10:22 25:00:00", ""),
        ("2008:10:22 16:60:00", ""),
        ("2008:10:22", ""),
        ("9999:12:31 24:00:00", ""),
        ("    :  :     :  :  ", ""),
        ("", ""),
    ],
)
def test_times(text: str, iso: str) -> None:
    assert format_time(text) == iso


def test_fraction_and_offset_from_fields_of_their_own() -> None:
    assert format_time("2008:10:22 12:00:00", "+02:00", "123") == f"{NOON}.123+02:00"
    assert format_time("2008:10:22 12:00:00", " ", "  ") == NOON
    assert format_time("2008:10:22 12:00:00.5-01:00", "+02:00", "123") == f"{NOON}.5-01:00"


@pytest.mark.parametrize(
    ("text", "offset"),
    [("+02:00", "+02:00"), ("+0200", "+02:00"), ("-3:30", "-03:30"), ("Z", "+00:00"),
     ("+15:00", ""), ("+02:60", ""), ("02:00", ""), ("", "")],
)  # fmt: skip
def test_offsets(text: str, offset: str) -> None:
    assert format_offset(text) == offset


@pytest.mark.parametrize(
    ("date", "parts", "iso"),
    [
        ("2008:10:23", (14.0, 27.0, 7.24), "2008-10-23T14:27:07.240+00:00"),
        ("2008:10:23", (0.0, 0.0, 0.0), "2008-10-23T00:00:00+00:00"),
        ("2008:10:23", (24.0, 0.0, 0.0), ""),
        ("2008:10:23", (14.0, 27.0), ""),
        ("2008:10:23", (14.0, 27.0, -1.0), ""),
        ("0000:00:00", (14.0, 27.0, 7.0), ""),
        ("", (14.0, 27.0, 7.0), ""),
    ],
)
def test_a_receivers_time(date: str, parts: tuple[float, ...], iso: str) -> None:
    assert format_gps_time(date, parts) == iso


@given(st.datetimes(datetime(1000, 1, 1)).map(lambda moment: moment.replace(microsecond=0)))
def test_any_time_survives(moment: datetime) -> None:
    assert format_time(moment.strftime("%Y:%m:%d %H:%M:%S")) == moment.isoformat()


@given(st.text(max_size=60), st.text(max_size=9), st.text(max_size=9))
def test_no_text_raises(text: str, offset: str, fraction: str) -> None:
    assert isinstance(without_fraction(format_time(text, offset, fraction)), str)


@given(
    st.from_regex(r"\d{4}:\d{2}:\d{2} \d{2}:\d{2}:\d{2}(\.\d{1,9})?([+-]\d{4})?", fullmatch=True)
)
def test_what_comes_out_is_iso_8601(text: str) -> None:
    found = format_time(text)
    assert not found or datetime.fromisoformat(without_fraction(found))
