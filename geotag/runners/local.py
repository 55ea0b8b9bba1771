"""Reads and classifies photos in this process."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from geotag.checkpoint import Checkpoint, load_checkpoint
from geotag.errors import PhotoError
from geotag.metadata import Header, failure_of, read_header
from geotag.records import Failure, FailureKind, Metadata, Photo, Reading
from geotag.runners.base import Job
from geotag.sources.base import Source

if TYPE_CHECKING:
    from geotag.engines.base import Engine
    from geotag.loader import Batch, Loader

_log = logging.getLogger(__name__)


class LocalRunner:
    """Headers in this thread, decoding in others, the network in between.

    The network is loaded when the first photo needs it, so that a library of geotagged photos is
    read without it.
    """

    def __init__(self, source: Source, job: Job) -> None:
        self.source = source
        self.job = job
        self._loader: Loader | None = None

    def run(self, photos: Iterable[Photo]) -> Iterator[Reading]:
        """One reading for each photo; those that need the network come in batches."""
        try:
            for photo in photos:
                try:
                    header = read_header(self.source, photo)
                except PhotoError as error:
                    yield Reading(photo, Metadata(), failure=failure_of(error))
                    continue
                if header.metadata.location is not None and not self.job.classify_all:
                    yield Reading(photo, header.metadata)
                else:
                    yield from self._submit(photo, header)
            if self._loader is not None:
                for batch in self._loader.drain():
                    yield from self._classify(batch)
        finally:
            if self._loader is not None:
                self._loader.close()
                self._loader = None

    def _submit(self, photo: Photo, header: Header) -> Iterator[Reading]:
        from geotag.loader import Item, Loader

        if self._loader is None:
            spec = self._checkpoint.spec
            batch_size = self.job.engine_options.batch_size
            self._loader = Loader(
                self.source, spec.input_size, spec.fit, batch_size, self.job.workers
            )
        batch = self._loader.submit(Item(photo, header))
        if batch is not None:
            yield from self._classify(batch)

    @cached_property
    def _checkpoint(self) -> Checkpoint:
        return load_checkpoint(self.job.model)

    @cached_property
    def _engine(self) -> Engine:
        from geotag.engines import build_engine

        engine = build_engine(self.job.engine, self._checkpoint, self.job.engine_options)
        _log.info("engine: %s", engine.description)
        return engine

    def _classify(self, batch: Batch) -> Iterator[Reading]:
        from geotag.decision import parse_scores

        for failed in batch.failed:
            failure = failed.failure or Failure(FailureKind.PERMANENT, "cannot be decoded")
            yield Reading(failed.item.photo, failed.item.header.metadata, failure=failure)
        if not batch.items:
            return
        spec = self._checkpoint.spec
        logits = self._engine.predict(batch.pixels)
        for item, prediction in zip(
            batch.items, parse_scores(logits, spec.categories, spec.temperature), strict=True
        ):
            yield Reading(item.photo, item.header.metadata, prediction)
