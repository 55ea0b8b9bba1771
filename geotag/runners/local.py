"""Reads and classifies photos in this process."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from geotag.errors import PhotoError
from geotag.metadata import failure_of, read_header
from geotag.records import Failure, FailureKind, Metadata, Photo, Prediction, Reading
from geotag.runners.base import Job
from geotag.sources.base import Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from geotag.checkpoint import Checkpoint
    from geotag.engines.base import Engine
    from geotag.loader import Decoded, Item, Loader

    Logits = Future[NDArray[np.float32]]

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
            from geotag.loader import Item

            self._classifier = self._classifier or Classifier(self.source, self.job)
            yield from self._classifier.submit(Item(photo, header))
        if self._classifier is not None:
            yield from self._classifier.drain()


class Classifier:
    """Decodes and classifies photos in one pool of workers.

    A worker decodes a photo or runs the network on a batch, either on one core: whichever of the
    two is slower gets more of the workers, and they never wait for each other's threads.

    Where the model knows what to make of thumbnails, a photo that has one is read only if the
    network sees enough of a landmark there (a cascade: Viola and Jones, "Rapid Object Detection
    using a Boosted Cascade of Simple Features", 2001).
    """

    def __init__(self, source: Source, job: Job) -> None:
        from geotag.checkpoint import load_checkpoint
        from geotag.loader import Loader, ThumbnailLoader

        self.job = job
        checkpoint = load_checkpoint(job.model)
        spec = checkpoint.spec
        self._pool = ThreadPoolExecutor(job.workers, "worker")
        self._looks = Looks(
            Loader(source, spec.input_size, spec.fit, self._pool, _WINDOW),
            checkpoint,
            self._engine_for(checkpoint),
        )
        self._glances = None
        if job.glance and spec.glance is not None:
            small = checkpoint.glancing()
            self._glances = Looks(
                ThumbnailLoader(source, small.spec.input_size, spec.fit, self._pool, _WINDOW),
                small,
                self._engine_for(small),
            )

    def _engine_for(self, checkpoint: Checkpoint) -> Future[Engine]:
        from geotag.engines import build_engine

        def build() -> Engine:
            engine = build_engine(checkpoint, self.job.engine_options, self.job.workers)
            _log.info("engine: %s, %d pixels", engine.description, checkpoint.spec.input_size)
            return engine

        return self._pool.submit(build)

    def close(self) -> None:
        """Stop the workers; what was not taken is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, item: Item) -> Iterator[Reading]:
        """Begin to classify a photo; readings of earlier ones come back as they are ready."""
        if self._glances is not None and item.header.thumbnail is not None:
            for seen in self._glances.submit(item):
                yield from self._after_glance(seen)
        else:
            yield from map(_reading, self._looks.submit(item))

    def drain(self) -> Iterator[Reading]:
        """The readings of all photos that were submitted and have not come back."""
        if self._glances is not None:
            for seen in self._glances.drain():
                yield from self._after_glance(seen)
        yield from map(_reading, self._looks.drain())

    def _after_glance(self, seen: Seen) -> Iterator[Reading]:
        """A thumbnail that cannot be decoded says nothing about its photo."""
        prediction, item = seen.prediction, seen.decoded.item
        if prediction is not None and prediction.top[0].confidence < self.job.glance:
            yield _reading(seen)._replace(glance=self.job.glance)
        else:
            yield from map(_reading, self._looks.submit(item))


class Seen(NamedTuple):
    """What the network saw in a picture; nothing where it could not be decoded."""

    decoded: Decoded
    prediction: Prediction | None = None


class Looks:
    """Shows pictures to one network in batches, in the order they were submitted."""

    def __init__(self, loader: Loader, checkpoint: Checkpoint, engine: Future[Engine]) -> None:
        self.loader = loader
        self.spec = checkpoint.spec
        self.engine = engine
        self._decoded: list[Decoded] = []
        self._running: deque[tuple[list[Decoded], Logits]] = deque()

    def submit(self, item: Item) -> Iterator[Seen]:
        """Begin to look at a picture; what was seen in earlier ones comes back."""
        for decoded in self.loader.submit(item):
            yield from self._take(decoded)

    def drain(self) -> Iterator[Seen]:
        """What is seen in all pictures that were submitted and have not come back."""
        for decoded in self.loader.drain():
            yield from self._take(decoded)
        if self._decoded:
            self._start(self.engine.result())
        while self._running:
            yield from self._finish()

    def _take(self, decoded: Decoded) -> Iterator[Seen]:
        if decoded.pixels is None:
            yield Seen(decoded)
            return
        engine = self.engine.result()
        self.loader.window = max(_WINDOW, 2 * engine.batch_size)
        self._decoded.append(decoded)
        if len(self._decoded) == engine.batch_size:
            self._start(engine)
        while len(self._running) > engine.lanes:
            yield from self._finish()

    def _start(self, engine: Engine) -> None:
        """Hand the decoded pictures to the network."""
        import numpy as np

        pixels = np.stack([d.pixels for d in self._decoded if d.pixels is not None])
        self._running.append((self._decoded, self.loader.pool.submit(engine.predict, pixels)))
        self._decoded = []

    def _finish(self) -> Iterator[Seen]:
        """What was seen in the batch that was started first."""
        from geotag.decision import parse_scores

        pictures, logits = self._running.popleft()
        spec = self.spec
        predictions = parse_scores(logits.result(), spec.categories, spec.temperature)
        yield from map(Seen, pictures, predictions)


def _reading(seen: Seen) -> Reading:
    (photo, header), pixels, failure, content_key = seen.decoded
    if pixels is None:
        failure = failure or Failure(FailureKind.PERMANENT, "cannot be decoded")
    return Reading(photo, header.metadata, seen.prediction, failure, content_key)
