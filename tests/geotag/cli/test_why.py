"""geotag why, for photos of all statuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from geotag.cli import main
from geotag.records import Status
from geotag.tables import read_table, write_table
from tests.conftest import WritePhoto, gps_ifd
from tests.geotag.places.test_scan import CAMERA, PHONE, taken

HOME = "10,20,100"


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(map(str, arguments)))
    return int(caught.value.code or 0)


@pytest.fixture(scope="module")
def library(
    tmp_path_factory: pytest.TempPathFactory, model_path: Path, request: pytest.FixtureRequest
) -> Path:
    """A scanned library with a photo of each status; its table is tags.csv."""
    folder = tmp_path_factory.mktemp("library")
    write = _writer(folder / "photos")
    for number, time in enumerate(("12:00:00", "12:04:00")):
        located = gps_ifd(48.0 + number / 1000, 2.0)
        write(f"phone{number}.jpg", gps=located, zeroth=PHONE, exif=taken(time))
    write("camera.jpg", seed=1, zeroth=CAMERA, exif=taken("12:02:00"))
    write("late.jpg", seed=2, zeroth=CAMERA, exif=taken("20:00:00"))
    write("hour.jpg", seed=8, zeroth=CAMERA, exif=taken("13:30:00"))
    write("Screenshot_1.jpg", seed=3, zeroth=PHONE, exif=taken("12:02:00"))
    write("tower.jpg", "eiffel_tower")
    write("elsewhere.jpg", "taj_mahal", zeroth=CAMERA, exif=taken("12:03:00"))
    write("home.jpg", gps=gps_ifd(10, 20), zeroth=PHONE)
    write("nowhen.jpg", seed=5, zeroth=CAMERA)
    write("a/same.jpg", seed=6)
    write("b/same.jpg", seed=7)
    (folder / "photos" / "broken.jpg").write_bytes(b"no photo")
    table = folder / "tags.csv"
    command = ("scan", folder / "photos", "--out", table, "--places", "--private", HOME, "--quiet")
    assert run(*command, "--model", model_path) == 3
    return folder


def _writer(folder: Path) -> WritePhoto:
    from tests.conftest import jpeg_bytes, picture

    def write(name: str, colour: str = "", seed: int = 0, **directories: object) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg_bytes(picture(colour, seed=seed), **directories))  # type: ignore[arg-type]
        return path

    return write  # type: ignore[return-value]


SAID: list[tuple[str, Status, list[str]]] = [
    ("phone0.jpg", Status.HAS_GPS, [
        "It has a position of its own: 48.00000, 2.00000.",
        "By its metadata, name and folder it is the photo of a phone.",
        "The clock of samsung SM-G930F: 2 h 00 min 00 s ahead of UTC, as it recorded in 2 photos.",
        "it counts as measured and is kept.",
        "The network did not look at it, for it has a position.",
    ]),
    ("camera.jpg", Status.PLACED, [
        "It has no position of its own, and was placed at 48.00050, 2.00000, within ",
        "In UTC that was 2023-06-01T10:02:00Z.",
        "It was placed by photos taken near it in time: phone0.jpg was taken 2 min before, ",
        "time zone is Europe/Paris",
    ]),
    ("late.jpg", Status.NO_LANDMARK, [
        "Not placed: no photo with a position is near enough in time",
        "The nearest in time with a position: phone1.jpg (samsung SM-G930F), 7.9 h before.",
        "no photo with a position was taken within 2 hours; give a recorded --track",
    ]),
    ("hour.jpg", Status.NO_LANDMARK, [
        "phone1.jpg (samsung SM-G930F), 86 min before.",
        "What would help: a recorded --track of that day",
        "--clock-offset 'Canon EOS 80D=OFFSET'",
    ]),
    ("Screenshot_1.jpg", Status.NO_LANDMARK, [
        "it is a screenshot.",
        "What would help: only a position of its own",
    ]),
    ("tower.jpg", Status.TAGGED, [
        "It is tagged with Eiffel Tower.",
        "Its metadata do not say when it was taken, nor with what.",
        "Its position is the landmark's: the camera stood up to ",
        "The network saw in it: Eiffel Tower ",
        "; a tag needs ",
    ]),
    ("elsewhere.jpg", Status.CONFLICT, [
        "neither is believed.",
        "Seems to show Taj Mahal, but was taken near 48.00075, 2.00000",
        "What would help: if the landmark is right",
    ]),
    ("nowhen.jpg", Status.NO_LANDMARK, [
        "Its metadata do not say when it was taken.",
        "What would help: the time at which it was taken, written as DateTimeOriginal.",
    ]),
    ("broken.jpg", Status.UNREADABLE, [
        "It could not be read: not a photo",
        "What would help: it is read again once the file has changed.",
    ]),
    ("home.jpg", Status.PRIVATE, ["It lies in a private zone: nothing is told of where."]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "status", "words"), SAID, ids=[name for name, _, _ in SAID])
def test_why(
    library: Path,
    name: str,
    status: Status,
    words: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = {Path(row.path).name: row for row in read_table(library / "tags.csv")}
    assert rows[name].status is status
    assert run("why", name, "--table", library / "tags.csv") == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0] == str(library / "photos" / name)
    for each in words:
        assert each in said
    if status is Status.PRIVATE:
        assert len(said.splitlines()) == 2


def test_all_statuses_but_one_are_in_this_library(library: Path) -> None:
    found = {row.status for row in read_table(library / "tags.csv")}
    assert found == set(Status) - {Status.UNCERTAIN}


def test_an_uncertain_photo_and_a_catalog_that_is_not_there(
    tmp_path: Path, write_photo: WritePhoto, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, table = write_photo("tower.jpg", "eiffel_tower"), tmp_path / "tags.csv"
    assert run("scan", photo, "--out", table, "--model", model_path, "-q") == 0
    (row,) = read_table(table)
    write_table(str(table), [row._replace(status=Status.UNCERTAIN, landmark="")])
    assert run("why", photo, "--table", table) == 0
    said = capsys.readouterr().out
    assert "It may show a landmark, but not surely enough for a tag." in said
    assert "; a tag needs " in said and "any landmark the model knows" in said
    assert "a lower --min-precision or --threshold tags more" in said
    assert "What would help: scan with --places" in said
    Path(f"{table}.geotag").unlink()
    assert run("why", photo, "--table", table) == 0
    said = capsys.readouterr().out
    assert "there is no " in said and "a tag needs" not in said


def test_which_photo_of_which_table(
    library: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(library)
    assert run("why", "photos/camera.jpg") == 0  # the only table here
    assert "camera.jpg" in capsys.readouterr().out
    assert run("why", "a/same.jpg") == 0
    assert "/a/same.jpg" in capsys.readouterr().out
    for photo, words in (
        ("same.jpg", "2 photos in tags.csv have this name"),
        ("none.jpg", "not in tags.csv"),
    ):
        assert run("why", photo) == 2
        assert words in capsys.readouterr().err
    assert run("why", "a/same.jpg", "--table", "other.csv") == 2
    assert "no such table" in capsys.readouterr().err
    assert run("why", "a/same.jpg", "--catalog", "other.geotag") == 2
    assert "no such catalog" in capsys.readouterr().err
    monkeypatch.chdir(library / "photos")
    assert run("why", "camera.jpg") == 2
    assert "--table" in capsys.readouterr().err


def test_why_changes_nothing(library: Path) -> None:
    before = {path: path.read_bytes() for path in library.iterdir() if path.is_file()}
    assert run("why", "late.jpg", "--table", library / "tags.csv") == 0
    assert {path: path.read_bytes() for path in library.iterdir() if path.is_file()} == before
