"""Reads and classifies photos in this process."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from geotag.errors import PhotoError
from geotag.metadata import failure_of, read_header
from geotag.records import Failure, FailureKind, Metadata, Photo, Reading
from geotag.runners.base import Job
from geotag.sources.base import Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from geotag.engines.base import Engine
    from geotag.loader import Decoded, Item

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
        """One reading for each photo; those that need the network come in batches."""
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
    """

    def __init__(self, source: Source, job: Job) -> None:
        from geotag.checkpoint import load_checkpoint
        from geotag.loader import Loader

        self.job = job
        self._checkpoint = load_checkpoint(job.model)
        spec = self._checkpoint.spec
        self._pool = ThreadPoolExecutor(job.workers, "worker")
        self._engine = self._pool.submit(self._build_engine)
        self._loader = Loader(source, spec.input_size, spec.fit, self._pool, _WINDOW)
        self._decoded: list[Decoded] = []
        self._running: deque[tuple[list[Decoded], Logits]] = deque()

    def close(self) -> None:
        """Stop the workers; what was not taken is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, item: Item) -> Iterator[Reading]:
        """Begin to classify a photo; readings of earlier ones come back as they are ready."""
        for decoded in self._loader.submit(item):
            yield from self._take(decoded)

    def drain(self) -> Iterator[Reading]:
        """The readings of all photos that were submitted and have not come back."""
        for decoded in self._loader.drain():
            yield from self._take(decoded)
        if self._decoded:
            self._start()
        while self._running:
            yield from self._finish()

    def _take(self, decoded: Decoded) -> Iterator[Reading]:
        if decoded.pixels is None:
            failure = decoded.failure or Failure(FailureKind.PERMANENT, "cannot be decoded")
            yield Reading(decoded.item.photo, decoded.item.header.metadata, failure=failure)
            return
        engine = self._engine.result()
        self._loader.window = max(_WINDOW, 2 * engine.batch_size)
        self._decoded.append(decoded)
        if len(self._decoded) == engine.batch_size:
            self._start()
        while len(self._running) > engine.lanes:
            yield from self._finish()

    def _build_engine(self) -> Engine:
        from geotag.engines import build_engine

        engine = build_engine(self._checkpoint, self.job.engine_options, self.job.workers)
        _log.info("engine: %s", engine.description)
        return engine

    def _start(self) -> None:
        """Hand the decoded photos to the network."""
        import numpy as np

        pixels = np.stack([d.pixels for d in self._decoded if d.pixels is not None])
        logits = self._pool.submit(self._engine.result().predict, pixels)
        self._running.append((self._decoded, logits))
        self._decoded = []

    def _finish(self) -> Iterator[Reading]:
        """The readings of the batch that was started first."""
        from geotag.decision import parse_scores

        photos, logits = self._running.popleft()
        spec = self._checkpoint.spec
        predictions = parse_scores(logits.result(), spec.categories, spec.temperature)
        for decoded, prediction in zip(photos, predictions, strict=True):
            photo, header = decoded.item
            yield Reading(photo, header.metadata, prediction, None, decoded.content_key)
