"""Photos to pixels: reads, decodes to scale and prefetches; bad files are failures."""

from __future__ import annotations

import io
import re
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image, ImageStat
from PIL.AvifImagePlugin import AvifImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile, jpeg_factory
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from geotag.decoding.memory import FILES, PICTURES, MemoryBudget, decoding_bytes
from geotag.decoding.transforms import decode_drafted, draft, seen_size
from geotag.errors import GeotagError, MissingDependencyError, PhotoError, TransientPhotoError
from geotag.metadata.header import Header, failure_of, read_on
from geotag.metadata.jpeg import jpeg_segments, without_gaps
from geotag.records import Failure, FailureKind, Fit, Photo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from geotag.sources.base import Source

    # A photo's bytes and header, the side of the result, and how the photo is fitted to it.
    Decoder = Callable[[bytes, Header, int, Fit], NDArray[np.uint8]]

_ORIENTATION = 0x0112
_SCAN = re.compile(rb"\xff\xda\0")  # found in half the time that bytes.count takes
_MOST_SCANS = 100  # of a JPEG, as in libtiff; encoders write a dozen
_LEAST_THUMBNAIL, _LARGEST_THUMBNAIL = 96, 2048
_DARK = 24
# Pillow warns of damaged Exif; here such a photo is a row or is read.
warnings.filterwarnings("ignore", module=r"PIL\.")
# By the format that a photo's content tells, so that nothing else of Pillow ever meets its bytes.
# `Image.open` would refuse large photos by their pixels; here their memory counts.
_DECODERS: dict[str, Callable[[io.BytesIO, str], Image.Image]] = {
    "jpeg": jpeg_factory,
    "png": PngImageFile,
    "webp": WebPImageFile,
    "gif": GifImageFile,
    "tiff": TiffImageFile,
    "avif": AvifImageFile,
}


class Item(NamedTuple):
    """A photo to classify, with what its header told.

    `has_passed` says that the prefilter let its thumbnail pass.
    """

    photo: Photo
    header: Header
    has_passed: bool = False


class Decoded(NamedTuple):
    """A photo's pixels, or its thumbnail's, uint8 (S, S, 3), or why there are none.

    `empty` says why those of a photo hold nothing to classify.
    """

    item: Item
    pixels: NDArray[np.uint8] | None
    failure: Failure | None = None
    content_key: str = ""
    is_thumbnail: bool = False
    empty: str = ""


class Loader:
    """Decodes in threads: Pillow's decoders and resizers release the interpreter's lock.

    At most `window` photos are in flight, so memory does not grow with the library.
    """

    def __init__(
        self, source: Source, input_size: int, fit: Fit, pool: Executor, window: int,
        decoder: Decoder | None = None,
    ) -> None:  # fmt: skip
        self.source = source
        self.decoder = decoder
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
        from geotag.decoding.emptiness import why_empty  # no matter of the decoding processes

        try:
            with FILES.hold(min(item.photo.size, FILES.limit)):
                data = self.source.read_photo(item.photo)
                item = item._replace(header=read_on(item.header, data))
                decoder = self.decoder or decode
                pixels = decoder(data, item.header, self.input_size, self.fit)
                content_key = self.source.content_key(item.photo, data)
        except MissingDependencyError as error:
            return Decoded(item, None, Failure(FailureKind.TRANSIENT, str(error)))
        except PhotoError as error:
            return Decoded(item, None, failure_of(error))
        capture = item.header.metadata.capture
        empty = why_empty(pixels, (capture.width, capture.height))
        return Decoded(item, pixels, content_key=content_key, empty=empty)


class ThumbnailLoader(Loader):
    """Decodes the thumbnails that headers hold; nothing more is read of the photos."""

    def _begin(self, item: Item) -> Future[Decoded]:
        return self.pool.submit(self.load, item)

    def load(self, item: Item) -> Decoded:
        """Decode one thumbnail, if it shows the whole photo."""
        from geotag.sources.content import thumbnail_key  # no matter of the decoding processes

        decoder = self.decoder or decode_thumbnail
        thumbnail = item.header.thumbnail
        if thumbnail is None:
            return Decoded(item, None, Failure(FailureKind.PERMANENT, "no thumbnail"))
        try:
            pixels = decoder(thumbnail.jpeg, item.header, self.input_size, self.fit)
        except PhotoError as error:
            return Decoded(item, None, failure_of(error))
        key = thumbnail_key(item.photo, thumbnail, item.header.metadata.orientation)
        return Decoded(item, pixels, content_key=key, is_thumbnail=True)


def decode_thumbnail(jpeg: bytes, header: Header, input_size: int, fit: Fit) -> NDArray[np.uint8]:
    """A thumbnail's bytes and its photo's header to the network's input.

    Raises PhotoError, also for one that does not show the whole photo.
    """
    import numpy as np

    return np.array(thumbnail_picture(jpeg, header, input_size, fit))


def thumbnail_picture(jpeg: bytes, header: Header, input_size: int, fit: Fit) -> Image.Image:
    """As `decode_thumbnail`: RGB."""
    with opened(jpeg, header._replace(format="jpeg")) as (image, orientation):
        photo_size = header.thumbnail.photo_size if header.thumbnail else image.size
        drafted = draft(without_bars(image, photo_size), input_size, fit, orientation)
        return decode_drafted(drafted, input_size, fit)


def without_bars(thumbnail: Image.Image, photo_size: tuple[int, int]) -> Image.Image:
    """A thumbnail without the black bars that fill it up to 4:3.

    Raises ValueError when it is too small, or has not the photo's shape: programs that crop a
    photo often leave its old thumbnail.
    """
    width, height = thumbnail.size
    if min(width, height) < _LEAST_THUMBNAIL or max(width, height) > _LARGEST_THUMBNAIL:
        raise ValueError("the thumbnail is too small, or is none")
    scale = min(width / photo_size[0], height / photo_size[1])
    across, down = photo_size[0] * scale, photo_size[1] * scale
    left, top = round((width - across) / 2), round((height - down) / 2)
    if max(left, top) <= 1:
        return thumbnail
    grey = thumbnail.convert("L")
    bar = max(left, top) - 1
    bars = (
        ((0, 0, width, bar), (0, height - bar, width, height))
        if top > 1
        else ((0, 0, bar, height), (width - bar, 0, width, height))
    )
    if max(ImageStat.Stat(grey.crop(box)).mean[0] for box in bars) > _DARK:
        raise ValueError("the thumbnail has not the photo's shape")
    return thumbnail.crop((left, top, width - left, height - top))


def decode(
    data: bytes, header: Header, input_size: int, fit: Fit, budget: MemoryBudget = PICTURES
) -> NDArray[np.uint8]:
    """A photo's bytes to the network's input, once there is memory for it.

    Raises PhotoError, or MissingDependencyError.
    """
    import numpy as np

    return np.array(decode_picture(data, header, input_size, fit, budget))


def decode_picture(
    data: bytes, header: Header, input_size: int, fit: Fit, budget: MemoryBudget
) -> Image.Image:
    """As `decode`: RGB."""
    with opened(data, header) as (image, orientation):
        whole = image.size
        drafted = draft(image, input_size, fit, orientation)
        with budget.hold(decoding_bytes(image, whole)):
            picture = decode_drafted(drafted, input_size, fit)
            image.close()  # its pixels are gone when their memory is given to others
    return picture


def upright_size(data: bytes, header: Header, fit: Fit) -> tuple[int, int]:
    """The width and height of a photo as it is seen, of its part that a fit leaves.

    Raises PhotoError, or MissingDependencyError.
    """
    with opened(data, header) as (image, orientation):
        width, height = seen_size(image.size, fit, orientation)
    return max(1, round(width)), max(1, round(height))


@contextmanager
def opened(data: bytes, header: Header) -> Iterator[tuple[Image.Image, int]]:
    """A photo that is not decoded yet, and its Exif orientation.

    What goes wrong with it, then or in the block, is a PhotoError or a MissingDependencyError:
    decoders raise what they like, and some (those in Rust) no Exception.
    """
    try:
        with open_image(data, header.format) as image:
            yield image, _orientation(image, header)
    except (GeotagError, KeyboardInterrupt, GeneratorExit):
        raise
    except Image.DecompressionBombError as error:
        raise PhotoError(f"too large: {_plain(error)}") from None
    except MemoryError:
        raise TransientPhotoError("there was not enough memory to decode it") from None
    except BaseException as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's own
            raise TransientPhotoError(f"cannot be decoded now: {error.strerror}") from None
        raise PhotoError(f"damaged: {_plain(error)}") from None


def open_image(data: bytes, format: str) -> Image.Image:
    """Open, but do not decode yet.

    Raises what Pillow raises, PhotoError, and MissingDependencyError.
    """
    if format == "raw":
        data, format = _raw_preview(data), "jpeg"
    if format == "jpeg":
        data = without_gaps(data)
    decoder = _heif_decoder() if format == "heif" else _DECODERS[format]
    try:
        image = decoder(io.BytesIO(data), "")
    except SyntaxError:
        raise PhotoError(f"damaged: cannot be decoded as {format.upper()}") from None
    if isinstance(image, JpegImageFile) and not _is_in_one_scan(image, data):
        if len(_SCAN.findall(data)) > _MOST_SCANS:
            raise PhotoError(f"too many scans: more than {_MOST_SCANS}")
        image.info["progressive"] = 1  # what the decoder keeps of it is the same
    return image


def _is_in_one_scan(image: JpegImageFile, data: bytes) -> bool:
    """Whether a JPEG's picture is gone over once, as most are.

    Of others ten bytes ask for each time, again and again.
    """
    return "progressive" not in image.info and any(
        segment.marker == 0xDA and segment.payload[:1] == bytes([image.layers])
        for segment in jpeg_segments(data)
    )


def _orientation(image: Image.Image, header: Header) -> int:
    """HEIF turns its own pixels, and so do AVIF and raw previews by what they say themselves."""
    if header.format == "heif":
        return 1
    if header.format in ("avif", "raw"):
        return int(image.getexif().get(_ORIENTATION, header.metadata.orientation))
    return header.metadata.orientation


def _heif_decoder() -> Callable[[io.BytesIO, str], Image.Image]:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise MissingDependencyError("a HEIC or HEIF photo", "heif") from None
    decoder: Callable[[io.BytesIO, str], Image.Image] = HeifImageFile
    return decoder


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


def _plain(error: BaseException) -> str:
    """A decoder's words, less what changes from run to run."""
    words = error.args[-1] if error.args else ""
    words = words.decode(errors="replace") if isinstance(words, bytes) else str(words)
    text = words or type(error).__name__
    return " ".join(text.split())[:200] if " at 0x" not in text else type(error).__name__
