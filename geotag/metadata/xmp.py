"""XMP packets and sidecars to Metadata. Pure.

A packet is read once from its beginning to its end, without a tree, so that neither its size nor
its depth costs memory; there is no DTD and no entity (XMP specification, part 1, section 7.1).
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from xml.parsers.expat import ExpatError, ParserCreate

from geotag.metadata.assembled import assemble
from geotag.metadata.marks import GPS_PROCESSING_METHOD, XMP_NAMESPACE, XMP_PREFIX
from geotag.metadata.positions import checked_location, parse_altitude, parse_coordinate
from geotag.metadata.times import format_time
from geotag.records import Capture, Location, Metadata

# Packets of more are not read: those of cameras and of most programs have a hundredth of it.
PACKET_LIMIT = 2**20
_DEPTH_LIMIT = 100
_TEXT_LIMIT = 1000
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
# What the prefixes mean that packets use, some without saying so.
_PREFIXES = {
    "rdf": _RDF,
    "exif": "http://ns.adobe.com/exif/1.0/",
    "exifEX": "http://cipa.jp/exif/1.0/",
    "aux": "http://ns.adobe.com/exif/1.0/aux/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    XMP_PREFIX: XMP_NAMESPACE,
}
_TIMES = (
    "exif:DateTimeOriginal", "exif:DateTimeDigitized", "photoshop:DateCreated", "xmp:CreateDate",
)  # fmt: skip
_LATITUDE, _LONGITUDE = "exif:GPSLatitude", "exif:GPSLongitude"
_PLACED = f"{XMP_PREFIX}:Latitude"  # where geotag placed the photo: it wrote LocationCreated, too
_OWN = f"{XMP_PREFIX}:"
_SHOWN, _CREATED = ":LocationShown", ":LocationCreated"
_NAMES = frozenset((
    *_TIMES, _LATITUDE, _LONGITUDE, "exif:GPSLatitudeRef", "exif:GPSLongitudeRef",
    "exif:GPSAltitude", "exif:GPSAltitudeRef", "exif:GPSTimeStamp", "exif:GPSProcessingMethod",
    "tiff:Make", "tiff:Model", "exifEX:BodySerialNumber", "aux:SerialNumber", "xmp:CreatorTool",
    _PLACED,
))  # fmt: skip
_SHORT = {uri: prefix for prefix, uri in _PREFIXES.items()}
# As also drones' makers, museums, the IPTC and the W3C have it, in namespaces of their own.
_POSITIONS = tuple(
    b"latitude longitude longtitude gpsposition gpscoordinate :lat :lon :lng <lat <lon".split()
)
_STRAY = re.compile(
    r"(?<!Dest)(?:Latitude|Longt?itude)$|(?:^|:)(?:lat|long?|lng)$|GPS(?:Position|Coordinates?)$",
    re.IGNORECASE,
)
_RDF_ELEMENT = b"rdf:RDF"
_DESCRIPTION = "rdf:Description"
_VALUES = ("rdf:value", "rdf:resource")
_MARK = 64  # bytes in which a packet of UTF-16 or UTF-32 has a NUL
_WIDE = {
    "utf-32-le": (BOM_UTF32_LE, b"<\0\0\0"),
    "utf-32-be": (BOM_UTF32_BE, b"\0\0\0<"),
}


class Packet(NamedTuple):
    """What is wanted of a packet's properties; `fault` says why there may be more.

    `strays` says that a position is where none is read: it may be the camera's.
    """

    properties: Mapping[str, str]
    fault: str = ""
    strays: bool = False


def parse_xmp(data: bytes) -> Metadata:
    """What a packet says that a camera or an owner wrote.

    Nonsense is left out, never raised; a position under geotag's own mark is none.
    """
    packet = parse_packet(data)
    found = _metadata(packet, "its XMP")
    if packet.fault and mentions_position(data):
        return _unclear(found, f"its XMP {packet.fault}")
    return found


def parse_sidecar(data: bytes, name: str) -> Metadata:
    """The same of a sidecar; of one that cannot be read to its end no position is clear."""
    packet = parse_packet(data)
    found = _metadata(packet, f"its sidecar {name}")
    return _unclear(found, f"its sidecar {name} {packet.fault}") if packet.fault else found


def _unclear(found: Metadata, why: str) -> Metadata:
    if found.location is not None:
        return found
    return found._replace(position_unclear=f"{why}, so no position is inferred")


def mentions_position(data: bytes) -> bool:
    """Whether a packet may hold a position: known faster than by parsing it."""
    plain = data.replace(b"\0", b"") if b"\0" in data[:_MARK] else data  # of UTF-16 and UTF-32
    lower = plain.lower()
    return any(word in lower for word in _POSITIONS)


def packet_in(block: bytes) -> bytes:
    """The packet that stands in an Exif block, in whatever entry; empty where there is none."""
    if _RDF_ELEMENT not in block:
        return b""
    return block[block.find(_RDF_ELEMENT) - 1 : block.rfind(_RDF_ELEMENT) + len(_RDF_ELEMENT) + 1]


def parse_packet(data: bytes) -> Packet:
    """The properties of the top level that are wanted, however they are written."""
    if len(data) > PACKET_LIMIT:
        return Packet({}, f"is larger than {PACKET_LIMIT >> 20} MiB")
    reader = _Reader()
    try:
        reader.read(_decoded(data))
    except (ExpatError, ValueError, LookupError):
        return Packet(reader.properties, "is damaged", reader.strays)
    return Packet(reader.properties, strays=reader.strays)


def _decoded(data: bytes) -> bytes | str:
    """A packet as text where that helps: some hold texts in another encoding than they say."""
    for code, beginnings in _WIDE.items():
        if data.startswith(beginnings):
            return data.decode(code, "replace").strip("\ufeff\0 \r\n\t")
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return data.decode("utf-16", "replace").strip("\0 \r\n\t")
    data = data.removeprefix(BOM_UTF8).strip(b"\0 \r\n\t")
    try:
        data.decode()
    except UnicodeDecodeError:
        is_declared = data.startswith(b"<?xml") and b"encoding=" in data[:100]
        return data if is_declared else data.decode("latin-1")
    return data


class _Reader:
    """Follows the elements of a packet; a property is a child of a top-level rdf:Description, or
    of one in that."""

    def __init__(self) -> None:
        self.properties: dict[str, str] = {}
        self._strays: set[str] = set()  # in which structures positions are, "" for none of those
        self._path: list[str] = []
        self._nodes: list[bool] = []  # which elements of the path are such descriptions
        # The namespaces that elements declare, each with the element's depth.
        self._scopes: list[tuple[int, Mapping[str, str]]] = [(0, _PREFIXES)]
        self._shorts: dict[str, str] = {}  # names within these namespaces
        self._text: list[str] = []

    def read(self, data: bytes | str) -> None:
        """Raises ExpatError or ValueError where it cannot go on."""
        self._parser = ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = _refuse
        self._parser.Parse(data, True)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._path) == _DEPTH_LIMIT:
            raise ValueError("nested too deeply")
        names = [name for name in attributes if name.startswith("xmlns")]
        if names:
            declared = {name.partition(":")[2]: attributes[name] for name in names}
            self._scopes.append((len(self._path), declared))
            self._shorts.clear()
        is_in_node = self._nodes[-1] if self._nodes else True
        element = self._short(tag)
        self._path.append(element)
        is_node = element == _DESCRIPTION and (is_in_node or self._path[-2] == "rdf:RDF")
        self._nodes.append(is_node)
        if element in _NAMES and self._is_property():
            self._text = []
            self._parser.CharacterDataHandler = self._characters
        else:
            self._look_for_strays(tag)
        for name, value in attributes.items():
            short = self._short(name)
            if is_node and short in _NAMES:
                self._keep(short, value)
                continue
            if short in _VALUES and not is_node:  # of a property that is written as a structure
                self._characters(value)
            self._look_for_strays(name)

    def _look_for_strays(self, name: str) -> None:
        if _may_stray(name) and not self._short(name).startswith(_OWN):
            above = (kind for kind in (_SHOWN, _CREATED) for e in self._path if e.endswith(kind))
            self._strays.add(next(above, ""))

    @property
    def strays(self) -> bool:
        """Whether there is a position that may be the camera's, and is none of the properties."""
        own = {_SHOWN, _CREATED} if _PLACED in self.properties else {_SHOWN}
        return not self._strays <= own

    def _end(self, tag: str) -> None:
        if self._path[-1] in _NAMES and self._is_property():
            self._keep(self._path[-1], "".join(self._text))
            self._parser.CharacterDataHandler = None
        self._path.pop()
        self._nodes.pop()
        if len(self._scopes) > 1 and self._scopes[-1][0] == len(self._path):
            self._scopes.pop()
            self._shorts.clear()

    def _characters(self, text: str) -> None:
        if len(self._text) < _TEXT_LIMIT:
            self._text.append(text[:_TEXT_LIMIT])

    def _is_property(self) -> bool:
        return len(self._nodes) > 1 and self._nodes[-2]

    def _short(self, name: str) -> str:
        """A name with the usual prefix of its namespace, whatever prefix the packet gives it."""
        found = self._shorts.get(name)
        if found is None:
            found = self._shorts[name] = self._resolved(name)
        return found

    def _resolved(self, name: str) -> str:
        prefix, _, local = name.rpartition(":")
        scopes = (declared for _, declared in reversed(self._scopes) if prefix in declared)
        uri = next(scopes, {prefix: ""})[prefix]
        return f"{_SHORT.get(uri, '')}:{local}"

    def _keep(self, name: str, value: str) -> None:
        if not self.properties.get(name):
            self.properties[name] = value.strip()[:_TEXT_LIMIT]


@lru_cache(maxsize=1024)
def _may_stray(name: str) -> bool:
    return _STRAY.search(name) is not None


def _refuse(*declaration: object) -> None:
    raise ValueError("XMP has no document type")


def _metadata(packet: Packet, title: str) -> Metadata:
    properties = packet.properties
    location, is_clear = _position(properties)
    is_clear = is_clear and (not packet.strays or _is_inferred(properties))
    why = f"the position in {title} cannot be understood, so none is inferred"
    return assemble(location, "" if is_clear else why, _capture(properties))


def _position(properties: Mapping[str, str]) -> tuple[Location | None, bool]:
    """The position, and whether all that is there is understood."""
    if _is_inferred(properties):
        return None, True
    texts = properties.get(_LATITUDE, ""), properties.get(_LONGITUDE, "")
    if not any(texts):
        return None, True
    latitude = parse_coordinate(texts[0], "NS", properties.get("exif:GPSLatitudeRef", ""))
    longitude = parse_coordinate(texts[1], "EW", properties.get("exif:GPSLongitudeRef", ""))
    if latitude is None or longitude is None:
        return None, False
    reference = properties.get("exif:GPSAltitudeRef", "")
    altitude = parse_altitude(properties.get("exif:GPSAltitude", ""), reference)
    location = checked_location(latitude, longitude, altitude)
    return location, location is not None or latitude == longitude == 0


def _is_inferred(properties: Mapping[str, str]) -> bool:
    # Exiv2 puts "charset=Ascii " before it when it turns Exif into XMP.
    return GPS_PROCESSING_METHOD in properties.get("exif:GPSProcessingMethod", "")


def _capture(properties: Mapping[str, str]) -> Capture:
    times = (format_time(properties.get(name, "")) for name in _TIMES)
    serial = properties.get("exifEX:BodySerialNumber") or properties.get("aux:SerialNumber", "")
    return Capture(
        time=next(filter(None, times), ""),
        gps_time=format_time(properties.get("exif:GPSTimeStamp", ""), "Z"),
        make=properties.get("tiff:Make", ""),
        model=properties.get("tiff:Model", ""),
        serial_number=serial,
        software=properties.get("xmp:CreatorTool", ""),
    )
