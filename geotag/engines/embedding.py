"""The numbers that a network's classifier sees of a photo."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from geotag.engines.pytorch import load_bare_network
from geotag.errors import CheckpointError
from geotag.model.checkpoint import Checkpoint

_BATCH_SIZE = 16


class Embedder:
    """A checkpoint's network up to its classifier, in float32 on the processor.

    `classifier` is the name of the classifier's tensors, less ".weight" and ".bias". Raises
    CheckpointError when the network does not end in a linear classifier.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._normalised = load_bare_network(checkpoint)
        self.classifier, layer = find_classifier(self._normalised.network)
        self._inputs: list[torch.Tensor] = []
        layer.register_forward_pre_hook(self._note)

    def _note(self, layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self._inputs.append(inputs[0])

    def embed(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """RGB pictures, uint8 (N, S, S, 3), to embeddings (N, D)."""
        self._inputs.clear()
        with torch.inference_mode():
            for start in range(0, len(pixels), _BATCH_SIZE):
                self._normalised(torch.from_numpy(pixels[start : start + _BATCH_SIZE]))
        if sum(len(batch) for batch in self._inputs) != len(pixels):
            raise CheckpointError("this network does not classify one photo at a time")
        return torch.cat(self._inputs).double().numpy()


def find_classifier(network: nn.Module) -> tuple[str, nn.Linear]:
    """The network's last linear layer and its name. Raises CheckpointError when it has none."""
    linear = [(n, m) for n, m in network.named_modules() if isinstance(m, nn.Linear)]
    if not linear:
        raise CheckpointError("this network does not end in a linear classifier")
    return linear[-1]
