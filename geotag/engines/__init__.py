"""What runs the network: one dict of names to engines."""

from __future__ import annotations

from collections.abc import Callable

from geotag.checkpoint import Checkpoint
from geotag.engines.base import Engine, EngineOptions
from geotag.errors import EngineError


def _pytorch(checkpoint: Checkpoint, options: EngineOptions) -> Engine:
    from geotag.engines.pytorch import PyTorchEngine

    return PyTorchEngine(checkpoint, options)


ENGINES: dict[str, Callable[[Checkpoint, EngineOptions], Engine]] = {
    "pytorch": _pytorch,
}


def build_engine(name: str, checkpoint: Checkpoint, options: EngineOptions) -> Engine:
    """The engine by name; `auto` is the fastest that is installed and fits the machine.

    Raises EngineError for an unknown name, MissingDependencyError for one not installed.
    """
    if name == "auto":
        return _pytorch(checkpoint, options)
    if name not in ENGINES:
        raise EngineError(f"unknown engine {name!r}; known: auto, {', '.join(sorted(ENGINES))}")
    return ENGINES[name](checkpoint, options)
