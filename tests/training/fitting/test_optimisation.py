"""Schedules, parameter groups, averaged weights and mixing, by their defining properties."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from training.data.mixing import Batch, mix
from training.fitting.optimisation import AveragedWeights, build_optimiser, learning_rate_factor
from training.fitting.recipes import find_recipe

TINY = find_recipe("tiny")


@pytest.mark.parametrize("schedule", ["cosine", "onecycle"])
def test_schedules_end_near_nothing(schedule: str) -> None:
    recipe = replace(TINY, schedule=schedule)
    factors = [learning_rate_factor(recipe, step, 100) for step in range(101)]
    assert max(factors) == pytest.approx(1, abs=0.01) and factors[-1] <= 0.011
    assert all(0 < factor <= 1 for factor in factors[:-1])
    peak = int(np.argmax(factors))
    assert factors[:peak] == sorted(factors[:peak])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)


def test_warm_up_rises_to_the_constant_rate() -> None:
    recipe = replace(TINY, warmup_steps=4)
    factors = [learning_rate_factor(recipe, step, 100) for step in range(6)]
    assert factors == [0.25, 0.5, 0.75, 1, 1, 1]


def test_new_parameters_have_their_own_rate_and_biases_do_not_decay() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    module[0].bias.requires_grad_(False)
    recipe = replace(
        TINY, optimiser="adamw", learning_rate=0.1, head_learning_rate=0.5, weight_decay=0.02
    )
    groups = build_optimiser(recipe, module, ["1.weight", "1.bias"]).param_groups
    settings = {(g["lr"], g["weight_decay"]): [tuple(p.shape) for p in g["params"]] for g in groups}
    assert settings == {(0.1, 0.02): [(4, 3)], (0.5, 0.02): [(2, 4)], (0.5, 0.0): [(2,)]}


def test_an_average_lies_between_the_weights_it_saw() -> None:
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, 0.0)
    average = AveragedWeights(module, 0.9)
    nn.init.constant_(module.weight, 1.0)
    seen = []
    for _ in range(60):
        average.update(module)
        seen.append(float(average.values["weight"]))
    assert seen == sorted(seen) and 0.5 < seen[0] < 1  # young averages follow quickly
    assert seen[-1] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_targets_are_mixed_as_the_pictures_are(kind: str) -> None:
    """Four pictures of one value each, so that a mixed picture tells its shares."""
    recipe = replace(TINY, mixup=0.0, cutmix=0.0)
    recipe = replace(recipe, **{kind: 1.0})
    pictures = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 40, 40, 3)
    targets = torch.eye(4)
    for seed in range(8):
        mixed, soft, _ = mix(Batch(pictures, targets), recipe, np.random.default_rng(seed))
        assert torch.allclose(soft.sum(1), torch.ones(4))
        value = mixed.mean((1, 2, 3))
        assert torch.allclose(value, soft @ torch.arange(4.0), atol=1e-4)
    assert torch.equal(pictures[:, 0, 0, 0], torch.arange(4.0))


def test_most_batches_are_left_alone_when_mixing_is_rare() -> None:
    recipe = replace(TINY, mixup=0.0, cutmix=0.0)
    pictures, targets = torch.rand(4, 8, 8, 3), torch.eye(4)
    mixed, soft, _ = mix(Batch(pictures, targets), recipe, np.random.default_rng(0))
    assert mixed is pictures and soft is targets
