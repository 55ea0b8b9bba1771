"""A write keeps all that the owner wrote, in whatever form it stands."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotag.metadata.xmp import PACKET_LIMIT
from geotag.writing.blocks.xmp import parse_packet
from geotag.writing.blocks.xmp_tags import SHARED
from geotag.writing.container import XmpFile
from geotag.writing.draft import draft_edits
from geotag.writing.edits import CannotEmbedError
from geotag.writing.tags import LandmarkTags
from geotag.writing.verify import verified
from tests.geotag.writing.judge import needs_exiftool
from tests.geotag.writing.samples import (
    EIFFEL,
    RIO,
    TAGS,
    container_of,
    exif_segment,
    jpeg,
    segment,
    tiff_block,
    with_segments,
    xmp_packet,
)

USUAL = {  # those that `xmp_packet` declares
    "dc": "http://purl.org/dc/elements/1.1/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "my": "https://example.org/private/",
}
MORE = {
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
}


def declared(spaces: dict[str, str]) -> str:
    return " ".join(f'xmlns:{prefix}="{space}"' for prefix, space in spaces.items())


SPACES = declared(MORE)
# Forms of a property that holds one value: right ones, and wrong ones that programs wrote.
FORMS = [
    "<{name}>{value}</{name}>",
    "<{name} xml:lang='fr'>{value}</{name}>",
    "<{name} rdf:resource='{value}'/>",
    "<{name}><rdf:Bag><rdf:li>{value}</rdf:li></rdf:Bag></{name}>",
    "<{name}><rdf:Seq><rdf:li>{value}</rdf:li></rdf:Seq></{name}>",
    "<{name}><rdf:Alt><rdf:li xml:lang='x-default'>{value}</rdf:li></rdf:Alt></{name}>",
    "<{name}><rdf:Bag><!--note--><rdf:li>{value}</rdf:li><?app do?></rdf:Bag></{name}>",
    "<{name}><!--note-->{value}<!--more--></{name}>",
    "<{name}><rdf:Bag/>{value}</{name}>",
    "<{name} rdf:parseType='Resource'><rdf:value>{value}</rdf:value><my:q>q</my:q></{name}>",
    "<{name} rdf:parseType='Resource'><!--x--><Iptc4xmpExt:City>{value}</Iptc4xmpExt:City>"
    "</{name}>",
    "<{name}><rdf:Description><Iptc4xmpExt:City>{value}</Iptc4xmpExt:City></rdf:Description>"
    "</{name}>",
    "<{name} Iptc4xmpExt:City='{value}'/>",
    "<{name}><rdf:Bag><rdf:li rdf:parseType='Resource'><?p?><Iptc4xmpExt:City>{value}"
    "</Iptc4xmpExt:City></rdf:li></rdf:Bag></{name}>",
    "<{name}><my:deep><my:er>{value}</my:er></my:deep></{name}>",
]


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    """Target fields in any forms, once or several times, with values that are found again."""
    names = draw(st.lists(st.sampled_from(SHARED), max_size=6))
    forms = draw(st.lists(st.sampled_from(FORMS), min_size=len(names), max_size=len(names)))
    texts = [
        form.format(name=name, value=f"token{number}")
        for number, (name, form) in enumerate(zip(names, forms, strict=True))
    ]
    split = draw(st.integers(0, len(texts)))
    attribute = draw(st.sampled_from(["", *SHARED]))
    attributes = f"{SPACES} {attribute}='tokenX'" if attribute else SPACES
    more = f"</rdf:Description><rdf:Description rdf:about='' {declared(USUAL | MORE)}>"
    return xmp_packet("".join(texts[:split]) + more + "".join(texts[split:]), attributes)


def tokens(packet: bytes) -> set[str]:
    """The values there, as another reader finds them: comments are no values."""
    root = ElementTree.fromstring(packet.strip())
    texts = [*root.itertext(), *(value for e in root.iter() for value in e.attrib.values())]
    return {text.strip() for text in texts if text.strip().startswith("token")}


def written(packet: bytes, tags: LandmarkTags | None = TAGS) -> bytes:
    container = XmpFile.parse(packet)
    edits = draft_edits(container, tags).edits
    return verified(container, edits) if edits else packet


@given(packets(), st.booleans())
def test_no_value_is_lost_whatever_the_form(packet: bytes, position: bool) -> None:
    once = written(packet, TAGS._replace(position=position))
    assert tokens(once) == tokens(packet)
    twice = written(once, TAGS._replace(landmark=RIO, position=position))
    assert tokens(twice) == tokens(packet)
    assert tokens(written(twice, None)) == tokens(packet)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["dc:subject", "Iptc4xmpExt:LocationShown", "photoshop:City"])
def test_each_form_takes_a_landmark_beside_it(name: str, form: str) -> None:
    packet = parse_packet(written(xmp_packet(form.format(name=name, value="Lyon"), SPACES)))
    assert EIFFEL.name in packet.items("dc:subject")
    assert EIFFEL.name in [s.get("Iptc4xmpExt:LocationName") for s in packet.structs(
        "Iptc4xmpExt:LocationShown")]  # fmt: skip


REPEATED = {
    "twice.xmp": "<dc:subject>sea</dc:subject><dc:subject>sand</dc:subject>",
    "plain.xmp": "<dc:subject xml:lang='fr'>mer</dc:subject>",
    "comment.xmp": "<dc:subject><rdf:Bag><!--x--><rdf:li>sea</rdf:li></rdf:Bag></dc:subject>",
    "alt.xmp": "<dc:subject><rdf:Alt><rdf:li xml:lang='fr'>mer</rdf:li></rdf:Alt></dc:subject>",
    "shown.xmp": "<Iptc4xmpExt:LocationShown rdf:parseType='Resource'><Iptc4xmpExt:City>Nice"
    "</Iptc4xmpExt:City></Iptc4xmpExt:LocationShown>",
}


@needs_exiftool
def test_exiftool_reads_the_values_that_were_there_and_the_new_ones(tmp_path: Path) -> None:
    for name, properties in REPEATED.items():
        (tmp_path / name).write_bytes(written(xmp_packet(properties, SPACES)))
    done = subprocess.run(
        ["exiftool", "-j", "-a", "-struct", "-XMP:all", "."], cwd=tmp_path, capture_output=True
    )
    read = {entry["SourceFile"].removeprefix("./"): entry for entry in json.loads(done.stdout)}
    assert set(read["twice.xmp"]["Subject"]) == {"sea", "sand", EIFFEL.name}
    assert set(read["plain.xmp"]["Subject"]) == {"mer", EIFFEL.name}
    assert set(read["comment.xmp"]["Subject"]) == {"sea", EIFFEL.name}
    assert "mer" in json.dumps(read["alt.xmp"]) and EIFFEL.name in json.dumps(read["alt.xmp"])
    shown = read["shown.xmp"]["LocationShown"]
    assert [place.get("City") for place in shown] == ["Nice", EIFFEL.city]


def test_sixty_thousand_keywords_are_edited_in_one_pass() -> None:
    count = (PACKET_LIMIT - 20_000) // len("<rdf:li>k12345</rdf:li>")
    items = "".join(f"<rdf:li>k{number:05}</rdf:li>" for number in range(count))
    packet = xmp_packet(f"<dc:subject><rdf:Bag>{items}</rdf:Bag></dc:subject>", SPACES)
    container = XmpFile.parse(packet)
    with pytest.raises(CannotEmbedError, match="larger than"):  # all three fields would hold them
        verified(container, draft_edits(container, TAGS).edits)


@pytest.mark.parametrize(
    ("inner", "word"),
    [
        ("<my:a>" * 10_000 + "</my:a>" * 10_000, "cannot be read"),
        ("<my:a/>" * (PACKET_LIMIT // 7), "larger than"),
        ("<my:a>&undefined;</my:a>", "cannot be read"),
    ],
)
def test_a_packet_that_is_no_use_is_refused_with_the_reason(inner: str, word: str) -> None:
    with pytest.raises(CannotEmbedError, match=word):
        written(xmp_packet(inner, SPACES))


@pytest.mark.parametrize("encoding", ["utf-7", "cp1252", "no-such-encoding", "utf-32"])
def test_odd_encodings_are_read_or_refused(encoding: str) -> None:
    body = xmp_packet("<dc:subject>sea</dc:subject>", SPACES)
    data = f'<?xml version="1.0" encoding="{encoding}"?>'.encode() + body[body.index(b"<x:") :]
    try:
        assert "sea" in parse_packet(written(data)).items("dc:subject")
    except CannotEmbedError as error:
        assert "XMP packet" in str(error)


def xp_keywords(data: bytes) -> bytes:
    return with_segments(jpeg(), exif_segment(tiff_block(more={0x9C9E: (1, len(data), data)})))


def test_xpkeywords_of_odd_length_keep_their_words() -> None:
    data = xp_keywords("reise;été".encode("utf-16-le") + b"\0")
    container = container_of(data)
    new = verified(container, draft_edits(container, TAGS).edits)
    assert "reise;été;Eiffel Tower\0".encode("utf-16-le") in new


def unusual_headers() -> Iterator[tuple[str, bytes]]:
    block, packet = tiff_block(), xmp_packet("<dc:subject>sea</dc:subject>", SPACES)
    for header in (b"Exif\0\xff", b"Exif\0 ", b"EXIF\0\0", b"exif\0\0"):
        yield f"{header!r}", segment(0xE1, header + block)
    for header in (b"HTTP://ns.adobe.com/xap/1.0/\0", b"http://NS.ADOBE.COM/XAP/1.0/\0"):
        yield f"{header!r}", segment(0xE1, header + packet)


@pytest.mark.parametrize(("header", "block"), list(unusual_headers()))
def test_a_block_under_an_unusual_header_is_edited_where_it_stands(
    header: str, block: bytes
) -> None:
    container = container_of(with_segments(jpeg(), block))
    new = container_of(verified(container, draft_edits(container, TAGS).edits))
    marks = [part[:4].lower() for part in new.data.split(b"\xff\xe1")[1:]]
    assert len(marks) == 2  # the one that was there, and one of the other kind
    assert EIFFEL.name in parse_packet(new.block("xmp") or b"").items("dc:subject")


@pytest.mark.parametrize("header", [b"", b"http://example.org/\0", b"http://ns.adobe.com/xap/1.0/"])
def test_a_packet_without_its_header_keeps_another_out(header: bytes) -> None:
    packet = xmp_packet("<dc:subject>sea</dc:subject>", SPACES)
    data = with_segments(jpeg(), segment(0xE1, header + packet))
    with pytest.raises(CannotEmbedError, match="unusual header"):
        container_of(data)


def test_blocks_under_two_spellings_of_the_header_are_two_blocks() -> None:
    data = with_segments(
        jpeg(), exif_segment(tiff_block()), segment(0xE1, b"Exif\0\xff" + tiff_block())
    )
    with pytest.raises(CannotEmbedError, match="more than one"):
        container_of(data)
