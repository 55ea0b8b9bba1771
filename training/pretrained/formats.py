"""Weights files as data, never executed: torch, pickle, TorchScript, Paddle, TensorFlow.js.

Pickles are read by unpicklers that know tensors, arrays and plain values alone. What is malformed
raises one of the errors of its parser; training.pretrained.packages makes one error of them all.
"""

from __future__ import annotations

import io
import json
import math
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

State = dict[str, Tensor]
_Known = Mapping[tuple[str, str], object]
MEMBER_LIMIT = 2**30  # bytes; VGG19 is 548 MiB
_FLOAT = 4


def torch_state(data: bytes) -> State:
    """A state dict as torch.save wrote it; weights_only refuses anything but tensors."""
    state: State = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return state


class _Unpickler(pickle.Unpickler):
    """Plain values and what is `known`, under another name or (None) its own; no other class."""

    def __init__(self, data: bytes, known: _Known | None = None) -> None:
        super().__init__(io.BytesIO(data))
        self.known = known or {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.known:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        replacement = self.known[module, name]
        return super().find_class(module, name) if replacement is None else replacement


def pickled_values(data: bytes) -> Any:
    """A pickle of dicts, lists, strings and numbers."""
    return _Unpickler(data).load()


def pickled_tensors(data: bytes) -> State:
    """A pickle of a dict of tensors, whose storages are torch files inside."""
    known = {
        ("torch.storage", "_load_from_bytes"): torch_state,
        ("collections", "OrderedDict"): None,
        ("torch._utils", "_rebuild_tensor_v2"): None,
    }
    return dict(_Unpickler(data, known).load())


def pickled_arrays(data: bytes) -> Any:
    """A pickle of dicts of numpy's arrays."""
    modules = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy")
    names = ("_reconstruct", "ndarray", "dtype", "scalar")
    return _Unpickler(data, {(m, n): None for m in modules for n in names}).load()


def paddle_tensors(data: bytes) -> list[Tensor]:
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


def tensorflow_js(members: Mapping[str, bytes]) -> dict[str, NDArray[np.float32]]:
    """A TensorFlow.js layers model: model.json names float32 arrays in shards beside it."""
    arrays = {}
    for group in json.loads(members["model.json"])["weightsManifest"]:
        data = b"".join(members[path] for path in group["paths"])
        at = 0
        for entry in group["weights"]:
            if entry["dtype"] != "float32" or "quantization" in entry:
                raise ValueError(f"{entry['name']} is not plain float32")
            if min(entry["shape"], default=0) < 0:
                raise ValueError(f"{entry['name']} has a negative size")
            count = math.prod(entry["shape"])
            values = np.frombuffer(data, "<f4", count, at)
            arrays[entry["name"]] = values.reshape(entry["shape"]).astype(np.float32)
            at += _FLOAT * count
    return arrays


class _Node:
    """A module of a TorchScript file, whatever its class: its attributes and nothing else."""


class _ScriptUnpickler(_Unpickler):
    """The tree of modules in a TorchScript file; its code is not read."""

    def __init__(self, data: bytes, storage: Callable[[str], NDArray[np.float32]]) -> None:
        known = {
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
            ("torch.jit._pickle", "build_intlist"): list,
            ("collections", "OrderedDict"): None,
            ("torch", "FloatStorage"): "float32",
        }
        super().__init__(data, known)
        self.storage = storage

    def find_class(self, module: str, name: str) -> Any:
        is_module = module.split(".")[0] == "__torch__"
        return _Node if is_module else super().find_class(module, name)

    def persistent_load(self, pid: Any) -> NDArray[np.float32]:
        kind, dtype, key, _, _ = pid
        if (kind, dtype) != ("storage", "float32"):
            raise pickle.UnpicklingError("a tensor is not float32")
        return self.storage(key)


def _rebuild(
    storage: NDArray[np.float32], offset: int, shape: tuple[int, ...], strides: tuple[int, ...],
    *_: object,
) -> Tensor:  # fmt: skip
    """A contiguous tensor in a storage."""
    count = math.prod(shape)
    if min(offset, *shape, 0) < 0 or offset + count > len(storage):
        raise ValueError("a tensor reaches beyond its storage")
    if strides != tuple(math.prod(shape[at + 1 :]) for at in range(len(shape))):
        raise ValueError("a tensor is not contiguous")
    return torch.from_numpy(storage[offset : offset + count].reshape(shape).copy())


def torchscript(data: bytes) -> State:
    """The tensors of a TorchScript file by their paths in the tree of modules."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        root = archive.namelist()[0].split("/")[0]

        def read(name: str) -> bytes:
            info = archive.getinfo(f"{root}/{name}")
            if info.file_size > MEMBER_LIMIT:
                raise ValueError(f"{name} is too large")
            return archive.read(info)

        def storage(key: str) -> NDArray[np.float32]:
            return np.frombuffer(read(f"data/{key}"), "<f4").astype(np.float32)

        tree = _ScriptUnpickler(read("data.pkl"), storage).load()
    state = State()
    _collect(tree, "", state, set())
    return state


def _collect(node: _Node, prefix: str, state: State, seen: set[int]) -> None:
    if id(node) in seen:
        raise ValueError("its modules are no tree")
    seen.add(id(node))
    for name, value in vars(node).items():
        if isinstance(value, Tensor):
            state[prefix + name] = value
        elif isinstance(value, _Node):
            _collect(value, f"{prefix}{name}.", state, seen)
