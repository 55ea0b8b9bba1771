"""A model that remembers its training photos knows what it has never seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geotag.model.memory import Memory, Recollection, parse_recollection
from training.calibrate import fit_temperature
from training.openset import Embedded, fit_memory, remember
from training.reports.shares import best_confidences, measure_shares, without_own

SIDE, CATEGORIES = 24, 8


def _photos(seed: int, unknown: bool = False) -> Embedded:
    """Unit embeddings around a centre for each category, and background all around; with
    `unknown`, between two of the centres."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).normal(size=(CATEGORIES, SIDE))
    labels = np.repeat(np.arange(CATEGORIES + 1), 30)
    means = np.concatenate([centres, np.zeros((1, SIDE))])[labels]
    if unknown:
        means = means + 1.2 * np.roll(means, 30, axis=0)
    found = means + rng.normal(0, 0.35, (len(labels), SIDE))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return Embedded(found.astype(np.float32), labels)


@pytest.fixture(scope="module")
def found() -> Recollection:
    return fit_memory(_photos(0), [_photos(1)], CATEGORIES, 1.0, 0)


def _familiarity(found: Recollection, photos: Embedded) -> np.ndarray:
    is_known = photos.labels < CATEGORIES
    embeddings = torch.from_numpy(photos.embeddings[is_known])
    return Memory(found).familiarity(embeddings, torch.from_numpy(photos.labels[is_known])).numpy()


def test_what_was_seen_is_more_familiar(found: Recollection) -> None:
    seen, unseen = _familiarity(found, _photos(2)), _familiarity(found, _photos(2, unknown=True))
    assert np.median(seen) > np.quantile(unseen, 0.95)


def test_the_unfamiliar_counts_as_background(found: Recollection) -> None:
    assert found.weights[2] < 0
    memory, seen, unseen = Memory(found), _photos(3), _photos(3, unknown=True)
    logits = np.full((len(seen.labels), CATEGORIES + 1), -4.0, np.float32)
    logits[np.arange(len(logits)), seen.labels] = 4.0
    changed = [
        memory(torch.from_numpy(photos.embeddings), torch.from_numpy(logits)).softmax(1).numpy()
        for photos in (seen, unseen)
    ]
    known = seen.labels < CATEGORIES
    confidences = [scores[known, :-1].max(1) for scores in changed]
    assert np.median(confidences[0]) > np.median(confidences[1]) + 0.05
    # The order of the categories stays as it was.
    assert (changed[1][known, :-1].argmax(1) == seen.labels[known]).all()
    assert fit_temperature(logits, seen.labels) > 0


def test_a_category_that_a_user_added_is_left_alone(found: Recollection) -> None:
    logits = torch.zeros(1, CATEGORIES + 2)
    logits[0, CATEGORIES] = 5.0
    embedding = torch.from_numpy(_photos(4).embeddings[:1])
    assert torch.equal(Memory(found)(embedding, logits), logits)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("weights", torch.zeros(3)),
        ("weights", torch.tensor([0.0, 0.0, float("nan"), 0.0])),
        ("points", torch.zeros(5, 3, dtype=torch.int8)),
        ("points", torch.zeros(270, SIDE)),
        ("categories", torch.full((270,), CATEGORIES, dtype=torch.int16)),
        ("mean", torch.zeros(SIDE + 1)),
        ("projection", torch.zeros(SIDE)),
    ],
)
def test_a_hostile_memory_is_refused(name: str, tensor: torch.Tensor) -> None:
    sound = remember(_photos(0), CATEGORIES, SIDE)._asdict()
    parse_recollection(sound, CATEGORIES)
    with pytest.raises(ValueError, match=r"it |its |wrong"):
        parse_recollection({**sound, name: tensor}, CATEGORIES)
    with pytest.raises(ValueError, match="missing"):
        parse_recollection({}, CATEGORIES)


def test_how_sure_it_is_of_what_was_taken_from_it_is_measured() -> None:
    rng = np.random.default_rng(0)
    surest = 1 - 0.9 * rng.random(4000) ** 1.5
    known = 1 - 0.6 * rng.random(500) ** 4
    shares = measure_shares(known, surest, np.array([0.1, 0.4]))
    assert shares is not None and shares.background == 0.5 and shares.known[0] == 1
    for confidence, share in zip(shares.confidences, shares.unknown, strict=True):
        assert share == pytest.approx((surest >= confidence).mean(), rel=0.3, abs=0.002)
    assert measure_shares(known, np.full(50, 0.2), np.array([])) is None


def test_a_photo_without_its_own_landmark_is_judged_by_the_rest() -> None:
    logits = np.array([[5.0, 1.0, 0.0], [0.0, 4.0, 2.0]], np.float32)
    left = best_confidences(without_own(logits, np.array([0, 1])), 1.0)
    assert left == pytest.approx([np.e / (np.e + 1), 1 / (1 + np.e**2)])
