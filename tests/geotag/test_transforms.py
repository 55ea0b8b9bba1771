"""The one preprocessing: what the network sees of pictures of any shape, mode and orientation."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from geotag.transforms import preprocess

SIZE = 32


def halves(width: int, height: int) -> Image.Image:
    """Red above, blue below."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2] = (250, 0, 0)
    pixels[height // 2 :] = (0, 0, 250)
    return Image.fromarray(pixels)


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(1, 300), height=st.integers(1, 300), fit=st.sampled_from(["squash", "crop"])
)
def test_any_shape_becomes_the_input(width: int, height: int, fit: str) -> None:
    pixels = preprocess(Image.new("RGB", (width, height), (9, 99, 199)), SIZE, fit)
    assert pixels.shape == (SIZE, SIZE, 3) and pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - (9, 99, 199)).max() <= 1


@pytest.mark.parametrize(
    "size, fit, left, right",
    [
        ((200, 100), "squash", 0, 200),
        ((400, 100), "squash", 100, 300),  # of a panorama the central 2:1
        ((400, 100), "crop", 150, 250),
    ],
)
def test_what_part_is_seen(size: tuple[int, int], fit: str, left: int, right: int) -> None:
    image = Image.new("RGB", size, (0, 0, 0))
    image.paste((255, 255, 255), (left, 0, right, size[1]))
    pixels = preprocess(image, SIZE, fit)
    assert pixels[:, 2:-2].min() > 250  # the outermost columns mix with what is beside them
    image.paste((0, 0, 0), (left, 0, left + (right - left) // 2, size[1]))
    pixels = preprocess(image, SIZE, fit)
    assert pixels[:, 2 : SIZE // 2 - 2].max() < 5 and pixels[:, SIZE // 2 + 2 : -2].min() > 250


@pytest.mark.parametrize("orientation", range(1, 9))
def test_stored_pixels_are_turned_upright(orientation: int) -> None:
    stored = preprocess(halves(64, 64), SIZE)
    expected = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1),
        7: np.rot90(stored, 2).transpose(1, 0, 2),
        8: np.rot90(stored),
    }[orientation]
    assert np.array_equal(preprocess(halves(64, 64), SIZE, "squash", orientation), expected)


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK", "YCbCr", "I;16", "F", "I"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    value = 40000 if mode in ("I;16", "I") else 200
    plain = Image.new("L" if mode not in ("I;16", "I", "F") else mode, (50, 40), value)
    image = plain if plain.mode == mode else plain.convert("RGB").convert(mode)
    pixels = preprocess(image, SIZE)
    assert pixels.shape == (SIZE, SIZE, 3)
    if mode not in ("P", "CMYK", "YCbCr"):  # these lose a little on the way there
        assert (pixels[..., :1] == pixels).all()


def test_a_scaled_decode_looks_like_a_full_one() -> None:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
    image = coarse.resize((1600, 1200), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95)
    drafted = preprocess(Image.open(file), SIZE).astype(int)
    assert np.abs(drafted - preprocess(image, SIZE).astype(int)).mean() < 3


def test_transparency_is_white() -> None:
    pixels = preprocess(Image.new("RGBA", (20, 20), (0, 0, 0, 0)), SIZE)
    assert pixels.min() == 255
