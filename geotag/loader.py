"""Photos to batches of pixels: reads, decodes to scale and prefetches; bad files are failures."""

from __future__ import annotations

import io
import struct
import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from geotag.errors import MissingDependencyError, PhotoError
from geotag.metadata import Header, failure_of
from geotag.records import Failure, FailureKind, Fit, Photo
from geotag.sources.base import Source
from geotag.transforms import preprocess

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ORIENTATION = 0x0112
# Pillow warns of damaged Exif and very large photos; here such a photo is a row or is read.
warnings.filterwarnings("ignore", module=r"PIL\.")
# What Pillow's decoders raise on hostile or damaged files, beside OSError.
_DECODE_ERRORS = (ValueError, SyntaxError, IndexError, KeyError, TypeError, struct.error)


class Item(NamedTuple):
    """A photo to classify, with what its header told."""

    photo: Photo
    header: Header


class Decoded(NamedTuple):
    """A photo's pixels, uint8 (S, S, 3), or why there are none."""

    item: Item
    pixels: NDArray[np.uint8] | None
    failure: Failure | None = None


class Batch(NamedTuple):
    """Photos that were decoded, their pixels as uint8 (N, S, S, 3), and those that failed."""

    items: tuple[Item, ...]
    pixels: NDArray[np.uint8]
    failed: tuple[Decoded, ...]


class Loader:
    """Decodes in threads: Pillow's decoders and resizers release the interpreter's lock.

    At most two batches are in flight, so memory does not grow with the library.
    """

    def __init__(
        self, source: Source, input_size: int, fit: Fit, batch_size: int, workers: int
    ) -> None:
        self.source = source
        self.input_size = input_size
        self.fit = fit
        self.batch_size = batch_size
        self._pool = ThreadPoolExecutor(workers, "decode")
        self._window: deque[Future[Decoded]] = deque()
        self._ready: list[Decoded] = []

    def close(self) -> None:
        """Stop decoding; what was not taken is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, item: Item) -> Batch | None:
        """Begin to decode a photo; a batch comes back when the window is full and one is ready."""
        self._window.append(self._pool.submit(self.load, item))
        if len(self._window) < 2 * self.batch_size:
            return None
        return self._take()

    def drain(self) -> Iterator[Batch]:
        """The batches of all photos that were submitted, in their order."""
        while self._window:
            batch = self._take()
            if batch is not None:
                yield batch
        if self._ready:
            yield self._flush()

    def _take(self) -> Batch | None:
        self._ready.append(self._window.popleft().result())
        return self._flush() if _decoded(self._ready) == self.batch_size else None

    def _flush(self) -> Batch:
        batch, self._ready = _batch(self._ready), []
        return batch

    def load(self, item: Item) -> Decoded:
        """Read and decode one photo; never raises for a bad one."""
        try:
            data = self.source.read(item.photo.uri)
            pixels = decode(data, item.header, self.input_size, self.fit)
        except MissingDependencyError as error:
            return Decoded(item, None, Failure(FailureKind.TRANSIENT, str(error)))
        except PhotoError as error:
            return Decoded(item, None, failure_of(error))
        return Decoded(item, pixels)


def _decoded(ready: list[Decoded]) -> int:
    return sum(decoded.pixels is not None for decoded in ready)


def _batch(ready: list[Decoded]) -> Batch:
    good = [(d.item, d.pixels) for d in ready if d.pixels is not None]
    return Batch(
        tuple(item for item, _ in good),
        np.stack([pixels for _, pixels in good]) if good else np.empty((0, 0, 0, 3), np.uint8),
        tuple(decoded for decoded in ready if decoded.pixels is None),
    )


def decode(data: bytes, header: Header, input_size: int, fit: Fit) -> NDArray[np.uint8]:
    """A photo's bytes to the network's input. Raises PhotoError, or MissingDependencyError."""
    try:
        with open_image(data, header.format) as image:
            orientation = _orientation(image, header)
            return preprocess(image, input_size, fit, orientation)
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
    """Open, but do not decode yet. Raises what Pillow raises, and MissingDependencyError."""
    if format == "heif":
        _register_heif()
    elif format == "raw":
        return Image.open(io.BytesIO(_raw_preview(data)))
    return Image.open(io.BytesIO(data))


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
