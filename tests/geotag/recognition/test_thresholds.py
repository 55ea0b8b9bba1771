"""How sure the model must be in one library follows what is in it."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotag.decision import Thresholds
from geotag.engines.base import EngineOptions
from geotag.errors import UsageError
from geotag.model.checkpoint import load_checkpoint, save_checkpoint
from geotag.model.spec import ScoreShares
from geotag.options import ScanOptions
from geotag.pipeline import scan_library
from geotag.recognition.thresholds import LEAST_PHOTOS, estimate_thresholds, threshold_at
from geotag.records import Likeliest, OwnCategory, Status
from geotag.tables import read_table
from tests.conftest import WritePhoto

SHARES = ScoreShares(
    (0.35, 0.5, 0.7, 0.85, 0.95, 0.99, 0.999, 0.9999),
    (0.97, 0.95, 0.92, 0.88, 0.83, 0.72, 0.45, 0.07),
    (0.29, 0.16, 0.09, 0.05, 0.016, 0.0035, 0.0004, 0.00004),
    0.06,
)
LEAST = 0.95
# To convert a model that is scanned with but once takes longer than the scan.
PYTORCH = EngineOptions("pytorch", "cpu")
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
    seen = (Likeliest(*one) for one in best)
    return estimate_thresholds(seen, photos, SHARES, LEAST, precision)


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


def test_photos_of_one_scene_are_one_witness() -> None:
    """Eight copies of a picture say no more than one photo, shots of a minute little more."""
    others = [Likeliest(*one) for one in known(20, "a") + unknown(100, "a")]
    nearly = Likeliest("b", 0.985)

    def least(photo: Likeliest, count: int) -> float:
        seen = [*others, *[photo] * count]
        return estimate_thresholds(seen, 5000, SHARES, LEAST, 0.99).of("b")

    assert least(nearly, 8) < 0.985 < least(nearly, 1)
    assert least(nearly._replace(fingerprint=bytes(range(32))), 8) == least(nearly, 1)
    minute = least(nearly._replace(moment="Acme 2023-05-12T10:03"), 8)
    assert least(nearly, 8) < minute < least(nearly, 1)


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


def test_a_scan_takes_the_share_it_is_given_without_reading_again(
    write_photo: WritePhoto, model_path: Path, tmp_path: Path
) -> None:
    folder = write_photo("a.jpg", "eiffel_tower").parent
    table = str(tmp_path / "tags.csv")
    found = {}
    for share in (None, 0.0, 0.5):
        options = ScanOptions(model=model_path, prevalence=share)
        summary = scan_library([str(folder)], table, options)
        (row,) = read_table(table)
        found[share] = row.status, row.top_k
        assert summary.read == (1 if share is None else 0)
    assert found[None] == found[0.5]
    assert found[None][0] is Status.TAGGED
    assert found[0.0] == (Status.UNCERTAIN, found[None][1])


def test_a_library_full_of_what_only_looks_like_a_landmark_gets_no_tags(
    write_photo: WritePhoto, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a model that is as sure of what it does not know as of what it does, no tag is right."""
    folder = write_photo("a.jpg", "eiffel_tower").parent
    write_photo("b.jpg", "taj_mahal")
    model = load_checkpoint(model_path)
    shares = ScoreShares((0.35, 0.9), (0.9, 0.8), (0.9, 0.79), 0.9)
    blind = tmp_path / "blind.safetensors"
    save_checkpoint(blind, model.spec._replace(shares=shares), model.tensors)
    for least, status in ((3, Status.TAGGED), (2, Status.UNCERTAIN)):
        monkeypatch.setattr("geotag.recognition.thresholds.LEAST_PHOTOS", least)
        table = str(tmp_path / f"{least}.csv")
        scan_library([str(folder)], table, ScanOptions(model=blind, engine_options=PYTORCH))
        rows = list(read_table(table))
        assert [row.status for row in rows] == [status] * 2
        assert (
            "many photos in this library look somewhat like Eiffel Tower" in rows[0].evidence
        ) == (least == 2)
    options = ScanOptions(model=blind, engine_options=PYTORCH, threshold=0.9)  # as it stands
    scan_library([str(folder)], table, options)
    assert {row.status for row in read_table(table)} == {Status.TAGGED}


def test_a_share_means_nothing_to_a_model_without_spreads_of_scores(
    write_photo: WritePhoto, model_path: Path, tmp_path: Path
) -> None:
    folder = write_photo("a.jpg", "eiffel_tower").parent
    model = load_checkpoint(model_path)
    old = tmp_path / "old.safetensors"
    save_checkpoint(old, model.spec._replace(shares=None), model.tensors)
    table = str(tmp_path / "tags.csv")
    with pytest.raises(UsageError, match="does not say how sure it is"):
        scan_library(
            [str(folder)], table, ScanOptions(model=old, engine_options=PYTORCH, prevalence=0.1)
        )
    scan_library([str(folder)], table, ScanOptions(model=old, engine_options=PYTORCH))
    assert [row.status for row in read_table(table)] == [Status.TAGGED]


def test_a_landmark_of_the_users_own_keeps_its_threshold(
    write_photo: WritePhoto, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its scores are spread otherwise: few photos taught it."""
    monkeypatch.setattr("geotag.recognition.thresholds.LEAST_PHOTOS", 2)
    folder = write_photo("a.jpg", "eiffel_tower").parent
    write_photo("b.jpg", "taj_mahal")
    model, own = load_checkpoint(model_path), OwnCategory(1_000_000, "own_mast", "Mast", 47.5, 8.25)
    slugs = tuple(own.slug if s == "eiffel_tower" else s for s in model.spec.categories)
    shares = ScoreShares((0.35, 0.9), (0.9, 0.8), (0.9, 0.79), 0.9)
    spec = model.spec._replace(categories=slugs, own_categories=(own,), shares=shares)
    taught = tmp_path / "taught.safetensors"
    save_checkpoint(taught, spec, model.tensors)
    for prevalence in (None, 0.0):
        table = str(tmp_path / "tags.csv")
        options = ScanOptions(model=taught, engine_options=PYTORCH, prevalence=prevalence)
        scan_library([str(folder)], table, options)
        statuses = [(row.status, row.landmark) for row in read_table(table)]
        assert statuses == [(Status.TAGGED, "Mast"), (Status.UNCERTAIN, "")]
