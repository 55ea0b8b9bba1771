"""Which pictures show detail, and which classes have been seen with it.

A class that is known from small photos alone would lose against all others on a sharp picture,
for its sharpness. So sharp pictures teach only classes that have been seen sharp: the others are
left out of the softmax, as classes that a source of photos cannot show are by Caccia et al. ("New
insights on reducing abrupt representation change in online continual learning", ICLR 2022).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_LEAST_SHARE = 0.1
_NEVER = -1e4


class Detail(NamedTuple):
    """The short side of each photo (N,) in pixels, from how many on there is detail, and whether
    each class (C,) has been seen with it."""

    sides: NDArray[np.int32]
    least: int
    classes: NDArray[np.bool_]

    def rivals(self, rows: NDArray[np.intp], sides: NDArray[np.int32]) -> Tensor:
        """The classes (B, C) that pictures of photos, by now of at most `sides`, are told from."""
        detailed = np.minimum(self.sides[rows], sides) >= self.least
        return torch.from_numpy(~detailed[:, None] | self.classes)


def find_detail(
    sides: NDArray[np.int32], labels: NDArray[np.intp], train: NDArray[np.intp], least: int,
    classes: int,
) -> Detail:  # fmt: skip
    """Which of the classes have detail in at least a tenth of their training photos.

    The last class, background, always counts as seen.
    """
    total = np.bincount(labels[train], minlength=classes)
    sharp = np.bincount(labels[train[sides[train] >= least]], minlength=classes)
    seen = sharp >= np.maximum(1, _LEAST_SHARE * total)
    seen[-1] = True
    return Detail(sides, least, seen)


def restricted_loss(logits: Tensor, targets: Tensor, rivals: Tensor) -> Tensor:
    """Mean negative log-likelihood of targets (B, C) in the softmax over each row's rivals."""
    targets = targets * rivals
    targets = targets / targets.sum(1, keepdim=True)
    log_likelihood = functional.log_softmax(logits.masked_fill(~rivals, _NEVER), 1)
    return -(targets * log_likelihood).sum(1).mean()
