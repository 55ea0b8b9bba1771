"""Proves of a draft that it loses nothing, by reading old and new bytes independently."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import piexif
from PIL import Image, UnidentifiedImageError

from geotag.writing import jpeg, webp
from geotag.writing.blocks import exif_claim, xmp_claim
from geotag.writing.blocks.iim import DataSet, Iim
from geotag.writing.blocks.tiff import EXIF_POINTER, GPS_POINTER, MAKER_NOTE, Tiff
from geotag.writing.blocks.xmp import XmpPacket, expand
from geotag.writing.edits import CannotEmbedError, Edit, apply_edits, invert_edits
from geotag.writing.embedded import Blocks, Layout, parse_blocks, parse_layout

_POINTERS = {("ifd0", GPS_POINTER), ("ifd0", EXIF_POINTER)}
_XMP_TARGETS = {expand(name) for name in xmp_claim.TARGETS}
# What Pillow raises for pictures that are damaged or too large.
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    UnidentifiedImageError,
    Image.DecompressionBombError,
)
# The keyword fields, and what parts the levels of a path there; no text holds a zero byte.
_ARRAYS = {"dc:subject": "\0", "lr:hierarchicalSubject": "|", "digiKam:TagsList": "/"}


def verified(data: bytes, edits: tuple[Edit, ...]) -> bytes:
    """The edited photo, once it is proved that only targeted fields differ.

    Raises CannotEmbedError, naming what would not have stayed the same.
    """
    try:
        new = apply_edits(data, edits)
    except ValueError as error:
        raise CannotEmbedError(f"the edits contradict each other ({error})") from error
    _require(apply_edits(new, invert_edits(data, edits)) == data, "the way back")
    before, after = parse_layout(data), parse_layout(new)
    _require(_other_parts(data, before) == _other_parts(new, after), "what is no metadata")
    _check_blocks(parse_blocks(before), parse_blocks(after))
    _check_piexif(before.block("exif"), after.block("exif"))
    _require(_is_same_picture(data, new), "the decoded picture")
    return new


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise CannotEmbedError(f"{what} would not stay as it is")


def _other_parts(data: bytes, layout: Layout) -> tuple[bytes, ...]:
    if isinstance(layout, jpeg.Layout):
        return jpeg.other_parts(data)
    return webp.other_parts(data)


def _check_blocks(before: Blocks, after: Blocks) -> None:
    if before.tiff is not None:
        _require(after.tiff is not None, "the Exif block")
        assert after.tiff is not None
        _check_tiff(before.tiff, after.tiff)
    if before.xmp is not None:
        _require(after.xmp is not None, "the XMP packet")
        assert after.xmp is not None
        check_packet(before.xmp, after.xmp)
    if before.iim is not None:
        _require(after.iim is not None, "the IPTC block")
        assert after.iim is not None
        _check_iim(before.iim, after.iim)


def _check_tiff(before: Tiff, after: Tiff) -> None:
    _require(before.order == after.order, "the byte order")
    old, new = _tags(before), _tags(after)
    kept = (old.keys() | new.keys()) - exif_claim.TARGETS - _POINTERS
    for tag in sorted(kept):
        _require(old.get(tag) == new.get(tag), f"Exif tag 0x{tag[1]:04X} of {tag[0]}")
    note, moved = before.get(("exif", MAKER_NOTE)), after.get(("exif", MAKER_NOTE))
    if note is not None:
        same = moved is not None and (note.value_at, note.data) == (moved.value_at, moved.data)
        _require(same, "the place of the MakerNote")
    _require(_thumbnail(before) == _thumbnail(after), "the thumbnail")


def _tags(tiff: Tiff) -> dict[tuple[str, int], tuple[int, bytes]]:
    """Type and value of each tag; of a type that is not known, the raw entry."""
    return {
        (name, number): (entry.type, entry.raw if entry.data is None else entry.data)
        for name, directory in tiff.directories.items()
        for number, entry in directory.entries.items()
    }


def _thumbnail(tiff: Tiff) -> bytes:
    starts, sizes = tiff.longs(("ifd1", 0x0201)), tiff.longs(("ifd1", 0x0202))
    if not starts or not sizes:
        return b""
    return tiff.block[starts[0] : starts[0] + sizes[0]]


def check_packet(before: XmpPacket, after: XmpPacket) -> None:
    """Every property that is not targeted says the same. Raises CannotEmbedError."""
    for tag in sorted((before.names() | after.names()) - _XMP_TARGETS):
        _require(before.canonical(tag) == after.canonical(tag), f"the XMP property {tag}")
    previous = xmp_claim.read_previous(before)
    own = previous.landmark if previous else ""
    for name, separator in _ARRAYS.items():
        lost = set(before.items(name)) - set(after.items(name))
        leaf = own.replace(separator, "-")
        is_ours = all(word.rpartition(separator)[2] == leaf for word in lost)
        _require(is_ours, f"the keywords of {name}")


def _check_iim(before: Iim, after: Iim) -> None:
    _require(_kept(before) == _kept(after), "the IPTC block")
    old, new = before.other_resources(), after.other_resources()
    _require(old == new, "the Photoshop resources")


def _kept(iim: Iim) -> list[tuple[tuple[int, int], bytes]]:
    def is_targeted(dataset: DataSet) -> bool:
        return dataset.key in ((1, 90), (2, 25))

    return [(d.key, d.data) for d in iim.datasets if not is_targeted(d)]


def _check_piexif(before: bytes | None, after: bytes | None) -> None:
    """A second reader's opinion, where it can read the old block at all."""
    old = _load(before)
    if old is None:
        return
    new = _load(after)
    _require(new is not None, "the Exif block as piexif reads it")
    assert new is not None
    targets = {(name.replace("ifd0", "0th").replace("gps", "GPS"), tag)
               for name, tag in exif_claim.TARGETS | _POINTERS}  # fmt: skip
    for directory in ("0th", "Exif", "GPS", "Interop", "1st"):
        for tag in sorted(old[directory].keys() | new[directory].keys()):
            if (directory, tag) not in targets:
                same = old[directory].get(tag) == new[directory].get(tag)
                _require(same, f"Exif tag 0x{tag:04X} as piexif reads it")
    _require(old["thumbnail"] == new["thumbnail"], "the thumbnail as piexif reads it")


def _load(block: bytes | None) -> dict[str, Any] | None:
    if block is None:
        return None
    try:
        loaded: dict[str, Any] = piexif.load(b"Exif\0\0" + block)
    except Exception:  # piexif raises whatever its parsing stumbles over
        return None
    return loaded


def _is_same_picture(data: bytes, new: bytes) -> bool:
    """Whether the new bytes decode (a JPEG at an eighth of its size) to a picture of the same kind.

    The coded picture itself was compared byte by byte, so decoding it twice would prove no more;
    but a damaged picture may fail to decode as it did before.
    """
    return _header(data) == _header(new) and (_decodes(new) or not _decodes(data))


def _header(data: bytes) -> tuple[object, ...]:
    try:
        with _opened(data) as image:
            return image.format, image.mode, image.size, getattr(image, "n_frames", 1)
    except _DECODE_ERRORS:
        return ()


def _decodes(data: bytes) -> bool:
    try:
        with _opened(data) as image:
            image.draft(None, (max(1, image.width // 8), max(1, image.height // 8)))
            image.load()
            return True
    except _DECODE_ERRORS:
        return False


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(BytesIO(data)) as image:
            yield image
