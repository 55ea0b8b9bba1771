"""The networks by name: the only place that knows architectures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from geotag.errors import CheckpointError
from geotag.model.networks import EfficientNetLite, PPLCNetV2, Recogniser
from geotag.model.networks_study import Scratch, VGGTransfer, build_torchvision


class LeNet(nn.Module):
    """LeNet-5 (LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998).

    With rectifiers, colour input and a pooling that takes pictures of any size.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(5),
            nn.Flatten(),
            nn.Linear(400, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(84, num_classes)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Logits (N, num_classes) of pictures (N, 3, S, S)."""
        logits: torch.Tensor = self.classifier(self.features(pictures))
        return logits


GREY = "_grey"

ARCHITECTURES: dict[str, Callable[[int], nn.Module]] = {
    "efficientnet_b0": build_torchvision("efficientnet_b0"),
    "efficientnet_lite1": lambda classes: Recogniser([EfficientNetLite()], classes),
    "inception_v3": build_torchvision("inception_v3"),
    "lenet": LeNet,
    "lite1_pplcnetv2": lambda classes: Recogniser([EfficientNetLite(), PPLCNetV2()], classes),
    "mobilenet_v2": build_torchvision("mobilenet_v2"),
    "pplcnetv2": lambda classes: Recogniser([PPLCNetV2()], classes),
    "resnet18": build_torchvision("resnet18"),
    "resnet50": build_torchvision("resnet50"),
    "scratch": Scratch,
    "scratch_bn": partial(Scratch, size=128, norms=True),
    "vgg16": VGGTransfer,
    "vgg19": partial(VGGTransfer, depth=19),
}


def build_model(architecture: str, num_classes: int) -> nn.Module:
    """A network with random weights: normalised float (N, 3, S, S) to logits (N, num_classes).

    A name that ends in GREY is of a network that sees no colour. Raises CheckpointError for a name
    that is not in ARCHITECTURES.
    """
    name = architecture.removesuffix(GREY)
    try:
        build = ARCHITECTURES[name]
    except KeyError:
        known = ", ".join(sorted(ARCHITECTURES))
        raise CheckpointError(
            f"unknown architecture {architecture!r}; this geotag knows: {known}"
        ) from None
    network = build(num_classes)
    return network if name == architecture else nn.Sequential(Greyscale(), network)


class Greyscale(nn.Module):
    """Colour pictures (N, 3, H, W) to their luminance (ITU-R BT.601) on all three channels."""

    weights: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        weights = torch.tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Same shape back."""
        grey = (pictures * self.weights).sum(1, keepdim=True)
        return grey.expand(-1, 3, -1, -1)


class Normalised(nn.Module):
    """A network behind its normalisation: uint8 (N, S, S, 3) to logits (N, num_classes)."""

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(
        self,
        network: nn.Module,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("scale", 1.0 / (255.0 * torch.tensor(std).view(1, 3, 1, 1)))
        self.register_buffer(
            "shift", -torch.tensor(mean).view(1, 3, 1, 1) / torch.tensor(std).view(1, 3, 1, 1)
        )

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Logits of a batch of RGB pictures."""
        planes = pixels.permute(0, 3, 1, 2).to(self.scale.dtype)
        logits: torch.Tensor = self.network(planes * self.scale + self.shift)
        return logits
