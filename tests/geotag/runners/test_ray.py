"""Scans on real Ray clusters of several nodes on this machine."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from geotag.errors import GeotagError
from geotag.options import ScanOptions
from geotag.pipeline import Progress, scan_library
from geotag.records import Photo
from geotag.runners.ray import Shards
from geotag.runners.slots import Plan, Slot, plan_for
from tests.conftest import WritePhoto, gps_ifd


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


@pytest.mark.slow
@pytest.mark.parametrize("address", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "127.0.0.1:port"])
def test_a_cluster_that_is_not_there_is_told_at_once(
    library: Path, tmp_path: Path, model_path: Path, address: str
) -> None:
    pytest.importorskip("ray")
    with socket.socket() as taken:  # and nothing answers there
        taken.bind(("127.0.0.1", 0))
        address = address.format(taken.getsockname()[1])
        options = ScanOptions(model=model_path, runner="ray", address=address)
        with pytest.raises(GeotagError, match=f"no Ray cluster at {address}"):
            scan_library([str(library)], str(tmp_path / "t.csv"), options)


MEMORY = 80 * 2**20


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Ray that keeps to itself."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "180")
    return pytest.importorskip("ray", reason="ray is not installed")


@pytest.fixture
def cluster(quiet: Any) -> Iterator[Any]:
    """A head node with a processor, and a driver that has joined it."""
    from ray.cluster_utils import Cluster

    options = {"num_cpus": 1, "object_store_memory": MEMORY}
    cluster = Cluster(initialize_head=True, head_node_args=options)
    quiet.init(address=cluster.address, log_to_driver=False)
    yield cluster
    quiet.shutdown()
    cluster.shutdown()


class ReplaceNode(Progress):
    """Kills a node once the first readings are in, and has another one join."""

    def __init__(self, cluster: Any, lost: Any, **joins: float) -> None:
        self.cluster = cluster
        self.lost = lost
        self.joins = joins
        self.done = False

    def advanced(self, readings: int) -> None:
        if not self.done:
            self.done = True
            self.cluster.remove_node(self.lost, allow_graceful=False)
            self.cluster.add_node(object_store_memory=MEMORY, **self.joins)


@pytest.fixture
def in_small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geotag.runners.ray.SHARD", 4)
    monkeypatch.setattr("geotag.runners.base.COMMIT_READINGS", 4)


@pytest.mark.slow
@pytest.mark.usefixtures("in_small_shards")
def test_three_nodes_of_which_one_dies_and_one_joins_give_the_table_of_one_machine(
    library: Path, tmp_path: Path, model_path: Path, cluster: Any
) -> None:
    second, _ = (cluster.add_node(num_cpus=1, object_store_memory=MEMORY) for _ in range(2))
    alone, together = tmp_path / "alone.csv", tmp_path / "together.csv"
    options = ScanOptions(model=model_path)
    scan_library([str(library)], str(alone), options)
    replace = ReplaceNode(cluster, second, num_cpus=1)
    far = options._replace(runner="ray", address=cluster.address)
    summary = scan_library([str(library)], str(together), far, replace)
    assert replace.done
    assert summary.read == 61
    assert together.read_bytes() == alone.read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("in_small_shards")
@pytest.mark.parametrize("lost", ["decodes", "classifies"])
def test_processors_decode_for_gpus_and_either_may_be_lost(
    library: Path, tmp_path: Path, model_path: Path, cluster: Any, quiet: Any, lost: str
) -> None:
    """The GPUs are none: Ray only counts them, and the network runs on processors."""
    kinds = {"decodes": {"num_cpus": 1}, "classifies": {"num_cpus": 0, "num_gpus": 1}}
    nodes = {
        kind: cluster.add_node(object_store_memory=MEMORY, **has) for kind, has in kinds.items()
    }
    assert plan_for(quiet.nodes()) == Plan(Slot(1), Slot(0, 1))
    alone, together = tmp_path / "alone.csv", tmp_path / "together.csv"
    options = ScanOptions(model=model_path)
    scan_library([str(library)], str(alone), options)
    replace = ReplaceNode(cluster, nodes[lost], **kinds[lost])
    far = options._replace(runner="ray", address=cluster.address)
    summary = scan_library([str(library)], str(together), far, replace)
    assert replace.done
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


@pytest.mark.slow
def test_an_object_store_without_room_ends_the_scan_in_a_line(
    library: Path, tmp_path: Path, model_path: Path, quiet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_local_fs_capacity_threshold", "0")  # nor can it spill to the disk
    quiet.init(num_cpus=1, object_store_memory=MEMORY, log_to_driver=False)
    try:
        kept = []
        for size in (200_000, 20_000, 2_000):  # to the last gap
            with pytest.raises(quiet.exceptions.OutOfDiskError):
                while True:
                    kept.append(quiet.put(os.urandom(size)))
        options = ScanOptions(model=model_path, runner="ray")
        with pytest.raises(GeotagError, match="the Ray cluster cannot go on"):
            scan_library([str(library)], str(tmp_path / "t.csv"), options)
    finally:
        quiet.shutdown()


# What an autoscaler's configuration must have.
UNUSED = (
    "cluster_synced_files", "rsync_exclude", "rsync_filter", "initialization_commands",
    "setup_commands", "head_setup_commands", "worker_setup_commands", "head_start_ray_commands",
    "worker_start_ray_commands",
)  # fmt: skip
# In place of `ray`, which AutoscalingCluster calls: its `ray stop` would end every Ray here.
COMMAND = """#!/bin/sh
if [ "$1" = start ]; then
    shift
    setsid {ray} start --block {options} "$@" >{folder}/log 2>&1 &
    echo $! >{folder}/pid
elif pid=$(cat {folder}/pid); then
    kill $pid
    for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 $pid && sleep 0.5; done
    kill -KILL -$pid; sleep 2
fi 2>/dev/null
exit 0
"""


@pytest.fixture
def grow(quiet: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Starts Ray's own autoscaling cluster: a head without processors, and two nodes at most,
    processes here, that are started when they are asked for; and joins it as a driver."""
    from ray.cluster_utils import AutoscalingCluster

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"

    class Growing(AutoscalingCluster):  # type: ignore[misc]
        def _generate_config(self, head: Any, kinds: Any, **_: Any) -> dict[str, Any]:
            """As its own, whose defaults lie in a file that Ray's packages lack."""
            kinds["ray.head.default"] = {"resources": head, "node_config": {}, "max_workers": 0}
            return {
                "cluster_name": "growing",
                "max_workers": 2,
                "upscaling_speed": 1.0,
                "idle_timeout_minutes": 1.0,
                "provider": {
                    "type": "fake_multinode",
                    "gcs_address": address,
                    "use_node_id_as_ip": True,
                    "disable_node_updaters": True,
                    "disable_launch_config_check": True,
                },
                "auth": {},
                "available_node_types": kinds,
                "head_node_type": "ray.head.default",
                "file_mounts": {},
                "file_mounts_sync_continuously": False,
                **{key: [] for key in UNUSED},
            }

    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        options = "--include-dashboard=false --node-ip-address=127.0.0.1"
        options += f" --port={address.partition(':')[2]} --temp-dir={folder}"
        command = Path(folder, "ray")
        ray = shutil.which("ray")
        command.write_text(COMMAND.format(ray=ray, options=options, folder=folder))
        command.chmod(0o755)
        monkeypatch.setenv("PATH", folder, prepend=os.pathsep)
        started: list[AutoscalingCluster] = []

        def start(*kinds: dict[str, int]) -> None:
            nodes = {
                f"kind{n}": {"resources": has, "node_config": {}, "max_workers": 2}
                for n, has in enumerate(kinds)
            }
            started.append(Growing({"CPU": 0, "object_store_memory": MEMORY}, nodes))
            started[0].start()
            connect(quiet, address)
            assert resources(quiet) == {}

        yield start
        quiet.shutdown()
        for cluster in started:
            cluster.shutdown()


def connect(ray: Any, address: str) -> None:
    """Join a cluster that is just starting."""
    for _ in range(60):
        with suppress(ConnectionError):
            ray.init(address=address, log_to_driver=False)
            return
        time.sleep(1)
    raise AssertionError(f"no cluster at {address}")


def resources(ray: Any) -> dict[str, float]:
    """What the nodes that are alive have in all to compute with."""
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    total = {name: sum(node.get(name, 0) for node in alive) for name in ("CPU", "GPU")}
    return {name: count for name, count in total.items() if count}


class AwaitNodes(Progress):
    """Once the first photos are read, gives a cluster time to grow."""

    def __init__(self, ray: Any, processors: int) -> None:
        self.ray = ray
        self.processors = processors

    def advanced(self, readings: int) -> None:
        for _ in range(120):
            if resources(self.ray)["CPU"] >= self.processors:
                return
            time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.usefixtures("in_small_shards")
def test_a_cluster_grows_from_nothing_to_two_nodes_as_workers_are_asked_for(
    library: Path, tmp_path: Path, model_path: Path, grow: Any, quiet: Any
) -> None:
    alone, together = tmp_path / "alone.csv", tmp_path / "together.csv"
    options = ScanOptions(model=model_path)
    scan_library([str(library)], str(alone), options)
    grow({"CPU": 1})
    far = options._replace(runner="ray")
    scan_library([str(library)], str(together), far, AwaitNodes(quiet, 2))
    assert resources(quiet)["CPU"] == 2
    assert together.read_bytes() == alone.read_bytes()


@pytest.mark.slow
def test_a_cluster_without_gpus_starts_one_where_cuda_is_asked_for(
    library: Path, tmp_path: Path, model_path: Path, grow: Any, quiet: Any
) -> None:
    """Ray only counts the GPU: the network finds none there."""
    grow({"CPU": 1}, {"CPU": 1, "GPU": 1})
    options = ScanOptions(model=model_path, runner="ray")
    cuda = options.engine_options._replace(device="cuda", engine="pytorch")
    with pytest.raises(GeotagError, match="cuda"):
        scan_library([str(library)], str(tmp_path / "t.csv"), options._replace(engine_options=cuda))
    assert resources(quiet)["GPU"] >= 1
