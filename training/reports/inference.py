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

from geotag.decoding.loader import decode
from geotag.engines import build_engine
from geotag.engines.base import EngineOptions
from geotag.errors import DataError, PhotoError
from geotag.metadata.header import parse_header
from geotag.model.checkpoint import Checkpoint
from geotag.records import Fit
from training.data.dataset import Dataset, Sample

Pixels = NDArray[np.uint8]


class Scored(NamedTuple):
    """The samples that could be read, their logits (N, K + 1), and why the others could not."""

    samples: tuple[Sample, ...]
    logits: NDArray[np.float32]
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


def read_good(
    dataset: Dataset, samples: Iterable[Sample], size: int, fit: Fit = "squash"
) -> tuple[list[Sample], Pixels, dict[str, str]]:
    """The readable samples, their pixels (N, size, size, 3), and why the others are not."""
    good: list[Sample] = []
    pixels: list[Pixels] = []
    failed: dict[str, str] = {}
    for sample, picture in read_all(dataset, samples, size, fit):
        if isinstance(picture, PhotoError):
            failed[sample.path] = str(picture)
        else:
            good.append(sample)
            pixels.append(picture)
    if not good:
        raise DataError(f"{dataset.root}: none of the photos can be read")
    return good, np.stack(pixels), failed


def score(
    checkpoint: Checkpoint,
    dataset: Dataset,
    samples: Iterable[Sample],
    options: EngineOptions | None = None,
) -> Scored:
    """The logits of the samples, by the engine that a scan would take.

    Raises EngineError, MissingDependencyError, and DataError when no photo can be read.
    """
    engine = build_engine(checkpoint, options or EngineOptions())
    spec = checkpoint.spec
    good: list[Sample] = []
    batch: list[Pixels] = []
    logits: list[NDArray[np.float32]] = []
    failed: dict[str, str] = {}
    for sample, picture in read_all(dataset, samples, spec.input_size, spec.fit):
        if isinstance(picture, PhotoError):
            failed[sample.path] = str(picture)
            continue
        good.append(sample)
        batch.append(picture)
        if len(batch) == engine.batch_size:
            logits.append(engine.predict(np.stack(batch)))
            batch = []
    if batch:
        logits.append(engine.predict(np.stack(batch)))
    if not good:
        raise DataError(f"{dataset.root}: none of the photos can be read")
    return Scored(tuple(good), np.concatenate(logits), failed)
