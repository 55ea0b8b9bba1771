"""Reads a measured position from an XMP packet or sidecar. Pure."""

from __future__ import annotations

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

from geotag.metadata.exif import checked_location
from geotag.metadata.marks import GPS_PROCESSING_METHOD
from geotag.records import Location

PACKET_LIMIT = 16 * 2**20
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_EXIF = "{http://ns.adobe.com/exif/1.0/}"
_COORDINATE = re.compile(r"\s*([\d.]+)(?:,([\d.]+))?(?:,([\d.]+))?\s*([NSEWnsew])\s*")


def parse_location(packet: bytes) -> Location | None:
    """The position a camera or an owner wrote (exif:GPSLatitude, exif:GPSLongitude), if any.

    None for packets that cannot be parsed and for positions under geotag's own mark.
    """
    if len(packet) > PACKET_LIMIT or b"GPSLatitude" not in packet.replace(b"\0", b""):
        return None
    properties = dict(_properties(packet))
    # Exiv2 puts "charset=Ascii " before it when it turns Exif into XMP.
    if GPS_PROCESSING_METHOD in properties.get(f"{_EXIF}GPSProcessingMethod", ""):
        return None
    latitude = parse_coordinate(properties.get(f"{_EXIF}GPSLatitude", ""), "NS")
    longitude = parse_coordinate(properties.get(f"{_EXIF}GPSLongitude", ""), "EW")
    if latitude is None or longitude is None:
        return None
    return checked_location(latitude, longitude, _altitude(properties))


def parse_coordinate(text: str, hemispheres: str) -> float | None:
    """XMP's "48,51.5N" or "48,51,30N" in degrees (XMP specification, part 2, GPSCoordinate)."""
    match = _COORDINATE.fullmatch(text)
    if match is None or match[4].upper() not in hemispheres:
        return None
    try:
        parts = [float(part or 0) for part in match.groups()[:3]]
    except ValueError:
        return None
    degrees = parts[0] + parts[1] / 60 + parts[2] / 3600
    return degrees if match[4].upper() == hemispheres[0] else -degrees


def _altitude(properties: dict[str, str]) -> float | None:
    match = re.fullmatch(r"\s*(\d{1,9})/(\d{1,9})\s*", properties.get(f"{_EXIF}GPSAltitude", ""))
    if match is None or int(match[2]) == 0:
        return None
    metres = int(match[1]) / int(match[2])
    return -metres if properties.get(f"{_EXIF}GPSAltitudeRef") == "1" else metres


def _properties(packet: bytes) -> Iterator[tuple[str, str]]:
    """Simple properties, whether written as attributes or as elements."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    is_utf16 = packet.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
    text = packet.decode("utf-16", "replace") if is_utf16 else packet.strip(b"\0 \r\n\t")
    try:
        root: Element = fromstring(text)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return
    for rdf in root.iter(f"{_RDF}RDF"):
        for description in rdf.findall(f"{_RDF}Description"):  # not those inside of structures
            yield from _of_description(description)


def _of_description(description: Element) -> Iterator[tuple[str, str]]:
    yield from description.attrib.items()
    for child in description:
        if child.text and len(child) == 0:
            yield child.tag, child.text.strip()
