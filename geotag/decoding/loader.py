"""Photos to pixels: reads, decodes to scale and prefetches; bad files are failures."""

from __future__ import annotations

import io
import re
import struct
import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from geotag.decoding.transforms import preprocess
from geotag.errors import MissingDependencyError, PhotoError
from geotag.metadata.containers import jpeg_segments
from geotag.metadata.header import Header, failure_of
from geotag.records import Failure, FailureKind, Fit, Photo
from geotag.sources.base import Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ORIENTATION = 0x0112
_SCAN = re.compile(rb"\xff\xda\0")  # found in half the time that bytes.count takes
_MOST_SCANS = 100  # of a JPEG, as in libtiff; encoders write a dozen
_LEAST_THUMBNAIL = 96
_DARK = 24
# Pillow warns of damaged Exif and very large photos; here such a photo is a row or is read.
warnings.filterwarnings("ignore", module=r"PIL\.")
# What Pillow's decoders raise on hostile or damaged files, beside OSError.
_DECODE_ERRORS = (ValueError, SyntaxError, IndexError, KeyError, TypeError, struct.error)


class Item(NamedTuple):
    """A photo to classify, with what its header told.

    `has_passed` says that the prefilter let its thumbnail pass.
    """

    photo: Photo
    header: Header
    has_passed: bool = False


class Decoded(NamedTuple):
    """A photo's pixels, or its thumbnail's, uint8 (S, S, 3), or why there are none."""

    item: Item
    pixels: NDArray[np.uint8] | None
    failure: Failure | None = None
    content_key: str = ""
    is_thumbnail: bool = False


class Loader:
    """Decodes in threads: Pillow's decoders and resizers release the interpreter's lock.

    At most `window` photos are in flight, so memory does not grow with the library.
    """

    def __init__(
        self, source: Source, input_size: int, fit: Fit, pool: Executor, window: int
    ) -> None:
        self.source = source
        self.input_size = input_size
        self.fit = fit
        self.pool = pool
        self.window = window
        self._loading: deque[Future[Decoded]] = deque()

    def submit(self, item: Item) -> Iterator[Decoded]:
        """Begin to decode a photo; the earliest ones come back once the window is full."""
        self._loading.append(self._begin(item))
        while len(self._loading) > self.window:
            yield self._loading.popleft().result()

    def drain(self) -> Iterator[Decoded]:
        """All photos that were submitted and have not come back, in their order."""
        while self._loading:
            yield self._loading.popleft().result()

    def _begin(self, item: Item) -> Future[Decoded]:
        self.source.expect(item.photo)
        return self.pool.submit(self.load, item)

    def load(self, item: Item) -> Decoded:
        """Read and decode one photo; never raises for a bad one."""
        try:
            data = self.source.read_photo(item.photo)
            pixels = decode(data, item.header, self.input_size, self.fit)
            content_key = self.source.content_key(item.photo, data)
        except MissingDependencyError as error:
            return Decoded(item, None, Failure(FailureKind.TRANSIENT, str(error)))
        except PhotoError as error:
            return Decoded(item, None, failure_of(error))
        return Decoded(item, pixels, content_key=content_key)


class ThumbnailLoader(Loader):
    """Decodes the thumbnails that headers hold; nothing more is read of the photos."""

    def _begin(self, item: Item) -> Future[Decoded]:
        return self.pool.submit(self.load, item)

    def load(self, item: Item) -> Decoded:
        """Decode one thumbnail, if it shows the whole photo."""
        thumbnail = item.header.thumbnail
        try:
            with open_image(thumbnail.jpeg if thumbnail else b"", "jpeg") as image:
                shown = without_bars(image, thumbnail.photo_size if thumbnail else image.size)
                orientation = item.header.metadata.orientation
                pixels = preprocess(shown, self.input_size, self.fit, orientation)
        except (OSError, PhotoError, Image.DecompressionBombError, *_DECODE_ERRORS) as error:
            return Decoded(item, None, Failure(FailureKind.PERMANENT, _plain(error)))
        return Decoded(item, pixels, is_thumbnail=True)


def without_bars(thumbnail: Image.Image, photo_size: tuple[int, int]) -> Image.Image:
    """A thumbnail without the black bars that fill it up to 4:3.

    Raises ValueError when it is too small, or has not the photo's shape: programs that crop a
    photo often leave its old thumbnail.
    """
    width, height = thumbnail.size
    if min(width, height) < _LEAST_THUMBNAIL:
        raise ValueError("the thumbnail is too small")
    scale = min(width / photo_size[0], height / photo_size[1])
    across, down = photo_size[0] * scale, photo_size[1] * scale
    left, top = round((width - across) / 2), round((height - down) / 2)
    if max(left, top) <= 1:
        return thumbnail
    grey = np.asarray(thumbnail.convert("L"))
    lying = grey if top > 1 else grey.T  # as if the bars were above and below
    bar = max(left, top) - 1
    if max(float(lying[:bar].mean()), float(lying[-bar:].mean())) > _DARK:
        raise ValueError("the thumbnail has not the photo's shape")
    return thumbnail.crop((left, top, width - left, height - top))


def decode(data: bytes, header: Header, input_size: int, fit: Fit) -> NDArray[np.uint8]:
    """A photo's bytes to the network's input. Raises PhotoError, or MissingDependencyError."""
    with opened(data, header) as (image, orientation):
        return preprocess(image, input_size, fit, orientation)


@contextmanager
def opened(data: bytes, header: Header) -> Iterator[tuple[Image.Image, int]]:
    """A photo that is not decoded yet, and its Exif orientation.

    What goes wrong with it, then or in the block, is a PhotoError or a MissingDependencyError.
    """
    try:
        with open_image(data, header.format) as image:
            yield image, _orientation(image, header)
    except UnidentifiedImageError:
        raise PhotoError(f"damaged: cannot be decoded as {header.format.upper()}") from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise PhotoError(f"too large: more than {limit} megapixels") from None
    except MemoryError:
        raise PhotoError("too large to decode in the memory there is") from None
    except (OSError, *_DECODE_ERRORS) as error:
        raise PhotoError(f"damaged: {_plain(error)}") from None


def open_image(data: bytes, format: str) -> Image.Image:
    """Open, but do not decode yet.

    Raises what Pillow raises, PhotoError, and MissingDependencyError.
    """
    if format == "heif":
        _register_heif()
    elif format == "raw":
        data = _raw_preview(data)
    image = Image.open(io.BytesIO(data))
    if isinstance(image, JpegImageFile) and _is_endless(image, data):
        raise PhotoError(f"too many scans: more than {_MOST_SCANS}")
    return image


def _is_endless(image: JpegImageFile, data: bytes) -> bool:
    """Whether a JPEG's picture is gone over again and again: ten bytes ask for each time.

    Most pictures are in one scan with all their components; only others are searched for more.
    """
    is_whole = "progressive" not in image.info and any(
        segment.marker == 0xDA and segment.payload[:1] == bytes([image.layers])
        for segment in jpeg_segments(data)
    )
    return not is_whole and len(_SCAN.findall(data)) > _MOST_SCANS


def _orientation(image: Image.Image, header: Header) -> int:
    """HEIF turns its own pixels, and so do AVIF and raw previews by what they say themselves."""
    if header.format == "heif":
        return 1
    if header.format in ("avif", "raw"):
        return int(image.getexif().get(_ORIENTATION, header.metadata.orientation))
    return header.metadata.orientation


def _register_heif() -> None:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        raise MissingDependencyError("a HEIC or HEIF photo", "heif") from None
    register_heif_opener()


def _raw_preview(data: bytes) -> bytes:
    """The JPEG preview that a raw file carries."""
    try:
        import rawpy
    except ImportError:
        raise MissingDependencyError("a raw photo", "raw") from None
    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            preview = raw.extract_thumb()
    except rawpy.LibRawError as error:
        raise PhotoError(f"no preview in this raw file ({_plain(error)})") from None
    if preview.format != rawpy.ThumbFormat.JPEG:
        raise PhotoError("the preview in this raw file is not a JPEG")
    return bytes(preview.data)


def _plain(error: Exception) -> str:
    """A decoder's words, less what changes from run to run."""
    text = str(error.args[-1] if error.args else "") or type(error).__name__
    return " ".join(text.split())[:200] if " at 0x" not in text else type(error).__name__
