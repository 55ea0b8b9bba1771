"""Names in byte order, however many."""

from __future__ import annotations

import random
import tempfile
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotag.files.sorting import sorted_names

NAMES = [b"%06d\n\xff.jpg" % number for number in range(150_000)]


@given(st.lists(st.binary().map(lambda name: name.replace(b"\0", b""))))
def test_a_few(names: list[bytes]) -> None:
    assert list(sorted_names(names)) == sorted(names)


def test_more_than_are_held_in_memory() -> None:
    shuffled = random.Random(0).sample(NAMES, len(NAMES))
    tracemalloc.start()
    assert all(map(bytes.__eq__, sorted_names(iter(shuffled)), NAMES))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3_000_000  # all of them would take 8 MB and more
    assert sum(1 for _ in sorted_names(shuffled)) == len(NAMES)


def test_without_a_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    assert list(sorted_names(reversed(NAMES))) == NAMES
