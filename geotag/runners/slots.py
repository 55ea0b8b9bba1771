"""What of a Ray cluster the workers of a scan take. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

_CPUS = 4  # of a worker, at most


class Slot(NamedTuple):
    """What one worker takes of the cluster."""

    cpus: int
    gpus: int = 0


class Plan(NamedTuple):
    """The slots of the workers that read photos and of those that classify what others decoded.

    `readers` do all of it themselves where `classifiers` is None.
    """

    readers: Slot
    classifiers: Slot | None = None


class Counts(NamedTuple):
    """How many workers of either kind there are, or fit."""

    readers: int
    classifiers: int


class _Node(NamedTuple):
    cpus: int
    gpus: int


def plan_for(nodes: Iterable[dict[str, Any]], gpus: bool = True) -> Plan | None:
    """How to divide the nodes (as ray.nodes() lists them); None where there are no processors.

    Processors read and decode, up to four a worker. Where there are GPUs, and they are wanted, one
    worker each classifies; it takes no processor, so that decoders cannot keep it from its place.
    """
    alive = _alive(nodes)
    cpus = [node.cpus for node in alive if node.cpus]
    if not cpus:
        return None
    has_gpus = gpus and any(node.gpus for node in alive)
    return Plan(Slot(min(_CPUS, *cpus)), Slot(0, 1) if has_gpus else None)


def count_slots(nodes: Iterable[dict[str, Any]], plan: Plan) -> Counts:
    """How many workers of a plan fit into the nodes that are alive."""
    alive = _alive(nodes)
    readers = sum(node.cpus // plan.readers.cpus for node in alive)
    return Counts(readers, sum(node.gpus for node in alive) if plan.classifiers else 0)


def _alive(nodes: Iterable[dict[str, Any]]) -> list[_Node]:
    resources = [node["Resources"] for node in nodes if node["Alive"]]
    return [_Node(int(r.get("CPU", 0)), int(r.get("GPU", 0))) for r in resources]
