"""What every runner offers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from geotag.engines.base import EngineOptions
from geotag.records import Photo, Reading


class Job(NamedTuple):
    """How photos are to be read and classified.

    None as `model` is the built-in one; `address` is that of a cluster, where there is one.
    `prefilter` is the probability of a landmark below which the prefilter rejects a photo; at 0 all
    photos are read and classified in full.
    """

    model: Path | None = None
    engine_options: EngineOptions = EngineOptions()
    workers: int = 2
    classify_all: bool = False
    address: str | None = None
    prefilter: float = 0.0


# Readings are recorded so many at a time, and none is held back for longer.
COMMIT_READINGS = 512
COMMIT_SECONDS = 2.0

MustStop = Callable[[], bool]


def never() -> bool:
    """A run that reads all photos."""
    return False


class Runner(Protocol):
    """Reads photos, here or elsewhere."""

    def close(self) -> None:
        """End what `run` began, also when it was not run to its end."""
        ...

    def run(self, photos: Iterable[Photo], must_stop: MustStop = never) -> Iterator[Reading]:
        """Exactly one reading for each photo, in any order.

        Once the run must stop, nothing more is begun, and what is being read is finished.
        """
        ...


def grouped(readings: Iterable[Reading]) -> Iterator[list[Reading]]:
    """Readings in groups that are worth a transaction, none held back for long, nor lost to an
    error that ends them."""
    group: list[Reading] = []
    due = time.monotonic() + COMMIT_SECONDS
    try:
        for reading in readings:
            group.append(reading)
            if len(group) >= COMMIT_READINGS or time.monotonic() > due:
                yield group
                group, due = [], time.monotonic() + COMMIT_SECONDS
    except Exception:
        if group:
            yield group
        raise
    if group:
        yield group


def available_cores() -> int:
    """The processors that this process may use."""
    with suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
