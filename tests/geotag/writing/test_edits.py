"""Edits of bytes, and their undoing."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotag.writing.edits import (
    CannotEmbedError,
    Edit,
    apply_edits,
    format_edits,
    invert_edits,
    parse_edits,
    trimmed,
)


@st.composite
def edited(draw: st.DrawFn) -> tuple[bytes, tuple[Edit, ...]]:
    data = draw(st.binary(max_size=60))
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    pairs = list(zip(cuts[::2], cuts[1::2], strict=False))
    return data, tuple(Edit(a, b, draw(st.binary(max_size=6))) for a, b in pairs)


@given(edited())
def test_inverse_leads_back(case: tuple[bytes, tuple[Edit, ...]]) -> None:
    data, edits = case
    assert apply_edits(apply_edits(data, edits), invert_edits(data, edits)) == data


@given(edited())
def test_packed_edits_are_the_same(case: tuple[bytes, tuple[Edit, ...]]) -> None:
    assert parse_edits(format_edits(case[1]), 100) == case[1]


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=5))
def test_trimmed_edit_does_the_same(old: bytes, new: bytes, around: bytes) -> None:
    data = around + old + around
    edit = Edit(len(around), len(around) + len(old), new)
    assert apply_edits(data, [trimmed(data, edit)]) == apply_edits(data, [edit])


def test_inserts_at_one_place_keep_their_order() -> None:
    assert apply_edits(b"ab", [Edit(1, 1, b"1"), Edit(1, 1, b"2"), Edit(1, 2, b"B")]) == b"a12B"


@pytest.mark.parametrize(
    "edits", [[Edit(0, 2, b""), Edit(1, 3, b"")], [Edit(2, 9, b"")], [Edit(3, 2, b"")]]
)
def test_overlapping_or_outlying_edits_are_refused(edits: list[Edit]) -> None:
    with pytest.raises(ValueError, match="overlap"):
        apply_edits(b"abc", edits)


@pytest.mark.parametrize("spoil", [lambda p: p[:-3], lambda p: b"x" + p, lambda p: b""])
def test_damaged_record_is_refused(spoil: object) -> None:
    packed = format_edits([Edit(1, 2, b"some bytes")])
    with pytest.raises(ValueError, match="damaged"):
        parse_edits(spoil(packed), 100)  # type: ignore[operator]


def test_edits_without_end_are_none() -> None:
    """Some kilobytes that unpack to as many edits as there is room for."""
    empty = struct.pack("<QQQ", 0, 0, 0)
    with pytest.raises(ValueError, match="too many"):
        parse_edits(zlib.compress(empty * 100_000), 2**16)
    with pytest.raises(CannotEmbedError):
        format_edits([Edit(0, 0, b"x")] * 100_000)
