"""Reads and classifies photos on the machines of a Ray cluster."""

from __future__ import annotations

import logging
import signal
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any, NamedTuple

from geotag.errors import EngineError, GeotagError, MissingDependencyError
from geotag.records import Failure, FailureKind, Metadata, Photo, Reading
from geotag.runners.base import Job, MustStop, never
from geotag.runners.local import LocalRunner
from geotag.sources import Library
from geotag.sources.base import Filters

# Photos a worker is given at once: enough to keep its batches full, few enough to lose.
SHARD = 256
_QUEUED = 2
# A shard that so many workers did not survive is halved, until the photo that kills is alone.
_LIVES = 3
_CPUS = 4
_CHECK_SECONDS = 5.0
# How long after the loss of a worker the cluster is asked for another one: whatever ended the
# worker may end the cluster as well, which then does not respond, or this run.
_PAUSE_SECONDS = 2.0
_PATIENCE_SECONDS = 300.0
_log = logging.getLogger(__name__)


class Slot(NamedTuple):
    """What one worker takes of the cluster."""

    cpus: int
    gpus: int


class Shard(NamedTuple):
    """Photos to read together, and how many workers were lost over them."""

    photos: list[Photo]
    losses: int = 0


class Worker:
    """The engine in one slot: a local runner over the same sources."""

    def __init__(
        self, texts: tuple[str, ...], filters: Filters, job: Job, model: bytes | None
    ) -> None:
        if model is not None:
            self._folder = tempfile.TemporaryDirectory(prefix="geotag-")
            path = Path(self._folder.name) / "model.safetensors"
            path.write_bytes(model)
            job = job._replace(model=path)
        self.library = Library(texts, filters)
        self.runner = LocalRunner(self.library, job)

    def ready(self) -> None:
        """Returns once the worker is there."""

    def read(self, photos: list[Photo]) -> tuple[list[Reading], int]:
        """The readings of a shard, and how many bytes were fetched for it."""
        before = self.library.bytes_fetched
        readings = list(self.runner.run(photos))
        return readings, self.library.bytes_fetched - before


class RayRunner:
    """One worker for each GPU of the cluster or, where it has none, for each few processors.

    Workers may die and join at any time: what one was reading is given to another. The sources
    must be within reach of all machines: buckets, or folders that all of them have mounted.
    """

    def __init__(self, source: Library, job: Job) -> None:
        self.library = source
        self.job = job

    def close(self) -> None:
        """The cluster is left when `run` ends."""

    def run(self, photos: Iterable[Photo], must_stop: MustStop = never) -> Iterator[Reading]:
        """One reading for each photo, shard by shard as they are done."""
        with _cluster(self.job.address) as ray:
            workers = _Workers(ray, self.library, self.job, must_stop)
            yield from workers.read(Shards(photos))


class Shards:
    """The photos that no worker has yet."""

    def __init__(self, photos: Iterable[Photo]) -> None:
        remaining = iter(photos)
        self._upcoming = iter(lambda: list(islice(remaining, SHARD)), [])
        self._again: deque[Shard] = deque()

    def take(self) -> Shard | None:
        """The next ones to read: first those of lost workers."""
        if self._again:
            return self._again.popleft()
        photos = next(self._upcoming, None)
        return Shard(photos) if photos is not None else None

    def return_lost(self, shard: Shard) -> Reading | None:
        """A lost worker's photos are read by another one, or a photo that no worker survives is a
        reading."""
        photos, losses = shard.photos, shard.losses + 1
        if losses < _LIVES:
            self._again.append(Shard(photos, losses))
        elif len(photos) > 1:
            half = len(photos) // 2
            self._again += [Shard(photos[:half]), Shard(photos[half:])]
        else:
            reason = f"{losses} workers were lost while they read it"
            return Reading(photos[0], Metadata(), failure=Failure(FailureKind.TRANSIENT, reason))
        return None


class _Workers:
    """The workers, and the shards that each is reading."""

    def __init__(self, ray: Any, library: Library, job: Job, must_stop: MustStop) -> None:
        self.ray = ray
        self.library = library
        self.must_stop = must_stop
        self.slot = slot_of(ray.nodes())
        self.losses: tuple[type[Exception], ...] = (
            ray.exceptions.RayActorError,
            ray.exceptions.ObjectLostError,
            ray.exceptions.NodeDiedError,
            ray.exceptions.WorkerCrashedError,
        )
        model = job.model.read_bytes() if job.model is not None else None
        job = job._replace(model=None, workers=self.slot.cpus)
        self._arguments = (library.texts, library.filters, job, ray.put(model))
        self._class = ray.remote(num_cpus=self.slot.cpus, num_gpus=self.slot.gpus)(Worker)
        self._starting: dict[Any, Any] = {}
        self._held: dict[Any, int] = {}
        self._reading: dict[Any, tuple[Any, Shard]] = {}
        self._check_at = 0.0
        self._idle_since = time.monotonic()

    def read(self, shards: Shards) -> Iterator[Reading]:
        """Hand out shards until all photos are read, or until those being read are where the run
        is to stop."""
        waiting = shards.take()
        while waiting is not None or self._reading:
            if not self.must_stop():
                self._start_workers()
                while waiting is not None and (worker := self._free_worker()) is not None:
                    self._give(worker, waiting)
                    waiting = shards.take()
            elif not self._reading:
                break
            yield from self._collect(shards)
            waiting = waiting or shards.take()

    def _start_workers(self) -> None:
        """As many workers as the cluster has slots, now."""
        if time.monotonic() < self._check_at:
            return
        self._check_at = time.monotonic() + _CHECK_SECONDS
        missing = count_slots(self.ray.nodes(), self.slot) - len(self._held) - len(self._starting)
        for _ in range(missing):
            worker = self._class.remote(*self._arguments)
            self._starting[worker.ready.remote()] = worker
        if self._held:
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > _PATIENCE_SECONDS:
            raise EngineError("the Ray cluster has no room for a worker; see `ray status`")

    def _free_worker(self) -> Any:
        free = [worker for worker, held in self._held.items() if held < _QUEUED]
        return min(free, key=lambda worker: self._held[worker]) if free else None

    def _give(self, worker: Any, shard: Shard) -> None:
        self._reading[worker.read.remote(shard.photos)] = worker, shard
        self._held[worker] += 1

    def _collect(self, shards: Shards) -> Iterator[Reading]:
        """Wait for what comes first: a shard that is done, a worker that is ready or lost."""
        pending = [*self._reading, *self._starting]
        if not pending:
            time.sleep(_CHECK_SECONDS / 10)
            return
        done, _ = self.ray.wait(pending, num_returns=1, timeout=_CHECK_SECONDS)
        for result in done:
            if result in self._starting:
                self._note_ready(self._starting.pop(result), result)
            else:
                yield from self._take_result(result, shards)

    def _note_ready(self, worker: Any, result: Any) -> None:
        try:
            self.ray.get(result)
        except self.losses as error:
            _raise_own(error)
            _log.warning("a worker did not start; another one is tried")
        else:
            self._held[worker] = 0

    def _take_result(self, result: Any, shards: Shards) -> Iterator[Reading]:
        worker, shard = self._reading.pop(result)
        if worker in self._held:
            self._held[worker] -= 1
        try:
            readings, fetched = self.ray.get(result)
        except self.losses:
            self._held.pop(worker, None)
            self._check_at = time.monotonic() + _PAUSE_SECONDS
            yield from self._lose(worker, shard, shards)
            return
        except self.ray.exceptions.RayTaskError as error:
            _raise_own(error)
            raise
        self.library.bytes_elsewhere += fetched
        yield from readings

    def _lose(self, worker: Any, shard: Shard, shards: Shards) -> Iterator[Reading]:
        if self.must_stop():
            _log.warning("a worker was ended; its %d photos are left", len(shard.photos))
            return
        _log.warning("a worker was lost; its %d photos are read again", len(shard.photos))
        with suppress(Exception):
            self.ray.kill(worker)
        if (reading := shards.return_lost(shard)) is not None:
            yield reading


def slot_of(nodes: list[dict[str, Any]]) -> Slot:
    """One GPU with its share of processors, or up to four processors."""
    resources = [node["Resources"] for node in nodes if node["Alive"]]
    cpus = [int(r.get("CPU", 0)) for r in resources if int(r.get("CPU", 0)) > 0]
    if not cpus:
        raise EngineError("the Ray cluster has no processors to work on; see `ray status`")
    shares = [int(r["CPU"] // r["GPU"]) for r in resources if r.get("GPU", 0) >= 1]
    if shares:
        return Slot(max(1, min(shares)), 1)
    return Slot(min(_CPUS, *cpus), 0)


def count_slots(nodes: list[dict[str, Any]], slot: Slot) -> int:
    """How many workers fit into the nodes that are alive."""
    count = 0
    for resources in (node["Resources"] for node in nodes if node["Alive"]):
        fit = int(resources.get("CPU", 0)) // slot.cpus
        count += min(fit, int(resources.get("GPU", 0))) if slot.gpus else fit
    return count


def _raise_own(error: Any) -> None:
    """A worker's own GeotagError, as if it had been raised here."""
    cause: Any = error
    while cause is not None:
        if isinstance(cause, GeotagError):
            raise cause
        cause = getattr(cause, "cause", None) or cause.__cause__


@contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    """Join a cluster, or start one on this machine; Ctrl-C and SIGTERM stay ours."""
    try:
        import ray
    except ImportError:
        raise MissingDependencyError("--runner ray", "ray") from None
    joined = ray.is_initialized()
    if not joined:
        with _kept_signals():
            try:
                ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise EngineError(
                    f"no Ray cluster at {address or 'this machine'} ({type(error).__name__}); "
                    "start one with `ray start --head`"
                ) from error
    try:
        yield ray
    finally:
        if not joined:
            ray.shutdown()


@contextmanager
def _kept_signals() -> Iterator[None]:
    if current_thread() is not main_thread():
        yield
        return
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
