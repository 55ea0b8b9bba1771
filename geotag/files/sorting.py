"""Sorts more names than memory should hold."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from heapq import merge
from itertools import islice
from typing import IO

_IN_MEMORY = 2**14
_BLOCK = 2**12
_END = b"\0"  # which no file's name holds


def sorted_names(names: Iterable[bytes]) -> Iterator[bytes]:
    """File names in byte order; many are sorted in parts that wait in a temporary file."""
    remaining = iter(names)
    parts: list[Iterable[bytes]] = []
    file: IO[bytes] | None = None
    while part := sorted(islice(remaining, _IN_MEMORY)):
        stored = None
        if len(part) == _IN_MEMORY:
            with suppress(OSError):  # no temporary folder, or no room in it: they stay in memory
                file = file or tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (read till the end)
                stored = _stored(part, file)
        parts.append(stored or part)
    return iter(parts[0]) if len(parts) == 1 else merge(*parts)


def _stored(names: list[bytes], file: IO[bytes]) -> Iterator[bytes]:
    """The same names from the end of a file. Raises OSError."""
    start = file.seek(0, 2)
    data = _END.join([*names, b""])
    if file.write(data) != len(data):
        raise OSError("the disk is full")
    return _read(file, start, start + len(data))


def _read(file: IO[bytes], at: int, end: int) -> Iterator[bytes]:
    rest = b""
    while at < end:
        file.seek(at)
        block = file.read(min(_BLOCK, end - at))
        if not block:
            raise OSError("a temporary file was cut short")
        at += len(block)
        *names, rest = (rest + block).split(_END)
        yield from names
