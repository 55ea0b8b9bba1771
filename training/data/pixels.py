"""All photos of a set decoded once, small and square, in a file that memory maps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from geotag.errors import DataError
from geotag.files.atomic import atomic_file
from training.data.dataset import Dataset, Sample
from training.reports.inference import Photos

Pixels = NDArray[np.uint8]


class PixelCache(NamedTuple):
    """The readable samples, in order, their pixels (N, size, size, 3) and how many pixels (N,)
    the short sides of the photos had; why others failed."""

    samples: tuple[Sample, ...]
    pixels: Pixels
    sides: NDArray[np.int32]
    failed: dict[str, str]

    def rows(self, split: str) -> NDArray[np.intp]:
        return np.flatnonzero([sample.split == split for sample in self.samples])


def load_pixels(dataset: Dataset, samples: Sequence[Sample], size: int, folder: Path) -> PixelCache:
    """Decode the samples as a scan would, or take what an earlier run left in `folder`.

    Raises DataError when no photo can be read.
    """
    key = _key(dataset, samples, size)
    data, index = folder / f"pixels-{key}.npy", folder / f"pixels-{key}.json"
    if not index.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        unreadable = _decode(dataset, samples, size, data)
        lengths = [short_side(dataset.file(s)) for s in samples if s.path not in unreadable]
        with atomic_file(index) as file:
            file.write(json.dumps({"failed": unreadable, "sides": lengths}).encode())
    document = json.loads(index.read_text("utf-8"))
    failed, sides = document["failed"], np.array(document["sides"], np.int32)
    good = tuple(sample for sample in samples if sample.path not in failed)
    if not good:
        raise DataError(f"{dataset.root}: none of the photos can be read")
    pixels: Pixels = np.load(data, mmap_mode="r", allow_pickle=False)[: len(good)]
    return PixelCache(good, pixels, sides, failed)


def _key(dataset: Dataset, samples: Sequence[Sample], size: int) -> str:
    """Paths and sizes of the files; another split of the same photos shares the cache."""
    digest = hashlib.sha256(f"with sides\0{size}\n".encode())
    for sample in samples:
        digest.update(f"{sample.path}\0{dataset.file(sample).stat().st_size}\n".encode())
    return digest.hexdigest()[:16]


def short_side(path: Path) -> int:
    """In pixels. Raises OSError."""
    with Image.open(path) as image:
        return min(image.size)


def _decode(dataset: Dataset, samples: Sequence[Sample], size: int, path: Path) -> dict[str, str]:
    shape = (len(samples), size, size, 3)
    pixels = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    photos = Photos(dataset, samples, size)
    pictures = tqdm(photos, "decoding", len(samples), disable=None, unit="photo")
    for row, picture in enumerate(pictures):
        pixels[row] = picture
    pixels.flush()
    return photos.failed
