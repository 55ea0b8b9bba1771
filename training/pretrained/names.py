"""Backbones' weights under the parameter names of geotag's networks, from each package's own."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from training.pretrained.formats import (
    State,
    paddle_tensors,
    pickled_arrays,
    pickled_tensors,
    pickled_values,
    tensorflow_js,
    torch_state,
    torchscript,
)

_NORM_EPSILON = 1e-3  # of EfficientNet-Lite's batch norms
_PADDLE_EPSILON = 1e-5
_KERAS_EPSILON, _TORCH_EPSILON = 1e-3, 1e-5
_MEAN = torch.tensor((0.485, 0.456, 0.406))  # what torchvision's networks are normalised by
_STD = torch.tensor((0.229, 0.224, 0.225))

Members = Mapping[str, bytes]


def as_saved(members: Members) -> State:
    """A state dict of torchvision's own names, saved by torch."""
    (data,) = members.values()
    return torch_state(data)


def as_pickled(members: Members) -> State:
    """A state dict of torchvision's own names, saved by pickle."""
    (data,) = members.values()
    return pickled_tensors(data)


class _Fold:
    """Takes convolutions and the batch norms after them, gives biased convolutions."""

    def __init__(self, state: State, epsilon: float) -> None:
        self.state, self.epsilon, self.folded = state, epsilon, State()

    def convolution(self, target: str, source: str, norm: str | None) -> None:
        """Fold `source`.weight and the statistics below `norm` to `target`.weight and .bias."""
        weight = self.state[f"{source}.weight"]
        if norm is None:
            self.folded[f"{target}.weight"] = weight
            if f"{source}.bias" in self.state:
                self.folded[f"{target}.bias"] = self.state[f"{source}.bias"]
            return
        mean, variance, gain, offset = (
            self.state[f"{norm}.{part}"]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        scale = gain / torch.sqrt(variance + self.epsilon)
        self.folded[f"{target}.weight"] = weight * scale.view(-1, 1, 1, 1)
        self.folded[f"{target}.bias"] = offset - mean * scale


def efficientnet_lite(members: Members) -> State:
    """The names of the PyTorch port of EfficientNet-Lite, without its classifier."""
    state = as_saved(members)
    fold = _Fold(state, _NORM_EPSILON)
    fold.convolution("stem.0", "_conv_stem", "_bn0")
    fold.convolution("last.0", "_conv_head", "_bn1")
    for name in state:
        match = re.fullmatch(r"_blocks\.(\d+)\._(expand|depthwise|project)_conv\.weight", name)
        if match:
            block, part = match.groups()
            norm = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}[part]
            target = f"blocks.{block}.{part}" + ("" if part == "project" else ".0")
            fold.convolution(target, name.removesuffix(".weight"), f"_blocks.{block}.{norm}")
    return fold.folded


def pplcnetv2(members: Members) -> State:
    """A Paddle inference model: tensors in the order of their variables' names."""
    info = pickled_values(members[".pdiparams.info"])
    names = [info[variable]["structured_name"] for variable in sorted(info)]
    # The parallel kernels of training are left behind: they are folded into one, dw_conv.
    names = [name.removeprefix("base_model.") for name in names if "dw_conv_list" not in name]
    tensors = paddle_tensors(members[".pdiparams"])
    state = dict(zip(names, tensors, strict=True))
    renamed = {
        re.sub(r"\._mean$", ".running_mean", re.sub(r"\._variance$", ".running_var", name)): value
        for name, value in state.items()
    }
    fold = _Fold(renamed, _PADDLE_EPSILON)
    for name in renamed:
        if target := _pplcnet_target(name):
            source = name.removesuffix(".weight")
            norm = re.sub(r"\.conv$", ".bn", source)
            fold.convolution(target, source, norm if norm != source else None)
    return fold.folded


_PPLCNET_NAMES = (
    (r"stem\.0\.conv", "stem.0"),
    (r"stem\.1\.", "stem.2."),
    (r"stages\.", "blocks."),
    (r"\.dw_conv(\.conv)?$", ".depthwise.0"),
    (r"\.se\.conv1$", ".excitation.squeeze"),
    (r"\.se\.conv2$", ".excitation.excite"),
    (r"\.pw_conv(_1)?\.conv$", ".pointwise.0"),
    (r"\.pw_conv_2\.conv$", ".pointwise.2"),
    (r"^last_conv$", "last.0"),
)


def _pplcnet_target(name: str) -> str | None:
    if not name.endswith(".weight") or ".bn" in name or name.startswith("fc."):
        return None
    target = name.removesuffix(".weight")
    for pattern, replacement in _PPLCNET_NAMES:
        target = re.sub(pattern, replacement, target)
    return target


def vgg16(members: Members) -> State:
    """Convolutions as (height, width, in, out), in layer order, to torchvision's names."""
    (data,) = members.values()
    layers = pickled_arrays(data)["VGG16_0"]
    state = State()
    for number, name in enumerate(VGG16_LAYERS):
        layer = layers[f"Conv_{number}"]
        kernel, bias = (torch.from_numpy(np.array(layer[part])) for part in ("kernel", "bias"))
        state[f"features.{name}.weight"] = kernel.permute(3, 2, 0, 1).contiguous()
        state[f"features.{name}.bias"] = bias
    return state


VGG16_LAYERS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)


def _refit_input(kernel: Tensor, scale: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    """A first convolution for pictures normalised as torchvision's, and what it lacks then.

    The kernel (O, 3, H, W) takes `scale` x + `offset`, per channel, of pixels x in 0 to 1.
    """
    weight = kernel * (scale * _STD).view(1, 3, 1, 1)
    return weight, (kernel * (scale * _MEAN + offset).view(1, 3, 1, 1)).sum((1, 2, 3))


def resnet50(members: Members) -> State:
    """Keras's ResNet50, trained on BGR pixels less their mean, to torchvision's names.

    Keras halves the picture in the first convolution of a block, torchvision in the second:
    features differ a little from those of the original.
    """
    arrays = tensorflow_js(members)
    state = State()
    for name in arrays:
        match = re.fullmatch(r"(conv1|res(\d)([a-f])_branch(\w+))/kernel", name)
        if match is None:
            continue
        layer, stage, block, branch = match.groups()
        kernel = torch.from_numpy(arrays[name]).permute(3, 2, 0, 1).contiguous()
        lacking = torch.from_numpy(arrays[f"{layer}/bias"])
        if layer == "conv1":
            target, norm, target_norm = "conv1", "bn_conv1", "bn1"
            bgr = kernel.flip(1)
            less = -torch.tensor((123.68, 116.779, 103.939))
            kernel, shift = _refit_input(bgr, torch.full((3,), 255.0), less)
            lacking = lacking + shift
        else:
            target = f"layer{int(stage) - 1}.{ord(block) - ord('a')}."
            norm = layer.replace("res", "bn")
            number = {"2a": "1", "2b": "2", "2c": "3"}.get(branch)
            target_norm = target + (f"bn{number}" if number else "downsample.1")
            target += f"conv{number}" if number else "downsample.0"
        gain, bias, mean, variance = (
            torch.from_numpy(arrays[f"{norm}/{part}"])
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        state |= {
            f"{target}.weight": kernel,
            f"{target_norm}.weight": gain,
            f"{target_norm}.bias": bias,
            f"{target_norm}.running_mean": mean - lacking,
            f"{target_norm}.running_var": variance + (_KERAS_EPSILON - _TORCH_EPSILON),
        }
    return state


_INCEPTION_STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1",
                   "Conv2d_4a_3x3")  # fmt: skip
_INCEPTION_BLOCKS = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
_INCEPTION_BRANCHES = {
    "5": {"conv": "1x1", "tower": "5x5_", "tower_1": "3x3dbl_", "tower_2": "_pool"},
    "6a": {"conv": "3x3", "tower": "3x3dbl_"},
    "6": {"conv": "1x1", "tower": "7x7_", "tower_1": "7x7dbl_", "tower_2": "_pool"},
    "7a": {"tower": "3x3_", "tower_1": "7x7x3_"},
    "7": {
        "conv": "1x1",
        "tower_conv": "3x3_1",
        "tower_mixed_conv": "3x3_2a",
        "tower_mixed_conv_1": "3x3_2b",
        "tower_1_conv": "3x3dbl_1",
        "tower_1_conv_1": "3x3dbl_2",
        "tower_1_mixed_conv": "3x3dbl_3a",
        "tower_1_mixed_conv_1": "3x3dbl_3b",
        "tower_2_conv": "_pool",
    },
}


def _inception_target(name: str) -> str:
    """A convolution's path in torchvision's Inception v3 from that in the TensorFlow graph."""
    first, *rest = name.split(".")
    kind, _, number = first.partition("_")
    if kind == "conv":
        return _INCEPTION_STEM[int(number or 0)]
    block = _INCEPTION_BLOCKS[int(number or 0)]
    branches = _INCEPTION_BRANCHES.get(block) or _INCEPTION_BRANCHES[block[0]]
    branch = branches[rest[0]]
    if len(rest) > 1 and branch.endswith("_"):
        branch += str(int(rest[1].partition("_")[2] or 0) + 1)
    return f"Mixed_{block}.branch{branch}"


def inception_v3(members: Members) -> State:
    """The Inception v3 of TensorFlow's 2015 graph, of pixels in -1 to 1, to torchvision's names.

    Its pools leave out the padding, and the last block takes the maximum: features differ a
    little from those of the original.
    """
    (data,) = members.values()
    tensors = torchscript(data)
    prefix = "net.layers."
    state = State()
    for path in tensors:
        if not path.startswith(prefix) or not path.endswith(".weight"):
            continue
        source = path.removesuffix(".weight")
        target = _inception_target(source.removeprefix(prefix))
        kernel, mean = tensors[path], tensors[f"{source}.mean"]
        if target == _INCEPTION_STEM[0]:
            span = torch.full((3,), 255 / 128)
            kernel, lacking = _refit_input(kernel, span, -torch.ones(3))
            mean = mean - lacking
        state |= {
            f"{target}.conv.weight": kernel,
            f"{target}.bn.weight": torch.ones_like(mean),
            f"{target}.bn.bias": tensors[f"{source}.beta"],
            f"{target}.bn.running_mean": mean,
            f"{target}.bn.running_var": tensors[f"{source}.var"],
        }
    return state
