"""File names in tables."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from geotag.files.paths import format_path, parse_path


def test_plain_names_stay_plain() -> None:
    assert format_path("/fotos/Müller 100%.jpg") == "/fotos/Müller 100%.jpg"


def test_a_name_that_is_not_utf8_becomes_a_uri() -> None:
    path = os.fsdecode(b"/photos/caf\xe9 1%.jpg")
    assert format_path(path) == "file:///photos/caf%E9%201%25.jpg"
    assert parse_path(format_path(path)) == path


@given(st.binary(max_size=50))
def test_every_name_survives(name: bytes) -> None:
    path = "/" + os.fsdecode(name.replace(b"\0", b""))
    format_path(path).encode()
    assert parse_path(format_path(path)) == path
