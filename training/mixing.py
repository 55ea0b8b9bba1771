"""Mixup and cutmix: pictures and targets of two photos become one."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from training.recipes import Recipe


def mix(
    pictures: Tensor, targets: Tensor, recipe: Recipe, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Mix a whole batch, (N, S, S, 3) and (N, C), in a share of batches that the recipe gives.

    Mixup is of Zhang et al. (2018), with beta(0.4, 0.4); cutmix of Yun et al. (2019).
    """
    drawn = rng.random()
    if drawn >= recipe.mixup + recipe.cutmix:
        return pictures, targets
    order = torch.from_numpy(rng.permutation(len(pictures)))
    if drawn < recipe.mixup:
        kept = float(rng.beta(0.4, 0.4))
        pictures = torch.lerp(pictures[order], pictures, kept)
    else:
        pictures, kept = _cut(pictures, order, float(rng.beta(1, 1)), rng)
    return pictures, torch.lerp(targets[order], targets, kept)


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
