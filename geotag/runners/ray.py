"""Reads and classifies photos on the machines of a Ray cluster."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple

from geotag.errors import EngineError, GeotagError
from geotag.records import Failure, FailureKind, Metadata, Photo, Reading
from geotag.runners.base import Job, MustStop, never
from geotag.runners.cluster import Watch, joined_cluster
from geotag.runners.remote import Classifier, Decoder, Reader
from geotag.runners.slots import Plan, Slot, count_slots, plan_for
from geotag.sources import Library

# Photos a worker is given at once: enough to keep its batches full, few enough to lose. Decoded
# they are 50 MB.
SHARD = 256
_QUEUED = 2
# A shard that so many workers did not survive is halved, until the photo that kills is alone.
_LIVES = 3
_CHECK_SECONDS = 5.0
# How long after the loss of a worker the cluster is asked for another one: whatever ended the
# worker may end the cluster as well, which then does not respond, or this run.
_PAUSE_SECONDS = 2.0
# How long nothing at all may work: a cluster that grows may have to start a machine first.
_PATIENCE_SECONDS = 900.0
_log = logging.getLogger(__name__)


class Shard(NamedTuple):
    """Photos to read together, and how many workers were lost over them.

    `pictures` refers to the decoded pictures in the object store, of photos that only need the
    network.
    """

    photos: list[Photo]
    losses: int = 0
    pictures: Any = None


class RayRunner:
    """Workers for the GPUs and processors of the cluster, and for those that it could have.

    A worker more than fit is asked for, for each that works, while photos wait for one: an
    autoscaler sees that and starts machines, and where one joins a worker is there at once. Workers
    may die at any time: what one was reading is given to another. The sources must be within reach
    of all machines: buckets, or folders that all of them have mounted.
    """

    def __init__(self, source: Library, job: Job) -> None:
        self.library = source
        self.job = job

    def close(self) -> None:
        """The cluster is left when `run` ends."""

    def run(self, photos: Iterable[Photo], must_stop: MustStop = never) -> Iterator[Reading]:
        """One reading for each photo, shard by shard as they are done."""
        shards = Shards(photos)
        if not shards.ahead(1):
            return
        with joined_cluster(self.job.address) as ray:
            plan = _await_plan(ray, self.job.engine_options.device, must_stop)
            if plan is not None:
                yield from _Workers(ray, self.library, self.job, plan).read(shards, must_stop)


class Shards:
    """The photos that no worker has yet."""

    def __init__(self, photos: Iterable[Photo]) -> None:
        remaining = iter(photos)
        self._upcoming = iter(lambda: list(islice(remaining, SHARD)), [])
        self._waiting: deque[Shard] = deque()

    def ahead(self, most: int) -> int:
        """How many shards wait, counted up to `most`."""
        missing = most - len(self._waiting)
        if missing > 0:
            self._waiting += map(Shard, islice(self._upcoming, missing))
        return min(most, len(self._waiting))

    def take(self) -> Shard | None:
        """The next ones to read: first those of lost workers."""
        return self._waiting.popleft() if self.ahead(1) else None

    def return_lost(self, shard: Shard) -> Reading | None:
        """A lost worker's photos are read by another one, or a photo that no worker survives is a
        reading."""
        photos, losses = shard.photos, shard.losses + 1
        if losses < _LIVES:
            self._waiting.appendleft(Shard(photos, losses))
        elif len(photos) > 1:
            half = len(photos) // 2
            self._waiting.extendleft((Shard(photos[half:]), Shard(photos[:half])))
        else:
            reason = f"{losses} workers were lost while they read it"
            return Reading(photos[0], Metadata(), failure=Failure(FailureKind.TRANSIENT, reason))
        return None


class _Pool:
    """The workers of one kind: those that start, and how many shards each of the others holds."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make
        self.starting: dict[Any, Any] = {}
        self.held: dict[Any, int] = {}
        self.failures = 0  # of workers to start, since one did

    def grow(self, size: int) -> None:
        """Ask for workers until there are so many."""
        for _ in range(size - len(self.held) - len(self.starting)):
            worker = self.make()
            self.starting[worker.ready.remote()] = worker

    def free(self) -> Any:
        """The worker that has least to do, or None where all have enough."""
        free = [worker for worker, held in self.held.items() if held < _QUEUED]
        return min(free, key=lambda worker: self.held[worker]) if free else None


class _Task(NamedTuple):
    """What a worker has in hand."""

    pool: _Pool
    worker: Any
    shard: Shard


class _Workers:
    """The workers, and the shards that each is reading.

    Where some decode and others classify, decoded pictures go from worker to worker through Ray's
    object store. No more photos are decoded while as many shards wait for a classifier as all of
    them hold, so that the pictures have room.
    """

    def __init__(self, ray: Any, library: Library, job: Job, plan: Plan) -> None:
        self.ray = ray
        self.library = library
        self.plan = plan
        self.losses: tuple[type[Exception], ...] = (
            ray.exceptions.RayActorError,
            ray.exceptions.ObjectLostError,
            ray.exceptions.NodeDiedError,
            ray.exceptions.WorkerCrashedError,
            ray.exceptions.OutOfMemoryError,  # Ray ended it, before the system had to
        )
        model = ray.put(job.model.read_bytes() if job.model is not None else None)
        job = job._replace(model=None, workers=plan.readers.cpus)
        self._readers = _Pool(lambda: reader.remote(library.texts, library.filters, job, model))
        self._classifiers = _Pool(lambda: classifier.remote(job, model))
        reader = _actor(ray, Reader if plan.classifiers is None else Decoder, plan.readers)
        classifier = _actor(ray, Classifier, plan.classifiers or plan.readers)
        self._tasks: dict[Any, _Task] = {}
        self._decoded: deque[Shard] = deque()
        self._watch = Watch(ray)
        self._check_at = 0.0
        self._idle_since = time.monotonic()

    def read(self, shards: Shards, must_stop: MustStop) -> Iterator[Reading]:
        """Hand out shards until all photos are read, or until those being read are where the run
        is to stop."""
        while self._tasks or self._decoded or shards.ahead(1):
            self._watch.check()
            stops = must_stop()
            if not stops:
                self._ask_for_workers(shards)
                self._hand_out(shards)
            self._classify_decoded()
            if stops and not self._tasks:
                break
            yield from self._collect(shards, must_stop)

    def _ask_for_workers(self, shards: Shards) -> None:
        """As many workers as fit now and, while there is work for them, as many again."""
        if time.monotonic() < self._check_at:
            return
        self._check_at = time.monotonic() + _CHECK_SECONDS
        fit = count_slots(self.ray.nodes(), self.plan)
        more = fit.readers + max(1, len(self._readers.held))
        work = len(self._tasks) + shards.ahead(more)
        self._readers.grow(min(more, work))
        if self.plan.classifiers is not None:
            missed = len(self._decoded) >= self._most_decoded
            more = fit.classifiers + missed * len(self._classifiers.held)
            self._classifiers.grow(min(max(1, more), work + len(self._decoded)))
        self._check_patience()

    def _check_patience(self) -> None:
        """Raise EngineError where nothing has worked for long."""
        if self._readers.held and (self._classifiers.held or not self._decoded):
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > _PATIENCE_SECONDS:
            raise EngineError(
                "the Ray cluster has had no room for a worker for "
                f"{_PATIENCE_SECONDS / 60:.0f} minutes; see `ray status`"
            )

    @property
    def _most_decoded(self) -> int:
        return _QUEUED * max(1, len(self._classifiers.held))

    def _hand_out(self, shards: Shards) -> None:
        while len(self._decoded) < self._most_decoded and shards.ahead(1):
            worker = self._readers.free()
            shard = shards.take() if worker is not None else None
            if shard is None:
                return
            if self.plan.classifiers is None:
                result = worker.read.remote(shard.photos)
            else:
                result, pictures = worker.read.options(num_returns=2).remote(shard.photos)
                shard = shard._replace(pictures=pictures)
            self._note_begun(result, _Task(self._readers, worker, shard))

    def _classify_decoded(self) -> None:
        while self._decoded and (worker := self._classifiers.free()) is not None:
            shard = self._decoded.popleft()
            result = worker.classify.remote(shard.pictures)
            self._note_begun(result, _Task(self._classifiers, worker, shard))

    def _note_begun(self, result: Any, task: _Task) -> None:
        self._tasks[result] = task
        task.pool.held[task.worker] += 1

    def _collect(self, shards: Shards, must_stop: MustStop) -> Iterator[Reading]:
        """Wait for what comes first: a shard that is done, a worker that is ready or lost."""
        pending = [*self._tasks, *self._readers.starting, *self._classifiers.starting]
        if not pending:
            time.sleep(_CHECK_SECONDS / 10)
            return
        done, _ = self.ray.wait(pending, num_returns=1, timeout=_CHECK_SECONDS)
        for result in done:
            if result in self._tasks:
                yield from self._take_result(result, shards, must_stop)
            for pool in (self._readers, self._classifiers):
                if result in pool.starting:
                    self._note_ready(pool, result)

    def _note_ready(self, pool: _Pool, result: Any) -> None:
        worker = pool.starting.pop(result)
        try:
            self.ray.get(result)
        except self.losses as error:
            self._note_failed(pool, error)
        else:
            pool.held[worker], pool.failures = 0, 0

    def _note_failed(self, pool: _Pool, error: Any) -> None:
        """Another worker is tried: on another machine it may start. Raises EngineError where none
        of several does, for a reason of its own."""
        reason = ""
        if isinstance(error, self.ray.exceptions.OutOfMemoryError):
            reason = "its machine is short of memory"
        elif getattr(error, "actor_init_failed", False):
            # Ray keeps no more of the worker's exception than its traceback.
            reason = str(error).strip().splitlines()[-1].partition(": ")[2]
        pool.failures += bool(reason)
        if pool.failures >= _LIVES and not pool.held:
            raise EngineError(f"no worker starts on the Ray cluster: {reason}")
        _log.warning("a worker did not start; another one is tried%s", reason and f" ({reason})")

    def _take_result(self, result: Any, shards: Shards, must_stop: MustStop) -> Iterator[Reading]:
        task = self._tasks.pop(result)
        if task.worker in task.pool.held:
            task.pool.held[task.worker] -= 1
        try:
            found = self.ray.get(result)
        except self.losses as error:
            yield from self._lose(task, shards, must_stop, error)
            return
        except self.ray.exceptions.RayTaskError as error:
            _raise_own(error)
            raise
        if task.pool is self._classifiers:
            yield from found
            return
        readings, fetched, *rest = found
        self.library.bytes_elsewhere += fetched
        if rest and rest[0]:
            self._decoded.append(task.shard._replace(photos=rest[0]))
        yield from readings

    def _lose(
        self, task: _Task, shards: Shards, must_stop: MustStop, error: Exception
    ) -> Iterator[Reading]:
        """A worker, or what another one made, is lost: its photos are read again, unless the run
        is to stop."""
        self._check_at = time.monotonic() + _PAUSE_SECONDS
        self._watch.expect_loss()
        count = len(task.shard.photos)
        if must_stop():
            task.pool.held.pop(task.worker, None)
            _log.warning("a worker was ended; its %d photos are left", count)
            return
        _log.warning("a worker was lost; its %d photos are read again", count)
        if not isinstance(error, self.ray.exceptions.ObjectLostError):
            task.pool.held.pop(task.worker, None)
            with suppress(Exception):
                self.ray.kill(task.worker)
        if (reading := shards.return_lost(task.shard)) is not None:
            yield reading


def _actor(ray: Any, kind: type, slot: Slot) -> Any:
    return ray.remote(num_cpus=slot.cpus, num_gpus=slot.gpus)(kind)


def _await_plan(ray: Any, device: str, must_stop: MustStop) -> Plan | None:
    """What the nodes are used for; where none has a processor yet, one is asked for first.

    None where the run is to stop before. Raises EngineError when none comes.
    """
    gpus = device != "cpu"
    wants_gpu = device == "cuda"
    probe, since = None, time.monotonic()
    while not must_stop():
        plan = plan_for(ray.nodes(), gpus)
        if plan is not None and (plan.classifiers or not wants_gpu):
            if probe is not None:  # its room is for the actors, which else would ask for more
                ray.cancel(probe)
            return plan
        if probe is None:
            kind = "GPU" if wants_gpu else "processor"
            _log.warning("the Ray cluster has no %s yet; asking for one", kind)
            probe = ray.remote(num_cpus=1, num_gpus=int(wants_gpu))(_nothing).remote()
        if time.monotonic() - since > _PATIENCE_SECONDS:
            raise EngineError(
                f"the Ray cluster has had no processors to work on (device {device}) for "
                f"{_PATIENCE_SECONDS / 60:.0f} minutes; see `ray status`"
            )
        time.sleep(_CHECK_SECONDS / 10)
    return None


def _nothing() -> None:
    """What asks for room without using it."""


def _raise_own(error: Any) -> None:
    """A worker's own GeotagError, as if it had been raised here."""
    cause: Any = error
    while cause is not None:
        if isinstance(cause, GeotagError):
            raise cause
        cause = getattr(cause, "cause", None) or cause.__cause__
