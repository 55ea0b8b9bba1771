"""Positions in XMP packets and sidecars."""

from __future__ import annotations

import pytest

from geotag.metadata.marks import GPS_PROCESSING_METHOD, XMP_NAMESPACE
from geotag.metadata.xmp import parse_xmp
from geotag.records import Location

_PACKET = """<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?>
<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF
 xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'
 xmlns:exif='http://ns.adobe.com/exif/1.0/' xmlns:geotag='{namespace}'>
{body}</rdf:RDF></x:xmpmeta><?xpacket end='w'?>"""
_ATTRIBUTES = (
    "<rdf:Description rdf:about='' exif:GPSLatitude='48,51.5N' exif:GPSLongitude='2,17,40W'/>"
)
_ELEMENTS = (
    "<rdf:Description rdf:about=''><exif:GPSLatitude>33,51S</exif:GPSLatitude>"
    "<exif:GPSLongitude>151,12E</exif:GPSLongitude><exif:GPSAltitude>25/10</exif:GPSAltitude>"
    "</rdf:Description>"
)


def parse_location(data: bytes) -> Location | None:
    return parse_xmp(data).location


def packet(body: str) -> bytes:
    return _PACKET.format(body=body, namespace=XMP_NAMESPACE).encode()


def test_attributes_and_elements() -> None:
    found = parse_location(packet(_ATTRIBUTES))
    assert found is not None
    assert found.latitude == pytest.approx(48 + 51.5 / 60)
    assert found.longitude == pytest.approx(-(2 + 17 / 60 + 40 / 3600))
    assert parse_location(packet(_ELEMENTS)) == Location(-33.85, 151.2, 2.5)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16(encoding: str) -> None:
    text = "\ufeff<?xml version='1.0' encoding='UTF-16'?>" + packet(_ELEMENTS).decode() + "\n"
    assert parse_location(text.encode(encoding)) == Location(-33.85, 151.2, 2.5)


@pytest.mark.parametrize("prefix", ["", "charset=Ascii "])
def test_our_own_mark_is_not_a_measurement(prefix: str) -> None:
    method = prefix + GPS_PROCESSING_METHOD
    mark = f" geotag:Source='inferred' exif:GPSProcessingMethod='{method}'/>"
    assert parse_location(packet(_ATTRIBUTES.replace("/>", mark))) is None


def test_position_that_an_owner_adds_to_our_tags_is_measured() -> None:
    tagged = _ATTRIBUTES.replace("/>", " geotag:Source='inferred'/>")
    assert parse_location(packet(tagged)) is not None


def test_position_of_another_place_inside_a_structure_is_not_the_cameras() -> None:
    inner = f"<rdf:Description rdf:about=''><geotag:x>{_ATTRIBUTES}</geotag:x></rdf:Description>"
    assert parse_location(packet(inner)) is None


@pytest.mark.parametrize(
    "hostile",
    [
        b"GPSLatitude <not xml",
        b"<!DOCTYPE x [<!ENTITY a 'GPSLatitude'>]><x>&a;</x>",
        b"<?xml version='1.0' encoding='nonsense'?><GPSLatitude/>",
        b"<x>GPSLatitude",
        b"",
    ],
)
def test_hostile_packets_hold_no_position(hostile: bytes) -> None:
    assert parse_location(hostile) is None
