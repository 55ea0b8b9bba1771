"""geotag write --times: the offset from UTC of a photo's time, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

import geotag
from geotag.errors import UsageError
from geotag.metadata.header import parse_header
from geotag.places.offsets import find_offset
from geotag.places.sighting import ClockPiece, ClockSource, Kind, Sighting
from geotag.writing.result import Action, WriteResult
from tests.conftest import WritePhoto, gps_ifd
from tests.geotag.conftest import revert_last
from tests.geotag.writing.judge import needs_exiftool, read_tags

PHONE = {271: b"samsung", 272: b"SM-G930F"}
TAKEN, OFFSET = 0x9003, 0x9011


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def table(tmp_path: Path, write_photo: WritePhoto, model_path: Path) -> Path:
    """A phone that records no offsets, near Paris in summer; one photo of it has no position."""

    def taken(time: str, offset: bytes = b"") -> dict[int, object]:
        tags: dict[int, object] = {TAKEN: f"2023:06:01 {time}".encode()}
        return tags | ({OFFSET: offset} if offset else {})

    for number in range(3):
        exif = taken(f"12:0{2 * number}:00")
        fix = gps_ifd(48.85, 2.35)
        write_photo(f"fix{number}.jpg", seed=number, gps=fix, zeroth=PHONE, exif=exif)
    write_photo("indoors.jpg", seed=4, zeroth=PHONE, exif=taken("12:03:00"))
    write_photo("told.jpg", seed=5, zeroth={271: b"Apple"}, exif=taken("12:03:30", b"+03:00"))
    write_photo("late.jpg", seed=6, zeroth=PHONE, exif=taken("23:00:00"))
    write_photo("other.jpg", seed=7, zeroth={271: b"Canon", 272: b"EOS"}, exif=taken("12:01:00"))
    write_photo("Screenshot_1.jpg", seed=8, zeroth=PHONE, exif=taken("12:01:00"))
    write_photo("nowhen.jpg", seed=9, zeroth=PHONE)
    out = tmp_path / "tags.csv"
    geotag.scan(tmp_path / "photos", out=out, model=model_path, places=True)
    return out


def write(table: Path, **options: object) -> dict[str, WriteResult]:
    results = geotag.write(table, times=True, **options)  # type: ignore[arg-type]
    return {Path(result.path).name: result for result in results}


def contents(table: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (table.parent / "photos").iterdir()}


def test_where_the_clock_is_known(table: Path, model_path: Path) -> None:
    before = contents(table)
    results = write(table)
    written = {name for name, result in results.items() if result.action is Action.WRITTEN}
    assert written == {"fix0.jpg", "fix1.jpg", "fix2.jpg", "indoors.jpg"}
    reasons = {name: result.reason for name, result in results.items() if name not in written}
    assert reasons == {
        "told.jpg": "with an offset from UTC of its own",
        "late.jpg": "whose clock's offset from UTC is not known",
        "other.jpg": "whose clock's offset from UTC is not known",
        "Screenshot_1.jpg": "taken by no camera (screenshot)",
        "nowhen.jpg": "without the time at which it was taken",
    }
    fields = {change.field: (change.old, change.new) for change in results["indoors.jpg"].changes}
    assert fields.pop("XMP geotag:OffsetEvidence")[1].startswith("2 h 00 min 00 s ahead of UTC, by")
    assert fields == {
        "EXIF OffsetTimeOriginal": ("", "+02:00"),
        "XMP geotag:OffsetTimeOriginal": ("", "+02:00"),
    }
    # What geotag found is no word of the camera's for the next scan, whose table is the same.
    header = parse_header(contents(table)["indoors.jpg"], "indoors.jpg")
    assert header.metadata.capture.time == "2023-06-01T12:03:00"
    rows = table.read_bytes()
    geotag.scan(table.parent / "photos", out=table, model=model_path, places=True)
    assert table.read_bytes() == rows
    again = write(table)
    assert {again[name].reason for name in written} == {"with an offset from UTC of its own"}
    assert {again[name].action for name in written} == {Action.LEFT_ALONE}
    revert_last()
    assert contents(table) == before


@needs_exiftool
def test_exiftool_sees_the_offset_and_no_other_change(table: Path) -> None:
    folder = table.parent / "photos"
    before = read_tags(folder)["indoors.jpg"]
    write(table)
    after = read_tags(folder)["indoors.jpg"]
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    changed = {key for key in changed if not key.startswith(("System:", "XMP-", "Composite:"))}
    assert changed == {"ExifIFD:OffsetTimeOriginal"}
    assert after["ExifIFD:OffsetTimeOriginal"] == "+02:00"
    assert after["ExifIFD:DateTimeOriginal"] == "2023:06:01 12:03:00"


def test_tags_beside_an_offset_and_back(table: Path) -> None:
    write(table)
    indoors = table.parent / "photos" / "indoors.jpg"
    timed = indoors.read_bytes()
    assert b"+02:00" in timed
    results = geotag.write(table, gps=True, include="indoors.jpg")
    assert [result.action for result in results] == [Action.WRITTEN]
    assert parse_header(indoors.read_bytes(), "a").metadata.capture.time == "2023-06-01T12:03:00"
    geotag.write(table, clear=["neighbour"])
    assert b"geotag:OffsetTimeOriginal" in indoors.read_bytes()
    for _ in range(2):
        revert_last()
    assert indoors.read_bytes() == timed


def test_a_dry_run_and_what_cannot_be(table: Path) -> None:
    before = contents(table)
    assert write(table, dry_run=True)["indoors.jpg"].action is Action.WRITTEN
    sidecars = write(table, sidecar=True)
    assert "go into no sidecar" in sidecars["indoors.jpg"].reason
    assert contents(table) == before
    for more in ({"gps": True}, {"clear": "track"}):
        with pytest.raises(UsageError, match="--times writes nothing but"):
            write(table, **more)
    with pytest.raises(UsageError, match="no such catalog"):
        write(table, catalog=table.parent / "none.geotag")
    assert contents(table) == before


def test_a_time_that_was_changed_since_gets_no_offset(table: Path) -> None:
    photo = table.parent / "photos" / "indoors.jpg"
    photo.write_bytes(photo.read_bytes().replace(b"12:03:00", b"13:03:00"))
    changed = photo.read_bytes()
    result = write(table)["indoors.jpg"]
    assert result.action is Action.FAILED and "scan again" in result.reason
    assert photo.read_bytes() == changed


PIECE = ClockPiece(0.0, 100.0, 7200.0, 20.0, ClockSource.COMPANY, 9, 3)


@pytest.mark.parametrize(
    ("piece", "offset"),
    [
        (PIECE, "+02:00"),
        (PIECE._replace(offset=-12_600.0 + 45), "-03:30"),  # 45 s fast
        (PIECE._replace(offset=20_700.0), "+05:45"),
        (PIECE._replace(offset=0.0), "+00:00"),
        (PIECE._replace(offset=7200.0 + 101), ""),  # with its uncertainty, more than two minutes
        (PIECE._replace(uncertainty=720.0), ""),
        (PIECE._replace(offset=None), ""),
        (PIECE._replace(source=ClockSource.GIVEN), ""),  # from local time, not from UTC
        (PIECE._replace(offset=15 * 3600.0), ""),
        (PIECE._replace(end=40.0), ""),
    ],
)
def test_which_clocks_have_an_offset(piece: ClockPiece, offset: str) -> None:
    photo = Sighting("a.jpg", "Canon", Kind.CAMERA, 50.0)
    found = find_offset(photo, {"Canon": (piece,)})
    assert found.text == offset and bool(found.why_none) is not bool(offset)
