"""Fingerprints of pictures: those of copies are nearly the same, those of others are not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from geotag.decoding.fingerprint import SIZE, fingerprint
from geotag.decoding.transforms import preprocess


def scene(seed: int, size: tuple[int, int] = (400, 300)) -> Image.Image:
    """A picture with large and small shapes, as photos have."""
    random = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3))
    for side in (4, 12, 40):
        cells = Image.fromarray(random.integers(0, 256, (side, side, 3), np.uint8))
        total += np.asarray(cells.resize(size, Image.Resampling.BICUBIC), float) / 3
    return Image.fromarray(total.astype(np.uint8))


def sent(image: Image.Image) -> Image.Image:
    """As a messenger sends it."""
    file = io.BytesIO()
    image.resize((image.width * 3 // 4, image.height * 3 // 4)).save(file, "JPEG", quality=60)
    return Image.open(file)


def bits(image: Image.Image, size: int = 256) -> NDArray[np.uint8]:
    data = fingerprint(preprocess(image, size))
    assert len(data) == SIZE
    return np.unpackbits(np.frombuffer(data, np.uint8))


@pytest.mark.parametrize("size", [8, 32, 100, 224, 256])
def test_a_copy_has_nearly_the_same(size: int) -> None:
    for seed in range(5):
        one, other = bits(scene(seed), size), bits(scene(seed + 100), size)
        copied = (one != bits(sent(scene(seed)), size)).sum()
        assert copied <= (20 if size > 32 else 60) < 80 < (one != other).sum()


def test_the_brightness_of_all_says_nothing() -> None:
    image = scene(1)
    brighter = image.point(lambda value: value // 2 + 100)
    assert (bits(image) != bits(brighter)).sum() <= 4 and not bits(image)[0]
