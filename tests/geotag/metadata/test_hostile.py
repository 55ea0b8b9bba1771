"""Hostile files: the work of reading metadata is bounded by what is there to read."""

from __future__ import annotations

import struct
import sys
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotag.metadata.containers import find_blocks
from geotag.metadata.header import parse_header
from geotag.metadata.jpeg import jpeg_segments, without_gaps
from geotag.metadata.xmp import parse_sidecar, parse_xmp
from tests.conftest import jpeg_bytes, picture
from tests.geotag.metadata.samples import (
    XMP_POSITION,
    box,
    chunk,
    exif_block,
    packet,
    png,
    position,
    segment,
)

JPEG = jpeg_bytes(picture(size=(64, 48)))
FTYP = box(b"ftyp", b"heic\0\0\0\0mif1heic")


def _heic(iloc: bytes) -> bytes:
    infe = box(b"infe", b"\2\0\0\0\0\1\0\0Exif\0")
    iinf = box(b"iinf", b"\0\0\0\0\0\1" + infe)
    return FTYP + box(b"meta", bytes(4) + iinf + box(b"iloc", iloc))


HOSTILE = {
    # 65,535 items of 65,535 extents each, none of which takes a byte.
    "iloc without sizes": _heic(struct.pack(">IBBH", 0, 0, 0, 65_535) + bytes(6 * 80)),
    "iloc of extents": _heic(struct.pack(">IBBH", 0, 0x44, 0, 65_535) + b"\xff" * 60_000),
    "iloc of items": _heic(struct.pack(">IBBI", 2 << 24, 0, 0, 2**32 - 1) + bytes(60_000)),
    "empty boxes": FTYP + box(b"free", b"") * 50_000,
    "empty chunks": png(*[chunk(b"tEXt", b"")] * 20_000),
    "profiles": png(*[chunk(b"zTXt", b"Raw profile type exif\0\0"
                            + zlib.compress(bytes(3 * 2**20), 9))] * 100),
    "fill bytes": JPEG[:2] + b"\xff" * 2**20 + JPEG[2:],
    "foreign bytes": JPEG[:20] + b"\0\xff" * 2**19 + JPEG[20:],
    "empty segments": JPEG[:2] + b"\xff\xe1\0\2" * 50_000 + JPEG[2:],
    "tiny packets": JPEG[:2] + segment(b"<rdf:RDF GPSLatitude") * 50_000 + JPEG[2:],
    "tiny parts": JPEG[:2] + segment(b"Exif\0\0" + bytes(9)) * 50_000 + JPEG[2:],
    "many entries": exif_block([(0x0100 + at % 9, 5, 2**31, b"12345678") for at in range(900)]),
    "empty RIFF chunks": b"RIFF\0\0\0\0WEBP" + b"ABCD\0\0\0\0" * 60_000,
}  # fmt: skip


def _lines_run(work: Callable[[], object]) -> int:
    """How many lines of Python a call runs: the same on every machine."""
    count = 0

    def trace(frame: object, event: str, argument: object) -> object:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("name", HOSTILE)
def test_work_is_bounded_by_the_files_size(name: str) -> None:
    data = HOSTILE[name]
    reads = fetched = 0

    def read(offset: int, length: int) -> bytes:
        nonlocal reads, fetched
        found = data[offset : offset + length]
        reads, fetched = reads + 1, fetched + len(found)
        return found

    lines = _lines_run(lambda: find_blocks(read))
    assert lines < 5000 + 6 * len(data)
    assert reads < 100 + len(data) // 4
    assert fetched < 200_000 + 4 * len(data)


def test_of_segments_that_hold_nothing_none_is_kept() -> None:
    """Else each would be copied with all that came before it."""
    data = JPEG[:2] + segment(bytes(60_000)) * 100 + JPEG[2:]
    tracemalloc.start()
    find_blocks(lambda offset, length: data[offset : offset + length])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500_000


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_have_no_position(name: str) -> None:
    assert parse_header(HOSTILE[name], "a.jpg").metadata.location is None


def test_decoders_do_not_see_what_stands_between_segments() -> None:
    assert without_gaps(JPEG) is JPEG
    for name in ("fill bytes", "foreign bytes"):
        assert without_gaps(HOSTILE[name]) == JPEG
    assert len(list(jpeg_segments(HOSTILE["fill bytes"]))) == len(list(jpeg_segments(JPEG)))


@given(st.binary(max_size=200), st.integers(2, 300))
def test_gaps_are_closed_without_harm(gap: bytes, at: int) -> None:
    data = JPEG[:at] + gap + JPEG[at:]
    assert len(without_gaps(data)) <= len(data)
    assert without_gaps(without_gaps(data)) == without_gaps(data)


PACKETS = {
    "deep": packet(body="<a>" * 10_000 + "</a>" * 10_000),
    "comments": packet(body="<!-- x --><?a b?>" * 1000),
    "attributes": packet(" ".join(f"exif:a{at}='1'" for at in range(10_000))),
    "prefixes": packet(
        " ".join(f"xmlns:a{at}='x'" for at in range(10_000)), "<b xmlns:c='d'/>" * 10_000
    ),
    "keywords": packet(body="<rdf:li>word</rdf:li>" * 30_000),
    "text": packet(body=f"<exif:GPSLatitude>{'9' * 500_000}</exif:GPSLatitude>"),
    "entities": b"<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;']><x>&b;</x>",
}


@pytest.mark.parametrize("name", PACKETS)
def test_packets_are_read_in_one_pass(name: str) -> None:
    data = PACKETS[name]
    assert _lines_run(lambda: parse_xmp(data)) < 5000 + 6 * len(data)
    assert parse_xmp(data).location is None


def test_a_packet_of_more_than_a_mebibyte_is_not_read() -> None:
    large = XMP_POSITION + b" " * 2**20
    assert _lines_run(lambda: parse_xmp(large)) < 200
    assert "larger than 1 MiB" in parse_xmp(large).position_unclear
    assert parse_xmp(b"<x>" + b" " * 2**20).position_unclear == ""
    assert "larger than 1 MiB" in parse_sidecar(large, "a.xmp").position_unclear


def test_comments_in_lists_harm_nothing() -> None:
    body = "<!-- GPS --><exif:GPSLatitude><!-- x -->10,0N</exif:GPSLatitude><?x y?>"
    found = parse_xmp(packet("exif:GPSLongitude='20,0E'", body))
    assert found.location is not None and found.location[:2] == (10, 20)


@given(st.binary(max_size=100), st.integers(0, 400))
def test_damaged_packets_never_raise(damage: bytes, at: int) -> None:
    parse_xmp(XMP_POSITION[:at] + damage + XMP_POSITION[at + len(damage) :])


@given(st.integers(0, 250), st.binary(min_size=1, max_size=12))
def test_damaged_exif_blocks_never_raise(at: int, damage: bytes) -> None:
    block = bytearray(exif_block(gps=position((10, 30, 0), (20, 0, 0))))
    block[at : at + len(damage)] = damage
    parse_header(JPEG[:2] + segment(b"Exif\0\0" + bytes(block)) + JPEG[2:], "a.jpg")


def test_many_blocks_are_no_larger_together_than_one_may_be() -> None:
    """Each of 16 directories tells the same 10 MiB as its packet."""
    large, first = 10 * 2**20, 64
    block = bytearray(struct.pack("<2sHI", b"II", 42, first))
    block = block.ljust(first, b"\0")
    for _ in range(16):
        behind = len(block) + 2 + 12 + 4
        block += struct.pack("<HHHII", 1, 0x02BC, 7, large, 2048) + struct.pack("<I", behind)
    data = bytes(block.ljust(2048, b"\0")) + bytes(large)
    found = find_blocks(lambda offset, length: data[offset : offset + length])
    assert sum(map(len, (*found.exifs, *found.xmps))) <= 16 * 2**20
