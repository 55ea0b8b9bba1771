"""How sure the model must be in one library follows what is in it."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotag.decision import Thresholds
from geotag.model.spec import ScoreShares
from geotag.recognition.thresholds import LEAST_PHOTOS, estimate_thresholds, threshold_at

SHARES = ScoreShares(
    (0.35, 0.5, 0.7, 0.85, 0.95, 0.99, 0.999, 0.9999),
    (0.97, 0.95, 0.92, 0.88, 0.83, 0.72, 0.45, 0.07),
    (0.29, 0.16, 0.09, 0.05, 0.016, 0.0035, 0.0004, 0.00004),
    0.06,
)
LEAST = 0.95
confidences = st.floats(0.35, 1)
bests = st.lists(st.tuples(st.sampled_from("abc"), confidences), max_size=60)


def drawn(count: int, curve: tuple[float, ...], seed: int, slug: str) -> list[tuple[str, float]]:
    """The best scores of so many photos, spread as a curve says; unsure ones are left out."""
    shares = np.random.default_rng(seed).random(count)
    rarity = np.interp(-np.log(shares), -np.log(curve), -np.log1p(-np.array(SHARES.confidences)))
    found = (1 - np.exp(-rarity)).round(5)
    return [(slug, float(c)) for c, share in zip(found, shares, strict=True) if share <= curve[0]]


def known(count: int, slug: str = "a", seed: int = 1) -> list[tuple[str, float]]:
    return drawn(count, SHARES.known, seed, slug)


def unknown(count: int, slug: str = "a", seed: int = 2) -> list[tuple[str, float]]:
    return drawn(count, SHARES.unknown, seed, slug)


def found(best: list[tuple[str, float]], photos: int, precision: float = 0.99) -> Thresholds:
    return estimate_thresholds(best, photos, SHARES, LEAST, precision)


def test_a_library_of_known_landmarks_is_tagged_as_usual() -> None:
    here = found(known(1000), 1000)
    assert here.of("a") == LEAST and here.share == pytest.approx(1, abs=0.05)


def test_what_looks_like_a_landmark_and_is_not_sure_raises_its_threshold_alone() -> None:
    here = found(known(100, "a") + known(30, "b") + unknown(1000, "b"), 5000)
    assert here.of("a") <= 0.99 < here.of("b")


def test_the_share_of_landmarks_is_found() -> None:
    for share in (0.01, 0.05, 0.3, 0.9):
        photos = 20_000
        shown = round(share * photos)
        here = found(known(shown) + unknown((photos - shown) // 5), photos)
        assert here.share == pytest.approx(share, rel=0.2)


@pytest.mark.parametrize(("shown", "other"), [(1000, 500), (200, 1000), (100, 2000), (30, 3000)])
def test_tags_have_the_precision(shown: int, other: int) -> None:
    """Whatever the library holds, of 20 like it: or nothing is tagged."""
    right = wrong = 0
    for seed in range(20):
        landmarks, others = known(shown, seed=seed), unknown(other, seed=100 + seed)
        least = found(landmarks + others, 10_000).of("a")
        right += sum(confidence >= least for _, confidence in landmarks)
        wrong += sum(confidence >= least for _, confidence in others)
    assert wrong <= 1 + 0.02 * right


def test_where_nothing_is_a_landmark_nothing_is_tagged() -> None:
    here = found(unknown(5000), 20_000)
    assert here.of("a") > 0.9999 and here.others > 0.9999


@given(bests, st.integers(0, 1000))
def test_any_scores_give_thresholds_that_are_no_lower(
    best: list[tuple[str, float]], photos: int
) -> None:
    here = found(best, photos)
    assert here.others >= LEAST and all(t >= LEAST for t in here.landmarks.values())
    assert found(best[::-1], photos) == here
    if photos < LEAST_PHOTOS:
        assert here == Thresholds(LEAST)


@given(bests)
def test_a_higher_precision_takes_no_less(best: list[tuple[str, float]]) -> None:
    loose, strict = found(best, 500, 0.95), found(best, 500, 0.99)
    assert all(strict.of(slug) >= loose.of(slug) for slug in "abc")


def test_a_share_that_is_given_decides_for_all() -> None:
    at = [threshold_at(share, SHARES, LEAST, 0.99) for share in (1, 0.5, 0.05, 0.01, 0.001, 0)]
    assert at[:2] == [LEAST, LEAST] and at[-1] == math.inf
    assert all(a <= b for a, b in pairwise(at)) and LEAST < at[3] < 1
