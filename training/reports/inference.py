"""Runs a model file over the photos of a training set, decoded and preprocessed as in a scan."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geotag.decision import probabilities
from geotag.decoding.loader import decode
from geotag.errors import DataError, PhotoError
from geotag.metadata.header import parse_header
from geotag.recognition.model import Model
from geotag.records import Fit
from training.data.dataset import Dataset, Sample

Pixels = NDArray[np.uint8]


class Scored(NamedTuple):
    """The samples that could be read, their logits and calibrated probabilities (N, K + 1), and
    why the others could not."""

    samples: list[Sample]
    logits: NDArray[np.float32]
    scores: NDArray[np.float64]
    failed: dict[str, str]


def read_pixels(path: Path, size: int, fit: Fit = "squash") -> Pixels:
    """One photo upright at (size, size, 3). Raises PhotoError, naming the file."""
    try:
        data = path.read_bytes()
        return decode(data, parse_header(data, str(path)), size, fit)
    except OSError as error:
        raise PhotoError(f"{path}: {error.strerror or error}") from error
    except PhotoError as error:
        raise PhotoError(f"{path}: {error}") from error


def read_all(
    dataset: Dataset, samples: Iterable[Sample], size: int, fit: Fit = "squash"
) -> Iterator[tuple[Sample, Pixels | PhotoError]]:
    """Each sample with its pixels, or why there are none, in order; decoded in threads."""
    workers = os.cpu_count() or 1
    window: deque[tuple[Sample, Future[Pixels | PhotoError]]] = deque()

    def read(sample: Sample) -> Pixels | PhotoError:
        try:
            return read_pixels(dataset.file(sample), size, fit)
        except PhotoError as error:
            return error

    with ThreadPoolExecutor(workers, "decode") as pool:
        for sample in samples:
            window.append((sample, pool.submit(read, sample)))
            if len(window) > 64:
                first, future = window.popleft()
                yield first, future.result()
        while window:
            first, future = window.popleft()
            yield first, future.result()


class Photos:
    """The pictures of samples as they are read; the readable samples, and why others were not.

    `good` and `failed` are filled while the pictures are taken.
    """

    def __init__(
        self, dataset: Dataset, samples: Iterable[Sample], size: int, fit: Fit = "squash"
    ) -> None:
        self.root = dataset.root
        self.good: list[Sample] = []
        self.failed: dict[str, str] = {}
        self._photos = read_all(dataset, samples, size, fit)

    def __iter__(self) -> Iterator[Pixels]:
        for sample, picture in self._photos:
            if isinstance(picture, PhotoError):
                self.failed[sample.path] = str(picture)
            else:
                self.good.append(sample)
                yield picture

    def check(self) -> None:
        """Raises DataError when no photo could be read."""
        if not self.good:
            reason = next(iter(self.failed.values()), "there are none")
            raise DataError(f"{self.root}: none of the photos can be read ({reason})")


def read_good(
    dataset: Dataset, samples: Iterable[Sample], size: int, fit: Fit = "squash"
) -> tuple[list[Sample], Pixels, dict[str, str]]:
    """The readable samples, their pixels (N, size, size, 3), and why the others are not.

    Raises DataError when no photo can be read.
    """
    photos = Photos(dataset, samples, size, fit)
    pixels = list(photos)
    photos.check()
    return photos.good, np.stack(pixels), photos.failed


def score(model: Model, dataset: Dataset, samples: Iterable[Sample]) -> Scored:
    """Run a model over the samples, a few in memory at a time.

    Raises EngineError, and DataError when no photo can be read.
    """
    photos = Photos(dataset, samples, model.spec.input_size, model.spec.fit)
    logits = model.logits(photos)
    photos.check()
    scores = probabilities(logits, model.spec.temperature)
    return Scored(photos.good, logits, scores, photos.failed)
