"""Scans on a real Ray cluster of two nodes on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from geotag.errors import EngineError, GeotagError
from geotag.options import ScanOptions
from geotag.pipeline import Progress, scan_library
from geotag.records import Photo
from geotag.runners.ray import Shards, Slot, count_slots, slot_of
from tests.conftest import WritePhoto, gps_ifd


def node(alive: bool = True, **resources: float) -> dict[str, Any]:
    return {"Alive": alive, "Resources": resources}


def test_a_slot_is_a_gpu_or_a_few_processors() -> None:
    laptops = [node(CPU=2.0), node(CPU=16.0), node(alive=False, CPU=64.0)]
    assert slot_of(laptops) == Slot(2, 0)
    assert count_slots(laptops, slot_of(laptops)) == 9
    servers = [node(CPU=64.0, GPU=8.0), node(CPU=32.0, GPU=2.0), node(CPU=4.0)]
    assert slot_of(servers) == Slot(8, 1)
    assert count_slots(servers, slot_of(servers)) == 10
    with pytest.raises(EngineError, match="no processors"):
        slot_of([node(alive=False, CPU=4.0)])


def test_a_photo_that_no_worker_survives_becomes_a_row_and_takes_no_other_with_it() -> None:
    photos = [Photo(f"/{n}.jpg", 1, "1") for n in range(4)]
    shards = Shards(photos)
    read, failed = [], []
    while (shard := shards.take()) is not None:
        if photos[2] in shard.photos:
            failed.append(shards.return_lost(shard))
        else:
            read += shard.photos
    assert sorted(read) == [photos[0], photos[1], photos[3]]
    (reading,) = filter(None, failed)
    assert reading.photo == photos[2]
    assert reading.failure is not None and "workers were lost" in reading.failure.reason


@pytest.fixture
def library(tmp_path: Path, write_photo: WritePhoto) -> Path:
    """Sixty photos of all kinds, one of them broken."""
    for n in range(60):
        colour = ("eiffel_tower", "taj_mahal", "stonehenge", "")[n % 4]
        gps = gps_ifd(48.0 + n / 100, 2.0) if n % 5 == 0 else None
        write_photo(f"{n:02d}.jpg", colour, seed=n, gps=gps)
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    return tmp_path / "photos"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head node and another one, with a processor each, and a driver that has joined them."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "180")
    ray = pytest.importorskip("ray", reason="ray is not installed")
    from ray.cluster_utils import Cluster

    options = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=options)
    cluster.second = cluster.add_node(**options)
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


class KillNode(Progress):
    """Kills the second node once the first readings are in."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self.killed = False

    def advanced(self, readings: int) -> None:
        if not self.killed:
            self.killed = True
            self.cluster.remove_node(self.cluster.second, allow_graceful=False)


@pytest.mark.slow
def test_two_nodes_of_which_one_dies_give_the_table_of_one_machine(
    library: Path,
    tmp_path: Path,
    model_path: Path,
    cluster: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("geotag.runners.ray.SHARD", 4)
    monkeypatch.setattr("geotag.pipeline._COMMIT_READINGS", 4)
    alone, together = tmp_path / "alone.csv", tmp_path / "together.csv"
    options = ScanOptions(model=model_path)
    scan_library([str(library)], str(alone), options)
    kill = KillNode(cluster)
    far = options._replace(runner="ray", address=cluster.address)
    summary = scan_library([str(library)], str(together), far, kill)
    assert kill.killed
    assert summary.read == 61
    assert together.read_bytes() == alone.read_bytes()


@pytest.mark.slow
def test_a_fault_of_the_workers_ends_the_scan_as_it_would_here(
    library: Path, tmp_path: Path, model_path: Path, cluster: Any
) -> None:
    options = ScanOptions(model=model_path, runner="ray", address=cluster.address)
    no_device = options.engine_options._replace(device="cuda:7", engine="pytorch")
    with pytest.raises(GeotagError, match="cuda"):
        scan_library(
            [str(library)], str(tmp_path / "t.csv"), options._replace(engine_options=no_device)
        )
