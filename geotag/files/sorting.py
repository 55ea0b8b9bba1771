"""Sorts more names than memory should hold."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from heapq import merge
from itertools import islice
from typing import BinaryIO

_IN_MEMORY = 2**16
_BLOCK = 2**14
_END = b"\0"  # which no file's name holds


def sorted_names(names: Iterable[bytes]) -> Iterator[bytes]:
    """File names in byte order; many are sorted in parts that wait in temporary files."""
    remaining = iter(names)
    runs: list[Iterable[bytes]] = []
    while part := sorted(islice(remaining, _IN_MEMORY)):
        runs.append(_stored(part) if len(part) == _IN_MEMORY else part)
    return merge(*runs)


def _stored(names: list[bytes]) -> Iterable[bytes]:
    """The same names from a temporary file; from memory where there is no room for one."""
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115 (its reader closes it)
        for name in names:
            file.write(name + _END)
        file.seek(0)
    except OSError:
        return names
    return _read(file)


def _read(file: BinaryIO) -> Iterator[bytes]:
    with closing(file):
        rest = b""
        while block := file.read(_BLOCK):
            *names, rest = (rest + block).split(_END)
            yield from names
