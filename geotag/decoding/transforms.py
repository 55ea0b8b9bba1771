"""The one evaluation preprocessing: a decoded picture becomes the network's input pixels.

What decodes imports no numpy for most pictures: processes that only decode start in half the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

from geotag.records import Fit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# EXIF 2.32, tag 0x0112: what to do to the stored pixels to see them upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)
_BACKGROUND = (255, 255, 255)
_AVERAGEABLE = ("RGB", "L", "CMYK", "YCbCr", "RGBA", "LA", "RGBa", "La")
_BAND = 2**20  # pixels
# The longest part of a picture that is seen, in widths of its shorter side: a panorama that is
# squashed more than twofold looks like nothing that a network was trained on.
_LONGEST: dict[Fit, float] = {"squash": 2.0, "crop": 1.0}


class Drafted(NamedTuple):
    """A picture that will be decoded to a scale, and its size then; `orientation` is Exif's.

    The last rows and columns of a scaled JPEG may stand for less than a whole pixel.
    """

    image: Image.Image
    size: tuple[float, float]
    orientation: int


def preprocess(
    image: Image.Image, input_size: int, fit: Fit = "squash", orientation: int = 1
) -> NDArray[np.uint8]:
    """Resize with antialiasing, convert to RGB, turn upright: uint8, (input_size, input_size, 3).

    `squash` scales both sides to `input_size`, of a panorama those of the central 2:1 part; `crop`
    takes the central square first. Resizing comes before colour conversion and turning because
    both are then a few pixels' work; a square result makes that order exact.
    """
    import numpy as np

    return np.array(decode_drafted(draft(image, input_size, fit, orientation), input_size, fit))


def draft(image: Image.Image, input_size: int, fit: Fit, orientation: int = 1) -> Drafted:
    """Choose the scale at which a picture is decoded, where its format has scales."""
    drafted = image.draft("RGB", _draft_size(image, input_size, fit))
    _, (*_, width, height) = drafted or ("", (0, 0, *image.size))
    return Drafted(image, (width, height), orientation)


def decode_drafted(drafted: Drafted, input_size: int, fit: Fit) -> Image.Image:
    """The second half of `preprocess`, in which the picture is decoded: RGB."""
    resized = _averageable(drafted.image).resize(
        (input_size, input_size),
        Image.Resampling.BILINEAR,
        box=_central_part(drafted.size, _LONGEST[fit]),
        reducing_gap=2.0,
    )
    turned = _UPRIGHT.get(drafted.orientation)
    upright = resized.transpose(turned) if turned is not None else resized
    return _to_rgb(upright)


def shrink(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """A square picture (S, S, 3) with antialiasing to (size, size, 3), for a smaller network."""
    import numpy as np

    if len(pixels) == size:
        return pixels
    return np.array(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR))


def seen_size(size: tuple[int, int], fit: Fit, orientation: int) -> tuple[float, float]:
    """Width and height, upright, of the part of a picture that `preprocess` keeps."""
    left, top, right, bottom = _central_part(size, _LONGEST[fit])
    width, height = right - left, bottom - top
    return (height, width) if orientation in _SIDEWAYS else (width, height)


def _draft_size(image: Image.Image, input_size: int, fit: Fit) -> tuple[int, int]:
    """The least size that a JPEG may be decoded at; the decoder picks the next power of two."""
    if fit == "squash":
        return input_size, input_size
    width, height = image.size
    scale = input_size / max(1, min(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _central_part(size: tuple[float, float], longest: float) -> tuple[float, float, float, float]:
    """The central box in which no side is more than `longest` times the other."""
    side = longest * min(size)
    width, height = min(size[0], side), min(size[1], side)
    left, top = (size[0] - width) / 2, (size[1] - height) / 2
    return left, top, left + width, top + height


def _averageable(image: Image.Image) -> Image.Image:
    """The picture in a mode whose pixels have averages, in little memory."""
    if image.mode in _AVERAGEABLE:
        return image
    if image.mode.startswith(("I", "F")):
        return _scaled_grey(image)
    if image.mode == "PA" or "transparency" in image.info:
        return image.convert("RGBA")
    return image.convert("L" if image.mode == "1" else "RGB")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode in ("RGBA", "LA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert("RGBA")
        canvas = Image.new("RGBA", layer.size, (*_BACKGROUND, 255))
        return Image.alpha_composite(canvas, layer).convert("RGB")
    return image.convert("RGB")


def _scaled_grey(image: Image.Image) -> Image.Image:
    """16-bit and float greys to 8 bits; Pillow's own conversion clips instead of scaling."""
    import numpy as np

    top = 65535.0
    if image.mode == "F":
        top = max(float(band.max(initial=0.0)) for _, band in _bands(image)) or 1.0
    grey = Image.new("L", image.size)
    for row, band in _bands(image):
        scaled = np.clip(band * (255.0 / top), 0, 255).astype(np.uint8)
        grey.paste(Image.fromarray(scaled), (0, row))
    return grey


def _bands(image: Image.Image) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """A few rows at a time, as numbers that take more memory than the picture's."""
    import numpy as np

    width, height = image.size
    rows = max(1, _BAND // width)
    for row in range(0, height, rows):
        band = image.crop((0, row, width, min(height, row + rows)))
        numbers = np.asarray(band).astype(np.float64)
        yield row, np.nan_to_num(numbers, copy=False, posinf=0.0, neginf=0.0)
