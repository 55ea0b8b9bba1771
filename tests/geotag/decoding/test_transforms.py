"""The one preprocessing: what the network sees of pictures of any shape, mode and orientation."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from geotag.decoding.transforms import preprocess

SIZE = 32


def halves(width: int, height: int) -> Image.Image:
    """Red above, blue below."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2] = (250, 0, 0)
    pixels[height // 2 :] = (0, 0, 250)
    return Image.fromarray(pixels)


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


def _jpeg_scene(size: tuple[int, int]) -> Image.Image:
    """Soft shapes with a little noise, as photos have."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
    smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)).astype(float)
    noisy = np.clip(smooth + rng.normal(0, 3, smooth.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).save(file, "JPEG", quality=95)
    return Image.open(file)


@pytest.mark.parametrize("fit", ["squash", "crop"])
@pytest.mark.parametrize("size", [(1600, 1200), (1200, 1600), (800, 601), (259, 130), (300, 33)])
def test_decoding_to_scale_agrees_with_decoding_whole(size: tuple[int, int], fit: str) -> None:
    whole = _jpeg_scene(size).copy()  # a copy is decoded, and cannot be drafted any more
    pairs = (preprocess(image, SIZE, fit).astype(int) for image in (_jpeg_scene(size), whole))
    assert np.abs(np.subtract(*pairs)).mean() < 1.5


def test_large_jpegs_are_decoded_to_scale() -> None:
    image = _jpeg_scene((1600, 1200))
    preprocess(image, SIZE)
    assert image.size == (200, 150)


def test_resizing_is_antialiased() -> None:
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(preprocess(Image.fromarray(stripes), SIZE).astype(int) - 127).max() <= 2


def test_transparency_is_white() -> None:
    pixels = preprocess(Image.new("RGBA", (20, 20), (0, 0, 0, 0)), SIZE)
    assert pixels.min() == 255
