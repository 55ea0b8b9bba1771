"""Keeps a classifier from using what resolution does to an embedding.

Landmarks that are known from small photos alone would otherwise be recognised by their blur. The
directions in which embeddings move when pictures lose their detail are found, and the classifier is
kept from using them (nuisance attribute projection: Solomonoff et al., "Advances in channel
compensation for SVM speaker recognition", ICASSP 2005). As both are linear, that costs nothing
afterwards.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Floats = NDArray[np.float32]


def find_directions(changes: Floats, count: int) -> Floats:
    """The `count` orthonormal directions (count, D) that hold most of the changes (N, D)."""
    _, vectors = np.linalg.eigh(changes.T @ changes)
    return np.ascontiguousarray(vectors[:, ::-1][:, :count].T)


class Blinkers:
    """Directions to ignore, found for each part of the embedding by itself."""

    def __init__(self, plain: Floats, degraded: Floats, count: int, width: int) -> None:
        parts = range(0, plain.shape[1], width)
        changes = (plain - degraded).astype(np.float32)
        self.directions = [find_directions(changes[:, p : p + width], count) for p in parts]
        self.width = width

    def project(self, rows: Floats) -> Floats:
        """Rows (N, D) of embeddings, or of a classifier's weights, without the directions."""
        parts = np.split(rows, len(self.directions), axis=1)
        blind = [p - p @ d.T @ d for p, d in zip(parts, self.directions, strict=True)]
        return np.concatenate(blind, axis=1)

    def project_classifier(self, classifier: nn.Linear) -> None:
        """Make a classifier, in place, give for any embedding what it gives for the projected."""
        weight: Tensor = classifier.weight
        with torch.no_grad():
            weight.copy_(torch.from_numpy(self.project(weight.detach().cpu().numpy())))
