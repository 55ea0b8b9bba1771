"""Copies are one witness, bursts little more, and others are counted one by one."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotag.decoding.fingerprint import fingerprint
from geotag.decoding.transforms import preprocess
from geotag.recognition.witnesses import Witnesses
from geotag.records import Likeliest
from tests.geotag.decoding.test_fingerprint import scene, sent

STEPS = 4
photos = st.builds(
    Likeliest,
    st.just("a"),
    st.just(0.9),
    st.sampled_from(["", "Acme 10:03", "Acme 10:04"]),
    st.sampled_from([b"", bytes(range(32)), bytes(range(1, 33)), bytes(range(9, 41))]),
)
seen = st.lists(st.tuples(st.integers(0, STEPS - 1), photos), max_size=30)


def count(found: list[tuple[int, Likeliest]]) -> list[float]:
    witnesses = Witnesses()
    for step, photo in found:
        witnesses.add(step, photo)
    return witnesses.count(STEPS).tolist()


def shot(moment: str = "", print_: bytes = b"") -> Likeliest:
    return Likeliest("a", 0.9, moment, print_)


def test_each_further_one_of_a_minute_counts_a_quarter() -> None:
    burst = [(step, shot("Acme 10:03")) for step in (0, 1, 1, 3, 3)]
    assert count(burst) == pytest.approx([0.4, 0.8, 0, 0.8])
    others = [(2, shot("Acme 10:04")), (2, shot("Zeiss 10:03"))]
    assert count([*burst, *others])[2] == 2


def test_photos_of_which_nothing_is_known_count_alone() -> None:
    assert count([(2, shot())] * 5) == [0, 0, 5, 0]
    assert count([]) == [0] * STEPS


def test_copies_that_were_scaled_and_compressed_are_one() -> None:
    prints = [
        fingerprint(preprocess(picture, 256))
        for seed in range(40)
        for picture in (scene(seed), sent(scene(seed)))
    ]
    random.Random(1).shuffle(prints)
    assert sum(count([(0, shot(print_=p)) for p in prints])) == pytest.approx(40)


def test_copies_of_one_minute_are_one() -> None:
    one, other = bytes(range(32)), bytes(range(100, 132))
    copies = [(0, shot("10:03", one))] * 8
    assert count(copies) == [pytest.approx(1), 0, 0, 0]
    assert count([*copies, (1, shot("10:03", other))])[:2] == pytest.approx([0.625, 0.625])
    assert count([*copies, (1, shot("", one)), (2, shot())])[2] == 1


@given(seen, st.randoms(use_true_random=False))
def test_the_order_says_nothing(
    found: list[tuple[int, Likeliest]], shuffled: random.Random
) -> None:
    mixed = found[:]
    shuffled.shuffle(mixed)
    assert count(mixed) == count(found)
    assert 0 < sum(count(found)) <= len(found) + 1e-9 or not found


def test_any_number_of_nearly_equal_pictures_is_counted_quickly() -> None:
    """As of a camera that looks at one place for years."""
    prints = np.random.default_rng(0).integers(0, 256, (20_000, 32), np.uint8)
    prints[:, :12] = 7
    found = [(0, shot(print_=one.tobytes())) for one in prints]
    assert 0 < sum(count(found)) <= len(found)
