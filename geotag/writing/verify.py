"""Proves that an edit loses nothing, by reading the old and the new bytes independently."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import piexif
from PIL import Image

from geotag.decoding.loader import open_image
from geotag.decoding.memory import PICTURES, decoding_bytes
from geotag.metadata.containers import sniff_format
from geotag.writing.blocks import exif_tags, xmp_tags
from geotag.writing.blocks.iim import Iim
from geotag.writing.blocks.tiff import EXIF_POINTER, GPS_POINTER, MAKER_NOTE, Tiff
from geotag.writing.blocks.xmp import Struct, XmpPacket, expand, new_packet
from geotag.writing.blocks.xmp_tags import EarlierTags
from geotag.writing.container import Container
from geotag.writing.draft import Blocks, parse_blocks
from geotag.writing.edits import CannotEmbedError, Edit, apply_edits, invert_edits

_Block = TypeVar("_Block")
# The keyword fields, and what parts the levels of a path there; no text holds a zero byte.
_SEPARATORS = {"dc:subject": "\0", "lr:hierarchicalSubject": "|", "digiKam:TagsList": "/"}
_POINTERS = {("ifd0", GPS_POINTER), ("ifd0", EXIF_POINTER)}
_XMP_TARGETS = {expand(name) for name in xmp_tags.TARGETS}


def verified(before: Container, edits: tuple[Edit, ...]) -> bytes:
    """The edited file, once it is proved that only targeted fields differ.

    Raises CannotEmbedError, naming what else would change.
    """
    data = before.data
    try:
        new = apply_edits(data, edits)
    except ValueError as error:
        raise CannotEmbedError(f"the edits contradict each other ({error})") from error
    if apply_edits(new, invert_edits(data, edits)) != data:
        raise CannotEmbedError("it could not be reverted to the same bytes")
    after = type(before).parse(new)
    _require(before.other_parts() == after.other_parts(), "parts that are not metadata")
    _check_blocks(parse_blocks(before), parse_blocks(after))
    _check_piexif(before.block("exif"), after.block("exif"))
    if before.is_photo:
        kind = sniff_format(data) or ""
        _require(_is_same_picture(kind, data, new), "the decoded picture")
    return new


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise CannotEmbedError(f"a write would change {what}")


def _check_blocks(before: Blocks, after: Blocks) -> None:
    earlier = before.earlier
    own = {earlier.landmark, exif_tags.format_word(earlier.landmark)} if earlier else set()
    if before.tiff is not None:
        _check_tiff(before.tiff, _kept(after.tiff, "the Exif block"), earlier)
        lost = set(exif_tags.keywords(before.tiff)) - set(exif_tags.keywords(after.tiff))
        _require(lost <= own, "the XPKeywords that were there")
    if before.xmp or after.xmp:
        _check_packet(before.xmp or new_packet(), _kept(after.xmp, "the XMP packet"))
    if before.iim is not None:
        iim = _kept(after.iim, "the IPTC block")
        _check_iim(before.iim, iim)
        _require(set(before.iim.keywords) - set(iim.keywords) <= own, "the IPTC keywords")


def _kept(block: _Block | None, what: str) -> _Block:
    if block is None:
        raise CannotEmbedError(f"a write would lose {what}")
    return block


def _check_tiff(before: Tiff, after: Tiff, earlier: EarlierTags | None) -> None:
    _require(before.order == after.order, "the byte order")
    old, new = _tags(before), _tags(after)
    kept = (old.keys() | new.keys()) - exif_tags.TARGETS - _POINTERS
    positions = (old.keys() & exif_tags.TARGETS) - {exif_tags.XP_KEYWORDS}
    kept |= {tag for tag in positions if not exif_tags.may_change(before, tag, earlier)}
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


def _check_packet(before: XmpPacket, after: XmpPacket) -> None:
    """Every property that is not targeted says the same, and no value of one that is gets lost."""
    old, new = before.properties(), after.properties()
    for tag in sorted((old.keys() | new.keys()) - _XMP_TARGETS):
        _require(old.get(tag) == new.get(tag), f"the XMP property {tag}")
    earlier = xmp_tags.read_earlier(before)
    for name in xmp_tags.SHARED:
        left = Counter(after.canonical_items(name))
        fields = before.canonical_items(name), before.items(name), before.structs(name)
        for value, text, struct in zip(*fields, strict=True):
            left[value] -= 1
            if left[value] < 0 and not _may_go(before, earlier, name, text, struct):
                raise CannotEmbedError(f"a write would lose a value of the XMP property {name}")


def _may_go(
    packet: XmpPacket, earlier: EarlierTags | None, name: str, text: str, struct: Struct
) -> bool:
    """Whether a value is geotag's own, or stands for no position."""
    if name in xmp_tags.POSITIONS:
        return xmp_tags.may_set(packet, name, earlier)
    if earlier is None or name not in earlier.wrote:
        return False
    if name in _SEPARATORS:
        separator = _SEPARATORS[name]
        return text.rpartition(separator)[2] == earlier.landmark.replace(separator, "-")
    if name == xmp_tags.CREATED:
        return struct == earlier.shown
    own = {earlier.landmark, *earlier.shown.values()}
    return (struct.get("Iptc4xmpExt:LocationName") or text) in own


def _check_iim(before: Iim, after: Iim) -> None:
    _require(_other_datasets(before) == _other_datasets(after), "the IPTC block")
    old, new = before.other_resources(), after.other_resources()
    _require(old == new, "the Photoshop resources")


def _other_datasets(iim: Iim) -> list[tuple[tuple[int, int], bytes]]:
    """All but those that geotag edits: the coded character set, and the keywords."""
    return [(d.key, d.data) for d in iim.datasets if d.key not in ((1, 90), (2, 25))]


def _check_piexif(before: bytes | None, after: bytes | None) -> None:
    """A second reader's opinion, where it can read the old block at all."""
    old = _load(before)
    if old is None:
        return
    new = _load(after)
    _require(new is not None, "the Exif block as piexif reads it")
    assert new is not None
    names = {"ifd0": "0th", "exif": "Exif", "gps": "GPS"}
    targets = {(names[name], tag)
               for name, tag in exif_tags.TARGETS | _POINTERS}  # fmt: skip
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


def _is_same_picture(kind: str, data: bytes, new: bytes) -> bool:
    """Whether the new bytes decode (a JPEG at an eighth of its size) to a picture of the same kind.

    The coded picture itself was compared byte by byte, so decoding it twice would prove no more;
    but a damaged picture may fail to decode as it did before.
    """
    same = _header(kind, data) == _header(kind, new)
    return same and (_decodes(kind, new) or not _decodes(kind, data))


def _header(kind: str, data: bytes) -> tuple[object, ...]:
    try:
        with _opened(kind, data) as image:
            return image.format, image.mode, image.size, getattr(image, "n_frames", 1)
    except Exception:  # decoders raise whatever they stumble over
        return ()


def _decodes(kind: str, data: bytes) -> bool:
    """Whether it can be decoded, within the memory and time that a scan would give it."""
    try:
        with _opened(kind, data) as image:
            whole = image.size
            image.draft(None, (max(1, image.width // 8), max(1, image.height // 8)))
            with PICTURES.hold(decoding_bytes(image, whole)):
                image.load()
            return True
    except Exception:  # decoders raise whatever they stumble over
        return False


@contextmanager
def _opened(kind: str, data: bytes) -> Iterator[Image.Image]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with open_image(data, kind) as image:
            yield image
