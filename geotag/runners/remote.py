"""What runs in the workers of a Ray cluster; nothing here needs Ray itself."""

from __future__ import annotations

import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from geotag.errors import EngineError
from geotag.files.temporary import TemporaryFolder
from geotag.records import Photo, Reading
from geotag.runners.base import Job
from geotag.runners.local import Elsewhere, LocalRunner, load_batcher, reading_of
from geotag.sources import Library
from geotag.sources.base import Filters

if TYPE_CHECKING:
    from geotag.decoding.loader import Decoded

# Threads of a classifier: one copies a batch to the GPU while another's is computed.
_STREAMS = 2


class _Worker:
    """A job with its model file on this machine."""

    def __init__(self, job: Job, model: bytes | None) -> None:
        if model is not None:
            try:
                self._folder = TemporaryFolder()
                path = Path(self._folder.name) / "model.safetensors"
                path.write_bytes(model)
            except OSError as error:
                raise EngineError(
                    f"the model cannot be kept on {platform.node()} ({error.strerror}): make room "
                    "among its temporary files, or set TMPDIR to another folder"
                ) from error
            job = job._replace(model=path)
        self.job = job

    def ready(self) -> None:
        """Returns once the worker is there."""


class Reader(_Worker):
    """Reads and classifies photos: a local runner over the same sources."""

    def __init__(
        self, texts: tuple[str, ...], filters: Filters, job: Job, model: bytes | None
    ) -> None:
        super().__init__(job, model)
        self.library = Library(texts, filters)
        self.runner = LocalRunner(self.library, self.job)

    def read(self, photos: list[Photo]) -> tuple[list[Reading], int]:
        """The readings of a shard, and how many bytes were fetched for it."""
        before = self.library.bytes_fetched
        readings = list(self.runner.run(photos))
        return readings, self.library.bytes_fetched - before


class Decoder(_Worker):
    """Reads photos, decodes them, and runs the prefilter; the network is another worker's."""

    def __init__(
        self, texts: tuple[str, ...], filters: Filters, job: Job, model: bytes | None
    ) -> None:
        # Here the processors compute, whatever the classifiers do.
        options = job.engine_options._replace(device="cpu", dtype="auto")
        super().__init__(job._replace(engine_options=options), model)
        self.library = Library(texts, filters)
        self._elsewhere = Elsewhere()
        self.runner = LocalRunner(self.library, self.job, self._elsewhere)

    def read(
        self, photos: list[Photo]
    ) -> tuple[tuple[list[Reading], int, list[Photo]], list[Decoded]]:
        """The readings that need no network more, the bytes fetched, and the photos that do; then,
        as an object of its own, their pictures."""
        before = self.library.bytes_fetched
        readings = list(self.runner.run(photos))
        pictures = self._elsewhere.take()
        rest = [decoded.item.photo for decoded in pictures]
        return (readings, self.library.bytes_fetched - before, rest), pictures


class Classifier(_Worker):
    """Runs the network on pictures that others decoded."""

    def __init__(self, job: Job, model: bytes | None) -> None:
        from geotag.model.checkpoint import load_checkpoint

        super().__init__(job._replace(workers=_STREAMS), model)
        pool = ThreadPoolExecutor(_STREAMS, "worker")
        self._batcher = load_batcher(load_checkpoint(self.job.model), self.job, pool)

    def classify(self, pictures: list[Decoded]) -> list[Reading]:
        done = [c for picture in pictures for c in self._batcher.submit(picture)]
        done += self._batcher.drain()
        return list(map(reading_of, done))
