"""geotag write as a shell sees it."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geotag.cli import cli
from geotag.errors import GeotagError, UsageError
from geotag.metadata.header import parse_header
from geotag.records import Outcome, Status, TopCategory
from geotag.tables import read_table, write_table
from geotag.tables.base import COLUMNS
from geotag.writing.blocks.xmp import parse_packet
from tests.conftest import WritePhoto
from tests.geotag.metadata.samples import segment
from tests.geotag.metadata.unusual import PLACE, jpeg
from tests.geotag.writing.kinds import made
from tests.geotag.writing.samples import container_of

pytestmark = pytest.mark.usefixtures("own_state")

TOP = (TopCategory(3, "x", "Eiffel Tower", 0.93),)


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(cli, list(map(str, arguments)), standalone_mode=False)
    if result.exception and not isinstance(result.exception, (SystemExit, GeotagError)):
        raise result.exception
    return result


def test_write_says_what_it_did_and_revert_undoes_it(table: Path, photos: Path) -> None:
    result = run("write", table)
    assert result.return_value == 0
    assert "2 photos written (1 into sidecars), 1 left alone: 1 without a landmark" in result.stderr
    assert (photos / "b.png.xmp").exists()
    listed = run("runs").stdout
    assert "2 files written" in listed and "write " in listed
    reverted = run("revert", listed.split()[0])
    assert reverted.return_value == 0 and "2 files" in reverted.stderr
    assert (photos / "a.jpg").read_bytes() == made("everything.jpg")
    assert not (photos / "b.png.xmp").exists()
    assert "2 of them reverted" in run("runs").stdout


def test_second_write_has_nothing_to_do(table: Path) -> None:
    run("write", table)
    assert "0 photos written, 2 already up to date" in run("write", table).stderr
    assert [line.split("  ")[2] for line in run("runs").stdout.splitlines()] == [
        "2 files written",
        "0 files written",
    ]


def test_dry_run_shows_each_field_and_touches_nothing(table: Path, photos: Path) -> None:
    result = run("write", table, "--dry-run", "--gps")
    assert f"{photos / 'a.jpg'}\n" in result.stdout
    assert "  - XMP dc:subject: holiday; été\n" in result.stdout
    assert "  + XMP dc:subject: holiday; été; Eiffel Tower\n" in result.stdout
    assert "  + EXIF GPSProcessingMethod: geotag inferred\n" in result.stdout
    assert "2 photos would be written (1 into sidecars)" in result.stderr
    assert (photos / "a.jpg").read_bytes() == made("everything.jpg")
    assert sorted(p.name for p in photos.iterdir()) == ["a.jpg", "b.png", "c.jpg"]
    assert not list(table.parent.glob("*.geotag"))


def test_failed_photo_is_named_and_sets_the_exit_code(table: Path, photos: Path) -> None:
    (photos / "a.jpg").chmod(0o444)
    result = run("write", table)
    assert result.return_value == 3
    assert f"{photos / 'a.jpg'}: read-only" in result.stderr
    assert "1 photo written (1 into sidecars), 1 failed (see above)" in result.stderr


def test_photos_that_fail_alike_share_a_line(tmp_path: Path) -> None:
    paths = [f"/gone/{number}.jpg" for number in range(13)]
    rows = [Outcome(path, Status.TAGGED, landmark="Eiffel Tower", top_k=TOP) for path in paths]
    write_table(str(tmp_path / "tags.csv"), rows)
    reason = "no such file or folder (moved or deleted?)"
    told = run("write", tmp_path / "tags.csv").stderr
    assert [line for line in told.splitlines() if reason in line] == [
        f"geotag: /gone/0.jpg: {reason}",
        f"geotag: 12 other files: {reason}: /gone/1.jpg, /gone/2.jpg, /gone/3.jpg, ...",
    ]
    write_table(str(tmp_path / "tags.csv"), rows[:2])
    told = run("write", tmp_path / "tags.csv").stderr
    assert f"/gone/0.jpg: {reason}\ngeotag: /gone/1.jpg: {reason}\n" in told


def test_a_name_can_forge_no_line_and_no_terminal_code(tmp_path: Path) -> None:
    rows = [
        Outcome("/gone\ngeotag: \x1b[2J.jpg", Status.TAGGED, landmark="Eiffel Tower", top_k=TOP)
    ]
    write_table(str(tmp_path / "tags.csv"), rows)
    result = run("write", tmp_path / "tags.csv")
    assert "geotag: /gone\\ngeotag: \\x1b[2J.jpg: no such file" in result.stderr
    assert len(result.stderr.splitlines()) == 4


def test_only_and_min_confidence_choose(table: Path) -> None:
    assert "1 photo written" in run("write", table, "--only", "a.*").stderr
    assert "below 0.99" in run("write", table, "--min-confidence", "0.99").stderr


def test_scan_writes_what_it_found_when_told_to(
    tmp_path: Path, write_photo: WritePhoto, model_path: Path
) -> None:
    photo = write_photo("tower.jpg", "eiffel_tower")
    before, table = photo.read_bytes(), tmp_path / "tags.csv"
    scan = ("scan", photo.parent, "--out", table, "--model", model_path)
    result = run(*scan, "--write", "--gps")
    assert result.return_value == 0
    assert "1 photo written" in result.stderr
    packet = parse_packet(container_of(photo.read_bytes()).block("xmp") or b"")
    assert packet.items("dc:subject") == ("Eiffel Tower",)
    assert len(packet.text("geotag:ModelSHA256")) == 64
    assert packet.text("geotag:Threshold") == "0.9000"
    again = run(*scan, "--write", "--gps")
    assert "1 known from before" in again.stderr
    assert "0 photos written, 1 already up to date" in again.stderr
    run("revert", run("runs").stdout.split()[0])
    assert photo.read_bytes() == before


def test_beside_a_position_behind_the_picture_none_is_guessed(
    tmp_path: Path, write_photo: WritePhoto, model_path: Path
) -> None:
    photo, table = write_photo("tower.jpg", "eiffel_tower"), tmp_path / "tags.csv"
    assert run("scan", photo.parent, "--out", table, "--model", model_path).return_value == 0
    photo.write_bytes(photo.read_bytes() + jpeg(segment(b"Exif\0\0" + PLACE)))  # since the scan
    result = run("write", table, "--gps")
    assert "1 photo written" in result.stderr and "behind or between" in result.stderr
    written = parse_header(photo.read_bytes(), "tower.jpg").metadata
    assert written.location is None and written.position_unclear
    run("scan", photo.parent, "--out", table, "--model", model_path)
    (row,) = read_table(table)
    assert (row.status, row.latitude) == (Status.TAGGED, None)
    assert "behind or between" in row.error


@pytest.mark.parametrize(
    "options",
    [("--out", "-", "--write"), ("--out", "t.csv", "--gps"), ("--out", "t.csv", "--sidecar")],
)
def test_scan_says_when_it_cannot_write(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert isinstance(run("scan", tmp_path, *options).exception, UsageError)


def test_the_model_and_threshold_of_the_scan_are_named(
    tmp_path: Path, write_photo: WritePhoto, model_path: Path
) -> None:
    write_photo("tower.jpg", "eiffel_tower")
    table = tmp_path / "tags.csv"
    run("scan", tmp_path / "photos", "--out", table, "--model", model_path, "--threshold", 0.75)
    output = run("write", table, "--dry-run").output
    assert re.search(r"\+ XMP geotag:ModelSHA256: [0-9a-f]{64}\n", output)
    assert re.search(r"\+ XMP geotag:Threshold: 0\.750*\n", output)
    assert {path.name for path in tmp_path.glob("tags.*")} == {"tags.csv", "tags.csv.geotag"}
    os.unlink(f"{table}.geotag")
    assert "ModelSHA256" not in run("write", table, "--dry-run").output


@pytest.fixture
def scanned(tmp_path: Path, write_photo: WritePhoto, model_path: Path) -> Path:
    """The table of a tower, a Taj Mahal and a photo of nothing, with its catalog beside it."""
    for name, colour in (("none.jpg", ""), ("taj.jpg", "taj_mahal"), ("tower.jpg", "eiffel_tower")):
        write_photo(name, colour)
    table = tmp_path / "tags.csv"
    run("scan", tmp_path / "photos", "--out", table, "--model", model_path)
    return table


def _edit(table: Path, change: Callable[[dict[str, str]], None], columns: list[str]) -> None:
    """Save a table as a person would, with some columns and changes."""
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        change(row)
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize(
    "columns",
    [
        ["path", "landmark"],
        ["landmark", "path", "status", "confidence"],
        [name for name in COLUMNS if name != "status"],
    ],
)
def test_a_table_of_paths_and_landmarks_makes_no_guess_the_users_word(
    scanned: Path, columns: list[str]
) -> None:
    def rename(row: dict[str, str]) -> None:
        if row["path"].endswith("taj.jpg"):
            row["landmark"] = "Stonehenge"

    _edit(scanned, rename, columns)
    shown = run("write", scanned, "--dry-run").stderr
    assert "1 landmark that the scan did not find, to be written as named by you:\n" in shown
    assert "taj.jpg: Stonehenge\n" in shown and "tower.jpg" not in shown
    run("write", scanned)
    found = {}
    for name in ("tower", "taj"):
        data = (scanned.parent / "photos" / f"{name}.jpg").read_bytes()
        packet = parse_packet(container_of(data).block("xmp") or b"")
        found[name] = (packet.text("geotag:Source"), packet.items("dc:subject"))
        assert (packet.text("geotag:Model") != "") == (name == "tower")
    assert found == {"tower": ("inferred", ("Eiffel Tower",)), "taj": ("user", ("Stonehenge",))}


def test_columns_that_were_sorted_without_the_paths_write_nothing(scanned: Path) -> None:
    with scanned.open(encoding="utf-8-sig", newline="") as file:
        paths = [row["path"] for row in csv.DictReader(file)]
    turned = iter([*paths[1:], paths[0]])
    _edit(scanned, lambda row: row.update(path=next(turned)), list(COLUMNS))
    before = {path: Path(path).read_bytes() for path in paths}
    result = run("write", scanned)
    assert result.return_value == 3
    assert result.stderr.count("were some columns sorted without the others?") == 2
    assert {path: Path(path).read_bytes() for path in paths} == before


@pytest.mark.parametrize("is_sorted", [True, False])
def test_of_several_rows_of_a_photo_one_counts_and_those_at_odds_do_not(
    scanned: Path, is_sorted: bool
) -> None:
    with scanned.open(encoding="utf-8-sig", newline="") as file:
        none, taj, tower = csv.DictReader(file)
    renamed = taj | {"landmark": "Stonehenge"}
    rows = [none, taj, renamed, tower, tower] if is_sorted else [tower, taj, none, tower, renamed]
    with scanned.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(COLUMNS))
        writer.writeheader()
        writer.writerows(rows)
    before = Path(taj["path"]).read_bytes()
    result = run("write", scanned)
    assert result.return_value == 3
    assert "taj.jpg: several rows of the table say different things of it: keep one" in (
        result.stderr
    )
    assert "1 photo written, 1 failed" in result.stderr and "named by you" not in result.stderr
    assert Path(taj["path"]).read_bytes() == before


def test_what_is_cleared_is_listed_before_it_is(scanned: Path) -> None:
    _edit(scanned, lambda row: row.update(landmark=""), list(COLUMNS))
    shown = run("write", scanned, "--dry-run").stderr
    assert "2 landmarks that you cleared, to be taken out and not to be given again:\n" in shown
    assert "taj.jpg\n" in shown and "tower.jpg\n" in shown and "none.jpg" not in shown


def test_zeros_are_no_position_of_a_landmark(scanned: Path) -> None:
    _edit(
        scanned,
        lambda row: row.update(landmark="Our house", latitude="0", longitude="0"),
        list(COLUMNS),
    )
    assert "no such position: 0, 0" in run("write", scanned).stderr


def test_without_a_catalog_a_table_of_ones_own_is_ones_word(tmp_path: Path, photos: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text(f"path,landmark\n{photos / 'c.jpg'},Eiffel Tower\n", "utf-8")
    result = run("write", table)
    assert "1 landmark that the scan did not find" in result.stderr
    assert "1 photo written" in result.stderr


def test_a_row_renamed_to_an_unknown_landmark_needs_a_position_of_its_own(scanned: Path) -> None:
    def rename(row: dict[str, str]) -> None:
        if row["path"].endswith("tower.jpg"):
            row["landmark"] = "Our house"

    _edit(scanned, rename, list(COLUMNS))
    result = run("write", scanned)
    assert result.return_value == 3
    assert "tower.jpg: “Our house” is not in the landmark table: give its own" in result.stderr


def test_the_list_of_ones_own_landmarks_has_an_end(tmp_path: Path) -> None:
    rows = [
        Outcome(f"/gone/{number}.jpg", Status.UNCERTAIN, landmark="Eiffel Tower")
        for number in range(25)
    ]
    write_table(str(tmp_path / "tags.csv"), rows)
    result = run("write", tmp_path / "tags.csv", "--include", "2*.jpg")
    assert "6 landmarks that" in result.stderr
    result = run("write", tmp_path / "tags.csv")
    assert "25 landmarks that" in result.stderr and "  and 5 more\n" in result.stderr
    assert "named by you" not in run("write", tmp_path / "tags.csv", "--quiet").stderr


def test_a_path_that_went_through_another_encoding_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "Ärger.jpg").write_bytes(made("plain.jpg"))
    table = tmp_path / "tags.csv"
    table.write_text(f"path,landmark\n{tmp_path}/Ã„rger.jpg,Eiffel Tower\n", "utf-8")
    result = run("write", table)
    assert result.return_value == 3
    assert "Ärger.jpg is there: the table was opened in the wrong encoding" in result.stderr


@pytest.mark.slow
def test_a_write_that_is_asked_to_stop_ends_between_two_photos(tmp_path: Path) -> None:
    photos, table = [tmp_path / f"{number:03}.jpg" for number in range(300)], tmp_path / "tags.csv"
    for photo in photos:
        photo.write_bytes(made("plain.jpg"))
    rows = [Outcome(str(p), Status.TAGGED, landmark="Eiffel Tower", top_k=TOP) for p in photos]
    write_table(str(table), rows)
    process = subprocess.Popen(
        [sys.executable, "-m", "geotag", "write", table], stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and photos[2].read_bytes() == made("plain.jpg"):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "geotag: stopping once the photos in progress are done" in messages
    changed = [photo for photo in photos if photo.read_bytes() != made("plain.jpg")]
    assert 3 <= len(changed) < 300
    assert f"\n{len(changed)} photos written" in messages
    assert run("revert", "--last", "--catalog", f"{table}.geotag").return_value == 0
    assert all(photo.read_bytes() == made("plain.jpg") for photo in photos)


NUMBERS = st.sampled_from([0, -1, 1e300, -1e300, 5e-324, 2**62, 91.0, 180.0, -180.5, 20_037_508])
TEXTS = st.text(max_size=300) | st.sampled_from(
    ["Eiffel Tower", "Our house", "\ufffe", "\x00", "\U000e0001", "|", "Places|France", "x" * 5000]
)
HOSTILE = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("latitude", "longitude", "altitude", "radius_m"), NUMBERS | st.floats()),
        **dict.fromkeys(("landmark", "city", "country", "model", "camera", "taken_at"), TEXTS),
        "confidence": st.floats(0, 1),
        "category_id": NUMBERS | st.integers(0, 200),
        "status": st.sampled_from([status.value for status in Status]),
        "position_source": st.sampled_from(["measured", "inferred"]) | TEXTS,
    },
)


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=HOSTILE, gps=st.booleans())
def test_no_row_ends_a_write(
    tmp_path_factory: pytest.TempPathFactory, cells: dict[str, object], gps: bool
) -> None:
    """Whatever stands in a row, its photo is written, left alone or failed with a reason."""
    folder = tmp_path_factory.mktemp("hostile")
    photo, table = folder / "a.jpg", folder / "tags.jsonl"
    photo.write_bytes(made("plain.jpg"))
    good = {"path": str(photo), "status": "tagged", "landmark": "Eiffel Tower", "confidence": 1}
    table.write_text("".join(json.dumps(row) + "\n" for row in (good | cells, good)))
    result = run("write", table, *(["--gps"] if gps else []))
    if isinstance(result.exception, GeotagError):
        assert str(result.exception).startswith(f"{table}, row 1: ")
    else:
        assert result.return_value in (0, 3)
        assert run("revert", "--last", "--catalog", f"{table}.geotag").return_value in (0, None)
        assert photo.read_bytes() == made("plain.jpg")
