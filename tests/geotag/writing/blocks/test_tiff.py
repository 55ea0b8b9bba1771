"""Exif blocks: what is appended, and what may not be touched at all."""

from __future__ import annotations

import struct

import piexif
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotag.metadata.exif import parse_metadata
from geotag.metadata.positions import degrees_to_rationals
from geotag.writing.blocks.tiff import (
    BYTE,
    TiffError,
    Value,
    edit_tiff,
    encode_value,
    parse_tiff,
)
from geotag.writing.edits import apply_edits
from tests.geotag.writing.samples import gps_entries, tiff_block

ORDERS = pytest.mark.parametrize("order", ["<", ">"])
PRIVATE = ("ifd0", 0xC6D2)


@ORDERS
def test_only_pointers_change_and_all_else_is_appended(order: str) -> None:
    block = tiff_block(order)
    value = encode_value(parse_tiff(block).order, 5, degrees_to_rationals(48.5))
    edits = edit_tiff(
        parse_tiff(block), {("gps", 0x14): value, ("ifd0", 0x9C9E): Value(BYTE, b"abcdef")}
    )
    assert all(e.start == e.stop == len(block) or (e.start, e.stop) == (4, 8) for e in edits)
    after = parse_tiff(apply_edits(block, edits))
    assert after.data(("gps", 0x14)) == value.data
    assert after.data(("ifd0", 0x9C9E)) == b"abcdef"
    assert after.data(PRIVATE) == b"private\0\1"


@ORDERS
def test_existing_tags_are_set_in_place(order: str) -> None:
    block = tiff_block(order, gps=gps_entries(order, -33, 151))
    value = encode_value(parse_tiff(block).order, 5, degrees_to_rationals(12.25))
    new = apply_edits(block, edit_tiff(parse_tiff(block), {("gps", 2): value}))
    location = parse_metadata(new).location
    assert location is not None and location[:2] == (-12.25, 151)
    assert new[4:8] == block[4:8]


@ORDERS
def test_removed_tags_are_gone_and_the_rest_stays(order: str) -> None:
    block = tiff_block(order, gps=gps_entries(order, -33, 151))
    new = apply_edits(block, edit_tiff(parse_tiff(block), {("gps", 7): None}))
    gps = piexif.load(b"Exif\0\0" + new)["GPS"]
    assert 7 not in gps and gps[6] == (1234, 10)


def test_entries_stay_sorted_as_the_standard_wants() -> None:
    block = tiff_block()
    new = apply_edits(block, edit_tiff(parse_tiff(block), {("ifd0", 0x9C9E): Value(BYTE, b"ab")}))
    tags = list(parse_tiff(new).directories["ifd0"].entries)
    assert tags == sorted(tags)


def test_damaged_entry_stays_behind_those_that_were_before_it() -> None:
    block = bytearray(tiff_block())
    at = bytes(block).index(struct.pack("<HHI", 0x8769, 4, 1)) - 12
    block[at : at + 12] = struct.pack("<HHII", 1, 0, 1, 0)
    new = apply_edits(
        bytes(block), edit_tiff(parse_tiff(bytes(block)), {("ifd0", 0x9C9E): Value(BYTE, b"ab")})
    )
    old_tags = list(parse_tiff(bytes(block)).directories["ifd0"].entries)
    tags = list(parse_tiff(new).directories["ifd0"].entries)
    assert [tag for tag in tags if tag != 0x9C9E] == old_tags
    assert tags.index(0x9C9E) == tags.index(0x8769) + 1


def _after_thumbnail(block: bytearray) -> slice:
    """Where the thumbnail's directory holds the offset of the next one."""
    at = int.from_bytes(block[4:8], "little")
    for _ in range(2):
        link = at + 2 + 12 * int.from_bytes(block[at : at + 2], "little")
        at = int.from_bytes(block[link : link + 4], "little")
    return slice(link, link + 4)


def spoiled(change: str) -> bytes:
    block = bytearray(tiff_block())
    ifd0 = struct.unpack("<I", block[4:8])[0]
    if change == "directory outside":
        block[4:8] = struct.pack("<I", len(block) + 10)
    elif change == "count too large":
        block[ifd0 : ifd0 + 2] = b"\xff\xff"
    elif change == "value outside":
        block[ifd0 + 10 : ifd0 + 14] = struct.pack("<I", len(block) - 2)
    elif change == "a tag twice":
        block[ifd0 + 14 : ifd0 + 16] = block[ifd0 + 2 : ifd0 + 4]
    elif change == "loop":
        at = bytes(block).index(struct.pack("<HHI", 0x8769, 4, 1))
        block[at + 8 : at + 12] = struct.pack("<I", ifd0)
    elif change == "sub-directory outside":
        block = bytearray(tiff_block(more={0x014A: (4, 1, struct.pack("<I", 10**6))}))
    elif change == "thumbnail outside":
        at = bytes(block).index(struct.pack("<HHI", 0x0202, 4, 1))
        block[at + 8 : at + 12] = struct.pack("<I", len(block))
    elif change == "preview outside":
        place = {0x0201: 10**6, 0x0202: 100}
        more = {tag: (4, 1, struct.pack("<I", number)) for tag, number in place.items()}
        block = bytearray(tiff_block(more=more))
    elif change == "third directory outside":
        block[_after_thumbnail(block)] = struct.pack("<I", len(block) + 24)
    elif change == "third directory is the first":
        block[_after_thumbnail(block)] = struct.pack("<I", ifd0)
    return bytes(block)


@pytest.mark.parametrize(
    "change",
    [
        "directory outside",
        "count too large",
        "value outside",
        "a tag twice",
        "loop",
        "thumbnail outside",
        "sub-directory outside",
        "preview outside",
        "third directory outside",
        "third directory is the first",
    ],
)
def test_damaged_blocks_are_refused(change: str) -> None:
    with pytest.raises(TiffError):
        parse_tiff(spoiled(change))


@given(st.binary(max_size=200))
def test_noise_is_refused_or_read_but_never_crashes(noise: bytes) -> None:
    for head in (b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"):
        try:
            parse_tiff(head + noise)
        except TiffError:
            continue
