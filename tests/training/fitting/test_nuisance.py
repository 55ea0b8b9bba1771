"""A classifier that wears blinkers gives the same whatever resolution did to the embedding."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from training.data.augment import degrade
from training.fitting.nuisance import Blinkers, find_directions


def test_the_direction_of_change_is_found() -> None:
    rng = np.random.default_rng(0)
    direction = np.array([0.6, 0, 0.8, 0, 0])
    changes = rng.normal(1, 0.2, (200, 1)) * direction + rng.normal(0, 0.01, (200, 5))
    (found,) = find_directions(changes.astype(np.float32), 1)
    assert abs(found @ direction) > 0.999


def test_what_changed_no_longer_counts() -> None:
    rng = np.random.default_rng(1)
    plain = rng.normal(0, 1, (300, 12)).astype(np.float32)
    shift = np.zeros(12, np.float32)
    shift[[0, 7]] = 3.0  # one direction in each of the two parts
    blinkers = Blinkers(
        plain, plain - rng.uniform(0.5, 1, (300, 1)).astype(np.float32) * shift, 1, 6
    )
    assert np.allclose(blinkers.project(plain), blinkers.project(plain - shift), atol=1e-4)
    classifier = nn.Linear(12, 4)
    before = classifier(torch.from_numpy(blinkers.project(plain)))
    blinkers.project_classifier(classifier)
    assert torch.allclose(classifier(torch.from_numpy(plain)), before, atol=1e-4)
    assert torch.allclose(classifier(torch.from_numpy(plain - shift)), before, atol=1e-4)


def test_degraded_pictures_keep_their_content_and_lose_detail() -> None:
    rng = np.random.default_rng(2)
    coarse = np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((64, 64, 1)))
    noisy = np.clip(coarse + rng.normal(0, 20, coarse.shape), 0, 255).astype(np.uint8)
    result, side = degrade(noisy, np.random.default_rng(0))
    assert side < 128
    assert result.shape == noisy.shape and result.dtype == np.uint8
    assert np.abs(result - coarse).mean() < 20
    detail = [np.abs(np.diff(x.astype(float), axis=1)).mean() for x in (noisy, result)]
    assert detail[1] < 0.6 * detail[0]
