"""How an epoch is dealt to steps and processes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.data.examples import Features, Split, Views, World
from training.fitting.recipes import find_recipe


@pytest.mark.parametrize(
    ("photos", "processes", "steps", "size"),
    [(20, 2, 2, 4), (20, 1, 5, 4), (7, 2, 1, 3), (3, 2, 1, 1), (1, 2, 1, 1), (3, 1, 1, 3)],
)
def test_every_process_has_as_many_photos_in_every_step(
    photos: int, processes: int, steps: int, size: int
) -> None:
    recipe = replace(find_recipe("tiny"), batch_size=4)
    numbers = np.arange(photos)
    views = Views(np.float16(numbers.reshape(1, -1, 1)), np.zeros((1, photos), np.int32))
    split = Split(numbers, numbers, np.zeros((photos, 2), np.float32), numbers)
    dealt: list[float] = []
    for rank in range(processes):
        examples = Features(recipe, views, split, World(rank, processes))
        batches = [batch.inputs.ravel().tolist() for batch in examples.train(epoch=1)]
        assert [len(batch) for batch in batches] == [size] * steps == [size] * examples.steps()
        dealt += [number for batch in batches for number in batch]
    assert len(set(dealt)) == min(photos, steps * size * processes)  # none twice, if they suffice
