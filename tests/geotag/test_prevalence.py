"""The share of landmarks in a library is told from its scores, and tags follow it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geotag.decision import Decider
from geotag.options import ScanOptions
from geotag.pipeline import scan_library
from geotag.prevalence import CALIBRATED_SHARE, USUAL_SHARE, adjust, estimate_prevalence
from geotag.records import Metadata, Photo, Prediction, Reading, Score, Status
from geotag.tables import read_table
from tests.conftest import WritePhoto
from tests.geotag.test_decision import TABLE


def _calibrated(share: float, count: int) -> list[float]:
    """The probabilities that an honest classifier gives photos of which `share` show a landmark."""
    rng = np.random.default_rng(0)
    is_landmark = rng.random(count) < share
    evidence = rng.normal(np.where(is_landmark, 3.0, -3.0), np.sqrt(6.0))  # log-likelihood ratios
    odds = np.exp(evidence) * CALIBRATED_SHARE / (1 - CALIBRATED_SHARE)
    return list(odds / (1 + odds))


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3, 0.9])
def test_the_share_is_found(share: float) -> None:
    found = estimate_prevalence(_calibrated(share, 20_000))
    assert found == pytest.approx(share, rel=0.25)
    assert float(f"{found:.2g}") == found


@pytest.mark.parametrize("shown", [[], [0.0] * 199, [1.0] * 50])
def test_too_few_photos_tell_nothing(shown: list[float]) -> None:
    assert estimate_prevalence(shown) == USUAL_SHARE


def test_extremes_are_numbers() -> None:
    assert 0 < estimate_prevalence([0.0] * 500) < 0.05
    assert 0.9 < estimate_prevalence([1.0] * 500) < 1
    assert adjust(1.0, 1.0, 0.0, 0.5) == pytest.approx(0, abs=1e-9)
    assert adjust(0.8, 0.9, 0.5, 0.5) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("prevalence", "status"),
    [(0.5, Status.TAGGED), (1.0, Status.TAGGED), (0.2, Status.UNCERTAIN), (0, Status.UNCERTAIN)],
)
def test_where_landmarks_are_rare_a_tag_takes_more(prevalence: float, status: Status) -> None:
    prediction = Prediction((Score("eiffel_tower", 0.95),), 0.97)
    decider = Decider(0.9, 1, "model-1", TABLE.by_slug, prevalence)
    assert (
        decider.outcome(Reading(Photo("/p.jpg", 1, "1"), Metadata(), prediction)).status is status
    )


def test_a_higher_share_never_takes_less_than_the_threshold() -> None:
    prediction = Prediction((Score("eiffel_tower", 0.85),), 0.9)
    decider = Decider(0.9, 1, "model-1", TABLE.by_slug, 0.99)
    row = decider.outcome(Reading(Photo("/p.jpg", 1, "1"), Metadata(), prediction))
    assert row.status is Status.UNCERTAIN


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
