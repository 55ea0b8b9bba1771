"""How the nodes of a cluster are divided among workers."""

from __future__ import annotations

from typing import Any

from geotag.runners.slots import Counts, Plan, Slot, count_slots, plan_for


def node(alive: bool = True, **resources: float) -> dict[str, Any]:
    return {"Alive": alive, "Resources": resources}


def test_workers_without_gpus_take_a_few_processors() -> None:
    laptops = [node(CPU=2.0), node(CPU=16.0), node(alive=False, CPU=64.0), node(CPU=0.0)]
    plan = plan_for(laptops)
    assert plan == Plan(Slot(2))
    assert count_slots(laptops, plan) == Counts(9, 0)
    assert plan_for([node(CPU=64.0)]) == Plan(Slot(4))


def test_gpus_classify_and_all_processors_decode() -> None:
    servers = [node(CPU=64.0, GPU=8.0), node(CPU=6.0, GPU=2.0), node(CPU=9.0)]
    plan = plan_for(servers)
    assert plan == Plan(Slot(4), Slot(0, 1))
    assert count_slots(servers, plan) == Counts(16 + 1 + 2, 10)
    only_processors = plan_for(servers, gpus=False)
    assert only_processors == Plan(Slot(4))
    assert count_slots(servers, only_processors) == Counts(19, 0)


def test_nodes_without_processors_are_no_place_for_workers() -> None:
    assert plan_for([]) is None
    assert plan_for([node(CPU=0.0), node(alive=False, CPU=4.0), node(GPU=1.0)]) is None
