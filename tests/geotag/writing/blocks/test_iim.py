"""IPTC keywords inside Photoshop segments."""

from __future__ import annotations

import hashlib

import pytest

from geotag.writing.blocks.iim import IimError, can_hold, edit_keywords, parse_iim
from geotag.writing.edits import apply_edits
from tests.geotag.writing.samples import iim_block, photoshop_segment


def payload(*keywords: bytes, utf8: bool = False, digest: bool = True, more: bytes = b"") -> bytes:
    return photoshop_segment(iim_block(*keywords, utf8=utf8, more=more), digest)[4:]


def edited(data: bytes, add: str, remove: str = "") -> bytes:
    iim = parse_iim(data)
    assert iim is not None
    return apply_edits(data, edit_keywords(iim, add, remove))


@pytest.mark.parametrize("name", ["Tower", "Towers"])
def test_keyword_is_added_behind_the_others(name: str) -> None:
    new = parse_iim(edited(payload(b"a", b"b"), name))
    assert new is not None and new.keywords == ("a", "b", name)


def test_other_resources_and_datasets_stay() -> None:
    old, new = parse_iim(payload(b"a")), parse_iim(edited(payload(b"a"), "bc"))
    assert old is not None and new is not None
    assert old.other_resources() == new.other_resources()
    assert next(d for d in new.datasets if d.key == (2, 5)).data == b"a title"


def test_digest_that_fitted_fits_again() -> None:
    new = parse_iim(edited(payload(b"a"), "bc"))
    assert new is not None and new.digest is not None
    block = new.payload[new.resource.start : new.resource.stop]
    stored = new.payload[new.digest.start : new.digest.stop]
    assert stored == hashlib.md5(block, usedforsecurity=False).digest()


def test_digest_that_did_not_fit_stays() -> None:
    data = payload(b"a")
    old = parse_iim(data)
    assert old is not None and old.digest is not None
    data = data[: old.digest.start] + b"?" * 16 + data[old.digest.stop :]
    new = parse_iim(edited(data, "b"))
    assert new is not None and new.digest is not None
    assert new.payload[new.digest.start : new.digest.stop] == b"?" * 16


def test_block_of_ascii_becomes_utf8_for_a_name_that_needs_it() -> None:
    new = parse_iim(edited(payload(b"a"), "雷峰塔"))
    assert new is not None and new.is_utf8 and new.keywords == ("a", "雷峰塔")


def test_what_does_not_fit_is_said_beforehand() -> None:
    latin, unicode = parse_iim(payload("é".encode("latin-1"))), parse_iim(payload(utf8=True))
    assert latin is not None and unicode is not None
    assert can_hold(latin, "Tower") and not can_hold(latin, "été")
    assert can_hold(unicode, "été") and not can_hold(unicode, "é" * 33)


def test_removal_takes_one_keyword_alone() -> None:
    new = parse_iim(edited(payload(b"a", b"b", b"c"), "", "b"))
    assert new is not None and new.keywords == ("a", "c")


def test_keyword_that_is_there_is_not_added() -> None:
    assert edited(payload(b"a"), "a") == payload(b"a")


def test_segment_without_the_block_has_none() -> None:
    assert parse_iim(b"Photoshop 3.0\x008BIM\x03\xed\0\0\0\0\0\0") is None


@pytest.mark.parametrize("more", [b"\x1c\x02", b"\x1c\x02\x19\xff\xffabc", b"rubbish"])
def test_damaged_blocks_are_refused(more: bytes) -> None:
    with pytest.raises(IimError):
        parse_iim(payload(b"a", more=more))


def test_damaged_segments_are_refused() -> None:
    with pytest.raises(IimError):
        parse_iim(payload(b"a")[:60])
    with pytest.raises(IimError):
        parse_iim(b"Photoshop 3.0\0" + b"rubbish rubbish")
