"""Mixup and cutmix: pictures and targets of two photos become one."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.fitting.recipes import Recipe


class Batch(NamedTuple):
    """Inputs of a module, their targets (N, C), which sum to 1, and the classes (N, C) that
    compete for each, None for all."""

    inputs: Tensor
    targets: Tensor
    rivals: Tensor | None = None


def mix(batch: Batch, recipe: Recipe, rng: np.random.Generator) -> Batch:
    """Mix a whole batch of pictures (N, S, S, 3) in a share of batches that the recipe gives.

    Mixup is of Zhang et al. (2018), with beta(0.4, 0.4); cutmix of Yun et al. (2019).
    """
    drawn = rng.random()
    if drawn >= recipe.mixup + recipe.cutmix:
        return batch
    pictures, targets, rivals = batch
    order = torch.from_numpy(rng.permutation(len(pictures)))
    if drawn < recipe.mixup:
        kept = float(rng.beta(0.4, 0.4))
        pictures = torch.lerp(pictures[order], pictures, kept)
    else:
        pictures, kept = _cut(pictures, order, float(rng.beta(1, 1)), rng)
    return Batch(
        pictures, torch.lerp(targets[order], targets, kept), _rivals(rivals, targets, order)
    )


def _rivals(rivals: Tensor | None, targets: Tensor, order: Tensor) -> Tensor | None:
    """The classes that compete for both photos, and those that they show."""
    if rivals is None:
        return None
    shown = functional.one_hot(targets.argmax(1), targets.shape[1]).bool()
    return rivals & rivals[order] | shown | shown[order]


def _cut(
    pictures: Tensor, order: Tensor, kept: float, rng: np.random.Generator
) -> tuple[Tensor, float]:
    size = pictures.shape[1]
    side = int(size * math.sqrt(1 - kept))
    top, left = (int(rng.integers(size - side + 1)) for _ in range(2))
    mixed = pictures.clone()
    mixed[:, top : top + side, left : left + side] = pictures[
        order, top : top + side, left : left + side
    ]
    return mixed, 1 - (side / size) ** 2
