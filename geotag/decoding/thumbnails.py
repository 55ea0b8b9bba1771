"""Thumbnails as cameras put them into their photos, to train and judge the prefilter by."""

from __future__ import annotations

import io
from typing import NamedTuple

from PIL import Image


class Camera(NamedTuple):
    """How a camera makes thumbnails."""

    filter: Image.Resampling
    quality: int


# What Exif 2.32 (4.8.1) and DCF 2.0 ask of a thumbnail.
THUMBNAIL = (160, 120)
# A sharp one and a rough one: what cameras put into their photos lies between.
CAMERAS = (Camera(Image.Resampling.BICUBIC, 80), Camera(Image.Resampling.BOX, 60))


def thumbnail(picture: Image.Image, camera: Camera) -> Image.Image:
    """A picture as a camera's thumbnail: 160 by 120 pixels, squashed, as JPEG."""
    file = io.BytesIO()
    picture.resize(THUMBNAIL, camera.filter).save(file, "JPEG", quality=camera.quality)
    return Image.open(file).convert("RGB")
