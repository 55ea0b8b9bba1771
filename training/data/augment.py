"""Random changes of training pictures: crops, colours, and resolution degraded for all alike."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

Pixels = NDArray[np.uint8]
Box = tuple[float, float, float, float]
_FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.BOX)
_SMALL_FILTERS = (Image.Resampling.NEAREST, *_FILTERS)
_SMALL_SHARES = (0.4, 0.2, 0.2, 0.2)
_LEAST_SIDE = 40
_JPEG_QUALITY = (30, 95)
_SMALL_SIDE = (72, 112)
_SMALL_QUALITY = (70, 96)
_ERASED_SIDE = (0.15, 0.45)


@dataclass(frozen=True)
class Augmentation:
    """How much pictures are changed. Shares are of pictures; 0 turns a change off.

    `least_area` and `aspect` bound the random crop: its share of the picture, and the logarithm
    of its squash. `rotation` is in degrees, and a share of 0.3 of pictures is rotated. `small`
    pictures are shrunk to about a hundred pixels, as small photos are found, and `degraded` ones
    to anything from `least_side` pixels; then they come back: every class alike, so that blur
    tells nothing of the class. `colour` bounds the change of brightness and contrast,
    `saturation` that of saturation.
    """

    least_area: float = 0.25
    aspect: float = 0.35
    flip: float = 0.5
    rotation: float = 12.0
    small: float = 0.2
    degraded: float = 0.3
    least_side: int = 56
    jpeg: float = 0.25
    colour: float = 0.35
    saturation: float = 0.6
    grey: float = 0.06
    tint: float = 0.08
    erased: float = 0.25


FLIP_AND_CROP = Augmentation(
    least_area=0.6, aspect=0.1, rotation=30.0, small=0.0, degraded=0.0, jpeg=0.0,
    colour=0.0, saturation=0.0, grey=0.0, tint=0.0, erased=0.0,
)  # fmt: skip


class Variant(NamedTuple):
    """A picture (size, size, 3), and how many pixels of detail, across, it can show at most."""

    pixels: Pixels
    side: int


def augment(pixels: Pixels, size: int, policy: Augmentation, rng: np.random.Generator) -> Variant:
    """A random variant of a square picture (S, S, 3)."""
    image = _rotate(pixels, policy, rng)
    box = _crop(image.width, policy, rng)
    drawn = rng.random()
    if drawn < policy.small:
        image, side = _shrink(image, size, box, rng)
    elif drawn < policy.small + policy.degraded:
        image, side = _degrade(image, size, box, policy, rng)
    else:
        image, side = image.resize((size, size), Image.Resampling.BILINEAR, box), size
        image = _recompress(image, policy, rng)
    image = _recolour(image, policy, rng)
    if rng.random() < policy.flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return Variant(_erase(_tint(np.asarray(image), policy, rng), policy, rng), side)


def degrade(pixels: Pixels, rng: np.random.Generator) -> Variant:
    """The same picture with the detail of about a hundred pixels, as small photos are found."""
    size = len(pixels)
    image, side = _shrink(Image.fromarray(pixels), size, (0, 0, size, size), rng)
    return Variant(np.asarray(image), side)


def _rotate(pixels: Pixels, policy: Augmentation, rng: np.random.Generator) -> Image.Image:
    image = Image.fromarray(pixels)
    if policy.rotation and rng.random() < 0.3:
        angle = rng.uniform(-policy.rotation, policy.rotation)
        corners = tuple(int(value) for value in pixels.mean((0, 1)))
        image = image.rotate(angle, Image.Resampling.BILINEAR, fillcolor=corners)
    return image


def _crop(side: int, policy: Augmentation, rng: np.random.Generator) -> Box:
    area = rng.uniform(policy.least_area, 1)
    squash = math.exp(rng.uniform(-policy.aspect, policy.aspect))
    width = min(1.0, math.sqrt(area * squash)) * side
    height = min(1.0, math.sqrt(area / squash)) * side
    left, top = rng.uniform(0, side - width), rng.uniform(0, side - height)
    return left, top, left + width, top + height


def _shrink(
    image: Image.Image, size: int, box: Box, rng: np.random.Generator
) -> tuple[Image.Image, int]:
    """Shrunk, often without antialiasing, compressed, and enlarged to `size` again."""
    side = min(size, int(rng.uniform(*_SMALL_SIDE)))
    way = _SMALL_FILTERS[rng.choice(len(_SMALL_FILTERS), p=_SMALL_SHARES)]
    file = io.BytesIO()
    image.resize((side, side), way, box).save(
        file, "JPEG", quality=int(rng.uniform(*_SMALL_QUALITY))
    )
    return Image.open(file).resize((size, size), Image.Resampling.BILINEAR), side


def _degrade(
    image: Image.Image, size: int, box: Box, policy: Augmentation, rng: np.random.Generator
) -> tuple[Image.Image, int]:
    """Shrunk by any filter, a third of pictures squashed, and enlarged to `size` again."""
    low = int(rng.uniform(min(policy.least_side, size), size))
    squashed = low * math.exp(rng.uniform(-0.3, 0.3)) if rng.random() < 0.3 else low
    shape = (_bounded(low, size), _bounded(squashed, size))
    small = image.resize(shape, _FILTERS[rng.integers(3)], box, reducing_gap=2.0)
    image = _recompress(small, policy, rng).resize((size, size), _FILTERS[rng.integers(2)])
    return image, min(shape)


def _bounded(side: float, size: int) -> int:
    return max(min(_LEAST_SIDE, size), min(size, int(side)))


def _recompress(image: Image.Image, policy: Augmentation, rng: np.random.Generator) -> Image.Image:
    if rng.random() >= policy.jpeg:
        return image
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(rng.uniform(*_JPEG_QUALITY)))
    return Image.open(file)


def _recolour(image: Image.Image, policy: Augmentation, rng: np.random.Generator) -> Image.Image:
    if rng.random() < policy.grey:
        image = image.convert("L").convert("RGB")
    elif policy.saturation:
        image = ImageEnhance.Color(image).enhance(_factor(policy.saturation, rng))
    if policy.colour:
        image = ImageEnhance.Contrast(image).enhance(_factor(policy.colour, rng))
        image = ImageEnhance.Brightness(image).enhance(_factor(policy.colour, rng))
    return image


def _factor(spread: float, rng: np.random.Generator) -> float:
    return float(rng.uniform(1 - spread, 1 + spread))


def _tint(pixels: Pixels, policy: Augmentation, rng: np.random.Generator) -> Pixels:
    if not policy.tint:
        return np.array(pixels)
    gains = rng.uniform(1 - policy.tint, 1 + policy.tint, 3)
    return np.clip(pixels * gains, 0, 255).astype(np.uint8)


def _erase(pixels: Pixels, policy: Augmentation, rng: np.random.Generator) -> Pixels:
    """Random erasing (Zhong et al., 2020), with one colour."""
    if rng.random() < policy.erased:
        size = len(pixels)
        height, width = (int(size * rng.uniform(*_ERASED_SIDE)) for _ in range(2))
        top, left = rng.integers(size - height), rng.integers(size - width)
        pixels[top : top + height, left : left + width] = rng.integers(0, 256, 3)
    return pixels
