"""Reads and classifies photos in this process."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from geotag.errors import PhotoError
from geotag.metadata.header import failure_of, read_header
from geotag.records import Failure, FailureKind, Metadata, Photo, Prediction, Reading
from geotag.runners.base import Job
from geotag.sources.base import Source

if TYPE_CHECKING:
    from geotag.decoding.loader import Decoded, Item, Loader
    from geotag.engines.base import Engine
    from geotag.model.checkpoint import Checkpoint

_log = logging.getLogger(__name__)
# Photos that are decoded ahead of the network: what keeps all workers busy while it is loaded.
_WINDOW = 64


class LocalRunner:
    """Headers in this thread; decoding and the network in workers, each on a core of its own.

    The network is loaded when the first photo needs it, so that a library of geotagged photos is
    read without it.
    """

    def __init__(self, source: Source, job: Job) -> None:
        self.source = source
        self.job = job
        self._classifier: Classifier | None = None

    def close(self) -> None:
        """Stop the workers; what was not taken is dropped."""
        if self._classifier is not None:
            self._classifier.close()
            self._classifier = None

    def run(self, photos: Iterable[Photo]) -> Iterator[Reading]:
        """One reading for each photo; those that need the network come in batches.

        May be called again: the network stays loaded until the runner is closed.
        """
        for photo in self.source.ahead(photos):
            try:
                header = read_header(self.source, photo)
            except PhotoError as error:
                yield Reading(photo, Metadata(), failure=failure_of(error))
                continue
            if header.metadata.location is not None and not self.job.classify_all:
                yield Reading(photo, header.metadata)
                continue
            from geotag.decoding.loader import Item

            self._classifier = self._classifier or Classifier(self.source, self.job)
            yield from self._classifier.submit(Item(photo, header))
        if self._classifier is not None:
            yield from self._classifier.drain()


class Classifier:
    """Decodes and classifies photos in one pool of workers.

    A worker decodes a photo or runs a network on a batch, either on one core: whichever of the
    two is slower gets more of the workers, and they never wait for each other's threads.

    Where the model has a small network to glance with, that one looks first, and a photo in which
    it sees too little of a landmark goes no further (a cascade: Viola and Jones, "Rapid Object
    Detection using a Boosted Cascade of Simple Features", 2001). It looks at the thumbnail, so
    that the photo need not even be read; where there is none, at the decoded photo, which goes no
    further only if it surely shows nothing.
    """

    def __init__(self, source: Source, job: Job) -> None:
        from geotag.decoding.loader import Loader, ThumbnailLoader
        from geotag.model.checkpoint import load_checkpoint

        self.job = job
        checkpoint = load_checkpoint(job.model)
        spec = checkpoint.spec
        self._pool = ThreadPoolExecutor(job.workers, "worker")
        self._photos = Loader(source, spec.input_size, spec.fit, self._pool, _WINDOW)
        self._network = self._batcher(checkpoint)
        self._glancer: Glancer | None = None
        if job.glance and spec.glance is not None:
            small = checkpoint.glancing()
            size = small.spec.input_size
            self._glancer = Glancer(
                ThumbnailLoader(source, size, spec.fit, self._pool, _WINDOW),
                self._batcher(small),
                job.glance,
                min(job.glance, spec.glance.surely_none),
            )

    def _batcher(self, checkpoint: Checkpoint) -> Batcher:
        from geotag.engines import build_engine

        def build() -> Engine:
            engine = build_engine(checkpoint, self.job.engine_options, self.job.workers)
            _log.info("engine: %s, %d pixels", engine.description, checkpoint.spec.input_size)
            return engine

        return Batcher(checkpoint, self._pool.submit(build), self._pool)

    def close(self) -> None:
        """Stop the workers; what was not taken is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, item: Item) -> Iterator[Reading]:
        """Begin to classify a photo; readings of earlier ones come back as they are ready."""
        if self._glancer is not None and item.header.thumbnail is not None:
            for thumbnail in self._glancer.thumbnails.submit(item):
                yield from self._take_thumbnail(self._glancer, thumbnail)
        else:
            yield from self._read(item)

    def drain(self) -> Iterator[Reading]:
        """The readings of all photos that were submitted and have not come back."""
        if self._glancer is not None:
            for thumbnail in self._glancer.thumbnails.drain():
                yield from self._take_thumbnail(self._glancer, thumbnail)
            yield from self._after_glances(self._glancer, self._glancer.network.drain())
        for decoded in self._photos.drain():
            yield from self._take_photo(decoded)
        if self._glancer is not None:
            yield from self._after_glances(self._glancer, self._glancer.network.drain())
        yield from map(_reading, self._network.drain())

    def _read(self, item: Item) -> Iterator[Reading]:
        for decoded in self._photos.submit(item):
            yield from self._take_photo(decoded)

    def _take_thumbnail(self, glancer: Glancer, thumbnail: Decoded) -> Iterator[Reading]:
        """A thumbnail that cannot be decoded says nothing about its photo."""
        if thumbnail.pixels is None:
            yield from self._read(thumbnail.item)
        else:
            yield from self._after_glances(glancer, glancer.network.submit(thumbnail))

    def _take_photo(self, decoded: Decoded) -> Iterator[Reading]:
        if decoded.pixels is None:
            yield _reading(Seen(decoded))
            return
        self._photos.window = max(_WINDOW, 2 * self._network.batch_size)
        if self._glancer is None or decoded.item.has_passed:
            yield from map(_reading, self._network.submit(decoded))
        else:
            seen = self._glancer.network.submit(decoded)
            yield from self._after_glances(self._glancer, seen)

    def _after_glances(self, glancer: Glancer, glances: Iterable[Seen]) -> Iterator[Reading]:
        for seen in glances:
            decoded, prediction = seen
            assert prediction is not None
            gate = glancer.thumbnail_gate if decoded.is_thumbnail else glancer.photo_gate
            if prediction.landmark_probability < gate:
                yield _reading(seen)._replace(prefilter=gate)
            elif decoded.is_thumbnail:
                yield from self._read(decoded.item._replace(has_passed=True))
            else:
                yield from map(_reading, self._network.submit(decoded))


class Seen(NamedTuple):
    """What a network saw in a picture; nothing where it could not be decoded."""

    decoded: Decoded
    prediction: Prediction | None = None


class Glancer(NamedTuple):
    """What looks first: the thumbnails that headers hold, the small network, and the least
    probabilities of a landmark at which it lets pass."""

    thumbnails: Loader
    network: Batcher
    thumbnail_gate: float
    photo_gate: float


class Batcher:
    """Shows decoded pictures to one network in batches, in the order they were submitted."""

    def __init__(self, checkpoint: Checkpoint, engine: Future[Engine], pool: Executor) -> None:
        self.spec = checkpoint.spec
        self._engine = engine
        self._pool = pool
        self._waiting: list[Decoded] = []
        self._running: deque[tuple[list[Decoded], Future[list[Prediction]]]] = deque()

    @property
    def batch_size(self) -> int:
        """How many pictures go into a batch, once the network is loaded."""
        return self._engine.result().batch_size

    def submit(self, decoded: Decoded) -> Iterator[Seen]:
        """Begin to look at a picture; what was seen in earlier ones comes back."""
        self._waiting.append(decoded)
        if len(self._waiting) == self.batch_size:
            self._start()
        while len(self._running) > self._engine.result().lanes:
            yield from self._finish()

    def drain(self) -> Iterator[Seen]:
        """What is seen in all pictures that were submitted and have not come back."""
        if self._waiting:
            self._start()
        while self._running:
            yield from self._finish()

    def _start(self) -> None:
        """Hand the waiting pictures to the network."""
        batch, self._waiting = self._waiting, []
        self._running.append((batch, self._pool.submit(self._look, batch)))

    def _look(self, batch: list[Decoded]) -> list[Prediction]:
        import numpy as np

        from geotag.decision import parse_scores
        from geotag.decoding.transforms import shrink

        spec = self.spec
        pixels = [shrink(d.pixels, spec.input_size) for d in batch if d.pixels is not None]
        logits = self._engine.result().predict(np.stack(pixels))
        return parse_scores(logits, spec.categories, spec.temperature)

    def _finish(self) -> Iterator[Seen]:
        """What was seen in the batch that was started first."""
        batch, predictions = self._running.popleft()
        yield from map(Seen, batch, predictions.result())


def _reading(seen: Seen) -> Reading:
    decoded, prediction = seen
    photo, header, _ = decoded.item
    failure = decoded.failure
    if decoded.pixels is None:
        failure = failure or Failure(FailureKind.PERMANENT, "cannot be decoded")
    return Reading(photo, header.metadata, prediction, failure, decoded.content_key)
