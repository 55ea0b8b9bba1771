"""What a network was trained on, remembered, so that it knows what it has never seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from geotag.model.networks import Recogniser

_NEIGHBOURS = 3
_WEIGHTS = 4


class Recollection(NamedTuple):
    """The tensors of a memory of N training photos.

    `mean` (D,) and `projection` (P, D) whiten an embedding; `points` (N, P) are the photos', scaled
    to int8; `categories` (N,) their categories, -1 for the background; `weights` (4,) the
    constant, the share of the best logit and the weight of the familiarity in the logit of
    "unknown", and what the background loses, so that the photos of the calibration stay calibrated.
    """

    mean: Tensor
    projection: Tensor
    points: Tensor
    categories: Tensor
    weights: Tensor


def parse_recollection(tensors: Mapping[str, Tensor], categories: int) -> Recollection:
    """Raises ValueError for tensors that are no memory of so many categories."""
    if set(tensors) != set(Recollection._fields):
        raise ValueError("tensors are missing")
    found = Recollection(**tensors)
    shapes = [tensor.shape for tensor in found]
    if [len(shape) for shape in shapes] != [1, 2, 2, 1, 1]:
        raise ValueError("a tensor has the wrong number of dimensions")
    width, count = found.projection.shape[0], found.points.shape[0]
    if (
        found.mean.shape[0] != found.projection.shape[1]
        or found.points.shape[1] != width
        or found.categories.shape[0] != count
        or found.weights.shape[0] != _WEIGHTS
        or count <= 2 * _NEIGHBOURS
    ):
        raise ValueError("its tensors do not fit each other")
    if found.categories.is_floating_point() or found.points.is_floating_point():
        raise ValueError("its points or categories are not whole numbers")
    if not -1 <= int(found.categories.min()) <= int(found.categories.max()) < categories:
        raise ValueError("it has other categories")
    for tensor in found:
        if not bool(torch.isfinite(tensor.float()).all()):
            raise ValueError("it holds values that are no numbers")
    return found


class Memory(nn.Module):
    """Adds to the background what is like no photo of the best category.

    Familiarity is the mean cosine of a photo's whitened embedding to the nearest training photos
    of the category, less that to the nearest others (the penalty for look-alikes of the winner of
    Google Landmark Recognition 2020: Henkel and Singer, "Supporting large-scale image recognition
    with out-of-domain samples"). Linear in it and in the best logit, "unknown" is an output of its
    own (Bendale and Boult, "Towards open set deep networks", CVPR 2016), merged with the
    background. The order of the categories stays, and so do those that a user added.
    """

    mean: Tensor
    projection: Tensor
    points: Tensor
    categories: Tensor
    weights: Tensor

    def __init__(self, recollection: Recollection) -> None:
        super().__init__()
        for name, tensor in recollection._asdict().items():
            self.register_buffer(name, tensor if name == "categories" else tensor.float())
        self.points = functional.normalize(self.points)
        self.categories = self.categories.long()
        self._known = int(self.categories.max()) + 1

    def familiarity(self, embeddings: Tensor, category: Tensor) -> Tensor:
        """(N, D) and a category of each (N,) to (N,), from -2 to 2."""
        seen = functional.normalize((embeddings - self.mean) @ self.projection.t())
        alike = seen @ self.points.t()
        is_own = self.categories[None] == category[:, None]
        own = alike.masked_fill(~is_own, -1.0).topk(_NEIGHBOURS).values.mean(1)
        others = alike.masked_fill(is_own, -1.0).topk(_NEIGHBOURS).values.mean(1)
        return own - others

    def forward(self, embeddings: Tensor, logits: Tensor) -> Tensor:
        """Embeddings (N, D) and logits (N, K + 1) to the logits with a higher background."""
        best, category = logits[:, :-1].max(1)
        constant, share, weight, shift = self.weights
        unknown = constant + share * best + weight * self.familiarity(embeddings, category)
        background = logits[:, -1]
        raised = background + functional.softplus(unknown - background) - shift
        raised = torch.where(category < self._known, raised, background)
        return torch.cat([logits[:, :-1], raised[:, None]], 1)


class Remembering(nn.Module):
    """A recogniser with a memory."""

    def __init__(self, recogniser: Recogniser, memory: Memory) -> None:
        super().__init__()
        self.recogniser = recogniser
        self.memory = memory

    def embed(self, x: Tensor) -> Tensor:
        return self.recogniser.embed(x)

    def classify(self, embeddings: Tensor) -> Tensor:
        logits: Tensor = self.memory(embeddings, self.recogniser.classify(embeddings))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) in -1 to 1, to logits (N, num_classes)."""
        return self.classify(self.embed(x))


class Embedding(nn.Module):
    """A recogniser, with or without a memory, that gives the embeddings behind its logits."""

    def __init__(self, recogniser: Recogniser | Remembering) -> None:
        super().__init__()
        self.recogniser = recogniser

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) in -1 to 1, to (N, num_classes + D)."""
        embeddings = self.recogniser.embed(x)
        return torch.cat([self.recogniser.classify(embeddings), embeddings], 1)
