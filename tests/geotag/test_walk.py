"""The whole way of a library: scanned, placed, explained, written, judged by exiftool, and back."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

import geotag
from geotag.cli import main
from geotag.records import Outcome, Status
from geotag.tables import read_table
from tests.conftest import WritePhoto, gps_ifd
from tests.geotag.conftest import revert_last
from tests.geotag.places.test_scan import CAMERA, PHONE, taken
from tests.geotag.writing.judge import Tags, needs_exiftool, read_tags, unintended

pytestmark = [needs_exiftool, pytest.mark.slow]
KRAKOW = (50.06, 19.93)


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(map(str, arguments)))
    return int(caught.value.code or 0)


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def walk(photos: Path, capsys: pytest.CaptureFixture[str], *options: object) -> list[Outcome]:
    """Scan, explain, write positions and times, compare, revert: returns the rows."""
    table = photos.parent / "tags.csv"
    before, tags = snapshot(photos), read_tags(photos)
    assert run("scan", photos, "--out", table, "--places", "-q", *options) in (0, 3)
    rows = list(read_table(table))
    placed = next(row for row in rows if row.status is Status.PLACED)
    for row in {row.status: row for row in (*rows, placed)}.values():  # one of each status
        assert run("why", row.path, "--table", table) == 0
    said = capsys.readouterr().out
    assert f"It was placed by photos taken near it in time: {placed.evidence}." in said
    written = geotag.write(table, gps=True)
    assert Counter(r.action for r in written)[geotag.Action.FAILED] == 0
    check_positions(photos, rows, tags, read_tags(photos))
    timed = geotag.write(table, times=True)
    assert run("scan", photos, "--out", table, "--places", "-q", *options) in (0, 3)
    assert list(read_table(table)) == rows  # nothing that geotag wrote is taken for measured
    if any(result.action is geotag.Action.WRITTEN for result in timed):
        revert_last()
    revert_last()
    assert snapshot(photos) == before
    return rows


def check_positions(
    photos: Path, rows: list[Outcome], before: dict[str, Tags], after: dict[str, Tags]
) -> None:
    """exiftool sees positions where photos were placed, with their radius, and nothing else."""
    for row in rows:
        name = str(Path(row.path).relative_to(photos))
        kind = "placed" if row.status is Status.PLACED else "gps"
        assert unintended(before[name], after[name], kind) == {}, name
        if row.status is not Status.PLACED:
            continue
        sidecar = after.get(f"{name}.xmp")
        held = sidecar if sidecar is not None else after[name]
        group = "XMP-exif" if sidecar is not None else "GPS"
        assert row.latitude is not None and row.radius_m is not None
        # exiftool gives Exif's degrees without the sign.
        assert abs(float(held[f"{group}:GPSLatitude"])) == pytest.approx(
            abs(row.latitude), abs=1e-6
        )
        assert float(held[f"{group}:GPSHPositioningError"]) >= row.radius_m
        assert held[f"{group}:GPSProcessingMethod"] == "geotag inferred"
        assert held["XMP-geotag:Method"] == row.method
        assert held["XMP-geotag:Evidence"] == row.evidence


def test_the_whole_way(
    tmp_path: Path, write_photo: WritePhoto, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        located = gps_ifd(KRAKOW[0] + number / 1000, KRAKOW[1])
        time = taken(f"12:0{4 * number}:00")
        write_photo(f"phone{number}.jpg", seed=number, gps=located, zeroth=PHONE, exif=time)
        time = taken(f"12:0{number}:30")
        write_photo(f"camera{number}.jpg", seed=10 + number, zeroth=CAMERA, exif=time)
    write_photo("tower.jpg", "eiffel_tower")
    write_photo("conflict.jpg", "taj_mahal", zeroth=CAMERA, exif=taken("12:05:00"))
    rows = walk(tmp_path / "photos", capsys, "--model", model_path)
    statuses = Counter(row.status for row in rows)
    assert statuses == {
        Status.HAS_GPS: 3, Status.PLACED: 3, Status.TAGGED: 1, Status.CONFLICT: 1,
    }  # fmt: skip


@pytest.mark.realdata
def test_the_whole_way_of_real_photos(
    tmp_path: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Real files of cameras and phones, and landmarks on a walk in Kraków that never was."""
    photos = tmp_path / "photos"
    shutil.copytree(shared_data / "exif" / "jpg", photos / "cameras")
    shutil.copytree(shared_data / "exif" / "heic", photos / "phones")
    landmarks = sorted((shared_data / "landmarks").glob("*/*.jpg"))[:: 2 * 29][:24]
    for number, path in enumerate(landmarks):
        shutil.copy(path, photos / f"walk{number:02}.jpg")
    for path in (photos, *photos.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    for path in photos.rglob("*.txt"):
        path.unlink()
    for number in range(24):
        is_phone = number % 2 == 0
        camera = ["-Make=samsung", "-Model=SM-G930F"] if is_phone else ["-Make=Canon", "-Model=EOS"]
        place = [f"-GPSLatitude={KRAKOW[0] + number / 5000}", "-GPSLatitudeRef=N",
                 f"-GPSLongitude={KRAKOW[1]}", "-GPSLongitudeRef=E"]  # fmt: skip
        time = f"-DateTimeOriginal=2023:06:01 12:{2 * number:02}:00"
        command = [
            "exiftool",
            "-q",
            "-overwrite_original",
            *camera,
            time,
            "-OffsetTimeOriginal=+02:00",
        ]
        if number % 3 == 0 and not is_phone:
            command.remove("-OffsetTimeOriginal=+02:00")
        command += place if is_phone else []
        subprocess.run([*command, f"walk{number:02}.jpg"], cwd=photos, check=True)
    rows = walk(photos, capsys)
    statuses = Counter(row.status for row in rows)
    print(len(rows), "photos:", {status.value: count for status, count in statuses.items()})
    walked = [row for row in rows if "/walk" in row.path]
    assert sum(row.status is Status.HAS_GPS for row in walked) == 12
    # Landmarks in Kraków: whatever the network is sure of contradicts the walk.
    assert not [row for row in walked if row.status is Status.TAGGED]
    assert sum(row.status in (Status.PLACED, Status.CONFLICT) for row in walked) == 12
