"""Puts geotag's tags into an XMP packet, and takes those of an earlier run out. Pure."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from geotag import __version__
from geotag.metadata.marks import GPS_PROCESSING_METHOD, SOURCE_INFERRED, SOURCE_USER
from geotag.metadata.positions import checked_location, parse_coordinate
from geotag.records import Location
from geotag.writing.blocks.xmp import Struct, XmpPacket
from geotag.writing.tags import (
    LEVELS,
    MAP_DATUM,
    PLACES,
    LandmarkTags,
    PlacedTags,
    Surroundings,
    Tags,
    format_coordinates,
    hierarchy,
    location_fields,
    union,
)

_BLOCK = tuple(f"geotag:{name}" for name in (
    "Source", "Method", "Landmark", "Model", "ModelSHA256", "Confidence", "Threshold",
    "Latitude", "Longitude", "RadiusMetres", "Place", "Evidence", "RunId", "ToolVersion",
))  # fmt: skip
_WROTE = "geotag:Wrote"
_SHOWN = "Iptc4xmpExt:LocationShown"
CREATED = "Iptc4xmpExt:LocationCreated"
_KEYWORDS = ("dc:subject", "lr:hierarchicalSubject", "digiKam:TagsList")
# What parts the levels of a path, in the fields that hold paths.
_SEPARATORS = {"lr:hierarchicalSubject": "|", "digiKam:TagsList": "/"}
_DESTINATION = ("exif:GPSDestLatitude", "exif:GPSDestLongitude")
_VERSION = "exif:GPSVersionID"
_POSITION = (
    "exif:GPSLatitude",
    "exif:GPSLongitude",
    _VERSION,
    "exif:GPSMapDatum",
    "exif:GPSHPositioningError",
    "exif:GPSProcessingMethod",
)
POSITIONS = (*_DESTINATION, *_POSITION)
# Targeted fields that may hold what others wrote.
SHARED = (*_KEYWORDS, _SHOWN, CREATED, *PLACES, *POSITIONS)
# The offset from UTC that geotag gave the photo's time, and how it was known.
OFFSET = "geotag:OffsetTimeOriginal"
OFFSET_EVIDENCE = "geotag:OffsetEvidence"
TARGETS = (*SHARED, *_BLOCK, _WROTE, OFFSET, OFFSET_EVIDENCE)
# What differs from run to run without saying anything new of the photo.
VOLATILE = frozenset(f"XMP geotag:{name}" for name in ("RunId", "ToolVersion", "Evidence"))
# What geotag:Wrote calls fields of other blocks: those stay noted while they stand there.
_ELSEWHERE = frozenset(("tiff:XPKeywords", "exif:GPSDest", "exif:GPS", "IPTC:Keywords"))
LANDMARK = "landmark"


class EarlierTags(NamedTuple):
    """What an earlier run said of the photo, and which fields it added something to.

    `shown` is the place that it recorded: the landmark's, or where it says that the camera was.
    """

    landmark: str
    wrote: frozenset[str]
    shown: Struct
    source: str = SOURCE_INFERRED
    method: str = LANDMARK

    def outranks(self, tags: Tags) -> bool:
        """Whether the user named the landmark, which no model may change."""
        return self.source == SOURCE_USER and not tags.outranks_user

    def is_by(self, methods: frozenset[str]) -> bool:
        """Whether one of these methods, as the table calls them, inferred it."""
        return self.source == SOURCE_INFERRED and self.method in methods

    @property
    def position(self) -> Location | None:
        """The landmark's position as that run gave it."""
        latitude = parse_coordinate(self.shown.get("exif:GPSLatitude", ""), "NS")
        longitude = parse_coordinate(self.shown.get("exif:GPSLongitude", ""), "EW")
        if latitude is None or longitude is None:
            return None
        return checked_location(latitude, longitude)

    def is_at(self, latitude: float, longitude: float) -> bool:
        """Whether a position is the one that run gave, to within ten metres."""
        own = self.position
        if own is None:
            return False
        return abs(own.latitude - latitude) < 1e-4 and abs(own.longitude - longitude) < 1e-4


def read_earlier(packet: XmpPacket) -> EarlierTags | None:
    """The earlier tags, or None when geotag never wrote into this packet."""
    if not packet.text("geotag:Source"):
        return None
    landmark, source = packet.text("geotag:Landmark"), packet.text("geotag:Source")
    wrote = frozenset(packet.items(_WROTE))
    if landmark or not packet.text("geotag:Latitude"):
        shown = next((s for s in packet.structs(_SHOWN) if _is_named(s, landmark)), {})
        return EarlierTags(landmark, wrote, shown, source)
    latitude, longitude, place = (
        packet.text(f"geotag:{name}") for name in ("Latitude", "Longitude", "Place")
    )
    created = location_fields(place.split("|")[:3], latitude, longitude)
    return EarlierTags("", wrote, created, source, packet.text("geotag:Method"))


def _is_named(struct: Struct, landmark: str) -> bool:
    return struct.get("Iptc4xmpExt:LocationName") == landmark


def snapshot(packet: XmpPacket) -> dict[str, str]:
    """The targeted fields as texts for a diff."""
    fields: dict[str, str] = {}
    for name in TARGETS:
        if name in (_SHOWN, CREATED):
            text = "; ".join(", ".join(s.values()) for s in packet.structs(name))
        else:
            text = "; ".join(packet.items(name))
        if text:
            fields[f"XMP {name}"] = text
    return fields


def remove_tags(packet: XmpPacket, earlier: EarlierTags) -> None:
    """Take out what an earlier run added, and nothing that anyone changed since."""
    for name in _KEYWORDS:
        if name in earlier.wrote:
            packet.remove_items(name, partial(_is_ours, earlier.landmark, _SEPARATORS.get(name)))
    if _SHOWN in earlier.wrote:
        packet.remove_structs(_SHOWN, lambda struct: _is_named(struct, earlier.landmark))
    if CREATED in earlier.wrote:
        packet.remove_structs(CREATED, earlier.shown.__eq__)
    for name, text in _recorded_places(earlier).items():
        if name in earlier.wrote:
            packet.remove_items(name, text.__eq__)
    _remove_positions(packet, earlier)
    for name in (*_BLOCK, _WROTE):
        packet.remove(name)


def _is_ours(landmark: str, separator: str | None, text: str) -> bool:
    """Whether geotag writes a keyword so: the name alone, or in a path as the last of places."""
    if separator is None:
        return text == landmark
    levels = text.split(separator)
    return levels[0] == "Places" and levels[-1] == landmark.replace(separator, "-")


def _recorded_places(earlier: EarlierTags) -> dict[str, str]:
    texts = (earlier.shown.get(level, "") for level in LEVELS)
    return dict(zip(PLACES, (earlier.landmark, *texts), strict=True))


def _remove_positions(packet: XmpPacket, earlier: EarlierTags) -> None:
    for names in (_DESTINATION, _POSITION):
        position = _position(packet, names)
        if position is None or not earlier.is_at(*position):
            continue
        for name in names:
            if name in earlier.wrote:
                packet.remove(name)


def add_tags(
    packet: XmpPacket, tags: Tags, around: Surroundings, *, positions: bool, measured: bool
) -> None:
    """Put the tags into the packet.

    `positions` puts the coordinates into the packet too (a sidecar's: embedded ones stand in the
    Exif block); `measured` says that the photo's position is known, so that none is inferred.
    """
    earlier = read_earlier(packet)
    kept = earlier.wrote if earlier else frozenset()
    if earlier is not None and (earlier.landmark != tags.name or isinstance(tags, PlacedTags)):
        remove_tags(packet, earlier)
        # What other blocks hold of the same method is brought up to date there.
        kept = kept & _ELSEWHERE if earlier.landmark == tags.name else frozenset()
        earlier = None
    before = snapshot(packet)
    if isinstance(tags, LandmarkTags):
        _add_keywords(packet, tags, around)
        _add_shown(packet, tags)
        _add_places(packet, tags, around)
    elif not packet.structs(CREATED):
        packet.add_struct(CREATED, tags.created(), {})
        _add_places(packet, tags, around)
    if positions:
        _add_positions(packet, tags, earlier, measured)
    after = snapshot(packet)
    wrote = {name.removeprefix("XMP ") for name in after if after[name] != before.get(name)}
    _add_block(packet, tags, wrote)
    note_written(packet, kept)


def _add_keywords(packet: XmpPacket, tags: LandmarkTags, around: Surroundings) -> None:
    """Into all three fields: some readers take only the first that exists, so a field made anew
    holds the keywords of the others too."""
    name = tags.landmark.name
    flat = packet.items("dc:subject") or around.keywords
    paths = packet.items("lr:hierarchicalSubject")
    listed = packet.items("digiKam:TagsList")
    leaves = {path.replace("|", "/").rpartition("/")[2] for path in (*paths, *listed)}
    loose = tuple(word for word in flat if word not in leaves and word != name)
    wanted = {
        "dc:subject": flat,
        "lr:hierarchicalSubject": paths
        or union((*(tag.replace("/", "|") for tag in listed), *(_flat(w, "|") for w in loose))),
        "digiKam:TagsList": listed
        or union((*(path.replace("|", "/") for path in paths), *(_flat(w, "/") for w in loose))),
    }
    own = {
        "dc:subject": name,
        "lr:hierarchicalSubject": hierarchy(tags.landmark, "|"),
        "digiKam:TagsList": hierarchy(tags.landmark, "/"),
    }
    for field in _KEYWORDS:
        present = set(packet.items(field))
        missing = tuple(word for word in union(wanted[field], own[field]) if word not in present)
        if missing:
            packet.add_items(field, missing, "Seq" if field == "digiKam:TagsList" else "Bag")


def _flat(word: str, separator: str) -> str:
    return word.replace(separator, "-")


def _add_shown(packet: XmpPacket, tags: LandmarkTags) -> None:
    if not any(_is_named(struct, tags.name) for struct in packet.structs(_SHOWN)):
        packet.add_struct(_SHOWN, tags.shown(), {"Iptc4xmpExt:LocationName": tags.name})


def _add_places(packet: XmpPacket, tags: Tags, around: Surroundings) -> None:
    """Only where empty, and only when what stands there speaks of the same place."""
    wanted = tags.place_fields()
    for name in PLACES:
        present = filter(None, (*packet.texts(name), around.places.get(name, "")))
        if any(text.casefold() != wanted.get(name, "").casefold() for text in present):
            return
    for name, text in wanted.items():
        if packet.is_empty(name):
            packet.set_text(name, text)


def _add_positions(
    packet: XmpPacket, tags: Tags, earlier: EarlierTags | None, measured: bool
) -> None:
    if tags.subject is not None and _may_set(packet, _DESTINATION, earlier):
        _set_all(packet, dict(zip(_DESTINATION, format_coordinates(tags.subject), strict=True)))
    if tags.camera is None or measured or not _may_set(packet, _POSITION, earlier):
        return
    own = ("2.3.0.0", MAP_DATUM, f"{tags.camera.error}/1", GPS_PROCESSING_METHOD)
    texts = (*format_coordinates(tags.camera.location), *own)
    wanted = dict(zip(_POSITION, texts, strict=True))
    if packet.has(_VERSION):
        del wanted[_VERSION]
    _set_all(packet, wanted)


def _may_set(packet: XmpPacket, names: tuple[str, ...], earlier: EarlierTags | None) -> bool:
    """Whether the position there is none, zero, or the one that geotag wrote and nobody moved."""
    if not any(packet.has(name) for name in names[:2]):
        others = (name for name in names[2:] if name != _VERSION)
        return all(packet.is_empty(name) or packet.text(name) == MAP_DATUM for name in others)
    position = _position(packet, names)
    if position is None:
        return False
    if position == (0, 0):
        return True
    return earlier is not None and names[0] in earlier.wrote and earlier.is_at(*position)


def may_set(packet: XmpPacket, name: str, earlier: EarlierTags | None) -> bool:
    """Whether a field of a position, and so the position, may change by what the packet says."""
    return _may_set(packet, _DESTINATION if name in _DESTINATION else _POSITION, earlier)


def _position(packet: XmpPacket, names: tuple[str, ...]) -> tuple[float, float] | None:
    """The position there, where it is understood and given once."""
    latitudes, longitudes = packet.texts(names[0]), packet.texts(names[1])
    if len(latitudes) != 1 or len(longitudes) != 1:
        return None
    latitude = parse_coordinate(latitudes[0], "NS")
    longitude = parse_coordinate(longitudes[0], "EW")
    return None if latitude is None or longitude is None else (latitude, longitude)


def _set_all(packet: XmpPacket, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        if packet.text(name) != text:
            packet.set_text(name, text)


def _add_block(packet: XmpPacket, tags: Tags, wrote: set[str] | frozenset[str]) -> None:
    said = {"Source": tags.source, **tags.block(), "RunId": tags.run_id, "ToolVersion": __version__}
    for name in _BLOCK:
        text = said.get(name.removeprefix("geotag:"), "")
        if text and packet.text(name) != text:
            packet.set_text(name, text)
        elif not text and packet.has(name):
            packet.remove(name)
    note_written(packet, wrote)


def note_written(packet: XmpPacket, wrote: set[str] | frozenset[str]) -> None:
    """Record which fields hold something of geotag's, so that a later run can take it out."""
    missing = tuple(sorted(wrote - set(packet.items(_WROTE))))
    if missing:
        packet.add_items(_WROTE, missing)
