"""Networks converted for an engine, kept in the user's cache so that torch is not needed again."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np

from geotag.errors import GeotagError
from geotag.files.atomic import atomic_file
from geotag.files.places import cache_folder
from geotag.files.temporary import TemporaryFolder
from geotag.model.checkpoint import (
    SIZE_LIMIT,
    Checkpoint,
    fingerprint,
    load_checkpoint,
    save_checkpoint,
)

_log = logging.getLogger(__name__)
_SUFFIX = ".safetensors"
_KEPT = 12
# Tracing a network is not safe in two threads at once. One conversion may stand on another.
_CONVERTING = threading.RLock()
_START = (
    "import sys; sys.path[:] = sys.argv[4:]; "
    "import geotag.engines.conversion as c; c.convert_into(*sys.argv[1:4])"
)
_MODEL, _RESULT = "model.safetensors", "converted.safetensors"


class Converted(NamedTuple):
    """A network in an engine's own format: its graph and, where the format parts them, weights."""

    graph: bytes
    weights: bytes = b""


def cached_conversion(
    checkpoint: Checkpoint, engine: str, convert: Callable[[Checkpoint], Converted]
) -> Converted:
    """The checkpoint converted for `engine` (name and version), from the cache where it has it.

    A cache that is missing, full, damaged or another's costs time, never the result.
    """
    spec, sha256 = checkpoint.header
    # One model file may hold a network for photos and another for thumbnails.
    name = f"{engine}\0{sha256}\0{spec.architecture}\0{spec.input_size}"
    key = hashlib.sha256(name.encode()).hexdigest()
    try:
        found = _load(_path(key), key)
    except Exception as error:  # whatever a hostile file makes a parser raise
        _log.debug("%s: not taken from the cache (%s)", key, error)
        found = None
    if found is None:
        with _CONVERTING:
            found = convert(checkpoint)
        try:
            _save(_path(key), key, found)
        except OSError as error:
            _log.debug("%s: not kept in the cache (%s)", key, error)
    return found


def convert_apart(checkpoint: Checkpoint, convert: Callable[[Checkpoint], Converted]) -> Converted:
    """Convert in a process that takes torch and its memory with it when it ends.

    `convert` is a function of a module. Where no process can do it, this one does.
    """
    with TemporaryFolder() as folder:
        command = [sys.executable, "-c", _START, convert.__module__, convert.__name__, folder]
        try:
            save_checkpoint(Path(folder, _MODEL), checkpoint.spec, checkpoint.tensors)
            subprocess.run(
                [*command, *map(os.path.abspath, sys.path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for this process, which waits
                check=True,
            )
            found = _load(Path(folder, _RESULT), "")
        except (OSError, GeotagError, ValueError, subprocess.CalledProcessError) as error:
            _log.debug("not converted in a process of its own (%s)", error)
            found = None
    return found or convert(checkpoint)


def convert_into(module: str, function: str, folder: str) -> None:
    """The main function of a process that converts."""
    convert = getattr(import_module(module), function)
    _save(Path(folder, _RESULT), "", convert(load_checkpoint(Path(folder, _MODEL))))


def _path(key: str) -> Path:
    return cache_folder() / "models" / (key + _SUFFIX)


def _load(path: Path, key: str) -> Converted | None:
    from safetensors import safe_open

    if not path.exists() or path.stat().st_size > 2 * SIZE_LIMIT:
        return None
    _check_owner(path.parent)
    _check_owner(path)
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in ("graph", "weights")}
    if fingerprint(key, tensors) != metadata.get("sha256"):
        raise ValueError("damaged")
    with suppress(OSError):
        os.utime(path)
    return Converted(*(tensors[name].tobytes() for name in Converted._fields))


def _check_owner(path: Path) -> None:
    """Only what this user alone can write is trusted."""
    if sys.platform == "win32":
        return
    status = path.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise PermissionError("others can write there")


def _save(path: Path, key: str, converted: Converted) -> None:
    from safetensors.numpy import save

    path.parent.mkdir(0o700, parents=True, exist_ok=True)
    _check_owner(path.parent)
    tensors = {name: np.frombuffer(data, np.uint8) for name, data in converted._asdict().items()}
    data = save(tensors, {"sha256": fingerprint(key, tensors)})
    with atomic_file(path) as file:
        file.write(data)
    os.chmod(path, 0o600)
    _prune(path.parent)


def _prune(folder: Path) -> None:
    """Keep the few models that were used last."""
    models = sorted(folder.glob("*" + _SUFFIX), key=lambda path: path.stat().st_mtime)
    for stale in models[:-_KEPT]:
        with suppress(OSError):
            stale.unlink()
