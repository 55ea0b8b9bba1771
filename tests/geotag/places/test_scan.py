"""A scan that places photos by those of the same time and by tracks."""

from __future__ import annotations

import json
import math
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

import geotag
from geotag.cli import main
from geotag.errors import MissingDependencyError, UsageError
from geotag.options import ScanOptions
from geotag.pipeline import scan_library
from geotag.places.private import Zone
from geotag.records import Outcome, Status
from geotag.state.summary import Summary
from geotag.tables import read_table
from geotag.writing.result import Action
from geotag.writing.writeback import WriteOptions, write_back
from tests.conftest import WritePhoto, gps_ifd
from tests.geotag.conftest import revert_last
from tests.geotag.places.test_trackfiles import POINTS, START, gpx

MAKE, MODEL, SOFTWARE = 271, 272, 305
TAKEN, OFFSET = 0x9003, 0x9011
PHONE = {MAKE: b"samsung", MODEL: b"SM-G930F"}
CAMERA = {MAKE: b"Canon", MODEL: b"Canon EOS 80D"}


def taken(time: str) -> dict[int, object]:
    return {TAKEN: f"2023:06:01 {time}".encode(), OFFSET: b"+02:00"}


@pytest.fixture
def library(tmp_path: Path, write_photo: WritePhoto) -> Path:
    """A phone's photos with a position, and a camera's without."""
    for number, time in enumerate(("12:00:00", "12:04:00")):
        located = gps_ifd(48.0 + number / 1000, 2.0)
        write_photo(f"phone{number}.jpg", gps=located, zeroth=PHONE, exif=taken(time))
    write_photo("camera.jpg", seed=1, zeroth=CAMERA, exif=taken("12:02:00"))
    write_photo("late.jpg", seed=2, zeroth=CAMERA, exif=taken("20:00:00"))
    write_photo("Screenshot_1.jpg", seed=3, zeroth=PHONE, exif=taken("12:02:00"))
    return tmp_path / "photos"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def options(model_path: Path) -> ScanOptions:
    return ScanOptions(model=model_path, places=True)


def scan(library: Path, options: ScanOptions) -> tuple[Summary, dict[str, Outcome]]:
    table = library.parent / "tags.csv"
    summary = scan_library([str(library)], str(table), options)
    return summary, {Path(row.path).name: row for row in read_table(table)}


def test_the_camera_is_placed_between_the_phones_photos(
    library: Path, options: ScanOptions
) -> None:
    summary, rows = scan(library, options)
    placed = rows["camera.jpg"]
    assert placed.status is Status.PLACED and summary.statuses[Status.PLACED] == 1
    assert placed.latitude == pytest.approx(48.0005, abs=1e-5)
    assert placed.utc == "2023-06-01T10:02:00Z"
    assert "phone0.jpg was taken 2 min before" in placed.evidence
    assert rows["late.jpg"].latitude is rows["Screenshot_1.jpg"].latitude is None
    assert "no photo with a position is near enough in time" in rows["late.jpg"].evidence
    assert "a screenshot" in rows["Screenshot_1.jpg"].evidence
    assert rows["phone0.jpg"].status is Status.HAS_GPS


def test_it_is_off_by_default_and_another_setting_decides_anew(
    library: Path, options: ScanOptions
) -> None:
    _, rows = scan(library, options._replace(places=False))
    assert rows["camera.jpg"].latitude is None
    summary, rows = scan(library, options)
    assert (summary.read, summary.exported) == (0, True)
    assert rows["camera.jpg"].status is Status.PLACED
    assert not scan(library, options)[0].exported


def test_a_track_places_what_no_phone_does(
    library: Path, options: ScanOptions, write_photo: WritePhoto, tmp_path: Path
) -> None:
    track = tmp_path / "walk.gpx"
    track.write_text(gpx(POINTS))
    for phone in library.glob("phone*.jpg"):
        phone.unlink()
    _, rows = scan(library, options._replace(tracks=(str(track),)))
    placed = rows["camera.jpg"]
    assert (placed.status, placed.method) == (Status.PLACED, "track")
    assert placed.latitude == pytest.approx(48.002, abs=1e-5)
    assert placed.evidence.startswith("on the track walk.gpx")


def test_tracks_alone_are_a_mistake(library: Path, options: ScanOptions) -> None:
    with pytest.raises(UsageError, match="--places"):
        scan(library, options._replace(places=False, tracks=("a.gpx",)))


def test_a_clock_that_the_user_corrects(
    library: Path, options: ScanOptions, write_photo: WritePhoto
) -> None:
    exif = {TAKEN: b"2023:06:01 10:59:30"}
    write_photo("slow.jpg", seed=5, zeroth={MAKE: b"NIKON", MODEL: b"D70"}, exif=exif)
    assert scan(library, options)[1]["slow.jpg"].status is not Status.PLACED
    told = options._replace(clock_offsets=(("NIKON D70", -3690.0),))
    slow = scan(library, told)[1]["slow.jpg"]
    assert (slow.status, slow.utc) == (Status.PLACED, "2023-06-01T10:01:00Z")
    with pytest.raises(UsageError, match="no photo was taken with 'Leica'"):
        scan(library, options._replace(clock_offsets=(("Leica", 1.0),)))


def test_what_the_user_said_of_a_clock_is_remembered(
    library: Path,
    options: ScanOptions,
    write_photo: WritePhoto,
    capsys: pytest.CaptureFixture[str],
) -> None:
    exif = {TAKEN: b"2023:06:01 10:59:30"}
    write_photo("slow.jpg", seed=5, zeroth={MAKE: b"NIKON", MODEL: b"D70"}, exif=exif)
    table = str(library.parent / "tags.csv")

    def told(*command: str) -> str:
        with pytest.raises(SystemExit):
            main(list(command))
        return capsys.readouterr().out

    scan(library, options._replace(clock_offsets=(("NIKON D70", -3690.0),)))
    assert "30 s behind local time, as given" in told("clocks", table)
    assert "30 s behind local time, as given" in told("why", "slow.jpg", "--table", table)
    written = {Path(r.path).name: r for r in geotag.write(table, times=True)}
    assert written["slow.jpg"].action is Action.LEFT_ALONE
    assert "you gave" in written["slow.jpg"].reason
    with pytest.raises(UsageError):
        scan(library, options._replace(clock_offsets=(("Leica", 1.0),)))
    assert "as given" in told("clocks", table)
    scan(library, options)
    assert "as given" not in told("clocks", table)


def test_a_written_position_is_not_measured_on_the_next_scan(
    library: Path, options: ScanOptions
) -> None:
    _, rows = scan(library, options)
    (result,) = write_back(
        [rows["camera.jpg"]], None, WriteOptions(position=True, dry_run=True), "run"
    )
    assert result.action is Action.WRITTEN
    before = (library / "camera.jpg").read_bytes()
    written = geotag.write(library.parent / "tags.csv", gps=True)
    actions = {Path(result.path).name: result.action for result in written}
    assert actions.pop("camera.jpg") is Action.WRITTEN
    assert set(actions.values()) == {Action.LEFT_ALONE}
    assert b"geotag inferred" in (library / "camera.jpg").read_bytes()
    assert scan(library, options)[1] == rows
    revert_last()
    assert (library / "camera.jpg").read_bytes() == before


def test_clocks_lists_what_is_known(
    library: Path, options: ScanOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    scan(library, options)
    with pytest.raises(SystemExit) as stopped:
        main(["clocks", str(library.parent / "tags.csv")])
    assert stopped.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    ahead = "2 h 00 min 00 s ahead of UTC, as it recorded in 2 photos"
    assert lines == [
        f"Canon EOS 80D, 2023-06-01: {ahead}",
        f"samsung SM-G930F, 2023-06-01: {ahead}",
    ]


def test_a_clock_found_along_a_track_is_told_without_it(
    tmp_path: Path,
    options: ScanOptions,
    write_photo: WritePhoto,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The camera's clock is an hour and 7 minutes behind the local time there."""
    way = [(START + 10 * n, 48 + 1e-4 * n, 2 + 0.01 * math.sin(n / 60)) for n in range(1080)]
    (tmp_path / "walk.gpx").write_text(gpx(way))
    for number, (utc, *place) in enumerate(way[40::80]):
        shown = datetime.fromtimestamp(utc + 3180, UTC).strftime("%Y:%m:%d %H:%M:%S")
        located = gps_ifd(*place) if number else None
        exif = {TAKEN: shown.encode()}
        write_photo(f"{number:02}.jpg", seed=number, gps=located, zeroth=CAMERA, exif=exif)
    _, rows = scan(tmp_path / "photos", options._replace(tracks=(str(tmp_path / "walk.gpx"),)))
    assert rows["00.jpg"].method == "track" and rows["00.jpg"].utc is not None
    assert datetime.fromisoformat(rows["00.jpg"].utc).timestamp() == pytest.approx(
        way[40][0], abs=60
    )

    def told(*command: str) -> str:
        with pytest.raises(SystemExit):
            main(list(command))
        return capsys.readouterr().out

    table = str(tmp_path / "tags.csv")
    sentence = (
        r"0 h 5[23] min \d\d s ahead of UTC, .* by the positions of 12 photos along walk\.gpx"
    )
    assert re.search(sentence, told("clocks", table))
    assert re.search(sentence, told("why", "00.jpg", "--table", table))
    (written,) = {result.reason for result in geotag.write(table, times=True)}
    assert "minutes off" in written


def test_clocks_without_a_catalog_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["clocks", str(tmp_path / "tags.csv")])
    assert stopped.value.code == 2
    assert "scan the library first" in capsys.readouterr().err


def test_a_missing_package_is_told_before_a_photo_is_read(
    library: Path, options: ScanOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "countrycheck", None)
    with pytest.raises(MissingDependencyError, match=r"\[places\]"):
        scan(library, options)
    assert not (library.parent / "tags.csv").exists()


def test_a_copy_inherits_the_position_of_its_original(
    library: Path, options: ScanOptions, write_photo: WritePhoto
) -> None:
    write_photo("phone0-edited.jpg", seed=7, zeroth=PHONE, exif=taken("12:00:00"))
    _, rows = scan(library, options)
    copy = rows["phone0-edited.jpg"]
    assert (copy.status, copy.method, copy.radius_m) == (Status.PLACED, "copy", 50.0)
    assert copy.latitude == pytest.approx(48.0, abs=1e-5)
    assert copy.evidence == "a copy of phone0.jpg, whose position was measured"


def test_a_measured_photo_is_named_after_the_landmark_it_was_taken_at(
    library: Path, options: ScanOptions, write_photo: WritePhoto
) -> None:
    write_photo("tower.jpg", seed=8, gps=gps_ifd(48.8583, 2.2944), zeroth=PHONE)
    _, rows = scan(library, options._replace(language="de"))
    tower = rows["tower.jpg"]
    assert (tower.status, tower.landmark, tower.method) == (
        Status.HAS_GPS, "Eiffel Tower", "position",
    )  # fmt: skip
    assert rows["phone0.jpg"].country == "Frankreich" and rows["phone0.jpg"].landmark == ""
    summary, rows = scan(library, options)
    assert summary.exported and rows["phone0.jpg"].country == "France"
    zone = options._replace(private=(Zone(48.8584, 2.2945, 100.0),))
    assert "Eiffel" not in str(scan(library, zone)[1])
    with pytest.raises(UsageError, match="no names of countries in 'xx'"):
        scan(library, options._replace(language="xx"))


def takeout(**positions: float) -> str:
    """What Google Takeout puts beside a photo."""
    places = ((name, at, 2.0 if at else 0.0) for name, at in positions.items())
    fields = {name: {"latitude": at, "longitude": along} for name, at, along in places}
    return json.dumps({"photoTakenTime": {"timestamp": "1685613720"}, **fields})


def test_a_position_in_google_takeouts_json_file(
    library: Path, options: ScanOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    """What Google read in the Exif is measured; what it may have guessed is said to be that, keeps
    out all guesses of geotag's own, and is not written."""
    assert scan(library, options)[1]["camera.jpg"].method == "neighbour"
    sidecar = library / "camera.jpg.supplemental-metadata.json"
    sidecar.write_text(takeout(geoData=48.9, geoDataExif=0.0))
    for places in (False, True):
        summary, rows = scan(library, options._replace(places=places))
        stated = rows["camera.jpg"]
        assert (stated.status, stated.method) == (Status.PLACED, "sidecar")
        assert (stated.latitude, stated.position_source) == (48.9, "inferred")
        assert stated.radius_m is None and "guessed by Google" in stated.evidence
    assert summary.read == 0
    written = {Path(r.path).name: r for r in geotag.write(library.parent / "tags.csv", gps=True)}
    assert written["camera.jpg"].action is Action.LEFT_ALONE
    assert "how far off" in written["camera.jpg"].reason
    with pytest.raises(SystemExit):
        main(["why", "camera.jpg", "--table", str(library.parent / "tags.csv")])
    assert "It was placed by its sidecar: Google Photos gives" in capsys.readouterr().out
    sidecar.write_text(takeout(geoData=48.9, geoDataExif=48.7))
    measured = scan(library, options)[1]["camera.jpg"]
    assert (measured.status, measured.latitude) == (Status.HAS_GPS, 48.7)
    sidecar.write_text("{" + takeout(geoData=48.9))
    damaged = scan(library, options)[1]["camera.jpg"]
    assert damaged.latitude is None and "is damaged" in damaged.error
    sidecar.unlink()
    assert scan(library, options)[1]["camera.jpg"].method == "neighbour"


def test_a_position_of_google_takeout_in_a_private_zone(
    library: Path, options: ScanOptions
) -> None:
    (library / "camera.jpg.json").write_text(takeout(geoData=48.9))
    zones = (Zone(48.9, 2.0, 100.0),)
    hidden = scan(library, options._replace(private=zones))[1]["camera.jpg"]
    assert hidden.status is Status.PRIVATE and hidden.latitude is None


def test_a_landmark_and_what_google_takeout_says_are_weighed_together(
    library: Path, options: ScanOptions, write_photo: WritePhoto
) -> None:
    tower = write_photo("tower.jpg", "eiffel_tower", seed=7)
    assert scan(library, options)[1]["tower.jpg"].status is Status.TAGGED
    sidecar = Path(f"{tower}.json")
    sidecar.write_text(takeout(geoData=48.86))  # some 20 km from it
    beside = scan(library, options)[1]["tower.jpg"]
    assert (beside.status, beside.landmark) == (Status.TAGGED, "Eiffel Tower")
    assert "taken near 48.86000, 2.00000: Google Photos gives" in beside.evidence
    sidecar.write_text(takeout(geoData=-33.86))
    far = scan(library, options)[1]["tower.jpg"]
    assert (far.status, far.latitude) == (Status.CONFLICT, None)
    assert "Eiffel Tower" in far.evidence and "Google Photos gives" in far.evidence


def test_other_rules_of_placing_make_another_table(
    library: Path, options: ScanOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an update of geotag, without a change in the library."""
    assert scan(library, options)[0].exported
    assert not scan(library, options)[0].exported
    for module in ("geotag.evidence", "geotag.places.library"):
        monkeypatch.setattr(f"{module}.rules_digest", lambda: "of another version")
    assert scan(library, options)[0].exported
