"""The shipped networks: EfficientNet-Lite and PP-LCNetV2, one or side by side, and a classifier.

Batch normalisation is folded into the convolutions: the networks are fine-tuned and run that way,
which costs no accuracy on small data sets and saves a third of the memory traffic on a CPU.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

EMBEDDING = 1280


class SameConv2d(nn.Conv2d):
    """Convolution padded so that each output side is ceil(input side / stride).

    An odd padding puts its extra row and column last, as TensorFlow does ("SAME").
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to (N, out, ceil(H / stride), ceil(W / stride))."""
        height, width = (self._padding(side) for side in input.shape[-2:])
        if height == width and height % 2 == 0:
            half = height // 2
            return functional.conv2d(
                input, self.weight, self.bias, self.stride, half, 1, self.groups
            )
        sides = (width // 2, width - width // 2, height // 2, height - height // 2)
        padded = functional.pad(input, sides)
        return functional.conv2d(padded, self.weight, self.bias, self.stride, 0, 1, self.groups)

    def _padding(self, side: int) -> int:
        kernel, stride = self.kernel_size[0], self.stride[0]
        return max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)


class InvertedResidual(nn.Module):
    """MobileNetV2's block: expand, filter depthwise, project; added to its input where it fits."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, ratio: int) -> None:
        super().__init__()
        hidden = inputs * ratio
        self.expand = (
            nn.Sequential(SameConv2d(inputs, hidden, 1), nn.ReLU6()) if ratio > 1 else nn.Identity()
        )
        self.depthwise = nn.Sequential(
            SameConv2d(hidden, hidden, kernel, stride, groups=hidden), nn.ReLU6()
        )
        self.project = SameConv2d(hidden, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class _Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    ratio: int
    channels: int


# Tan and Le, "EfficientNet" (2019), table 1, less squeeze-and-excitation; 1.1 times as deep but for
# the first and the last stage.
_LITE_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(3, 3, 2, 6, 24),
    _Stage(3, 5, 2, 6, 40),
    _Stage(4, 3, 2, 6, 80),
    _Stage(4, 5, 1, 6, 112),
    _Stage(5, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite1 (TensorFlow, 2020): ReLU6, no squeeze-and-excitation, stem unscaled."""

    mean = (127 / 255,) * 3
    std = (128 / 255,) * 3

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(SameConv2d(3, 32, 3, 2), nn.ReLU6())
        blocks: list[nn.Module] = []
        inputs = 32
        for repeats, kernel, first_stride, ratio, outputs in _LITE_STAGES:
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                blocks.append(InvertedResidual(inputs, outputs, kernel, stride, ratio))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Sequential(SameConv2d(inputs, EMBEDDING, 1), nn.ReLU6())

    def forward(self, x: Tensor) -> Tensor:
        """Normalised (N, 3, S, S) to (N, EMBEDDING)."""
        features: Tensor = self.last(self.blocks(self.stem(x)))
        return features.mean((2, 3))


class SqueezeExcitation(nn.Module):
    """Weighs channels by what the whole picture holds (Hu et al., 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // 4, 1)
        self.excite = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W), same shape back."""
        pooled = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.excite(functional.relu(self.squeeze(pooled))))


class SeparableBlock(nn.Module):
    """PP-LCNetV2's block: depthwise, then one pointwise convolution or a bottleneck of two."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, bottleneck: bool, shortcut: bool
    ) -> None:
        super().__init__()
        self.depthwise = nn.Sequential(
            nn.Conv2d(inputs, inputs, kernel, stride, kernel // 2, groups=inputs), nn.ReLU()
        )
        self.excitation = SqueezeExcitation(inputs) if bottleneck else nn.Identity()
        widths = (inputs, outputs // 2, outputs) if bottleneck else (inputs, outputs)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 1), nn.ReLU()]
        self.pointwise = nn.Sequential(*layers)
        self.residual = shortcut and stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        y: Tensor = self.pointwise(self.excitation(self.depthwise(x)))
        return x + y if self.residual else y


class PPLCNetV2(nn.Module):
    """PP-LCNetV2-base (PaddleClas, 2022) with its parallel kernels folded into one."""

    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(), SeparableBlock(32, 64, 3, 1, False, False)
        )
        self.blocks = nn.Sequential(
            _lcnet_stage(64, 128, 2, 3, bottleneck=False, shortcut=False),
            _lcnet_stage(128, 256, 2, 3, bottleneck=False, shortcut=False),
            _lcnet_stage(256, 512, 6, 5, bottleneck=True, shortcut=False),
            _lcnet_stage(512, 1024, 2, 5, bottleneck=False, shortcut=True),
        )
        self.last = nn.Sequential(nn.Conv2d(1024, EMBEDDING, 1, bias=False), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Normalised (N, 3, S, S) to (N, EMBEDDING)."""
        pooled = self.blocks(self.stem(x)).mean((2, 3), keepdim=True)
        embedding: Tensor = self.last(pooled)
        return embedding.flatten(1)


def _lcnet_stage(
    inputs: int, outputs: int, repeats: int, kernel: int, *, bottleneck: bool, shortcut: bool
) -> nn.Sequential:
    first = SeparableBlock(inputs, outputs, kernel, 2, bottleneck, shortcut)
    rest = (
        SeparableBlock(outputs, outputs, kernel, 1, bottleneck, shortcut)
        for _ in range(repeats - 1)
    )
    return nn.Sequential(first, *rest)


class Renormalised(nn.Module):
    """A backbone that takes pictures normalised to `mean` 0.5 and `std` 0.5, not to its own."""

    scale: Tensor
    shift: Tensor

    def __init__(self, backbone: EfficientNetLite | PPLCNetV2) -> None:
        super().__init__()
        self.backbone = backbone
        # Never on the "meta" device, whose arithmetic loads torch._dynamo: seconds.
        mean, std = (torch.tensor(of, device="cpu") for of in (backbone.mean, backbone.std))
        self.register_buffer("scale", (0.5 / std).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", ((0.5 - mean) / std).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) in -1 to 1, to (N, EMBEDDING)."""
        embedding: Tensor = self.backbone(x * self.scale + self.shift)
        return embedding


class Recogniser(nn.Module):
    """Backbones side by side, their embeddings at unit length, and a linear classifier."""

    def __init__(self, backbones: list[EfficientNetLite | PPLCNetV2], num_classes: int) -> None:
        super().__init__()
        self.backbones = nn.ModuleList(Renormalised(backbone) for backbone in backbones)
        self.classifier = nn.Linear(EMBEDDING * len(backbones), num_classes)

    def embed(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) in -1 to 1, to (N, EMBEDDING * backbones), each part of length 1."""
        parts = [functional.normalize(backbone(x)) for backbone in self.backbones]
        return torch.cat(parts, 1)

    def classify(self, embeddings: Tensor) -> Tensor:
        logits: Tensor = self.classifier(embeddings)
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) in -1 to 1, to logits (N, num_classes)."""
        return self.classify(self.embed(x))
