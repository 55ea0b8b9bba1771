"""Optimisers, schedules and averaged weights, as a recipe asks for them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import assert_never

import torch
from torch import Tensor, nn

from training.fitting.recipes import Recipe


def build_optimiser(
    recipe: Recipe, module: nn.Module, new: Iterable[str] = ()
) -> torch.optim.Optimizer:
    """Two rates, for pretrained and for `new` parameters; biases and norms do not decay."""
    fresh = set(new)
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((name in fresh, parameter.dim() > 1), []).append(parameter)
    head = recipe.head_learning_rate or recipe.learning_rate
    settings = [
        {
            "params": parameters,
            "lr": head if is_new else recipe.learning_rate,
            "weight_decay": recipe.weight_decay if decays else 0.0,
        }
        for (is_new, decays), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]
    match recipe.optimiser:
        case "sgd":
            return torch.optim.SGD(settings, recipe.learning_rate, momentum=0.9)
        case "adam":
            return torch.optim.Adam(settings, recipe.learning_rate)
        case "adamw":
            return torch.optim.AdamW(settings, recipe.learning_rate, betas=(0.9, 0.99))
        case never:
            assert_never(never)


def learning_rate_factor(recipe: Recipe, step: int, steps: int) -> float:
    """The share of the full learning rate at a step: warm-up, then the recipe's schedule."""
    warmup = min(1.0, (step + 1) / recipe.warmup_steps) if recipe.warmup_steps else 1.0
    progress = step / max(1, steps)
    match recipe.schedule:
        case "constant":
            return warmup
        case "cosine":
            return warmup * (0.01 + 0.99 * _half_cosine(progress))
        case "onecycle":
            # Smith, "Super-convergence" (2018): up for three tenths, down to nothing for the rest.
            if progress < 0.3:
                return 0.04 + 0.96 * (1 - _half_cosine(progress / 0.3))
            return _half_cosine((progress - 0.3) / 0.7)
        case never:
            assert_never(never)


def _half_cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


class AveragedWeights:
    """An exponential moving average of a module's weights, faster while it is young."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.step = 0
        self.values = {
            name: value.detach().clone()
            for name, value in module.state_dict().items()
            if value.dtype.is_floating_point
        }

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        self.step += 1
        decay = min(self.decay, self.step / (self.step + 10))
        for name, value in module.state_dict().items():
            if name in self.values:
                self.values[name].lerp_(value, 1 - decay)

    def load(self, step: int, values: dict[str, Tensor]) -> None:
        """Take up a saved average."""
        self.step, self.values = step, values
