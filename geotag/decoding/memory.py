"""How much memory it takes to decode a picture, and how much all workers together may hold."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import BITSPERSAMPLE, ROWSPERSTRIP, TILELENGTH, TILEWIDTH, TiffImageFile

from geotag.errors import PhotoError
from geotag.records import READ_LIMIT

# Bytes a pixel of a picture that Pillow holds, with the copy in a mode that can be averaged.
_MODES = {"L": 1, "1": 2, "I;16": 3, "I;16L": 3, "I;16B": 3, "RGB": 4, "CMYK": 4, "YCbCr": 4}
_MODES |= {"I": 5, "F": 5, "P": 5}
_OTHER_MODES = 9  # with transparency
# The same for decoders that hold a picture several times: planes and canvases beside the pixels.
_FORMATS = {"WEBP": 20, "AVIF": 16, "HEIF": 12}
_COEFFICIENT = 2
_BLOCK = 8


# Blocks above 32 MiB go back to the system as soon as a picture is done with; of smaller ones each
# thread's heap keeps what another thread's then lacks.
Image.core.set_block_size(64 * 2**20)  # type: ignore[attr-defined]


class MemoryBudget:
    """Bytes that all workers of a process may hold at once; who asks for more has to wait."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held = 0
        self._changed = threading.Condition()

    def check(self, size: int) -> None:
        """Raises PhotoError for more bytes than there are at all."""
        if size > self.limit:
            raise PhotoError(
                f"too large: decoding it takes {size >> 20} MiB of memory, and "
                f"{self.limit >> 20} MiB are the limit"
            )

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Hold so many bytes in the block. Raises PhotoError for more than there are at all."""
        self.check(size)
        with self._changed:
            self._changed.wait_for(lambda: self._held + size <= self.limit)
            self._held += size
        try:
            yield
        finally:
            with self._changed:
                self._held -= size
                self._changed.notify_all()


# A progressive JPEG of 200 megapixels takes 600 MB. Files and pictures are counted apart: no worker
# that holds a file ever waits for another one that does.
PICTURES = MemoryBudget(640 * 2**20)
FILES = MemoryBudget(READ_LIMIT)


def decoding_bytes(image: Image.Image, whole: tuple[int, int]) -> int:
    """The memory that it takes to decode and reduce an opened picture of the size it has now.

    `whole` is the size before it was drafted.
    """
    width, height = image.size
    mode = _OTHER_MODES if "transparency" in image.info else _MODES.get(image.mode, _OTHER_MODES)
    picture = width * height * max(mode, _FORMATS.get(image.format or "", 0))
    if isinstance(image, JpegImageFile) and "progressive" in image.info:
        return picture + _coefficients(image, whole)
    if isinstance(image, TiffImageFile):
        return picture + _strip(image)
    return picture


def _coefficients(image: JpegImageFile, whole: tuple[int, int]) -> int:
    """What libjpeg holds of a picture that comes in several scans, whatever its scale."""
    samplings = [(across, down) for _, across, down, _ in image.layer]
    widest, tallest = (max(values) for values in zip(*samplings, strict=True))
    return _COEFFICIENT * sum(
        _blocks(whole[0] * across / widest) * _blocks(whole[1] * down / tallest)
        for across, down in samplings
    )


def _blocks(length: float) -> int:
    return (int(length) // _BLOCK + 1) * _BLOCK


def _strip(image: TiffImageFile) -> int:
    """One strip or tile, which libtiff decodes whole."""
    tags = image.tag_v2
    if TILEWIDTH in tags:
        pixels = tags[TILEWIDTH] * tags[TILELENGTH]
    else:
        pixels = image.width * min(image.height, tags.get(ROWSPERSTRIP, image.height))
    return int(pixels * sum(tags.get(BITSPERSAMPLE, (1,)))) // 8
