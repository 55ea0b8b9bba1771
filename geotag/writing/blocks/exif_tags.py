"""Puts geotag's tags into an Exif block, and takes those of an earlier run out. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import piexif

from geotag.metadata.marks import GPS_PROCESSING_METHOD_EXIF
from geotag.metadata.positions import degrees_to_rationals
from geotag.metadata.tiff import ByteOrder
from geotag.records import Location
from geotag.writing.blocks.tiff import (
    ASCII,
    BYTE,
    RATIONAL,
    UNDEFINED,
    Tag,
    Tiff,
    Value,
    edit_tiff,
    encode_value,
    parse_tiff,
)
from geotag.writing.blocks.xmp_tags import EarlierTags
from geotag.writing.edits import apply_edits
from geotag.writing.tags import MAP_DATUM, Tags, union

_SIGNED_RATIONAL = 10
Content = bytes | tuple[tuple[int, int], ...]

XP_KEYWORDS: Tag = ("ifd0", 0x9C9E)
VERSION: Tag = ("gps", 0x00)
LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE = (("gps", number) for number in range(1, 5))
DATUM, ERROR, METHOD = ("gps", 0x12), ("gps", 0x1F), ("gps", 0x1B)
DEST_LATITUDE_REF, DEST_LATITUDE, DEST_LONGITUDE_REF, DEST_LONGITUDE = (
    ("gps", number) for number in range(0x13, 0x17)
)
TIME: Tag = ("exif", 0x9003)
OFFSET: Tag = ("exif", 0x9011)
# Name and type of what is written.
_FIELDS = {
    XP_KEYWORDS: ("XPKeywords", BYTE),
    VERSION: ("GPSVersionID", BYTE),
    LATITUDE_REF: ("GPSLatitudeRef", ASCII),
    LATITUDE: ("GPSLatitude", RATIONAL),
    LONGITUDE_REF: ("GPSLongitudeRef", ASCII),
    LONGITUDE: ("GPSLongitude", RATIONAL),
    DATUM: ("GPSMapDatum", ASCII),
    METHOD: ("GPSProcessingMethod", UNDEFINED),
    ERROR: ("GPSHPositioningError", RATIONAL),
    DEST_LATITUDE_REF: ("GPSDestLatitudeRef", ASCII),
    DEST_LATITUDE: ("GPSDestLatitude", RATIONAL),
    DEST_LONGITUDE_REF: ("GPSDestLongitudeRef", ASCII),
    DEST_LONGITUDE: ("GPSDestLongitude", RATIONAL),
    OFFSET: ("OffsetTimeOriginal", ASCII),
}
TARGETS = frozenset(_FIELDS)
_DESTINATION = (DEST_LATITUDE_REF, DEST_LATITUDE, DEST_LONGITUDE_REF, DEST_LONGITUDE)
_POSITION = (LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE)
# What geotag:Wrote calls the fields of this block.
WROTE_KEYWORDS = "tiff:XPKeywords"
WROTE_DESTINATION = "exif:GPSDest"
WROTE_POSITION = "exif:GPS"


def keywords(tiff: Tiff | None) -> tuple[str, ...]:
    """The XPKeywords: UTF-16, separated by semicolons; a byte too many at the end is none of it."""
    data = tiff.data(XP_KEYWORDS) if tiff else b""
    text = data[: len(data) // 2 * 2].decode("utf-16-le", "surrogatepass").split("\0", 1)[0]
    return tuple(word.strip() for word in text.split(";") if word.strip())


def plan_exif(
    tiff: Tiff | None,
    tags: Tags | None,
    earlier: EarlierTags | None,
    others: tuple[str, ...],
    measured: bool,
) -> dict[Tag, Value | None]:
    """The Exif tags to set or remove (None), so that the block holds these of geotag's or none.

    `others` are keywords of the photo's other blocks, for an XPKeywords made anew; `measured` says
    that the photo's position is known, so that none is inferred.
    """
    order: ByteOrder = tiff.order if tiff else "big"
    removed = _removals(tiff, tags, earlier)
    wanted = _wanted(tiff, tags, earlier, measured) if tags else {}
    changes: dict[Tag, Value | None] = dict.fromkeys(removed)
    words = _keywords_wanted(tiff, tags, earlier, others)
    if words != keywords(tiff):
        wanted[XP_KEYWORDS] = format_keywords(words)
        if not words:
            changes[XP_KEYWORDS] = None
            del wanted[XP_KEYWORDS]
    for tag, content in wanted.items():
        value = encode_value(order, _FIELDS[tag][1], content)
        if _differs(tiff, tag, value):
            changes[tag] = value
        else:
            changes.pop(tag, None)
    return changes


def format_keywords(words: tuple[str, ...]) -> bytes:
    """XPKeywords as Windows writes them."""
    return (";".join(words) + "\0").encode("utf-16-le", "surrogatepass")


def _keywords_wanted(
    tiff: Tiff | None,
    tags: Tags | None,
    earlier: EarlierTags | None,
    others: tuple[str, ...],
) -> tuple[str, ...]:
    words = keywords(tiff)
    if earlier and WROTE_KEYWORDS in earlier.wrote and not _is_same(tags, earlier):
        words = tuple(word for word in words if word != format_word(earlier.landmark))
    if tags is None or not tags.name:
        return words
    present = words or (format_word(other) for other in others)
    return union(present, format_word(tags.name))


def format_word(text: str) -> str:
    """A keyword as XPKeywords can hold it: a semicolon would split it."""
    return text.replace(";", ",")


def _is_same(tags: Tags | None, earlier: EarlierTags) -> bool:
    return tags is not None and tags.name == earlier.landmark


def _removals(tiff: Tiff | None, tags: Tags | None, earlier: EarlierTags | None) -> list[Tag]:
    if tiff is None or earlier is None or _is_same(tags, earlier):
        return []
    removed: list[Tag] = []
    if WROTE_DESTINATION in earlier.wrote and _is_ours(tiff, _DESTINATION, earlier):
        removed += _DESTINATION
    if WROTE_POSITION in earlier.wrote and _is_ours(tiff, _POSITION, earlier):
        removed += (*_POSITION, DATUM, METHOD, ERROR)
    return [tag for tag in removed if tiff.get(tag) is not None]


def _wanted(
    tiff: Tiff | None,
    tags: Tags,
    earlier: EarlierTags | None,
    measured: bool,
) -> dict[Tag, Content]:
    wanted: dict[Tag, Content] = {}
    if tags.subject is not None and _may_set(tiff, _DESTINATION, earlier):
        wanted |= dict(zip(_DESTINATION, _values(tags.subject), strict=True))
    if tags.camera is not None and not measured and _may_set(tiff, _POSITION, earlier):
        wanted |= dict(zip(_POSITION, _values(tags.camera.location), strict=True))
        wanted[DATUM] = MAP_DATUM.encode() + b"\0"
        wanted[METHOD] = GPS_PROCESSING_METHOD_EXIF
        wanted[ERROR] = ((tags.camera.error, 1),)
    if wanted and (tiff is None or tiff.get(VERSION) is None):
        wanted[VERSION] = bytes((2, 3, 0, 0))
    return wanted


def _values(place: Location) -> tuple[Content, ...]:
    return (
        b"N\0" if place.latitude >= 0 else b"S\0",
        degrees_to_rationals(place.latitude),
        b"E\0" if place.longitude >= 0 else b"W\0",
        degrees_to_rationals(place.longitude),
    )


def _may_set(tiff: Tiff | None, position: tuple[Tag, ...], earlier: EarlierTags | None) -> bool:
    """Whether the position there is none, zero, or the one that geotag wrote and nobody moved."""
    entries = [entry for tag in (position[1], position[3]) if tiff and (entry := tiff.get(tag))]
    if tiff is None or not entries:
        return True
    if any(entry.type not in (RATIONAL, _SIGNED_RATIONAL) for entry in entries):
        return False
    numerators = (*tiff.longs(position[1])[::2], *tiff.longs(position[3])[::2])
    if not any(numerators):
        return True
    wrote = WROTE_DESTINATION if position is _DESTINATION else WROTE_POSITION
    return earlier is not None and wrote in earlier.wrote and _is_ours(tiff, position, earlier)


def is_blank(tiff: Tiff, tag: Tag) -> bool:
    """Whether a text is not there, or holds nothing."""
    return not tiff.data(tag).strip(b"\0 :")


def may_change(tiff: Tiff | None, tag: Tag, earlier: EarlierTags | None) -> bool:
    """Whether a targeted tag may change, which is there or not: as a part of a position that may be
    set."""
    if tag == OFFSET:
        return tiff is None or is_blank(tiff, OFFSET)
    if tag in _DESTINATION:
        return _may_set(tiff, _DESTINATION, earlier)
    return tag != VERSION and _may_set(tiff, _POSITION, earlier)


def _is_ours(tiff: Tiff, position: tuple[Tag, ...], earlier: EarlierTags) -> bool:
    if position is _POSITION and tiff.data(METHOD) != GPS_PROCESSING_METHOD_EXIF:
        return False
    latitude_ref, latitude, longitude_ref, longitude = position
    return earlier.is_at(
        _degrees(tiff, latitude_ref, latitude), _degrees(tiff, longitude_ref, longitude)
    )


def _degrees(tiff: Tiff, ref: Tag, tag: Tag) -> float:
    """Not a number where the value is malformed, so that it equals no position."""
    numbers = tiff.longs(tag)
    if len(numbers) != 6 or not all(numbers[1::2]):
        return float("nan")
    parts = [n / d for n, d in zip(numbers[::2], numbers[1::2], strict=True)]
    sign = -1 if tiff.data(ref)[:1] in (b"S", b"W") else 1
    return sign * (parts[0] + parts[1] / 60 + parts[2] / 3600)


def _differs(tiff: Tiff | None, tag: Tag, value: Value) -> bool:
    entry = tiff.get(tag) if tiff else None
    return entry is None or (entry.type, entry.data) != (value.type, value.data)


def build_exif(changes: Mapping[Tag, Value | None]) -> bytes:
    """A new Exif block that holds these tags alone, as a bare TIFF structure.

    piexif makes it with the tags of IFD0. The GPS directory is appended here: piexif's has no
    offset of a next directory, so that its values overlap it, and its pointers are out of order.
    """
    main = {tag: value for tag, value in changes.items() if tag[0] == "ifd0" and value}
    dumped: bytes = piexif.dump({"0th": {tag[1]: tuple(v.data) for tag, v in main.items()}})
    block = dumped.removeprefix(b"Exif\0\0")
    gps = {tag: value for tag, value in changes.items() if tag[0] == "gps"}
    return apply_edits(block, edit_tiff(parse_tiff(block), gps)) if gps else block


def snapshot(tiff: Tiff | None) -> dict[str, str]:
    """The targeted tags as texts for a diff."""
    if tiff is None:
        return {}
    return {f"EXIF {name}": _text(tiff, tag) for tag, (name, _) in _FIELDS.items() if tiff.get(tag)}


def _text(tiff: Tiff, tag: Tag) -> str:
    data = tiff.data(tag)
    if tag == XP_KEYWORDS:
        return "; ".join(keywords(tiff))
    if tag == VERSION:
        return ".".join(map(str, data))
    if tag == METHOD:
        return data[8:].decode("latin-1").rstrip("\0 ")
    if _FIELDS[tag][1] == RATIONAL:
        numbers = tiff.longs(tag)
        pairs = zip(numbers[::2], numbers[1::2], strict=False)
        return " ".join(f"{n / d:g}" if d else f"{n}/0" for n, d in pairs)
    return data.decode("latin-1").rstrip("\0 ")
