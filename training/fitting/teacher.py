"""Out-of-fold predictions for each training photo from pretrained features.

Linear classifiers on frozen features, fitted on all folds but the photo's own, give soft targets
to learn from (Hinton et al., "Distilling the knowledge in a neural network", 2015), and show
which labels are likely wrong (Northcutt et al., "Confident learning", 2021).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.data.examples import Rows

FOLDS = 4
_EPOCHS = 20
_BATCH = 256
_RATE = 0.018
_SMOOTHING = 0.1
_TEMPERATURE = 0.7
_OWN_SHARE = 0.08
_OTHER_SHARE = 0.35


class Lesson(NamedTuple):
    """Soft targets (N, C), zero for photos that are not for training, and rows to leave out."""

    soft: NDArray[np.float32]
    excluded: Rows


def teach(features: NDArray[np.float16], labels: Rows, train: Rows, groups: list[str]) -> Lesson:
    """Out-of-fold targets of the training rows; near-duplicates (`groups`) share a fold.

    `features` are (N, D), `labels` class indices (N,).
    """
    classes = int(labels.max()) + 1
    fold = _folds([groups[row] for row in train])
    soft = np.zeros((len(labels), classes), np.float32)
    targets = torch.from_numpy(labels)
    for number in range(FOLDS):
        learnt, asked = train[fold != number], train[fold == number]
        layer = fit_linear(
            torch.from_numpy(features[learnt]).float(), targets[learnt], classes, number
        )
        with torch.inference_mode():
            logits = layer(torch.from_numpy(features[asked]).float())
        soft[asked] = (logits / _TEMPERATURE).softmax(1).numpy()
    return Lesson(soft, _suspects(soft, labels, train))


def _folds(groups: list[str]) -> NDArray[np.intp]:
    names = sorted(set(groups))
    dealt = np.random.default_rng(0).integers(FOLDS, size=len(names))
    number = dict(zip(names, dealt, strict=True))
    return np.array([number[group] for group in groups], np.intp)


def fit_linear(features: Tensor, labels: Tensor, classes: int, seed: int) -> nn.Linear:
    """A linear classifier by AdamW and a one-cycle schedule, in seconds."""
    torch.manual_seed(seed)
    layer = nn.Linear(features.shape[1], classes)
    nn.init.zeros_(layer.weight)
    optimiser = torch.optim.AdamW(layer.parameters(), _RATE, weight_decay=1e-3)
    batches = max(1, len(features) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=_EPOCHS * batches)
    for _ in range(_EPOCHS):
        for rows in torch.randperm(len(features)).tensor_split(batches):
            loss = functional.cross_entropy(
                layer(features[rows]), labels[rows], label_smoothing=_SMOOTHING
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return layer


def _suspects(soft: NDArray[np.float32], labels: Rows, train: Rows) -> Rows:
    """Training rows that another class claims, as surely as it claims its own on average."""
    asked = soft[train]
    own = asked[np.arange(len(train)), labels[train]]
    usual = np.array(
        [own[labels[train] == k].mean() if (labels[train] == k).any() else 1.0
         for k in range(soft.shape[1])]
    )  # fmt: skip
    best = asked.argmax(axis=1)
    claimed = asked.max(axis=1) >= np.maximum(usual[best], _OTHER_SHARE)
    suspects: Rows = train[(best != labels[train]) & claimed & (own < _OWN_SHARE)]
    return suspects
