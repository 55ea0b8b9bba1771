"""Pictures of photos to look at: small ones within a given size, and larger ones."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from PIL import Image

from geotag.decoding.isolated import IsolatedDecoder
from geotag.errors import GeotagError, PhotoError
from geotag.files.paths import parse_path
from geotag.metadata.header import parse_header
from geotag.sources.base import Filters
from geotag.sources.local import LocalSource
from geotag.stores import is_remote

SIDE = 96
# Sides and qualities, the best first: the first one that is small enough is taken.
_TRIES = ((SIDE, 70), (SIDE, 50), (SIDE, 30), (SIDE, 10), (64, 30), (64, 10), (48, 10))


def make_previews(paths: Iterable[str], most_bytes: int) -> Iterator[bytes]:
    """The central square of each photo as WebP, in the order of the table's paths.

    It is empty where a photo cannot be read or is far away: nothing is fetched over a network.
    """
    decoder = IsolatedDecoder()
    try:
        with ThreadPoolExecutor(os.cpu_count(), "preview") as pool:
            yield from pool.map(partial(_preview, decoder, most_bytes), paths)
    finally:
        decoder.close()


def make_picture(decoder: IsolatedDecoder, path: str, longest: int) -> bytes:
    """A photo as JPEG, upright, whole and at most so many pixels long. Raises PhotoError."""
    if is_remote(path):
        raise PhotoError("it is not on this machine, and nothing is fetched to show it")
    return picture_of(decoder, LocalSource(path, Filters()).read(path), path, longest)


def picture_of(decoder: IsolatedDecoder, data: bytes, name: str, longest: int) -> bytes:
    """As `make_picture`, of a photo's bytes."""
    header = parse_header(data, name)
    width, height = decoder.upright_size(data, header, "squash")
    size = min(longest, max(width, height))
    scale = size / max(width, height)
    square = Image.fromarray(decoder.decode(data, header, size, "squash"))
    file = io.BytesIO()
    whole = square.resize((max(1, round(width * scale)), max(1, round(height * scale))))
    whole.save(file, "JPEG", quality=85)
    return file.getvalue()


def _preview(decoder: IsolatedDecoder, most_bytes: int, path: str) -> bytes:
    if is_remote(path):
        return b""
    path = parse_path(path)
    try:
        data = LocalSource(path, Filters()).read(path)
        pixels = decoder.decode(data, parse_header(data, path), SIDE, "crop")
    except (GeotagError, ValueError):  # ValueError: no file can have this name
        return b""
    return _small(Image.fromarray(pixels), most_bytes)


def _small(picture: Image.Image, most_bytes: int) -> bytes:
    for side, quality in _TRIES:
        file = io.BytesIO()
        resized = picture.resize((side, side)) if side != SIDE else picture
        resized.save(file, "WEBP", quality=quality, method=4)
        if file.tell() <= most_bytes:
            return file.getvalue()
    return b""
