"""Reads and classifies photos in this process."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from geotag.errors import PhotoError
from geotag.metadata.header import failure_of, read_header
from geotag.records import Failure, FailureKind, Metadata, Photo, Prediction, Reading
from geotag.runners.base import Job, MustStop, never
from geotag.sources.base import Source

if TYPE_CHECKING:
    from geotag.decoding.loader import Decoded, Item, Loader
    from geotag.model.checkpoint import Checkpoint
    from geotag.recognition.model import Model

_log = logging.getLogger(__name__)
# Photos that are decoded ahead of the network: what keeps all workers busy while it is loaded.
_WINDOW = 64
# What it may take to fit a network to the processor, while photos are decoded beside.
_LOADING_BYTES = 400 * 2**20


class LocalRunner:
    """Headers in this thread; decoding and the network in workers, each on a core of its own.

    The network is loaded when the first photo needs it, so that a library of geotagged photos is
    read without it.
    """

    def __init__(self, source: Source, job: Job, elsewhere: Elsewhere | None = None) -> None:
        self.source = source
        self.job = job
        self._elsewhere = elsewhere
        self._classifier: Classifier | None = None

    def close(self) -> None:
        if self._classifier is not None:
            self._classifier.close()
            self._classifier = None

    def run(self, photos: Iterable[Photo], must_stop: MustStop = never) -> Iterator[Reading]:
        """One reading for each photo; those that need the network come in batches.

        May be called again: the network stays loaded until the runner is closed.
        """
        for photo in self.source.ahead(takewhile(lambda _: not must_stop(), photos)):
            try:
                header = read_header(self.source, photo)
            except PhotoError as error:
                yield Reading(photo, Metadata(), failure=failure_of(error))
                continue
            if header.metadata.location is not None and not self.job.classify_all:
                yield Reading(photo, header.metadata)
                continue
            from geotag.decoding.loader import Item

            if self._classifier is None:
                self._classifier = Classifier(self.source, self.job, self._elsewhere)
            yield from self._classifier.submit(Item(photo, header))
        if self._classifier is not None:
            yield from self._classifier.drain()


class Classifier:
    """Decodes and classifies photos in one pool of workers.

    A worker decodes a photo or runs a network on a batch, either on one core: whichever of the
    two is slower gets more of the workers, and they never wait for each other's threads. Decoding
    is left to processes, one a worker: a photo on which a decoder crashes or hangs ends no scan.

    Where the model has a prefilter, it is the first stage of a cascade (Viola and Jones, "Rapid
    Object Detection using a Boosted Cascade of Simple Features", 2001): a photo in which it sees
    too little of a landmark is not classified by the full network. It takes the thumbnail, so that
    the photo need not even be read; where there is none, it takes the decoded photo, which it
    rejects only where a landmark is very unlikely.

    With `elsewhere` the full network is not loaded: that gets the pictures for it.
    """

    def __init__(self, source: Source, job: Job, elsewhere: Elsewhere | None = None) -> None:
        from geotag.decoding.isolated import IsolatedDecoder
        from geotag.decoding.loader import Loader, ThumbnailLoader
        from geotag.model.checkpoint import load_checkpoint

        self.job = job
        checkpoint = load_checkpoint(job.model)
        spec = checkpoint.spec
        self._pool = ThreadPoolExecutor(job.workers, "worker")
        self._decoder = IsolatedDecoder()
        self._photos = Loader(
            source, spec.input_size, spec.fit, self._pool, _WINDOW, self._decoder.decode
        )
        self._full: Batcher | Elsewhere = elsewhere or load_batcher(checkpoint, job, self._pool)
        self._prefilter: Prefilter | None = None
        if job.prefilter and spec.prefilter is not None:
            small = checkpoint.prefilter()
            plain = job._replace(engine_options=job.engine_options._replace(embeds=False))
            size = small.spec.input_size
            self._prefilter = Prefilter(
                ThumbnailLoader(
                    source, size, spec.fit, self._pool, _WINDOW, self._decoder.decode_thumbnail
                ),
                load_batcher(small, plain, self._pool),
                job.prefilter,
                min(job.prefilter, spec.prefilter.photo_threshold),
            )

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._decoder.close()

    def submit(self, item: Item) -> Iterator[Reading]:
        """Begin to classify a photo; readings of earlier ones come back as they are ready."""
        if self._prefilter is not None and item.header.thumbnail is not None:
            for thumbnail in self._prefilter.thumbnails.submit(item):
                yield from self._take_thumbnail(self._prefilter, thumbnail)
        else:
            yield from self._read(item)

    def drain(self) -> Iterator[Reading]:
        """The readings of all photos that were submitted and have not come back."""
        if self._prefilter is not None:
            for thumbnail in self._prefilter.thumbnails.drain():
                yield from self._take_thumbnail(self._prefilter, thumbnail)
            yield from self._filter(self._prefilter, self._prefilter.batcher.drain())
        for decoded in self._photos.drain():
            yield from self._take_photo(decoded)
        if self._prefilter is not None:
            yield from self._filter(self._prefilter, self._prefilter.batcher.drain())
        yield from map(reading_of, self._full.drain())

    def _read(self, item: Item) -> Iterator[Reading]:
        for decoded in self._photos.submit(item):
            yield from self._take_photo(decoded)

    def _take_thumbnail(self, prefilter: Prefilter, thumbnail: Decoded) -> Iterator[Reading]:
        """A thumbnail that cannot be decoded is no reason to reject its photo."""
        if thumbnail.pixels is None:
            yield from self._read(thumbnail.item)
        else:
            yield from self._filter(prefilter, prefilter.batcher.submit(thumbnail))

    def _take_photo(self, decoded: Decoded) -> Iterator[Reading]:
        if decoded.pixels is None:
            yield reading_of(Classified(decoded))
            return
        if decoded.empty:
            yield reading_of(Classified(decoded, Prediction((), 0.0, decoded.empty)))
            return
        self._photos.window = max(_WINDOW, 2 * self._full.batch_size)
        if self._prefilter is None or decoded.item.has_passed:
            yield from map(reading_of, self._full.submit(decoded))
        else:
            yield from self._filter(self._prefilter, self._prefilter.batcher.submit(decoded))

    def _filter(self, prefilter: Prefilter, classified: Iterable[Classified]) -> Iterator[Reading]:
        """What the prefilter rejects is done; what passes is read in full, and classified."""
        for decoded, prediction in classified:
            assert prediction is not None
            is_thumbnail = decoded.is_thumbnail
            least = prefilter.thumbnail_threshold if is_thumbnail else prefilter.photo_threshold
            if prediction.landmark_probability < least:
                yield reading_of(Classified(decoded, prediction))._replace(prefilter=least)
            elif is_thumbnail:
                yield from self._read(decoded.item._replace(has_passed=True))
            else:
                yield from map(reading_of, self._full.submit(decoded))


def load_batcher(checkpoint: Checkpoint, job: Job, pool: Executor) -> Batcher:
    """Begin to load a network into its engine."""
    from geotag.decoding.memory import PICTURES
    from geotag.recognition.model import Model

    def load() -> Model:
        with PICTURES.hold(_LOADING_BYTES):
            model = Model(checkpoint, job.engine_options, job.workers)
        _log.info("engine: %s, %d pixels", model.engine.description, model.spec.input_size)
        return model

    return Batcher(pool.submit(load), pool)


class Classified(NamedTuple):
    """What a network makes of a picture; nothing where it could not be decoded."""

    decoded: Decoded
    prediction: Prediction | None = None


class Prefilter(NamedTuple):
    """The first stage: the thumbnails of headers, the small network, and the probabilities of a
    landmark from which it lets a thumbnail, and a photo that has none, pass."""

    thumbnails: Loader
    batcher: Batcher
    thumbnail_threshold: float
    photo_threshold: float


class Batcher:
    """Runs a model on decoded pictures in batches, in the order they were submitted."""

    def __init__(self, model: Future[Model], pool: Executor) -> None:
        self._model = model
        self._pool = pool
        self._waiting: list[Decoded] = []
        self._running: deque[tuple[list[Decoded], Future[list[Prediction]]]] = deque()

    @property
    def batch_size(self) -> int:
        """How many pictures go into a batch, once the model is loaded."""
        return self._model.result().engine.batch_size

    def submit(self, decoded: Decoded) -> Iterator[Classified]:
        """Begin to classify a picture; earlier ones come back."""
        self._waiting.append(decoded)
        if len(self._waiting) == self.batch_size:
            self._start()
        while len(self._running) > self._model.result().engine.streams:
            yield from self._finish()

    def drain(self) -> Iterator[Classified]:
        """All pictures that were submitted and have not come back."""
        if self._waiting:
            self._start()
        while self._running:
            yield from self._finish()

    def _start(self) -> None:
        """Hand the waiting pictures to the model."""
        batch, self._waiting = self._waiting, []
        self._running.append((batch, self._pool.submit(self._classify, batch)))

    def _classify(self, batch: list[Decoded]) -> list[Prediction]:
        from geotag.decoding.transforms import shrink

        model = self._model.result()
        size = model.spec.input_size
        return model.predictions(shrink(d.pixels, size) for d in batch if d.pixels is not None)

    def _finish(self) -> Iterator[Classified]:
        """The batch that was started first."""
        batch, predictions = self._running.popleft()
        yield from map(Classified, batch, predictions.result())


class Elsewhere:
    """In place of a Batcher: keeps the decoded pictures, for another machine to classify."""

    batch_size = 1

    def __init__(self) -> None:
        self._pictures: list[Decoded] = []

    def submit(self, decoded: Decoded) -> Iterator[Classified]:
        """Keep a picture, without the thumbnail, which has done its work."""
        item = decoded.item
        header = item.header._replace(thumbnail=None)
        self._pictures.append(decoded._replace(item=item._replace(header=header)))
        return iter(())

    def drain(self) -> Iterator[Classified]:
        """Nothing is classified here."""
        return iter(())

    def take(self) -> list[Decoded]:
        """The pictures that were kept since the last time."""
        pictures, self._pictures = self._pictures, []
        return pictures


def reading_of(classified: Classified) -> Reading:
    """A picture's reading, with what its header told."""
    decoded, prediction = classified
    photo, header, _ = decoded.item
    failure = decoded.failure
    if decoded.pixels is None:
        failure = failure or Failure(FailureKind.PERMANENT, "cannot be decoded")
    return Reading(photo, header.metadata, prediction, failure, decoded.content_key)
