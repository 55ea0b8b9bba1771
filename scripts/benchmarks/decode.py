"""Decoding JPEGs to the network's input: whole or to scale, in threads or processes.

What did not pay, and is not in geotag: simplejpeg (libjpeg-turbo without Pillow) instead of
Pillow's draft mode; processes instead of threads, for the decoder lets go of the interpreter's
lock; mapping files instead of reading them. `--peers` measures the first two again.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from PIL import Image

from benchmarks import options
from benchmarks.library import MEGAPIXELS_12, PIXELS_800, Kind, make_library, pictures_in
from benchmarks.timing import paired, report
from geotag.decoding.loader import decode
from geotag.metadata.header import Header
from geotag.records import Fit, Metadata

if TYPE_CHECKING:
    from numpy.typing import NDArray

INPUT_SIZE = 240
_HEADER = Header("jpeg", Metadata())


def decode_file(path: Path, size: int = INPUT_SIZE, fit: Fit = "squash") -> NDArray[np.uint8]:
    """As geotag decodes, to scale."""
    return decode(path.read_bytes(), _HEADER, size, fit)


def whole(path: Path, size: int = INPUT_SIZE) -> NDArray[np.uint8]:
    """All pixels, then an antialiased resize."""
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        image.load()
        resized = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
        return np.asarray(resized)


def simplejpeg_to_scale(path: Path) -> NDArray[np.uint8]:
    """As geotag, by libjpeg-turbo's own interface."""
    import simplejpeg

    pixels = simplejpeg.decode_jpeg(
        path.read_bytes(), min_height=INPUT_SIZE, min_width=INPUT_SIZE, min_factor=1
    )
    size = (INPUT_SIZE, INPUT_SIZE)
    image = Image.fromarray(pixels)
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))


def _all(pool: Executor, how: Callable[[Path], object], paths: list[Path]) -> None:
    for _ in pool.map(how, paths, chunksize=4):
        pass


def _in_processes(cores: int, paths: list[Path]) -> None:
    with ProcessPoolExecutor(cores) as processes:
        _all(processes, decode_file, paths)


@click.command("decode")
@options.LIBRARY
@options.sized(96, 5, share=4, few=3)
@options.PICTURES
@options.PEERS
@options.JSON
def command(
    library: Path, count: int, repeats: int, pictures: Path | None, peers: bool, out: Path | None
) -> None:
    """Files in the page cache, pixels thrown away."""
    cores = os.cpu_count() or 1
    for name, size in (("12 megapixels", MEGAPIXELS_12), ("800 pixels", PIXELS_800)):
        folder = library / f"decode-{count}-{size[0]}"
        paths = make_library(folder, count, Kind(size), pictures_in(pictures))
        with ThreadPoolExecutor(cores) as threads, ThreadPoolExecutor(1) as one:
            runs = {
                "to scale, all cores": partial(_all, threads, decode_file, paths),
                "to scale, one core": partial(_all, one, decode_file, paths),
                "whole, one core": partial(_all, one, whole, paths),
            }
            with suppress(ImportError):
                import simplejpeg  # noqa: F401

                if peers:
                    how = simplejpeg_to_scale
                    runs["simplejpeg, all cores"] = partial(_all, threads, how, paths)
            if peers:
                runs["to scale, processes"] = partial(_in_processes, cores, paths)
            seconds = paired(runs, repeats)
        difference = max(
            float(np.abs(decode_file(p).astype(int) - whole(p)).mean()) for p in paths[:16]
        )
        report(
            f"decoding {name}",
            seconds,
            dict.fromkeys(runs, count),
            "whole, one core",
            out and out.with_stem(f"{out.stem}-{size[0]}"),
            {"greatest mean difference of a photo's pixels from whole decoding": difference},
        )
