"""XMP packets: read in all spellings, edited without a loss."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from geotag.metadata.positions import parse_coordinate
from geotag.writing.blocks.xmp import XmpError, XmpPacket, new_packet, parse_packet
from geotag.writing.blocks.xmp_tags import (
    OFFSET,
    OFFSET_EVIDENCE,
    TARGETS,
    add_tags,
    read_earlier,
    remove_tags,
    snapshot,
)
from geotag.writing.tags import LandmarkTags, Surroundings, format_coordinate
from tests.geotag.writing.samples import EIFFEL, PLACED, RIO, SUBJECTS, TAGS, xmp_packet

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(min_codepoint=32, exclude_categories=("Cs", "Cc", "Cn")), max_size=20)


@st.composite
def foreign_properties(draw: st.DrawFn) -> str:
    """Properties in other namespaces: simple ones, arrays and structures."""
    made = ""
    for number, name in enumerate(draw(st.lists(NAMES, max_size=5))):
        space = f'xmlns:n{number}="https://example.org/{draw(NAMES)}/"'
        text = etree.tostring(_text(draw(TEXTS)), encoding="unicode")[3:-4]
        inner = draw(
            st.sampled_from(
                [
                    text,
                    f"<rdf:Bag><rdf:li>{text}</rdf:li><rdf:li>x</rdf:li></rdf:Bag>",
                    f"<rdf:Alt><rdf:li xml:lang='fr'>{text}</rdf:li></rdf:Alt>",
                    f"<rdf:Description><n{number}:in>{text}</n{number}:in></rdf:Description>",
                ]
            )
        )
        made += f"<n{number}:{name} {space}>{inner}</n{number}:{name}>\n"
    return made


def _text(text: str) -> etree._Element:
    element = etree.Element("t")
    element.text = text or "-"
    return element


def tagged(data: bytes, tags: LandmarkTags = TAGS, positions: bool = True) -> XmpPacket:
    packet = parse_packet(data)
    add_tags(packet, tags, Surroundings(), positions=positions, measured=False)
    return parse_packet(packet.serialize(len(data)))


@given(foreign_properties())
def test_merge_keeps_foreign_properties(properties: str) -> None:
    data = xmp_packet(properties)
    before, after = parse_packet(data), tagged(data)
    foreign = {tag for tag in before.properties() if "purl.org" not in tag}
    assert foreign <= after.properties().keys()
    for tag in foreign:
        assert before.properties()[tag] == after.properties()[tag]


@given(foreign_properties())
def test_tags_and_their_removal_leave_what_was_there(properties: str) -> None:
    data = xmp_packet(properties + SUBJECTS)
    packet = tagged(data, TAGS._replace(position=True))
    earlier = read_earlier(packet)
    assert earlier is not None
    remove_tags(packet, earlier)
    before = parse_packet(data)
    after = parse_packet(packet.serialize())
    assert {tag: said for tag, said in before.properties().items() if "purl" not in tag} == {
        tag: said
        for tag, said in after.properties().items()
        if "purl" not in tag and "lightroom" not in tag and "digikam" not in tag
    }
    assert after.items("dc:subject") == before.items("dc:subject")


def test_gps_version_that_is_there_stays_and_outlives_the_tags() -> None:
    version = "xmlns:exif='http://ns.adobe.com/exif/1.0/' exif:GPSVersionID='2.2.0.0'"
    packet = tagged(xmp_packet(attributes=version), TAGS._replace(position=True))
    earlier = read_earlier(packet)
    assert earlier is not None and packet.has("exif:GPSLatitude")
    remove_tags(packet, earlier)
    assert not packet.has("exif:GPSLatitude")
    assert packet.text("exif:GPSVersionID") == "2.2.0.0"


@given(
    st.floats(-90, 90).filter(lambda d: abs(d) > 1e-9) | st.sampled_from([-90.0, 90.0, 89.9999999])
)
def test_coordinates_survive_to_a_centimetre(latitude: float) -> None:
    back = parse_coordinate(format_coordinate(latitude, "NS"), "NS")
    assert back is not None and abs(back - latitude) * 111_320 < 0.01


@given(st.floats(-180, 180))
def test_longitudes_survive_in_both_hemispheres(longitude: float) -> None:
    back = parse_coordinate(format_coordinate(longitude, "EW"), "EW")
    assert back is not None and abs(back - longitude) * 111_320 < 0.01


def test_prefixes_comments_and_header_stay() -> None:
    new = tagged(xmp_packet(SUBJECTS)).serialize()
    for text in (b"a comment", b"xmlns:my=", b"my:note=", b'id="W5M0MpCehiHzreSzNTczkc9d"'):
        assert new.count(text) == 1
    assert new.rstrip().endswith(b'<?xpacket end="w"?>')


def test_padding_is_used_so_that_the_packet_keeps_its_size() -> None:
    data = xmp_packet(SUBJECTS, padding=8000)
    packet = parse_packet(data)
    add_tags(packet, TAGS, Surroundings(), positions=True, measured=False)
    assert len(packet.serialize(len(data))) == len(data)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_sidecar_in_utf16_is_read_and_becomes_utf8(encoding: str) -> None:
    new = tagged(f"\ufeff{xmp_packet(SUBJECTS).decode()}".encode(encoding))
    assert new.items("dc:subject") == ("holiday", "été", "Eiffel Tower")


def test_ends_of_lines_stay_those_of_windows() -> None:
    data = xmp_packet("<dc:rights>\n a\n </dc:rights>").replace(b"\n", b"\r\n")
    new = tagged(data).serialize()
    assert b"<dc:rights>\r\n a\r\n </dc:rights>" in new
    assert new.count(b"\n") == new.count(b"\r\n")


def test_declaration_of_a_sidecar_stays() -> None:
    data = b'<?xml version="1.0" encoding="UTF-8"?>\n' + xmp_packet().split(b"?>", 1)[1]
    assert tagged(data.rsplit(b"<?xpacket", 1)[0]).serialize().startswith(b"<?xml ")


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"no XML at all",
        b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>",
        xmp_packet()[:-200].replace(b"</x:xmpmeta>", b""),
        b"<!DOCTYPE r [<!ENTITY e 'eeee'>]>" + xmp_packet().split(b"?>", 1)[1],
    ],
    ids=["empty", "text", "no RDF", "cut", "document type"],
)
def test_packets_that_cannot_be_read_are_refused(packet: bytes) -> None:
    with pytest.raises(XmpError):
        parse_packet(packet)


def test_subject_spelled_as_one_text_is_made_an_array() -> None:
    packet = tagged(xmp_packet("<dc:subject>beach</dc:subject>"))
    assert packet.items("dc:subject") == ("beach", "Eiffel Tower")


def test_location_shown_of_others_is_kept_beside_ours() -> None:
    other = """<e:LocationShown xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"><rdf:Bag>
      <rdf:li><rdf:Description e:City="Lyon"/></rdf:li></rdf:Bag></e:LocationShown>"""
    shown = tagged(xmp_packet(other)).structs("Iptc4xmpExt:LocationShown")
    assert [struct["Iptc4xmpExt:City"] for struct in shown] == ["Lyon", "Paris"]
    assert shown[1]["Iptc4xmpExt:LocationName"] == "Eiffel Tower"
    assert shown[1]["exif:GPSLatitude"] == "48,51.502200N"


def test_measured_position_in_a_sidecar_is_never_overwritten() -> None:
    position = "exif:GPSLatitude='33,51.5S' exif:GPSLongitude='151,12.6E'"
    space = "xmlns:exif='http://ns.adobe.com/exif/1.0/'"
    packet = tagged(xmp_packet(attributes=f"{space} {position}"), TAGS._replace(position=True))
    assert packet.text("exif:GPSLatitude") == "33,51.5S"
    assert not packet.text("exif:GPSProcessingMethod")


def test_another_landmark_replaces_all_of_the_first() -> None:
    once = tagged(xmp_packet(), TAGS._replace(position=True))
    twice = tagged(once.serialize(), TAGS._replace(landmark=RIO, position=True))
    fields = snapshot(twice)
    assert "Eiffel" not in str(fields) and "France" not in str(fields)
    assert fields["XMP exif:GPSLatitude"] == "22,57.114960S"
    assert fields["XMP photoshop:City"] == "Rio de Janeiro"


def test_city_that_someone_changed_after_us_is_theirs() -> None:
    once = tagged(xmp_packet())
    once.set_text("photoshop:City", "Paris 7e")
    twice = tagged(once.serialize(), TAGS._replace(landmark=RIO))
    assert twice.text("photoshop:City") == "Paris 7e"


def test_all_written_fields_are_targets() -> None:
    packet = new_packet()
    tags = TAGS._replace(position=True, threshold=0.5, model_sha256="ab" * 32)
    add_tags(packet, tags, Surroundings(), positions=True, measured=False)
    placed = new_packet()
    add_tags(placed, PLACED, Surroundings(), positions=True, measured=False)
    times = {f"XMP {name}" for name in (OFFSET, OFFSET_EVIDENCE)}  # written by themselves
    known = {f"XMP {name}" for name in TARGETS}
    assert set(snapshot(packet)) | set(snapshot(placed)) | times == known
    assert packet.text("geotag:Source") == "inferred"
    assert packet.text("geotag:ModelSHA256") == "ab" * 32
    assert packet.text("photoshop:Country") == EIFFEL.country
