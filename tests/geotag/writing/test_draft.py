"""Tags inside photos: what is written, what is kept, what is refused."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress

import piexif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from geotag.metadata.containers import find_blocks
from geotag.metadata.exif import parse_metadata
from geotag.metadata.marks import GPS_PROCESSING_METHOD_EXIF
from geotag.records import Category
from geotag.writing.blocks.xmp import parse_packet
from geotag.writing.draft import Draft, draft_edits, parse_blocks
from geotag.writing.edits import CannotEmbedError, apply_edits, invert_edits
from geotag.writing.tags import LandmarkTags
from geotag.writing.verify import verified
from tests.geotag.writing.kinds import embeddable, made, refused
from tests.geotag.writing.samples import (
    EIFFEL,
    PAGODA,
    RIO,
    TAGS,
    USER_COMMENT,
    VIDEO,
    container_of,
    exif_segment,
    iim_block,
    jpeg,
    photoshop_segment,
    segment,
    tiff_block,
    with_segments,
    xmp_packet,
    xmp_segment,
)

NAMES = [name for name, _ in embeddable()]
REFUSED = [(name, word) for name, _, word in refused()]


def drafted(data: bytes, tags: LandmarkTags | None, measured: bool = False) -> Draft:
    """What a write would do to a photo."""
    return draft_edits(container_of(data), tags, measured=measured)


def write(data: bytes, tags: LandmarkTags | None = TAGS) -> bytes:
    draft = drafted(data, tags)
    return verified(container_of(data), draft.edits) if draft.edits else data


def frames(data: bytes) -> list[bytes]:
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        with Image.open(io.BytesIO(data)) as image:
            found = []
            for at in range(getattr(image, "n_frames", 1)):
                image.seek(at)
                found.append(image.convert("RGBA").tobytes())
            return found
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def packet_of(data: bytes) -> bytes:
    def read(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    packet = find_blocks(read).xmp
    assert packet is not None
    return packet


@pytest.mark.parametrize("name", NAMES)
def test_pixels_of_all_frames_stay_identical(name: str) -> None:
    assert frames(write(made(name))) == frames(made(name))


@pytest.mark.parametrize("name", NAMES)
def test_second_write_changes_nothing(name: str) -> None:
    once = write(made(name), TAGS._replace(position=True))
    again = drafted(once, TAGS._replace(position=True, run_id="run-2"))
    assert once != made(name)
    assert not again.edits


@pytest.mark.parametrize("name", NAMES)
def test_edits_lead_back_to_the_same_bytes(name: str) -> None:
    data = made(name)
    edits = drafted(data, TAGS._replace(position=True)).edits
    assert apply_edits(apply_edits(data, edits), invert_edits(data, edits)) == data


@pytest.mark.parametrize("name", NAMES)
def test_names_in_any_script_are_right_in_every_field(name: str) -> None:
    new = write(made(name), TAGS._replace(landmark=PAGODA))
    blocks = parse_blocks(container_of(new))
    assert blocks.xmp is not None and blocks.tiff is not None
    assert PAGODA.name in blocks.xmp.items("dc:subject")
    assert "Places|中国|杭州|雷峰塔 / Leifeng; Ünï-code" in blocks.xmp.items(
        "lr:hierarchicalSubject"
    )
    assert "Places/中国/杭州/雷峰塔 - Leifeng; Ünï|code" in blocks.xmp.items("digiKam:TagsList")
    words = blocks.tiff.data(("ifd0", 0x9C9E)).decode("utf-16-le").rstrip("\0").split(";")
    assert "雷峰塔 / Leifeng, Ünï|code" in words


@pytest.mark.parametrize("name", NAMES)
def test_another_landmark_takes_the_place_of_the_first(name: str) -> None:
    once = write(made(name), TAGS._replace(position=True))
    twice = write(once, TAGS._replace(landmark=RIO, position=True))
    blocks = parse_blocks(container_of(twice))
    assert blocks.xmp is not None and blocks.tiff is not None
    for field in ("dc:subject", "lr:hierarchicalSubject", "digiKam:TagsList"):
        words = " ".join(blocks.xmp.items(field))
        assert "Redeemer" in words and "Eiffel" not in words
    assert "Eiffel".encode("utf-16-le") not in blocks.tiff.data(("ifd0", 0x9C9E))
    if blocks.iim is not None:
        assert "Eiffel Tower" not in blocks.iim.keywords
    latitude = piexif.load(b"Exif\0\0" + blocks.tiff.block)["GPS"][piexif.GPSIFD.GPSDestLatitude]
    assert latitude[0] == (22, 1)


@pytest.mark.parametrize("name", NAMES)
def test_clearing_takes_back_what_was_written(name: str) -> None:
    cleared = write(write(made(name), TAGS._replace(position=True)), None)
    before, after = (parse_blocks(container_of(data)) for data in (made(name), cleared))
    assert after.xmp is not None and after.tiff is not None
    assert not any(tag.startswith("{urn:geotag") for tag in after.xmp.properties())
    assert not after.xmp.has("Iptc4xmpExt:LocationShown")
    assert "Eiffel" not in str(after.xmp.items("dc:subject"))
    assert parse_metadata(after.tiff.block).location == (
        parse_metadata(before.tiff.block).location if before.tiff else None
    )
    assert after.tiff.get(("gps", 0x14)) is None
    if before.iim is not None and after.iim is not None:
        assert after.iim.keywords == before.iim.keywords


@pytest.mark.parametrize("landmark", [EIFFEL, PAGODA])
@pytest.mark.parametrize("field", ["lr:hierarchicalSubject", "digiKam:TagsList"])
def test_clearing_leaves_each_keyword_field_as_it_was(landmark: Category, field: str) -> None:
    """Also of a name with the letters that part levels, or that stands there by itself."""
    spaces = (
        "xmlns:lr='http://ns.adobe.com/lightroom/1.0/'"
        " xmlns:digiKam='http://www.digikam.org/ns/1.0/'"
    )
    array = f"<{field}><rdf:Bag><rdf:li>Eiffel Tower</rdf:li></rdf:Bag></{field}>"
    data = with_segments(jpeg(), xmp_segment(xmp_packet(array, spaces)))
    cleared = parse_packet(packet_of(write(write(data, TAGS._replace(landmark=landmark)), None)))
    assert cleared.items(field) == ("Eiffel Tower",)
    assert landmark.name not in cleared.items("dc:subject")


@pytest.mark.parametrize(("name", "word"), REFUSED)
def test_files_that_would_come_to_harm_are_refused_with_the_reason(name: str, word: str) -> None:
    with pytest.raises(CannotEmbedError, match=word):
        write(made(name))


def test_maker_note_private_tags_and_comment_stay_where_they_are() -> None:
    data = made("exif_big_3.jpg")
    new = write(data)
    for treasure in (b"found by its offset", b"private\0\1", USER_COMMENT, b"serial 0815"):
        assert new.index(treasure) == data.index(treasure)


def test_motion_photo_video_stays_at_the_end() -> None:
    assert write(made("motion_google.jpg")).endswith(VIDEO)
    assert write(made("motion_samsung.jpg")).endswith(b"SEFT")


def test_second_picture_is_found_by_the_multi_picture_index() -> None:
    new = write(made("mpf_exif_big.jpg"))
    assert len(frames(new)) == 2
    assert frames(new)[1] == frames(made("mpf_exif_big.jpg"))[1]


def test_multi_picture_index_is_right_about_the_size_of_the_first_picture() -> None:
    for name in ("mpf.jpg", "mpf_exif_little.jpg"):
        for data in (made(name), write(made(name))):
            with Image.open(io.BytesIO(data)) as image:
                index = image.mpinfo  # type: ignore[attr-defined]
            layout = container_of(data)
            assert index[0xB002][0]["Size"] == layout.trailer_at  # type: ignore[attr-defined]


def test_measured_position_is_never_overwritten() -> None:
    for name in ("measured_little.jpg", "measured_big.jpg"):
        new = write(made(name), TAGS._replace(position=True))
        location = parse_metadata(container_of(new).block("exif") or b"").location
        assert location is not None and location[:2] == (-33, 151)


def test_zero_position_of_a_cold_receiver_gives_way() -> None:
    new = write(made("cold_receiver_big.jpg"), TAGS._replace(position=True))
    gps = piexif.load(new)["GPS"]
    assert gps[piexif.GPSIFD.GPSLatitude][0] == (48, 1)
    assert gps[piexif.GPSIFD.GPSProcessingMethod] == GPS_PROCESSING_METHOD_EXIF


def test_position_known_from_elsewhere_is_not_inferred() -> None:
    draft = drafted(made("plain.jpg"), TAGS._replace(position=True), measured=True)
    gps = piexif.load(apply_edits(made("plain.jpg"), draft.edits))["GPS"]
    assert piexif.GPSIFD.GPSLatitude not in gps
    assert piexif.GPSIFD.GPSDestLatitude in gps


def test_position_is_given_only_when_asked_and_under_our_mark() -> None:
    plain = piexif.load(write(made("plain.jpg")))["GPS"]
    assert piexif.GPSIFD.GPSLatitude not in plain
    pinned = write(made("plain.jpg"), TAGS._replace(position=True))
    gps = piexif.load(pinned)["GPS"]
    assert gps[piexif.GPSIFD.GPSHPositioningError] == (330, 1)
    assert gps[piexif.GPSIFD.GPSMapDatum] == b"WGS-84"
    assert parse_metadata(container_of(pinned).block("exif") or b"").location is None


def test_position_that_someone_moved_after_us_is_theirs() -> None:
    pinned = write(made("exif_big_1.jpg"), TAGS._replace(position=True))
    block = container_of(pinned).block("exif") or b""
    moved = pinned.replace(block, block.replace(b"\0\0\0\x30\0\0\0\1", b"\0\0\0\x2f\0\0\0\1"))
    assert moved != pinned
    retagged = write(moved, TAGS._replace(landmark=RIO, position=True))
    assert piexif.load(retagged)["GPS"][piexif.GPSIFD.GPSLatitude][0] == (47, 1)


def test_a_field_made_anew_holds_the_keywords_of_the_others() -> None:
    packet = parse_packet(packet_of(write(made("everything.jpg"))))
    assert packet.items("dc:subject") == ("holiday", "été", "Eiffel Tower")
    tags = packet.items("digiKam:TagsList")
    assert tags == ("holiday", "été", "Places/France/Paris/Eiffel Tower")


def test_legacy_keywords_alone_are_carried_into_xmp() -> None:
    packet = parse_packet(packet_of(write(made("iptc.jpg"))))
    assert packet.items("dc:subject") == ("a", "bb", "Eiffel Tower")


@pytest.mark.parametrize("word", ["a\x01b", "a\0b", "a\uffffb", "a b\n"])
def test_keywords_with_letters_that_xml_cannot_hold_are_carried_without_them(word: str) -> None:
    xp = f"{word};c".encode("utf-16-le")
    exif = exif_segment(tiff_block(more={0x9C9E: (1, len(xp), xp)}))
    iim = photoshop_segment(iim_block(word.encode(), b"\x02", utf8=True))
    for data in (with_segments(jpeg(), exif), with_segments(jpeg(), iim)):
        written = write(data)
        subjects = parse_packet(packet_of(written)).items("dc:subject")
        assert subjects[0] in ("a b", "a") and subjects[-1] == "Eiffel Tower"
        assert "" not in subjects
        assert not drafted(written, TAGS).edits


def test_place_fields_that_speak_of_another_place_are_left_alone() -> None:
    packet = parse_packet(packet_of(write(made("xmp_place.jpg"))))
    assert packet.text("photoshop:City") == "Lyon"
    assert not packet.text("photoshop:Country")


def test_extended_xmp_is_not_touched() -> None:
    data = made("extended.jpg")
    new = write(data)
    layout, old = container_of(new), container_of(data)
    assert layout.block("extended xmp") == old.block("extended xmp") != b""
    assert b"HasExtendedXMP" in (layout.block("xmp") or b"")


def test_latin_keywords_do_not_get_a_name_they_cannot_hold() -> None:
    draft = drafted(made("iptc_latin.jpg"), TAGS._replace(landmark=PAGODA))
    assert "IPTC" in draft.notes[0]
    assert not any(change.field == "IPTC Keywords" for change in draft.changes)


def test_diff_names_each_field_with_old_and_new_text() -> None:
    changes = {c.field: c for c in drafted(made("everything.jpg"), TAGS).changes}
    assert changes["XMP dc:subject"].old == "holiday; été"
    assert changes["XMP dc:subject"].new == "holiday; été; Eiffel Tower"
    assert changes["IPTC Keywords"].new == "holiday; été; Eiffel Tower"
    assert changes["EXIF GPSDestLatitude"].old == ""
    assert changes["XMP geotag:Confidence"].new == "0.9712"


def test_clearing_a_photo_that_was_never_written_does_nothing() -> None:
    assert not drafted(made("everything.jpg"), None).edits


def test_a_name_that_was_there_before_is_not_taken_away() -> None:
    subject = b"<rdf:li>holiday</rdf:li>"
    data = made("xmp.jpg").replace(subject, b"<rdf:li>Eiffel Tower</rdf:li>")
    size = len(b"<rdf:li>Eiffel Tower</rdf:li>") - len(subject)
    data = data.replace(b" " * size + b"<?xpacket end", b"<?xpacket end")
    cleared = write(write(data), None)
    assert "Eiffel Tower" in parse_packet(packet_of(cleared)).items("dc:subject")


def test_unknown_segment_order_is_kept() -> None:
    data = with_segments(made("everything.jpg"), b"\xff\xe9\0\4ab")
    new = write(data)
    assert new.index(b"\xff\xe9\0\4ab") < new.index(b"unknown application data")


def test_verifier_refuses_an_edit_of_anything_else() -> None:
    data = made("everything.jpg")
    edits = drafted(data, TAGS).edits
    at = data.index(b"unknown application data")
    spoiled = (*edits, edits[0]._replace(start=at, stop=at + 1, new=b"U"))
    with pytest.raises(CannotEmbedError, match="would change"):
        verified(container_of(data), spoiled)


@pytest.mark.parametrize("treasure", [b"found by its offset", b"private\0\1", b"serial 0815"])
def test_verifier_refuses_a_change_inside_the_exif_block(treasure: bytes) -> None:
    data = made("exif_big_1.jpg")
    edits = drafted(data, TAGS).edits
    at = data.index(treasure)
    with pytest.raises(CannotEmbedError, match="would change"):
        verified(container_of(data), (*edits, edits[0]._replace(start=at, stop=at + 1, new=b"X")))


def test_verifier_refuses_a_lost_xmp_property() -> None:
    data = made("xmp.jpg")
    edits = drafted(data, TAGS).edits
    spoiled = tuple(e._replace(new=e.new.replace(b"Ausflug", b"Ausflog")) for e in edits)
    at = data.index(b"Ausflug")
    spoiled = (*edits, edits[0]._replace(start=at, stop=at + 1, new=b"B"))
    with pytest.raises(CannotEmbedError):
        verified(container_of(data), spoiled)


def test_eiffel_is_where_it_stands() -> None:
    gps = piexif.load(write(made("plain.jpg")))["GPS"]
    degrees = gps[piexif.GPSIFD.GPSDestLatitude]
    assert sum(n / d / 60**at for at, (n, d) in enumerate(degrees)) == pytest.approx(
        EIFFEL.latitude, abs=1e-7
    )


@settings(max_examples=2 * settings.default.max_examples)
@given(
    st.sampled_from(NAMES),
    st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=6), st.integers(0, 6)), max_size=6),
)
def test_damaged_files_are_written_rightly_or_refused(
    name: str, damage: list[tuple[int, bytes, int]]
) -> None:
    data = made(name)
    for at, new, cut in damage:
        data = data[:at] + new + data[at + cut :]
    try:
        once = write(data, TAGS._replace(position=True))
    except CannotEmbedError:
        return
    assert not drafted(once, TAGS._replace(position=True, run_id="run-2")).edits


@pytest.mark.parametrize(
    "make",
    [
        lambda: with_segments(jpeg(), photoshop_segment(iim_block(*[b"k"] * 9000))),
        lambda: jpeg()[:2] + b"\xff" * 2**22 + jpeg()[2:],
        lambda: made("exif_big_1.jpg") + b"\xff\xd8\xff" * 2**18 + b"SEFT",
        lambda: with_segments(jpeg(), *[segment(0xE5, b"")] * 2**15),
    ],
    ids=["IPTC keywords", "fill bytes", "pictures behind the picture", "segments"],
)
def test_work_is_bounded_by_the_size_of_the_file(make: Callable[[], bytes]) -> None:
    """By the square of the size, this would take hours."""
    with suppress(CannotEmbedError):
        write(make())
