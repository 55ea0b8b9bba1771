"""MakerNotes that other programs left with offsets behind the end of the block."""

from __future__ import annotations

import struct

import pytest

from geotag.writing.blocks.maker_note import points_outside
from geotag.writing.blocks.tiff import MAKER_NOTE, Tiff, parse_tiff
from tests.geotag.writing.samples import tiff_block


def block_with(note: bytes, order: str = "<") -> bytes:
    """A block that ends with its MakerNote, at offset 44."""
    ifd0 = struct.pack(order + "HHHIII", 1, 0x8769, 4, 1, 26, 0)
    exif = struct.pack(order + "HHHIII", 1, MAKER_NOTE, 7, len(note), 44, 0)
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8)
    return head + ifd0 + exif + note


def directory(offset: int, order: str = "<") -> bytes:
    """A directory of one short value of sixteen bytes, and room for it."""
    return struct.pack(order + "HHHIII", 1, 1, 3, 8, offset, 0) + bytes(16)


NOTES = {
    "Canon": (b"", 44 + 18, "<"),
    "Panasonic": (b"Panasonic\0\0\0", 44 + 12 + 18, "<"),
    "Nikon, own header": (b"Nikon\0\2\x10\0\0MM\0*\0\0\0\x08", 8 + 18, ">"),
    "Apple": (b"Apple iOS\0\0\1MM", 14 + 18, ">"),
    "Olympus": (b"OLYMPUS\0II\3\0", 12 + 18, "<"),
    "Fujifilm": (b"FUJIFILM\x0c\0\0\0", 12 + 18, "<"),
}


def tiff_with(maker: str, moved: int) -> Tiff:
    header, offset, order = NOTES[maker]
    return parse_tiff(block_with(header + directory(offset + moved, order), order))


@pytest.mark.parametrize("maker", NOTES)
def test_value_at_the_very_end_of_the_block_is_inside(maker: str) -> None:
    assert not points_outside(tiff_with(maker, 0), 300)


@pytest.mark.parametrize("maker", NOTES)
def test_value_behind_the_end_of_the_block_is_outside(maker: str) -> None:
    assert points_outside(tiff_with(maker, 1), 300)


def test_directory_in_the_other_byte_order() -> None:
    assert points_outside(parse_tiff(block_with(directory(5000, ">"), "<")), 300)


@pytest.mark.parametrize("note", [b"", b"x", b"no directory at all", b"\xff" * 40, bytes(30)])
def test_what_is_no_directory_points_nowhere(note: bytes) -> None:
    assert not points_outside(parse_tiff(block_with(note)), 300)


def test_block_without_a_note() -> None:
    assert not points_outside(parse_tiff(tiff_block()), 300)


@pytest.mark.parametrize(
    ("behind", "is_outside"),
    [(-18, False), (-17, True), (0, True), (299, True), (300, False)],
)
def test_number_that_may_be_an_offset_into_what_is_appended(behind: int, is_outside: bool) -> None:
    size = len(block_with(struct.pack("<HHHIII", 1, 0x0E22, 4, 1, 0, 0)))
    note = struct.pack("<HHHIII", 1, 0x0E22, 4, 1, size + behind, 0)
    assert points_outside(parse_tiff(block_with(note)), 300) is is_outside
