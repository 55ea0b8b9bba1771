"""Scans for cron: one at a time, night after night, stopped by signal, clock or limit."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from geotag.cli import main
from geotag.errors import AbsenceError, StoppedError
from geotag.options import ScanOptions
from geotag.pipeline import Progress, scan_library
from geotag.records import Outcome, Status
from geotag.state.catalog import open_catalog
from geotag.state.summary import Summary
from geotag.tables import read_table
from tests.conftest import WritePhoto, gps_ifd, picture


def scan(library: Path, table: Path, options: ScanOptions) -> tuple[Summary, dict[str, Outcome]]:
    summary = scan_library([str(library)], str(table), options)
    return summary, {os.path.relpath(row.path, library): row for row in read_table(table)}


def run(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return int(caught.value.code or 0)


def test_another_run_ends_with_75_and_changes_nothing(
    library: Path, tmp_path: Path, options: ScanOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    table, summary = tmp_path / "tags.csv", tmp_path / "run.json"
    with open_catalog(f"{table}.geotag"):
        code = run(["scan", str(library), "--out", str(table), "--model", str(options.model),
                    "--summary", str(summary)])  # fmt: skip
    assert code == 75
    assert "another run is using this catalog" in capsys.readouterr().err
    assert not table.exists()
    assert not summary.exists()


def test_an_unchanged_library_is_not_written_again(
    library: Path, tmp_path: Path, options: ScanOptions
) -> None:
    table = tmp_path / "tags.csv"
    first, _ = scan(library, table, options)
    assert first.exported
    before = table.stat()
    summary, rows = scan(library, table, options)
    assert (summary.read, summary.unchanged, summary.exported) == (0, 33, False)
    assert summary.statuses == first.statuses == {Status.HAS_GPS: 30, Status.UNREADABLE: 3}
    assert summary.failures == first.failures == {"permanent": 3}
    assert (table.stat().st_mtime_ns, table.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    table.write_text("edited")
    assert scan(library, table, options)[1] == rows
    table.unlink()
    assert scan(library, table, options)[1] == rows
    (library / "1" / "01.jpg").unlink()
    summary, rows = scan(library, table, options)
    assert summary.exported
    assert "1/01.jpg" not in rows and len(rows) == 32
    assert scan(library, table, options._replace(top_k=2))[0].exported


def test_a_moved_photo_is_not_shown_to_the_network_again(
    tmp_path: Path, options: ScanOptions, write_photo: WritePhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, colour in enumerate(("eiffel_tower", "taj_mahal")):
        write_photo(f"{colour}.jpg", colour, seed)
    photos, table = tmp_path / "photos", tmp_path / "tags.csv"
    _, before = scan(photos, table, options)
    (photos / "eiffel_tower.jpg").rename(photos / "renamed.jpg")
    os.utime(photos / "taj_mahal.jpg", ns=(1, 1))
    monkeypatch.setattr("geotag.runners.local.Classifier", None)
    summary, after = scan(photos, table, options)
    assert (summary.read, summary.moved, summary.remaining) == (0, 2, 0)
    assert after["renamed.jpg"]._replace(path="") == before["eiffel_tower.jpg"]._replace(path="")
    assert after["taj_mahal.jpg"] == before["taj_mahal.jpg"]


def test_photos_that_an_older_geotag_read_keep_their_predictions_and_get_its_new_metadata(
    tmp_path: Path, options: ScanOptions, write_photo: WritePhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_photo("tower.jpg", "eiffel_tower")
    write_photo("measured.jpg", gps=gps_ifd(48, 2))
    photos, table = tmp_path / "photos", tmp_path / "tags.csv"
    _, before = scan(photos, table, options)
    with closing(sqlite3.connect(f"{table}.geotag")) as connection, connection:
        connection.execute("UPDATE photos SET reader = reader - 1")
    monkeypatch.setattr("geotag.runners.local.Classifier", None)
    summary, after = scan(photos, table, options)
    assert (summary.read, summary.moved, summary.remaining) == (1, 1, 0)
    assert after == before
    summary, _ = scan(photos, table, options)
    assert (summary.unchanged, summary.read, summary.moved) == (2, 0, 0)


def test_pictures_alike_in_header_and_size_are_told_apart(
    tmp_path: Path, options: ScanOptions
) -> None:
    """Uncompressed pictures that differ far behind their headers."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, colour in (("a", "eiffel_tower"), ("b", "taj_mahal")):
        whole = picture(size=(400, 400))
        whole.paste(picture(colour, size=(400, 300)), (0, 100))
        whole.save(photos / f"{name}.tif")
    table = tmp_path / "tags.csv"
    both = scan(photos, tmp_path / "both.csv", options)[1]
    (photos / "b.tif").rename(tmp_path / "b.tif")
    scan(photos, table, options)
    (tmp_path / "b.tif").rename(photos / "b.tif")
    summary, rows = scan(photos, table, options)
    assert summary.moved == 0
    assert rows == both
    assert rows["a.tif"].top_k != rows["b.tif"].top_k


def test_prune_forgets_vanished_photos_but_never_for_want_of_a_disk(
    library: Path, tmp_path: Path, options: ScanOptions
) -> None:
    table = tmp_path / "tags.csv"
    scan(library, table, options)
    (library / "1" / "01.jpg").unlink()
    summary, _ = scan(library, table, options._replace(prune=True))
    assert summary.forgotten == 1
    library.rename(tmp_path / "elsewhere")
    library.mkdir()
    with pytest.raises(AbsenceError):
        scan(library, table, options._replace(prune=True))
    library.rmdir()
    (tmp_path / "elsewhere").rename(library)
    assert scan(library, table, options)[0].unchanged == 32


def test_a_photo_that_cannot_be_read_now_is_tried_again(
    library: Path, tmp_path: Path, options: ScanOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "tags.csv"
    real = os.pread

    def failing(descriptor: int, length: int, offset: int) -> bytes:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("/01.jpg"):
            raise OSError(5, "Input/output error")
        return real(descriptor, length, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", failing)
        summary, rows = scan(library, table, options)
    assert rows["1/01.jpg"].status is Status.UNREADABLE
    assert summary.failures == {"permanent": 3, "transient": 1}
    reasons = {failed.reason: failed[1:] for failed in summary.failed}
    assert reasons["the file is empty"] == (2, str(library / "0" / "empty.jpg"))
    assert reasons["cannot be read (Input/output error)"][0] == 1 and len(reasons) == 3
    summary, rows = scan(library, table, options)
    assert (summary.read, summary.failures) == (1, {"permanent": 3})
    assert rows["1/01.jpg"].status is Status.HAS_GPS


SIDECAR = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="10,30.0N" exif:GPSLongitude="20,30.0E"
/></rdf:RDF></x:xmpmeta>"""


class Broken:
    """A disk that cannot read some files for the time being."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: set[str] = set()
        self.opened: list[str] = []
        open_file = os.open

        def opening(path: str | bytes, flags: int, *mode: int, **options: int) -> int:
            self.opened.append(Path(os.fsdecode(path)).name)
            if self.opened[-1] in self.names:
                raise OSError(5, "Input/output error")
            return open_file(path, flags, *mode, **options)

        monkeypatch.setattr(os, "open", opening)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Broken:
    return Broken(monkeypatch)


def test_no_guess_stands_in_for_a_sidecar_that_cannot_be_read_now(
    tmp_path: Path, options: ScanOptions, write_photo: WritePhoto, broken: Broken
) -> None:
    photo, table = write_photo("tower.jpg", "eiffel_tower"), tmp_path / "tags.csv"
    photo.with_suffix(".xmp").write_text(SIDECAR)
    broken.names = {"tower.xmp"}
    summary, rows = scan(photo.parent, table, options)
    row = rows["tower.jpg"]
    assert (row.status, row.landmark, row.latitude) == (Status.UNREADABLE, "", None)
    assert "tower.xmp" in row.error
    assert summary.failures == {"transient": 1}
    broken.names = set()
    summary, rows = scan(photo.parent, table, options)
    assert (summary.read, summary.failures) == (1, {})
    assert (rows["tower.jpg"].status, rows["tower.jpg"].latitude) == (Status.HAS_GPS, 10.5)


@pytest.mark.parametrize("name", ["tower.jpg", "tower.xmp"])
def test_what_is_known_outlives_a_night_on_which_it_cannot_be_read(
    tmp_path: Path, options: ScanOptions, write_photo: WritePhoto, broken: Broken, name: str
) -> None:
    photo, table = write_photo("tower.jpg", "eiffel_tower"), tmp_path / "tags.csv"
    taj = write_photo("taj.jpg", "taj_mahal")
    photo.with_suffix(".xmp").write_text(SIDECAR)
    _, before = scan(photo.parent, table, options)
    broken.names = {name, "taj.jpg"}
    os.utime(photo.with_suffix(".xmp"), (1, 1))
    summary, rows = scan(photo.parent, table, options._replace(rescan=True))
    assert summary.failures == {"transient": 2}
    for photo_name, known in before.items():
        assert rows[photo_name].error
        assert rows[photo_name]._replace(error="") == known
    # A photo that changed is not what it was, as far as can be known.
    os.utime(taj, (1, 1))
    _, rows = scan(photo.parent, table, options)
    assert (rows["taj.jpg"].status, rows["taj.jpg"].landmark) == (Status.UNREADABLE, "")
    assert rows["tower.jpg"].latitude == 10.5
    broken.names = set()
    summary, rows = scan(photo.parent, table, options._replace(rescan=True))
    assert (summary.failures, rows) == ({}, before)


def test_rows_below_a_folder_that_cannot_be_looked_into_stay(
    library: Path, tmp_path: Path, options: ScanOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, look = tmp_path / "tags.csv", os.scandir
    _, before = scan(library, table, options)

    def scandir(path: str | bytes | Path) -> object:
        if os.fsencode(path).endswith(b"photos/1"):
            raise OSError(5, "Input/output error")
        return look(path)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        for settings in ({}, {"rescan": True, "prune": True}):
            summary, rows = scan(library, table, options._replace(**settings))
            assert rows == before
            assert summary.forgotten == 0
    for name in ("1/01.jpg", "1/04.jpg"):
        (library / name).unlink()
    _, rows = scan(library, table, options)
    assert before.keys() - rows.keys() == {"1/01.jpg", "1/04.jpg"}


def test_photos_that_failed_for_the_time_being_end_with_3(
    tmp_path: Path, model_path: Path, write_photo: WritePhoto, broken: Broken
) -> None:
    photo, table = write_photo("tower.jpg", "eiffel_tower"), tmp_path / "tags.csv"
    command = ["scan", str(photo.parent), "--out", str(table), "--model", str(model_path)]
    assert run(command) == 0
    broken.names = {"tower.jpg"}
    assert run([*command, "--rescan"]) == 3
    broken.names = set()
    assert run(command) == 0


def test_time_and_limit_leave_the_rest_for_the_next_run(
    library: Path, tmp_path: Path, options: ScanOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "tags.csv"
    summary, rows = scan(library, table, options._replace(limit=10))
    assert (summary.read, summary.remaining, len(rows)) == (10, 23, 10)
    summary, rows = scan(library, table, options._replace(max_time=1e-9))
    assert (summary.read, summary.remaining, len(rows)) == (1, 22, 11)
    summary, rows = scan(library, table, options)
    assert (summary.read, summary.remaining, len(rows)) == (22, 0, 33)


def test_photos_that_keep_failing_do_not_take_each_nights_limit(
    library: Path, tmp_path: Path, options: ScanOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, real = tmp_path / "tags.csv", os.pread

    def failing(descriptor: int, length: int, offset: int) -> bytes:
        if "/0/" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(5, "Input/output error")
        return real(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", failing)
    rows = []
    for _ in range(5):
        rows.append(scan(library, table, options._replace(limit=8))[0].total)
    assert rows == [8, 16, 24, 32, 33]


def test_a_touched_photo_that_keeps_failing_is_not_opened_before_its_time(
    tmp_path: Path, options: ScanOptions, write_photo: WritePhoto, broken: Broken
) -> None:
    photo, table = write_photo("tower.jpg", "eiffel_tower"), tmp_path / "tags.csv"
    scan(photo.parent, table, options)
    os.utime(photo, (1, 1))
    broken.names = {"tower.jpg"}
    for _ in range(2):
        assert scan(photo.parent, table, options)[0].failures == {"transient": 1}
    write_photo("new.jpg", "taj_mahal")
    broken.opened.clear()
    assert scan(photo.parent, table, options)[0].waiting == 1
    assert "tower.jpg" not in broken.opened


def test_photos_of_one_size_are_not_all_opened_each_night_beyond_the_limit(
    tmp_path: Path, options: ScanOptions, broken: Broken
) -> None:
    """As raw files of one camera are, each of which could be a known one with another name."""
    photos, table = tmp_path / "photos", tmp_path / "tags.csv"
    names = [f"{n}.tif" for n in range(6)]
    photos.mkdir()
    for seed, name in enumerate(names):
        picture("eiffel_tower", seed=seed).save(photos / name)
    for night in range(3):
        broken.opened.clear()
        scan(photos, table, options._replace(limit=2))
        assert {*broken.opened} & {*names} == {*names[2 * night : 2 * night + 2]}


@pytest.mark.parametrize("what", ["photo", "sidecar"])
def test_what_is_touched_each_night_does_not_take_each_nights_limit(
    tmp_path: Path, options: ScanOptions, write_photo: WritePhoto, what: str
) -> None:
    """As by a mount without times of its own, or a program that writes all sidecars anew."""
    photos = [write_photo(f"{n}.jpg", "eiffel_tower", n) for n in range(4)]
    table, counts = tmp_path / "tags.csv", []
    for night in range(3):
        for photo in photos:
            touched = photo if what == "photo" else photo.with_suffix(".xmp")
            if touched is not photo:
                touched.write_text("<x/>")
            os.utime(touched, (night, night))
        counts.append(len(scan(photos[0].parent, table, options._replace(limit=2))[1]))
    assert counts == [2, 4, 4]


def test_rescan_with_a_limit_gets_around(
    library: Path, tmp_path: Path, options: ScanOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, real = tmp_path / "tags.csv", os.pread
    scan(library, table, options)
    names: set[str] = set()

    def noting(descriptor: int, length: int, offset: int) -> bytes:
        names.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        return real(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", noting)
    for count in (11, 22, 33):
        scan(library, table, options._replace(limit=11, rescan=True))
        assert len({name for name in names if name.startswith(str(library))}) == count


def test_a_stop_while_listing_leaves_the_table_as_it_was(
    library: Path, tmp_path: Path, options: ScanOptions
) -> None:
    class Stop(Progress):
        def stop_requested(self) -> bool:
            return True

    table = tmp_path / "tags.csv"
    scan(library, table, options)
    before = table.read_bytes()
    (library / "2" / "02.jpg").unlink()
    with pytest.raises(StoppedError):
        scan_library([str(library)], str(table), options, Stop())
    assert table.read_bytes() == before


def test_sigterm_finishes_what_is_in_hand_and_saves(
    library: Path, tmp_path: Path, model_path: Path
) -> None:
    """A slow source, told to stop while it is read."""
    code = (
        "import os, sys, time\n"
        "real = os.pread\n"
        "def slow(*arguments):\n"
        "    print('reading', flush=True); time.sleep(0.2); return real(*arguments)\n"
        "os.pread = slow\n"
        "from geotag.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    table, summary = tmp_path / "tags.csv", tmp_path / "run.json"
    arguments = ["scan", library, "--out", table, "--model", model_path, "--summary", summary]
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )
    assert process.stdout is not None
    for _ in range(3):
        assert process.stdout.readline() == b"reading\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    done = json.loads(summary.read_text())
    assert done["exit_code"] == 143
    assert 0 < done["read"] < 33
    assert done["read"] + done["remaining"] == 33
    assert len(list(read_table(table))) == done["read"]


def test_the_summary_and_the_log_are_for_machines(
    library: Path, tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, summary = tmp_path / "tags.csv", tmp_path / "run.json"
    arguments = ["scan", str(library), "--out", str(table), "--model", str(model_path),
                 "--summary", str(summary), "--log-format", "json"]  # fmt: skip
    started = time.time()
    assert run(arguments) == 3
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert {"time", "level", "logger", "message"} <= lines[0].keys()
    done = json.loads(summary.read_text())
    assert lines[-1]["summary"] == done
    assert done["statuses"] == {
        "has_gps": 30, "tagged": 0, "uncertain": 0, "no_landmark": 0, "unreadable": 3,
        "placed": 0, "conflict": 0, "private": 0,
    }  # fmt: skip
    assert (done["photos"], done["read"], done["unchanged"], done["exit_code"]) == (33, 33, 0, 3)
    assert done["failures"] == {"permanent": 3}
    assert 0 < done["seconds"] < time.time() - started + 1
    assert done["model"] and done["threshold"] == 0.9
    assert run([*arguments[:1], str(tmp_path / "missing"), *arguments[2:]]) == 1
    failed = json.loads(summary.read_text())
    assert failed["exit_code"] == 1
    assert "no such file" in failed["error"]
