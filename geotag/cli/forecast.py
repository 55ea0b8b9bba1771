"""What a scan would cost, from a sample of its photos: nothing is written."""

from __future__ import annotations

import math
import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import stdev
from typing import NamedTuple

from geotag.errors import UsageError
from geotag.options import ScanOptions, check_options
from geotag.pipeline import Progress, Scan, catalog_path
from geotag.records import Photo
from geotag.runners.local import LocalRunner
from geotag.state.catalog import open_catalog
from geotag.state.database import opened_to_read
from geotag.stores import is_remote

SAMPLE = 1000
_GROUPS = 10
_LEAST = 50  # photos without which there is no interval
_T = 2.262  # of Student's distribution for ten groups, both tails 2.5 %
_WARM = 16  # photos that are read before the clock runs: the network is loaded with them
_KEYS = 1000  # of a request that lists
_KNOWN = """
SELECT 1 FROM photos WHERE uri = ? AND size = ? AND version = ?
AND (failure_reason IS NOT NULL OR latitude IS NOT NULL AND NOT ? OR model = ?)
"""


class Range(NamedTuple):
    """A number and, around it, the interval that holds it in 95 of 100 samples; without one where
    the sample is small."""

    middle: float
    least: float | None = None
    most: float | None = None


class Forecast(NamedTuple):
    """What of a library a scan would read, and what that takes: requests for photos, bytes over a
    network, and seconds on this machine. `listing` requests name the photos."""

    photos: int
    to_read: int
    sampled: int
    listing: int
    requests: Range
    fetched: Range
    seconds: Range


class _Sample(NamedTuple):
    photos: list[Photo]
    listed: int
    to_read: int


class _Meter(NamedTuple):
    """How far a run had come after so many photos."""

    photos: int
    requests: float
    fetched: float
    seconds: float


def forecast(
    sources: Iterable[str], out: str, options: ScanOptions, progress: Progress | None = None
) -> Forecast:
    """List the library, and read a sample of the photos that are new or changed.

    A catalog that is there, on this machine, tells which those are. Raises GeotagError.
    """
    check_options(options)
    if options.runner != "local":
        raise UsageError("--estimate is for this machine alone: leave --runner out")
    if options.rescan:
        raise UsageError(
            "--estimate of reading all photos: leave --rescan out, and name a new --out"
        )
    progress = progress or Progress()
    with ExitStack() as stack:
        catalog = stack.enter_context(open_catalog(None))  # a private one
        scan = Scan(tuple(sources), catalog, options, progress)
        is_known = _known_by(catalog_path(out, options), scan, stack)
        sample = _draw(scan.library.photos(), is_known)
        progress.started(len(sample.photos))
        runner = stack.enter_context(closing(LocalRunner(scan.library, scan.job)))
        meters = _read(runner, sample.photos, scan, progress)
    objects = sample.listed + sum(scan.library.skipped.values())
    lists = math.ceil(objects / _KEYS) if any(map(is_remote, scan.library.texts)) else 0
    return Forecast(
        sample.listed,
        sample.to_read,
        len(sample.photos),
        lists,
        *(_range(meters, name, sample.to_read) for name in ("requests", "fetched", "seconds")),
    )


def _known_by(place: str | None, scan: Scan, stack: ExitStack) -> Callable[[Photo], bool]:
    """Tells what a catalog says is read already, by this model; nothing without one."""
    if place is None or is_remote(place) or not os.path.exists(place):
        return lambda photo: False
    try:
        reader = stack.enter_context(opened_to_read(Path(place)))
        reader.execute(_KNOWN, (b"", 0, "", False, ""))
    except sqlite3.Error:
        return lambda photo: False
    more = (scan.criteria.classify_all, scan.criteria.model)

    def is_known(photo: Photo) -> bool:
        cells = (os.fsencode(photo.uri), photo.size, photo.version)
        return reader.execute(_KNOWN, (*cells, *more)).fetchone() is not None

    return is_known


def _draw(photos: Iterator[Photo], is_known: Callable[[Photo], bool]) -> _Sample:
    """Each photo that is to be read is as likely to be drawn, however many there are (Vitter,
    "Random sampling with a reservoir", 1985); the same ones every time."""
    drawn: list[Photo] = []
    listed = to_read = 0
    generator = random.Random(0)
    for photo in photos:
        listed += 1
        if is_known(photo):
            continue
        to_read += 1
        if len(drawn) < SAMPLE:
            drawn.append(photo)
        elif (at := generator.randrange(to_read)) < SAMPLE:
            drawn[at] = photo
    generator.shuffle(drawn)
    return _Sample(drawn, listed, to_read)


def _read(runner: LocalRunner, photos: list[Photo], scan: Scan, progress: Progress) -> list[_Meter]:
    """Read the sample; a meter at the start and at the end of each of ten groups of it."""
    warm = photos[:_WARM] if len(photos) > _LEAST else []
    for _ in runner.run(warm, progress.stop_requested):
        progress.advanced(1)
    library, done, total = scan.library, 0, len(photos) - len(warm)
    size = max(1, total // _GROUPS)

    def meter(photos: int) -> _Meter:
        return _Meter(photos, library.requests, library.bytes_fetched, time.monotonic())

    meters = [meter(0)]
    for _ in runner.run(photos[len(warm) :], progress.stop_requested):
        progress.advanced(1)
        done += 1
        if done % size == 0 and len(meters) < _GROUPS:
            meters.append(meter(done))
    return [*meters, meter(done)] if done > meters[-1].photos else meters


def _range(meters: list[_Meter], name: str, photos: int) -> Range:
    """What all photos take, by the rates of the groups."""
    first, last = meters[0], meters[-1]
    if last.photos == 0:
        return Range(0.0)
    spent = [getattr(meter, name) for meter in meters]
    middle = (spent[-1] - spent[0]) / (last.photos - first.photos) * photos
    if last.photos < _LEAST - _WARM or len(meters) <= _GROUPS:
        return Range(middle)
    rates = [
        (after - before) / (two.photos - one.photos) * photos
        for before, after, one, two in zip(spent, spent[1:], meters, meters[1:], strict=False)
    ]
    half = _T * stdev(rates) / math.sqrt(len(rates))
    return Range(middle, max(0.0, middle - half), middle + half)
