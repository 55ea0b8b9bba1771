"""The walk through the directories of TIFF structures."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotag.metadata.tiff import open_tiff

ORDERS = pytest.mark.parametrize(("magic", "order"), [(b"II*\0", "<"), (b"MM\0*", ">")])


def structure(magic: bytes, order: str) -> bytes:
    """Two directories: an ASCII value of six bytes behind them, and a short in its entry."""
    first = struct.pack(order + "HHHII", 1, 0x010F, 2, 6, 32)
    second = struct.pack(order + "HHHIHH", 1, 0x0112, 3, 1, 6, 0)
    head = magic + struct.pack(order + "I", 8)
    return head + first + struct.pack(order + "I", 38) + bytes(6) + b"Canon\0" + second + bytes(4)


@ORDERS
@pytest.mark.parametrize("held", [8, 20, 500])
def test_values_are_read_where_they_lie(magic: bytes, order: str, held: int) -> None:
    data = structure(magic, order)
    tiff = open_tiff(data[:held], lambda offset, length: data[offset : offset + length])
    assert tiff is not None
    make = tiff.directory(tiff.first, frozenset((0x010F,)))[0x010F]
    assert tiff.value(make) == b"Canon\0"
    assert tiff.value(make, limit=5) == b""
    orientation = tiff.directory(tiff.next(tiff.first), frozenset((0x0112,)))[0x0112]
    assert tiff.number(tiff.value(orientation)) == 6
    assert tiff.next(tiff.next(tiff.first)) == 0


def test_a_directory_that_is_cut_short_gives_what_is_there() -> None:
    tiff = open_tiff(structure(b"II*\0", "<")[:21])
    assert tiff is not None
    assert tiff.table(8) == (1, b"")
    assert tiff.directory(8, frozenset((0x010F,))) == {}


@given(st.binary(max_size=80).map(lambda data: b"II" + data), st.integers(0, 100))
def test_any_bytes_are_read_without_an_error(data: bytes, offset: int) -> None:
    tiff = open_tiff(data)
    if tiff is not None:
        tiff.next(offset)
        for entry in tiff.entries(tiff.table(offset)[1]):
            assert len(tiff.value(entry)) <= len(data)
