"""What a catalog takes as it grows: as one file, and divided among several.

Half of the photos have ten scores, the others a position. Measured are the rate at which readings
are recorded, of all and of the last tenth; the night after, in which one photo in a thousand
changed, without reading it; the size, and the memory. Rates are by processor time unless they say
otherwise: on a machine that other work shares, the clock says little.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from benchmarks.options import JSON
from benchmarks.timing import peak
from geotag.metadata.header import READER_VERSION
from geotag.records import Location, Metadata, Photo, Prediction, Reading, Score
from geotag.state.catalog import Catalog, Criteria, open_catalog

_MODEL = "0" * 64
_BATCH = 512
_CHANGED = 1000  # one in so many, on the second night
_TOP = tuple(Score(f"landmark_{n}", 0.5 / (n + 1)) for n in range(10))
_MEASURED = Metadata(Location(48.85, 2.35), "2024-05-01T12:00:00+02:00", 1, "Apple iPhone 14")
_OTHER = _MEASURED._replace(location=None)


def _photos(numbers: range, night: int = 0) -> Iterator[Photo]:
    for n in numbers:
        etag = f"{n:031x}{night if n % _CHANGED == 0 else 0}"
        yield Photo(f"s3://uploads/{n // 1000:06d}/{n:09d}.jpg", 4_000_000 + n, etag)


def _reading(photo: Photo) -> Reading:
    if photo.size % 2:
        return Reading(photo, _MEASURED)
    return Reading(photo, _OTHER, Prediction(_TOP, 0.9), None, f"etag {photo.version}")


def _filled(catalog: Catalog, photos: Iterator[Photo]) -> None:
    catalog.begin_scan(READER_VERSION)
    while group := [_reading(photo) for photo in islice(photos, _BATCH)]:
        catalog.record(group, _MODEL)


def _night(catalog: Catalog, photos: Iterable[Photo]) -> int:
    for _ in catalog.noting(photos):
        pass
    return catalog.find_pending(Criteria(_MODEL, reader=READER_VERSION))


def _measured(count: int, files: int, folder: str) -> dict[str, Any]:
    """One size and division; each file takes an equal share, one after the other."""
    with TemporaryDirectory(dir=folder) as scratch:
        places = [Path(scratch, f"{number}.geotag") for number in range(files)]
        parts = [(place, range(n, count, files)) for n, place in enumerate(places)]
        began, last, clock = time.process_time(), 0.0, time.monotonic()
        for place, share in parts:
            with open_catalog(place) as catalog:
                _filled(catalog, _photos(share[: len(share) * 9 // 10]))
        most = time.process_time() - began
        for place, share in parts:
            with open_catalog(place) as catalog:
                began = time.process_time()
                _filled(catalog, _photos(share[len(share) * 9 // 10 :]))
                last += time.process_time() - began
        filled, size = time.monotonic() - clock, sum(map(os.path.getsize, places))
        began, clock, pending = time.process_time(), time.monotonic(), 0
        for place, share in parts:
            with open_catalog(place) as catalog:
                pending += _night(catalog, _photos(share, 1))
        night = time.process_time() - began
    assert 0 <= pending - count / _CHANGED <= files
    return {
        "photos": count, "files": files,
        "recorded a second": count / (most + last), "the last tenth": count / 10 / last,
        "by the clock": count / filled, "bytes a photo": size / count,
        "night, us a photo": night / count * 1e6, "night, s by the clock": time.monotonic() - clock,
        "peak MB": peak(),
    }  # fmt: skip


@click.command(help=__doc__)
@click.option(
    "--photos", multiple=True, default=(100_000, 1_000_000), help="Sizes.", show_default=True
)
@click.option("--files", multiple=True, default=(1, 16), help="Catalogs.", show_default=True)
@click.option("--folder", default=".", show_default=True, help="On the disk to measure.")
@JSON
def command(photos: tuple[int, ...], files: tuple[int, ...], folder: str, out: Path | None) -> None:
    if not sys.platform.startswith("linux"):
        raise click.UsageError("memory is measured on Linux alone")
    figures = []
    for count in photos:
        for division in files:
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                figures.append(pool.submit(_measured, count, division, folder).result())
            print(", ".join(f"{k} {v:,.1f}" for k, v in figures[-1].items()), flush=True)
    if out is not None:
        out.write_text(json.dumps(figures, indent=1) + "\n")
