"""The chunks of RIFF files."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from geotag.metadata.riff import riff_chunks


@given(st.lists(st.binary(max_size=9), max_size=5))
def test_chunks_are_found_where_they_lie(contents: list[bytes]) -> None:
    data = b"RIFF\0\0\0\0WEBP" + b"".join(
        struct.pack("<4sI", b"TEST", len(content)) + content + bytes(len(content) % 2)
        for content in contents
    )
    chunks = list(riff_chunks(lambda offset, length: data[offset : offset + length]))
    assert [data[c.data_at : c.data_at + c.size] for c in chunks] == contents
    assert [chunk.start for chunk in chunks] == [12, *(chunk.end for chunk in chunks)][:-1]
    assert not chunks or chunks[-1].end == len(data)


@given(st.binary(max_size=64))
def test_any_bytes_are_walked_to_an_end(data: bytes) -> None:
    for chunk in riff_chunks(lambda offset, length: data[offset : offset + length]):
        assert chunk.data_at <= len(data)
