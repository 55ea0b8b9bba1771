"""Whole scans of generated libraries, with a real network."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

import geotag
from geotag.errors import AbsenceError, MissingDependencyError, UsageError
from geotag.model.checkpoint import load_checkpoint, save_checkpoint
from geotag.options import ScanOptions
from geotag.pipeline import Progress, scan_library
from geotag.records import Outcome, Status
from geotag.tables import read_table
from tests.conftest import WritePhoto, gps_ifd, picture
from tests.dng import dng_bytes


@pytest.fixture
def library(tmp_path: Path, write_photo: WritePhoto) -> Path:
    """Two towers, a mausoleum, nothing, a measured photo, a broken one."""
    write_photo("tower.jpg", "eiffel_tower")
    write_photo("sub/tower2.jpg", "eiffel_tower", seed=1)
    write_photo("taj.jpg", "taj_mahal")
    write_photo("nothing.jpg", "")
    write_photo("measured.jpg", "eiffel_tower", gps=gps_ifd(-33.8568, 151.2153))
    whole = write_photo("broken.jpg", "stonehenge").read_bytes()
    (tmp_path / "photos" / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "photos" / "empty.jpg").write_bytes(b"")
    (tmp_path / "photos" / "text.jpg").write_text("not a photo")
    return tmp_path / "photos"


def scan(library: Path, table: Path, options: ScanOptions) -> dict[str, Outcome]:
    """The rows by file name, each name once."""
    scan_library([str(library)], str(table), options)
    rows = list(read_table(table))
    assert len({row.path for row in rows}) == len(rows)
    return {os.path.relpath(row.path, library): row for row in rows}


def test_one_row_for_each_photo(library: Path, tmp_path: Path, options: ScanOptions) -> None:
    rows = scan(library, tmp_path / "tags.csv", options)
    assert {name: row.status.value for name, row in rows.items()} == {
        "tower.jpg": "tagged",
        "sub/tower2.jpg": "tagged",
        "taj.jpg": "tagged",
        "nothing.jpg": "no_landmark",
        "measured.jpg": "has_gps",
        "broken.jpg": "unreadable",
        "empty.jpg": "unreadable",
        "text.jpg": "unreadable",
    }
    assert rows["tower.jpg"].landmark == rows["sub/tower2.jpg"].landmark == "Eiffel Tower"
    assert rows["taj.jpg"].landmark == "Taj Mahal"
    assert rows["measured.jpg"].latitude == pytest.approx(-33.8568, abs=1e-6)
    assert rows["measured.jpg"].position_source == "measured"
    assert "truncated" in rows["broken.jpg"].error
    assert "empty" in rows["empty.jpg"].error
    assert "not a photo" in rows["text.jpg"].error
    assert list(rows) == sorted(rows, key=os.fsencode)


def test_twice_the_same_bytes(library: Path, tmp_path: Path, options: ScanOptions) -> None:
    scan(library, tmp_path / "one.csv", options)
    scan(library, tmp_path / "two.csv", options)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_a_scan_harms_no_original(library: Path, tmp_path: Path, options: ScanOptions) -> None:
    def state() -> dict[str, tuple[bytes, int]]:
        files = [path for path in library.rglob("*") if path.is_file()]
        return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}

    before = state()
    scan(library, tmp_path / "tags.csv", options)
    assert state() == before


def test_again_reads_only_what_is_new(
    library: Path, tmp_path: Path, options: ScanOptions, write_photo: WritePhoto
) -> None:
    table = tmp_path / "tags.csv"
    first = scan_library([str(library)], str(table), options)
    bytes_before = table.read_bytes()
    again = scan_library([str(library)], str(table), options)
    assert (first.read, again.read) == (8, 0)
    assert table.read_bytes() == bytes_before
    write_photo("new.jpg", "stonehenge")
    third = scan_library([str(library)], str(table), options)
    assert (third.read, third.total) == (1, 9)


def test_a_vanished_photo_leaves_the_table(
    library: Path, tmp_path: Path, options: ScanOptions
) -> None:
    scan(library, tmp_path / "tags.csv", options)
    os.unlink(library / "taj.jpg")
    assert "taj.jpg" not in scan(library, tmp_path / "tags.csv", options)


def test_a_changed_photo_is_read_again(
    library: Path, tmp_path: Path, options: ScanOptions, write_photo: WritePhoto
) -> None:
    scan(library, tmp_path / "tags.csv", options)
    write_photo("taj.jpg", "stonehenge", seed=5)
    assert scan(library, tmp_path / "tags.csv", options)["taj.jpg"].landmark == "Stonehenge"


def test_another_threshold_decides_anew_without_reading(
    library: Path, tmp_path: Path, options: ScanOptions
) -> None:
    table = tmp_path / "tags.csv"
    confidence = scan(library, table, options)["tower.jpg"].confidence
    assert confidence is not None
    strict = options._replace(threshold=1.0)
    summary = scan_library([str(library)], str(table), strict)
    assert summary.read == 0
    rows = {os.path.relpath(row.path, library): row for row in read_table(table)}
    assert rows["tower.jpg"].status is Status.UNCERTAIN or confidence == 1.0
    assert rows["measured.jpg"].status is Status.HAS_GPS


@pytest.mark.slow
def test_what_another_model_saw_that_this_one_does_not_know_is_no_error(
    library: Path, tmp_path: Path, options: ScanOptions, model_path: Path
) -> None:
    checkpoint = load_checkpoint(model_path)
    spec = checkpoint.spec._replace(categories=("colosseum", "taj_mahal", "stonehenge"))
    other = tmp_path / "other.safetensors"
    save_checkpoint(other, spec, checkpoint.tensors)
    table = tmp_path / "tags.csv"
    scan(library, table, options)
    rows = scan(library, table, options._replace(model=other, limit=0))
    assert rows["tower.jpg"].status is Status.UNREADABLE
    assert rows["tower.jpg"].error == "not classified by this model yet"
    assert scan(library, table, options._replace(model=other))["tower.jpg"].landmark == "Colosseum"


def test_all_classifies_measured_photos_too(
    library: Path, tmp_path: Path, options: ScanOptions
) -> None:
    row = scan(library, tmp_path / "tags.csv", options._replace(classify_all=True))["measured.jpg"]
    assert (row.status, row.position_source, row.landmark) == (
        Status.HAS_GPS, "measured", "Eiffel Tower"
    )  # fmt: skip
    assert row.latitude == pytest.approx(-33.8568, abs=1e-6)


def test_limit_and_going_on(library: Path, tmp_path: Path, options: ScanOptions) -> None:
    table = str(tmp_path / "tags.csv")
    summary = scan_library([str(library)], table, options._replace(limit=3))
    assert (summary.read, summary.remaining, summary.total) == (3, 5, 3)
    summary = scan_library([str(library)], table, options)
    assert (summary.read, summary.remaining, summary.total) == (5, 0, 8)


def test_a_table_whose_name_is_not_utf8(
    library: Path, tmp_path: Path, options: ScanOptions
) -> None:
    table = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.csv")
    assert scan_library([str(library)], table, options).exported
    assert not scan_library([str(library)], table, options).exported
    assert len(list(read_table(table))) == 8


def test_stopping_keeps_what_was_done(library: Path, tmp_path: Path, options: ScanOptions) -> None:
    class Stop(Progress):
        asked: int | None = None

        def started(self, pending: int) -> None:
            self.asked = 0

        def stop_requested(self) -> bool:
            if self.asked is not None:
                self.asked += 1
            return self.asked is not None and self.asked > 4

    table = tmp_path / "tags.csv"
    summary = scan_library([str(library)], str(table), options, Stop())
    assert summary.remaining > 0
    assert summary.read == summary.total == len(list(read_table(table)))
    summary = scan_library([str(library)], str(table), options)
    assert (summary.remaining, summary.total) == (0, 8)


def test_sources_that_overlap_give_one_row(
    library: Path, tmp_path: Path, options: ScanOptions
) -> None:
    table = tmp_path / "tags.csv"
    sources = [str(library), str(library / "sub"), str(library / "taj.jpg")]
    summary = scan_library(sources, str(table), options)
    assert summary.total == 8


def test_more_photos_than_a_batch(tmp_path: Path, options: ScanOptions) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(75):
        colour = ("eiffel_tower", "", "taj_mahal")[number % 3]
        picture(colour, seed=number).save(tmp_path / "photos" / f"{number:03}.jpg")
    small = options._replace(engine_options=options.engine_options._replace(batch_size=8))
    rows = scan(tmp_path / "photos", tmp_path / "a.csv", small)
    assert Counter(row.landmark for row in rows.values()) == {
        "Eiffel Tower": 25, "": 25, "Taj Mahal": 25
    }  # fmt: skip


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff", ".gif", ".avif", ".mpo"])
def test_formats(tmp_path: Path, options: ScanOptions, suffix: str) -> None:
    (tmp_path / "photos").mkdir()
    picture("taj_mahal").save(tmp_path / "photos" / f"taj{suffix}")
    (row,) = scan(tmp_path / "photos", tmp_path / "tags.csv", options).values()
    assert (row.status, row.landmark) == (Status.TAGGED, "Taj Mahal")


def test_heic(tmp_path: Path, options: ScanOptions) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    (tmp_path / "photos").mkdir()
    pillow_heif.from_pillow(picture("taj_mahal")).save(tmp_path / "photos" / "taj.heic")
    (row,) = scan(tmp_path / "photos", tmp_path / "tags.csv", options).values()
    assert (row.status, row.landmark) == (Status.TAGGED, "Taj Mahal")


def test_raw_by_its_preview(tmp_path: Path, options: ScanOptions) -> None:
    pytest.importorskip("rawpy")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "taj.dng").write_bytes(dng_bytes(picture("taj_mahal", (640, 480))))
    (row,) = scan(tmp_path / "photos", tmp_path / "tags.csv", options).values()
    assert (row.status, row.landmark, row.camera) == (Status.TAGGED, "Taj Mahal", "geotag test")


def test_an_extra_that_is_missing_is_named(
    tmp_path: Path, options: ScanOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    (tmp_path / "photos").mkdir()
    pillow_heif.from_pillow(picture("taj_mahal")).save(tmp_path / "photos" / "taj.heic")
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "pillow_heif.py").write_text("raise ImportError")
    monkeypatch.syspath_prepend(tmp_path / "path")
    (row,) = scan(tmp_path / "photos", tmp_path / "tags.csv", options).values()
    assert row.status is Status.UNREADABLE
    assert "pip install '.[heif]'" in row.error
    monkeypatch.undo()
    (row,) = scan(tmp_path / "photos", tmp_path / "tags.csv", options).values()
    assert row.landmark == "Taj Mahal"


def test_content_counts_and_not_the_extension(tmp_path: Path, options: ScanOptions) -> None:
    (tmp_path / "photos").mkdir()
    picture("taj_mahal").save(tmp_path / "taj.png")
    shutil.move(tmp_path / "taj.png", tmp_path / "photos" / "taj.jpg")
    (row,) = scan(tmp_path / "photos", tmp_path / "tags.csv", options).values()
    assert row.landmark == "Taj Mahal"


def test_a_sidecars_position_is_the_photos(
    tmp_path: Path, options: ScanOptions, write_photo: WritePhoto
) -> None:
    write_photo("a.jpg", "eiffel_tower")
    (tmp_path / "photos" / "a.xmp").write_text(
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF "
        "xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description "
        "xmlns:exif='http://ns.adobe.com/exif/1.0/' exif:GPSLatitude='48,30N' "
        "exif:GPSLongitude='2,15E'/></rdf:RDF></x:xmpmeta>"
    )
    (row,) = scan(tmp_path / "photos", tmp_path / "tags.csv", options).values()
    assert (row.status, row.latitude, row.longitude) == (Status.HAS_GPS, 48.5, 2.25)


def test_orientation_is_applied(tmp_path: Path, model_path: Path, write_photo: WritePhoto) -> None:
    """Turned pixels with the tag that says so have the scores of the upright picture."""
    from PIL import Image

    from geotag.recognition.predictor import Predictor

    upright = Image.new("RGB", (96, 96), (200, 30, 30))
    upright.paste((30, 30, 200), (0, 0, 96, 30))
    upright.save(tmp_path / "upright.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    predictor = Predictor(model_path)
    turned = predictor.predict(tmp_path / "turned.png", 3)
    assert turned == predictor.predict(tmp_path / "upright.png", 3)
    assert turned.top


def test_names_that_are_not_utf8(tmp_path: Path, options: ScanOptions) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    picture("taj_mahal").save(tmp_path / "taj.jpg")
    name = os.fsdecode(os.fsencode(folder) + b"/caf\xe9.jpg")
    shutil.move(tmp_path / "taj.jpg", name)
    for suffix in (".csv", ".jsonl", ".parquet"):
        table = tmp_path / f"tags{suffix}"
        scan_library([str(folder)], str(table), options)
        (row,) = read_table(table)
        assert row.path == f"file://{folder}/caf%E9.jpg"
        assert row.landmark == "Taj Mahal"


def test_nothing_to_scan() -> None:
    with pytest.raises(UsageError):
        scan_library([], "tags.csv")


def test_single_raw_photos_are_seen_as_in_a_scan(
    tmp_path: Path, model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rawpy")
    path = tmp_path / "TAJ.DNG"
    path.write_bytes(dng_bytes(picture("taj_mahal", (640, 480))))
    assert geotag.predict_landmarks(path, 1, model_path) == ["Taj Mahal"]
    # By LibRaw's preview, not by what a TIFF reader makes of the file.
    monkeypatch.setitem(__import__("sys").modules, "rawpy", None)
    with pytest.raises(MissingDependencyError, match=r"'\.\[raw\]'"):
        geotag.predict_landmarks(path, 1, model_path)


class Photographer(Progress):
    """Notes how many photos had been listed when each was read."""

    def __init__(self) -> None:
        self.read: list[int] = []
        self.pending: list[int] = []

    def started(self, pending: int) -> None:
        self.pending.append(pending)

    def advanced(self, readings: int) -> None:
        self.read.append(readings)


@pytest.mark.parametrize("limit", [None, 3])
def test_what_is_new_is_read_while_the_rest_is_listed(
    library: Path,
    tmp_path: Path,
    options: ScanOptions,
    monkeypatch: pytest.MonkeyPatch,
    limit: int | None,
) -> None:
    scan(library, tmp_path / "whole.csv", options)
    monkeypatch.setattr("geotag.state.listed.BATCH", 2)
    monkeypatch.setattr("geotag.state.intake.PATIENCE_SECONDS", 0)
    progress, table = Photographer(), str(tmp_path / "early.csv")
    first = scan_library([str(library)], table, options._replace(limit=limit), progress)
    assert (first.read, first.remaining) == ((8, 0) if limit is None else (3, 5))
    assert sum(progress.read) == first.read
    assert progress.pending == [0]  # all that was read was read before the listing's end
    again = scan_library([str(library)], table, options)
    assert (again.read, again.unchanged) == (8 - first.read, first.read)
    assert Path(table).read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_nothing_of_another_library_is_read_while_it_is_listed(
    library: Path, tmp_path: Path, options: ScanOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "tags.csv"
    scan(library, table, options)
    before = table.read_bytes()
    shutil.copytree(library, tmp_path / "other")
    monkeypatch.setattr("geotag.state.intake.PATIENCE_SECONDS", 0)
    progress = Photographer()
    with pytest.raises(AbsenceError, match="another library"):
        scan_library([str(tmp_path / "other")], str(table), options, progress)
    assert (progress.read, table.read_bytes()) == ([], before)
