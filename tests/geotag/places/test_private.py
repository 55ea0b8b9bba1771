"""Private zones: what is in one leaves in no table, map, report or photo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import geotag
from geotag.cli import main
from geotag.errors import UsageError
from geotag.places.private import Zone, is_private, parse_zone
from geotag.records import Location, Outcome, Status, TopCategory
from geotag.tables import read_table, write_table
from geotag.tables.private import without_private
from tests.conftest import WritePhoto, gps_ifd
from tests.geotag.conftest import revert_last
from tests.geotag.places.test_scan import CAMERA, PHONE, taken

HOME = "48.0005,2.0,300"
EIFFEL = TopCategory(0, "eiffel_tower", "Eiffel Tower", 0.9)
OWN = TopCategory(-1, "own:hut", "Hut", 0.8)


@pytest.fixture
def library(tmp_path: Path, write_photo: WritePhoto) -> Path:
    """A phone's photos at home and then 30 km away, a camera's in between and beside."""
    for number, time in enumerate(("12:00:00", "12:04:00")):
        write_photo(f"home{number}.jpg", gps=gps_ifd(48.0005, 2.0), zeroth=PHONE, exif=taken(time))
    write_photo("indoors.jpg", seed=1, zeroth=CAMERA, exif=taken("12:02:00"))
    for number, time in enumerate(("12:50:00", "12:54:00")):
        write_photo(f"far{number}.jpg", gps=gps_ifd(48.27, 2.0), zeroth=PHONE, exif=taken(time))
    write_photo("leaving.jpg", seed=3, zeroth=CAMERA, exif=taken("12:05:00"))
    write_photo("outdoors.jpg", seed=2, zeroth=CAMERA, exif=taken("12:52:00"))
    return tmp_path / "photos"


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(map(str, arguments)))
    return int(caught.value.code or 0)


def statuses(table: Path) -> dict[str, Status]:
    return {Path(row.path).name: row.status for row in read_table(table)}


def test_a_scan_says_nothing_of_what_is_in_a_zone(
    library: Path, model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, zones = tmp_path / "tags.csv", tmp_path / "zones.txt"
    command = ("scan", library, "--out", table, "--places", "--model", model_path)
    assert run(*command) == 0
    assert statuses(table)["indoors.jpg"] is Status.PLACED and "48.0005" in table.read_text()
    zones.write_text(f"# at home\n\n{HOME}  # flat\n")
    assert run(*command, "--private", f"@{zones}") == 0
    assert "in a private zone" in capsys.readouterr().err
    private = {name for name, status in statuses(table).items() if status is Status.PRIVATE}
    assert private >= {"home0.jpg", "home1.jpg", "indoors.jpg"}
    rows = {Path(row.path).name: row for row in read_table(table)}
    home = rows["home0.jpg"]
    said = Outcome(
        home.path, Status.PRIVATE, taken_at=home.taken_at, camera=home.camera,
        evidence="in a private zone",
    )  # fmt: skip
    assert home == said and home.taken_at.startswith("2023-06-01T12:00")
    assert "48.0005" not in table.read_text()
    far = rows["outdoors.jpg"]
    assert far.status is Status.PLACED and far.latitude == pytest.approx(48.27)
    assert all("home" not in row.evidence for row in rows.values())
    assert run(*command) == 0 and "48.0005" in table.read_text()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet", ".geojson", ".kml", ".gpx"])
def test_no_table_or_map_that_is_made_of_one_tells_it(
    library: Path, model_path: Path, tmp_path: Path, suffix: str
) -> None:
    table, out = tmp_path / "tags.jsonl", tmp_path / f"out{suffix}"
    assert run("scan", library, "--out", table, "--places", "--model", model_path) == 0
    assert run("convert", table, "--out", out, "--private", HOME) == 0
    assert b"48.0005" not in out.read_bytes()
    if suffix in (".kml", ".gpx"):
        assert b"48.27" in out.read_bytes() and b"home0" not in out.read_bytes()
    else:
        found = statuses(out)
        assert found["home0.jpg"] is found["indoors.jpg"] is Status.PRIVATE
        assert found["far0.jpg"] is Status.HAS_GPS


def test_a_report_shows_neither_place_nor_picture(
    library: Path, model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, page = tmp_path / "tags.csv", tmp_path / "page.html"
    assert run("scan", library, "--out", table, "--places", "--model", model_path) == 0
    assert run("report", table, "--out", page, "--private", HOME) == 0
    assert "48.0005" not in page.read_text() and "48.27" in page.read_text()
    zones = (parse_zone(HOME),)
    rows = without_private(lambda: read_table(table), zones)
    shown = sum(row.status is not Status.PRIVATE for row in rows)
    assert f"7 photos, {shown} with a thumbnail" in capsys.readouterr().err and shown < 7


def test_a_write_takes_out_what_was_written_before(
    tmp_path: Path, write_photo: WritePhoto, model_path: Path
) -> None:
    photo = write_photo("tower.jpg", "eiffel_tower")
    table = tmp_path / "tags.csv"
    clean = photo.read_bytes()
    assert run("scan", photo, "--out", table, "--model", model_path) == 0
    assert run("write", table) == 0 and b"Eiffel" in photo.read_bytes()
    zone = "48.86,2.29,1km"
    assert run("scan", photo, "--out", table, "--model", model_path, "--private", zone) == 0
    assert statuses(table) == {"tower.jpg": Status.PRIVATE}
    assert run("write", table) == 0 and b"Eiffel" not in photo.read_bytes()
    (again,) = geotag.write(table)
    assert (again.action, again.reason) == (geotag.Action.LEFT_ALONE, "in a private zone")
    # The user cleared nothing: without the zone the tag comes back.
    assert run("scan", photo, "--out", table, "--model", model_path) == 0
    assert statuses(table) == {"tower.jpg": Status.TAGGED}
    (left,) = geotag.write(table, private=[(48.86, 2.29, 1000)])
    assert left.action is geotag.Action.LEFT_ALONE
    assert run("write", table) == 0 and b"Eiffel" in photo.read_bytes()
    for _ in range(3):
        revert_last()
    assert photo.read_bytes() == clean


PRIVATE_ROWS: list[tuple[Outcome, bool]] = [
    (Outcome("/a.jpg", Status.HAS_GPS, 48.0, 2.0), True),
    (Outcome("/a.jpg", Status.HAS_GPS, 48.1, 2.0), False),
    (Outcome("/a.jpg", Status.PLACED, 48.1, 2.0, radius_m=20_000.0), True),
    (Outcome("/a.jpg", Status.PLACED, 48.1, 2.0, radius_m=200.0), False),
    (Outcome("/a.jpg", Status.CONFLICT, evidence="was taken near 48.01000, 2.00000: x"), True),
    (Outcome("/a.jpg", Status.CONFLICT, evidence="was taken near 49.01000, 2.00000: x"), False),
    (Outcome("/a.jpg", Status.HAS_GPS, 50.0, 2.0, landmark="Hut", top_k=(OWN,)), True),
    (Outcome("/a.jpg", Status.HAS_GPS, 50.0, 2.0, landmark="Eiffel Tower", category_id=0), False),
]


@pytest.mark.parametrize(("row", "is_blanked"), PRIVATE_ROWS)
def test_which_rows_of_a_table_are_blanked(row: Outcome, is_blanked: bool) -> None:
    (shown,) = without_private(lambda: [row], (Zone(48.0, 2.0, 400.0),))
    assert (shown.status is Status.PRIVATE) is is_blanked
    assert is_blanked or shown == row


def test_candidates_in_a_zone_are_left_out() -> None:
    taj = TopCategory(1, "taj_mahal", "Taj Mahal", 0.05)
    row = Outcome("/a.jpg", Status.UNCERTAIN, top_k=(EIFFEL, taj, OWN))
    (shown,) = without_private(lambda: [row], (Zone(48.8584, 2.2945, 100.0),))
    assert shown == row._replace(top_k=(taj,))
    assert list(without_private(lambda: [row], ())) == [row]


def test_a_row_that_names_a_private_photo_is_blanked() -> None:
    home = Outcome("/photos/my home.jpg", Status.HAS_GPS, 48.0, 2.0)
    said = "my home.jpg was taken 5 min before, 900 m away; park.jpg was taken 2 min after"
    beside = Outcome("/photos/b.jpg", Status.PLACED, 48.2, 2.0, radius_m=99.0, evidence=said)
    other = beside._replace(path="/photos/c.jpg", evidence=said.replace("my home", "park"))
    zones = (Zone(48.0, 2.0, 400.0),)
    shown = list(without_private(lambda: [home, beside, other], zones))
    assert [row.status for row in shown] == [Status.PRIVATE, Status.PRIVATE, Status.PLACED]


def test_a_private_row_stays_one(tmp_path: Path) -> None:
    row = Outcome("/a.jpg", Status.PRIVATE, evidence="in a private zone")
    table = tmp_path / "tags.csv"
    write_table(str(table), [row])
    assert list(without_private(lambda: read_table(table), (Zone(1, 2, 3),))) == [row]


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("48.8584,2.2945,500", (48.8584, 2.2945, 500)),
        (" -33.9, 151.2, 2km", (-33.9, 151.2, 2000)),
        ("90,-180,1.5m", (90, -180, 1.5)),
    ],
)
def test_zones_as_they_are_written(text: str, zone: Sequence[float]) -> None:
    assert parse_zone(text) == zone


@pytest.mark.parametrize(
    "text",
    ["", "48.8584,2.2945", "91,0,5", "0,181,5", "0,0,0", "0,0,-5", "nan,0,5", "0,inf,5",
     "0,0,2000km", "a,b,c", "1,2,3,4", "zones.txt"],
)  # fmt: skip
def test_what_is_no_zone_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="private zone"):
        parse_zone(text)
    out = tmp_path / "tags.csv"
    assert run("scan", tmp_path, "--out", out, f"--private={text}") == 2
    assert not out.exists()


def test_a_file_of_zones_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, out = tmp_path / "tags.csv", tmp_path / "out.csv"
    write_table(str(table), [Outcome("/a.jpg", Status.HAS_GPS, -48.0, 2.0)])
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "zones.txt").write_text("-48,2,400")
    assert run("convert", table, "--out", out, "--private", "@~/zones.txt") == 0
    assert statuses(out) == {"a.jpg": Status.PRIVATE}
    assert run("convert", table, "--out", out, "--replace", "--private", "-48,2,400") == 0
    assert statuses(out) == {"a.jpg": Status.PRIVATE}


def test_files_of_zones_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "zones.txt"
    for data, words in (
        (b"1,2,3\n48.85,2.29\n", "line 2: "),
        (b"\xff\xfe1", "not UTF-8"),
        (b"1,2,3\n" * 1001, "more than 1000"),
        (b" " * 1_000_001, "too large"),
    ):
        bad.write_bytes(data)
        assert run("scan", tmp_path, "--out", tmp_path / "t.csv", "--private", f"@{bad}") == 2
        said = capsys.readouterr().err
        assert str(bad) in said and words in said and "48.85" not in said.split("such as")[0]
    bad.unlink()
    assert run("scan", tmp_path, "--out", tmp_path / "t.csv", "--private", f"@{bad}") == 2
    assert "No such file" in capsys.readouterr().err


def test_python_refuses_the_same(tmp_path: Path) -> None:
    for zone in ((91.0, 0.0, 5.0), (0.0, 0.0, 0.0), (0.0, float("nan"), 5.0)):
        with pytest.raises(UsageError, match="private zone"):
            geotag.scan_rows(tmp_path, private=[zone])


ANYWHERE = st.builds(Location, st.floats(-90, 90), st.floats(-180, 180))


@given(ANYWHERE, st.floats(1, 1e6))
def test_a_place_is_in_the_zone_around_it(place: Location, radius: float) -> None:
    assert is_private(place, (Zone(place.latitude, place.longitude, radius),))


@given(ANYWHERE, st.floats(1, 1e5), st.floats(0, 1e5), st.floats(0, 1e5))
def test_a_wider_radius_is_never_less_private(
    place: Location, zone_m: float, radius: float, more: float
) -> None:
    zones = (Zone(10.0, 179.9999, zone_m),)
    if is_private(place, zones, radius):
        assert is_private(place, zones, radius + more)
        assert is_private(place, (zones[0]._replace(radius_m=zone_m + more),), radius)


def test_zones_reach_over_the_antimeridian_and_the_poles() -> None:
    assert is_private(Location(10.0, -179.999), (Zone(10.0, 179.999, 300.0),))
    assert is_private(Location(89.9999, 10.0), (Zone(89.9999, -170.0, 50.0),))
    assert not is_private(Location(10.0, -179.9), (Zone(10.0, 179.999, 300.0),))
