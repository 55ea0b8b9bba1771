"""A picture to try the page with: a pyramid in a desert, drawn."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

NAME = "drawn pyramid.jpg"
_WIDTH, _HEIGHT = 960, 640
_SKY = ((92, 142, 200), (222, 214, 196))  # above, at the horizon
_SAND = ((214, 186, 138), (176, 140, 92))  # at the horizon, in front
_LIT, _SHADED, _JOINT = (214, 178, 122), (132, 100, 66), (168, 132, 86)
_TOP, _LEFT, _EDGE, _RIGHT = (470, 130), (120, 470), (600, 492), (850, 462)
_COURSES = 44
_GRAIN = 9.0  # grey levels


def draw_example() -> bytes:
    """The picture as JPEG: always the same."""
    picture = Image.new("RGB", (_WIDTH, _HEIGHT))
    horizon = 452
    picture.paste(_shaded(*_SKY, horizon), (0, 0))
    picture.paste(_shaded(*_SAND, _HEIGHT - horizon), (0, horizon))
    draw = ImageDraw.Draw(picture)
    draw.polygon((_TOP, _LEFT, _EDGE), _LIT)
    draw.polygon((_TOP, _EDGE, _RIGHT), _SHADED)
    for course in range(1, _COURSES):
        share = course / _COURSES
        draw.line((_between(_TOP, _LEFT, share), _between(_TOP, _EDGE, share)), _JOINT, 2)
        draw.line((_between(_TOP, _EDGE, share), _between(_TOP, _RIGHT, share)), _SHADED, 2)
    soft = np.asarray(picture.filter(ImageFilter.GaussianBlur(1.2)), np.float64)
    grain = np.random.default_rng(0).normal(0, _GRAIN, (_HEIGHT, _WIDTH, 1))
    file = io.BytesIO()
    Image.fromarray(np.clip(soft + grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=88)
    return file.getvalue()


def _shaded(above: tuple[int, int, int], below: tuple[int, int, int], height: int) -> Image.Image:
    """A surface whose colour goes evenly from one to another."""
    share = np.linspace(0, 1, height)[:, None, None]
    colours = np.asarray(above) * (1 - share) + np.asarray(below) * share
    return Image.fromarray(np.broadcast_to(colours, (height, _WIDTH, 3)).astype(np.uint8))


def _between(one: tuple[int, int], other: tuple[int, int], share: float) -> tuple[float, float]:
    return one[0] + (other[0] - one[0]) * share, one[1] + (other[1] - one[1]) * share
