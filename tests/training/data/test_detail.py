"""Sharp pictures teach only classes that have been seen sharp."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from training.data.detail import find_detail, restricted_loss
from training.data.mixing import Batch, mix
from training.fitting.recipes import find_recipe

# Class 0 is known from small photos alone, 1 from both, 2 from sharp ones, 3 is background.
SIDES = np.array([96, 96, 96, 500, 500, 500], np.int32)
LABELS = np.array([0, 0, 1, 1, 2, 3], np.intp)
EVERYTHING = np.full(6, 256, np.int32)


def rivals_of(*sides: int) -> list[list[bool]]:
    detail = find_detail(SIDES, LABELS, np.arange(6), 113, 4)
    found: list[list[bool]] = detail.rivals(np.arange(6), np.array(sides, np.int32)).tolist()
    return found


def test_sharp_pictures_leave_out_what_was_never_seen_sharp() -> None:
    every, sharp = [True] * 4, [False, True, True, True]
    assert rivals_of(*EVERYTHING) == [every, every, every, sharp, sharp, sharp]
    assert rivals_of(256, 256, 256, 112, 113, 80) == [every, every, every, every, sharp, every]


def test_a_few_sharp_photos_may_be_mislabelled() -> None:
    sides = np.array([96] * 19 + [500], np.int32)
    labels = np.zeros(20, np.intp)
    assert find_detail(sides, labels, np.arange(20), 113, 2).classes.tolist() == [False, True]
    assert find_detail(sides, labels, np.arange(12, 20), 113, 2).classes.tolist() == [True, True]


def test_who_does_not_compete_is_not_pushed_away() -> None:
    logits = torch.zeros(1, 4, requires_grad=True)
    rivals = torch.tensor([[False, True, True, True]])
    smoothed = torch.tensor([[0.1, 0.1, 0.7, 0.1]])
    loss = restricted_loss(logits, smoothed, rivals)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0, 0] == 0 and logits.grad[0, 2] < 0 < logits.grad[0, 1]
    among_three = -(smoothed[0, 1:] / 0.9 * torch.zeros(3).log_softmax(0)).sum()
    assert torch.isclose(loss, among_three)


def test_a_picture_that_all_compete_for_has_the_usual_loss() -> None:
    logits, targets = torch.randn(3, 4), torch.eye(4)[:3]
    loss = restricted_loss(logits, targets, torch.ones(3, 4, dtype=torch.bool))
    assert torch.isclose(loss, torch.nn.functional.cross_entropy(logits, targets))


def test_a_mixed_picture_keeps_the_classes_of_both() -> None:
    """A small photo of class 0 and a sharp one of background, mixed with one another."""
    recipe = replace(find_recipe("tiny"), mixup=1.0)
    rivals = torch.tensor([[True, True, True, True], [False, True, False, True]])
    targets = torch.tensor([[0.85, 0.05, 0.05, 0.05], [0.05, 0.05, 0.05, 0.85]])
    found = set()
    for seed in range(20):
        batch = Batch(torch.rand(2, 8, 8, 3), targets, rivals)
        mixed = mix(batch, recipe, np.random.default_rng(seed)).rivals
        assert mixed is not None
        found.add(str(mixed.int().tolist()))
    # Paired with themselves, or with each other: then class 2 competes for neither.
    assert found == {str(rivals.int().tolist()), str([[1, 1, 0, 1], [1, 1, 0, 1]])}
