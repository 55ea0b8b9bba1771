"""Positions that photos were placed at: written as inferred, kept apart from measured ones, and
taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

import geotag
from geotag.metadata.exif import parse_metadata
from geotag.metadata.xmp import parse_xmp
from geotag.records import Outcome, Status, TopCategory
from geotag.tables import write_table
from geotag.writing.blocks.xmp import XmpPacket, parse_packet
from geotag.writing.result import Action, WriteResult
from tests.geotag.conftest import revert_last
from tests.geotag.writing.samples import (
    container_of,
    exif_segment,
    gps_entries,
    jpeg,
    picture,
    save,
    tiff_block,
    with_segments,
    xmp_packet,
    xmp_segment,
)

MARK = b"ASCII\0\0\0geotag inferred"


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "IMG_1.jpg"
    path.write_bytes(with_segments(jpeg(), exif_segment(tiff_block("<"))))
    return path


def placed(path: Path, **cells: object) -> Outcome:
    row = Outcome(
        str(path), Status.PLACED, 48.85312, -2.34991, position_source="inferred", radius_m=120.4,
        country="France", method="neighbour", place="Paris", region="Île-de-France",
        evidence="IMG_0.jpg was taken 5 min before, 90 m away",
    )  # fmt: skip
    return row._replace(**cells)  # type: ignore[arg-type]


def write(row: Outcome, gps: bool = True, **options: object) -> WriteResult:
    folder = Path(row.path).parent
    write_table(str(folder / "tags.csv"), [row])
    (result,) = geotag.write(folder / "tags.csv", gps=gps, **options)  # type: ignore[arg-type]
    return result


def blocks(path: Path) -> tuple[bytes, XmpPacket]:
    container = container_of(path.read_bytes())
    return container.block("exif") or b"", parse_packet(container.block("xmp") or b"")


def test_the_camera_was_there_and_nothing_is_said_of_a_subject(photo: Path) -> None:
    result = write(placed(photo))
    assert result.action is Action.WRITTEN
    fields = {change.field: change.new for change in result.changes}
    assert fields["EXIF GPSLatitudeRef"] == "N" and fields["EXIF GPSLongitudeRef"] == "W"
    assert fields["EXIF GPSHPositioningError"] == "121"
    assert fields["XMP geotag:Method"] == "neighbour"
    assert fields["XMP geotag:Evidence"] == "IMG_0.jpg was taken 5 min before, 90 m away"
    said = fields["XMP Iptc4xmpExt:LocationCreated"]
    assert said.startswith("Paris, Île-de-France, France, 48,51.187200N")
    assert fields["XMP photoshop:City"] == "Paris"
    words = ("Dest", "subject", "Subject", "Tags", "Keywords", "Shown", "Landmark", "Model", "DOP")
    assert not [field for field in fields if any(word in field for word in words)]
    exif, packet = blocks(photo)
    assert MARK in exif and packet.text("geotag:Source") == "inferred"
    assert parse_metadata(exif).location is None  # a later scan does not take it for measured


def test_without_gps_nothing_is_written(photo: Path) -> None:
    before = photo.read_bytes()
    result = write(placed(photo), gps=False)
    assert (result.action, result.reason) == (
        Action.LEFT_ALONE,
        "placed without a tag, which only --gps writes",
    )
    assert photo.read_bytes() == before


@pytest.mark.parametrize("method", ["neighbour", "track", "copy", "match"])
def test_written_once_and_reverted(photo: Path, method: str) -> None:
    before = photo.read_bytes(), photo.stat().st_mtime_ns
    row = placed(photo, method=method)
    assert write(row).action is Action.WRITTEN
    assert write(row).action is Action.UNCHANGED
    assert write(row._replace(evidence="by others")).action is Action.UNCHANGED
    revert_last()
    assert (photo.read_bytes(), photo.stat().st_mtime_ns) == before


def test_a_position_found_anew_takes_the_place_of_the_old_one(photo: Path) -> None:
    clean = photo.read_bytes()
    write(placed(photo))
    moved = placed(photo, latitude=49.5, radius_m=2500.0, method="track", country="Belgium",
                   region="Hainaut", place="Mons")  # fmt: skip
    assert write(moved).action is Action.WRITTEN
    _, packet = blocks(photo)
    assert packet.text("geotag:Method") == "track"
    (created,) = packet.structs("Iptc4xmpExt:LocationCreated")
    # Of a wide radius the nearest town is not said.
    assert "Iptc4xmpExt:City" not in created and created["Iptc4xmpExt:CountryName"] == "Belgium"
    assert packet.text("photoshop:State") == "Hainaut" and packet.is_empty("photoshop:City")
    assert write(moved).action is Action.UNCHANGED
    for _ in range(2):
        revert_last()
    assert photo.read_bytes() == clean


@pytest.mark.parametrize("kind", ["exif", "xmp", "sidecar", "unclear"])
def test_a_position_that_is_there_is_never_overwritten(tmp_path: Path, kind: str) -> None:
    space = "xmlns:exif='http://ns.adobe.com/exif/1.0/'"
    packet = xmp_packet(f"<exif:GPSLatitude {space}>48,51.5N</exif:GPSLatitude>"
                        f"<exif:GPSLongitude {space}>2,17.5E</exif:GPSLongitude>")  # fmt: skip
    segments = {
        "exif": (exif_segment(tiff_block("<", gps=gps_entries("<", -33, 151))),),
        "xmp": (xmp_segment(packet),),
        "sidecar": (),
        "unclear": (xmp_segment(packet.replace(b"51.5N", b"north")),),
    }
    photo = tmp_path / "a.jpg"
    photo.write_bytes(with_segments(jpeg(), *segments[kind]))
    if kind == "sidecar":
        (tmp_path / "a.xmp").write_bytes(packet)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    result = write(placed(photo))
    assert (result.action, result.reason) == (Action.LEFT_ALONE, "with a position of its own")
    assert {path: path.read_bytes() for path in before} == before


def test_one_that_somebody_moved_since_is_theirs(photo: Path) -> None:
    write(placed(photo))
    data = photo.read_bytes()
    exif, _ = blocks(photo)
    at = data.index(exif[exif.index(b"\x30\0\0\0\x01\0\0\0\x33\0\0\0") :][:8])
    moved = data[:at] + b"\x2f\0\0\0" + data[at + 4 :]  # 47 degrees
    photo.write_bytes(moved)
    for row in (placed(photo, radius_m=900.0), placed(photo, latitude=10.0)):
        result = write(row)
        assert (result.action, result.reason) == (Action.LEFT_ALONE, "with a position of its own")
    assert photo.read_bytes() == moved


def test_places_that_are_there_stay(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    space = "xmlns:photoshop='http://ns.adobe.com/photoshop/1.0/'"
    packet = xmp_packet(f"<photoshop:City {space}>Lutèce</photoshop:City>")
    photo.write_bytes(with_segments(jpeg(), xmp_segment(packet)))
    assert write(placed(photo)).action is Action.WRITTEN
    _, after = blocks(photo)
    assert after.text("photoshop:City") == "Lutèce" and after.is_empty("photoshop:Country")


def test_other_formats_hold_it_in_a_sidecar(tmp_path: Path) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(save(picture("L"), "PNG"))
    assert write(placed(photo)).into_sidecar
    sidecar = tmp_path / "a.png.xmp"
    packet = parse_packet(sidecar.read_bytes())
    assert packet.text("exif:GPSLatitude") == "48,51.187200N"
    assert packet.text("exif:GPSHPositioningError") == "121/1"
    assert packet.is_empty("exif:GPSDestLatitude")
    assert parse_xmp(sidecar.read_bytes()).location is None
    assert write(placed(photo)).action is Action.UNCHANGED
    assert write(placed(photo, latitude=47.0)).action is Action.WRITTEN
    for _ in range(2):
        revert_last()
    assert not sidecar.exists()


def tagged(path: Path) -> Outcome:
    top = (TopCategory(3, "x", "Eiffel Tower", 0.97),)
    return Outcome(str(path), Status.TAGGED, landmark="Eiffel Tower", confidence=0.97, top_k=top)


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_one_methods_positions_are_taken_back_from_all_photos(tmp_path: Path, name: str) -> None:
    photo = tmp_path / name
    photo.write_bytes(jpeg() if name == "a.jpg" else save(picture("L"), "PNG"))
    held = photo if name == "a.jpg" else tmp_path / "a.png.xmp"
    write(placed(photo))
    written = held.read_bytes()
    for others in ("track", "landmark"):
        result = write(placed(photo), gps=False, clear=others)
        assert (result.action, result.reason) == (
            Action.LEFT_ALONE,
            f"without anything by {others}",
        )
    assert held.read_bytes() == written
    # Whatever the table says of the photo now.
    row = Outcome(str(photo), Status.NO_LANDMARK)
    assert write(row, gps=False, clear=["neighbour"], dry_run=True).action is Action.WRITTEN
    assert held.read_bytes() == written
    assert write(row, gps=False, clear=["neighbour"]).action is Action.WRITTEN
    for trace in (b"geotag:Method", b"Paris", b"LocationCreated", MARK):
        assert trace not in held.read_bytes()
    assert parse_metadata(blocks(photo)[0]).location is None if held == photo else True
    revert_last()
    assert held.read_bytes() == written
    assert write(row, gps=False, clear="neighbour").action is Action.WRITTEN
    assert write(placed(photo)).action is Action.WRITTEN  # it is not remembered


def test_landmarks_of_the_network_are_taken_back_and_those_of_the_user_not(photo: Path) -> None:
    write(tagged(photo), gps=False)
    assert b"Eiffel" in photo.read_bytes()
    assert write(tagged(photo), gps=False, clear="landmark").action is Action.WRITTEN
    assert b"Eiffel" not in photo.read_bytes()
    write(tagged(photo)._replace(status=Status.UNCERTAIN), gps=False)
    assert b"Eiffel" in photo.read_bytes()
    for clear in ("landmark", "neighbour"):
        assert write(tagged(photo), gps=False, clear=clear).action is Action.LEFT_ALONE
    result = write(placed(photo))
    assert (result.action, result.reason) == (Action.LEFT_ALONE, "with a landmark that you named")


def test_a_landmark_and_a_position_take_each_others_place(photo: Path) -> None:
    write(tagged(photo))
    assert write(placed(photo)).action is Action.WRITTEN
    _, packet = blocks(photo)
    assert b"Eiffel" not in photo.read_bytes() and not packet.text("geotag:Landmark")
    assert packet.text("geotag:Method") == "neighbour"
    assert write(tagged(photo)).action is Action.WRITTEN
    _, packet = blocks(photo)
    assert not packet.structs("Iptc4xmpExt:LocationCreated")
    assert packet.text("geotag:Landmark") == "Eiffel Tower" and not packet.text("geotag:Place")
    assert packet.text("photoshop:City") == "Paris"


def test_a_conflict_is_never_written(photo: Path) -> None:
    row = placed(photo, status=Status.CONFLICT, latitude=None, longitude=None)
    assert write(row).action is Action.LEFT_ALONE


def test_a_position_taken_out_of_the_table_is_taken_out_of_the_photo(photo: Path) -> None:
    row = placed(photo, latitude=None, longitude=None)
    assert write(row).action is Action.LEFT_ALONE
    write(placed(photo))
    assert write(row).action is Action.WRITTEN and b"neighbour" not in photo.read_bytes()


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"radius_m": None}, "lacks the method or the radius"),
        ({"method": ""}, "lacks the method or the radius"),
        ({"latitude": 91.0}, "no such position"),
        ({"country": "\x07"}, "control characters"),
        ({"country": "#REF!"}, "spreadsheet"),
        ({"country": "Err:508"}, "spreadsheet"),
    ],
)
def test_rows_that_make_no_sense_are_refused(
    photo: Path, cells: dict[str, object], words: str
) -> None:
    before = photo.read_bytes()
    result = write(placed(photo, **cells))
    assert result.action is Action.FAILED and words in result.reason
    assert photo.read_bytes() == before


def test_clear_takes_methods_alone(photo: Path) -> None:
    with pytest.raises(geotag.UsageError, match="clear must be one of"):
        write(placed(photo), gps=False, clear="neighbor")
    with pytest.raises(geotag.UsageError, match="leave out --gps"):
        write(placed(photo), clear="neighbour")
