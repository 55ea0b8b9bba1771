"""Values of options that are read from text."""

from __future__ import annotations

import click
import pytest

from geotag.cli.options import parse_clock_offset, parse_duration


@pytest.mark.parametrize(
    ("text", "camera", "seconds"),
    [
        ("Canon EOS 80D=-1h02m", "Canon EOS 80D", -3720),
        ("Canon EOS 80D (01=2)=40s", "Canon EOS 80D (01=2)", 40),
        ("NIKON D70=+2h", "NIKON D70", 7200),
        ("NIKON D70 = 1h1m1s", "NIKON D70", 3661),
    ],
)
def test_a_clock_offset(text: str, camera: str, seconds: float) -> None:
    assert parse_clock_offset(text) == (camera, seconds)


@pytest.mark.parametrize("text", ["", "Canon", "Canon=", "=1h", "Canon=1", "Canon=-", "Canon=1d"])
def test_what_is_no_clock_offset(text: str) -> None:
    with pytest.raises(click.BadParameter, match="CAMERA=OFFSET"):
        parse_clock_offset(text)


def test_durations() -> None:
    assert [parse_duration(text) for text in ("90", "90s", "1.5m", "2h", "1d")] == [
        90, 90, 90, 7200, 86400
    ]  # fmt: skip
