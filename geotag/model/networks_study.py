"""The networks of the landmark studies: from scratch, and torchvision's with a new classifier."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Scratch(nn.Module):
    """Three blocks of two 3x3 convolutions (16, 32, 64) and max pooling, then 1000 and classes.

    Pictures have the fixed side `size`. With `norms`, a batch norm follows each convolution.
    """

    def __init__(self, num_classes: int, size: int = 224, norms: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for outputs in (16, 32, 64):
            for before in (inputs, outputs):
                layers.append(nn.Conv2d(before, outputs, 3, padding=1))
                if norms:
                    layers.append(nn.BatchNorm2d(outputs))
                layers.append(nn.ReLU())
            layers.append(nn.MaxPool2d(2))
            inputs = outputs
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.classifier = nn.Sequential(
            nn.Dropout(0.3),
            nn.Linear(inputs * (size // 8) ** 2, 1000),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(1000, num_classes),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits (N, num_classes) of pictures (N, 3, size, size)."""
        logits: Tensor = self.classifier(self.features(pictures))
        return logits


class VGGTransfer(nn.Module):
    """VGG's convolutions (Simonyan and Zisserman, 2015) below a new classifier of two layers."""

    def __init__(self, num_classes: int, depth: int = 16) -> None:
        super().__init__()
        from torchvision import models

        build = {16: models.vgg16, 19: models.vgg19}[depth]
        self.features = build(init_weights=False).features
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(7), nn.Flatten())
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 1024), nn.ReLU(), nn.Dropout(0.5), nn.Linear(1024, num_classes)
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits (N, num_classes) of pictures (N, 3, S, S)."""
        logits: Tensor = self.classifier(self.pool(self.features(pictures)))
        return logits


def build_torchvision(name: str) -> Callable[[int], nn.Module]:
    """A builder of one of torchvision's networks: num_classes to a network without weights."""

    def build(num_classes: int) -> nn.Module:
        from torchvision import models

        options = {"aux_logits": False, "init_weights": False} if name == "inception_v3" else {}
        network: nn.Module = models.get_model(
            name, weights=None, num_classes=num_classes, **options
        )
        return network

    return build


def initialise_normal(network: nn.Module) -> None:
    """Each linear layer's weights from normal(0, 1 / sqrt(inputs)), biases zero."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, module.in_features**-0.5)
            torch.nn.init.zeros_(module.bias)
