"""Batches of a training set: augmented pictures, or features of a frozen trunk."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.augment import Variant, augment
from training.data.detail import Detail
from training.data.mixing import Batch, mix
from training.data.pixels import Pixels
from training.fitting.recipes import Recipe

Rows = NDArray[np.intp]
_VALIDATION_BATCH = 64


class World(NamedTuple):
    """Which of how many processes this is."""

    rank: int = 0
    size: int = 1


class Examples(Protocol):
    """Batches for an epoch, the same ones whenever it is asked for again, and for validation."""

    def steps(self) -> int:
        """Batches in an epoch."""
        ...

    def train(self, epoch: int) -> Iterator[Batch]:
        """This process's share of an epoch's batches."""
        ...

    def validate(self) -> Iterator[Batch]:
        """All validation examples, unchanged, with hard targets."""
        ...


class Split(NamedTuple):
    """Rows to train and to validate on, and their targets: (N, C), and of class indices (N,).

    With `detail`, pictures teach only classes that have been seen as sharp as they are.
    """

    train: Rows
    val: Rows
    targets: NDArray[np.float32]
    labels: Rows
    detail: Detail | None = None

    def batch(self, inputs: Tensor, rows: Rows, sides: NDArray[np.int32]) -> Batch:
        """What some photos, at most so sharp by now, are to teach."""
        rivals = self.detail.rivals(rows, sides) if self.detail else None
        return Batch(inputs, torch.from_numpy(self.targets[rows]), rivals)

    def hard(self, rows: Rows) -> Tensor:
        classes = self.targets.shape[1]
        labels = torch.from_numpy(self.labels[rows])
        return torch.nn.functional.one_hot(labels, classes).float()


class _Order(NamedTuple):
    """The shuffled rows of an epoch, dealt to steps and processes.

    Where there are too few for a batch each, the processes share them; none is left without.
    """

    recipe: Recipe
    world: World
    rows: Rows

    def batch_size(self) -> int:
        return max(1, min(self.recipe.batch_size, len(self.rows) // self.world.size))

    def steps(self) -> int:
        return max(1, len(self.rows) // (self.batch_size() * self.world.size))

    def batches(self, epoch: int) -> Iterator[tuple[int, Rows]]:
        order = generator(self.recipe, epoch).permutation(self.rows)
        size = self.batch_size()
        for step in range(self.steps()):
            first = (step * self.world.size + self.world.rank) * size
            yield step, order.take(range(first, first + size), mode="wrap")


def generator(recipe: Recipe, *where: int) -> np.random.Generator:
    """A generator that depends on the seed and the place alone, so that a run can be resumed."""
    return np.random.default_rng((recipe.seed, *where))


class Pictures:
    """Augmented, mixed pictures (N, S, S, 3) of 0 to 255; the next batch is made meanwhile."""

    def __init__(self, recipe: Recipe, pixels: Pixels, split: Split, world: World) -> None:
        self.recipe, self.pixels, self.split, self.world = recipe, pixels, split, world
        self.order = _Order(recipe, world, split.train)

    def steps(self) -> int:
        return self.order.steps()

    def train(self, epoch: int) -> Iterator[Batch]:
        """Each epoch changes every picture anew."""
        with ThreadPoolExecutor(1, "augment") as pool:
            pending = None
            for step, rows in self.order.batches(epoch):
                following = pool.submit(self._batch, epoch, step, rows)
                if pending is not None:
                    yield pending.result()
                pending = following
            if pending is not None:
                yield pending.result()

    def _batch(self, epoch: int, step: int, rows: Rows) -> Batch:
        recipe = self.recipe
        variants = [view(self.pixels[row], recipe, (epoch, int(row))) for row in rows]
        pictures = torch.from_numpy(np.stack([variant.pixels for variant in variants])).float()
        sides = np.array([variant.side for variant in variants], np.int32)
        rng = generator(recipe, epoch, step, self.world.rank, 1)
        return mix(self.split.batch(pictures, rows, sides), recipe, rng)

    def validate(self) -> Iterator[Batch]:
        """Pictures as a scan would see them."""
        for first in range(0, len(self.split.val), _VALIDATION_BATCH):
            rows = self.split.val[first : first + _VALIDATION_BATCH]
            pictures = torch.from_numpy(np.array(self.pixels[rows])).float()
            yield Batch(pictures, self.split.hard(rows))


def view(pixels: Pixels, recipe: Recipe, where: tuple[int, ...]) -> Variant:
    """One variant of a picture for training, `train_size` wide."""
    if recipe.augmentation is None:
        return Variant(np.array(pixels), len(pixels))
    return augment(pixels, recipe.train_size, recipe.augmentation, generator(recipe, *where))


class Views(NamedTuple):
    """Features (views, N, D) of pictures, and how many pixels of detail (views, N) each has."""

    features: NDArray[np.float16]
    sides: NDArray[np.int32]


class Features:
    """Stored features of a frozen trunk; each epoch takes a view of each photo."""

    def __init__(self, recipe: Recipe, views: Views, split: Split, world: World) -> None:
        self.recipe, self.split = recipe, split
        self.features, self.sides = views
        self.order = _Order(recipe, world, split.train)

    def steps(self) -> int:
        return self.order.steps()

    def train(self, epoch: int) -> Iterator[Batch]:
        """Views are drawn anew in each epoch."""
        views, photos, _ = self.features.shape
        rng = generator(self.recipe, epoch, 2)
        drawn: Rows = rng.integers(0, views, (photos,), np.intp)
        for _, rows in self.order.batches(epoch):
            chosen = torch.from_numpy(self.features[drawn[rows], rows]).float()
            yield self.split.batch(chosen, rows, self.sides[drawn[rows], rows])

    def validate(self) -> Iterator[Batch]:
        """View 0: the photos unchanged."""
        rows = self.split.val
        yield Batch(torch.from_numpy(self.features[0, rows]).float(), self.split.hard(rows))
