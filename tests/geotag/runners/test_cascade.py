"""The cascade: what the prefilter rejects by its thumbnail stays unread."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import piexif
import pytest

from geotag.engines.base import EngineOptions
from geotag.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from geotag.model.spec import Prefilter, Threshold
from geotag.options import ScanOptions
from geotag.pipeline import scan_library
from geotag.records import READ_LIMIT, Status
from geotag.sources.local import LocalSource
from geotag.tables import read_table
from tests.conftest import picture


@pytest.fixture(scope="module")
def cascade_model(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    checkpoint = load_checkpoint(model_path)
    thresholds = tuple(Threshold(t.precision, 0.5) for t in checkpoint.spec.thresholds)
    spec = checkpoint.spec._replace(prefilter=Prefilter(48, thresholds))
    path = tmp_path_factory.mktemp("cascade") / "cascade.safetensors"
    save_checkpoint(path, spec, checkpoint.tensors)
    return path


@pytest.fixture
def read_wholly(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the photos of which more than the header was read."""
    names: list[str] = []
    original = LocalSource.read

    def read(self: LocalSource, uri: str, limit: int = READ_LIMIT) -> bytes:
        names.append(Path(uri).name)
        return original(self, uri, limit)

    monkeypatch.setattr(LocalSource, "read", read)
    return names


def _photo(path: Path, colour: str, thumbnail: str | None) -> None:
    """A photo of one colour with a thumbnail of another, or none."""
    photo, small = io.BytesIO(), io.BytesIO()
    exif: dict[str, object] = {"0th": {piexif.ImageIFD.Make: "A camera"}}
    if thumbnail is not None:
        picture(thumbnail, size=(160, 120)).save(small, "JPEG")
        exif |= {"1st": {piexif.ImageIFD.Compression: 6}, "thumbnail": small.getvalue()}
    picture(colour, size=(400, 300)).save(photo, "JPEG", exif=piexif.dump(exif))
    path.write_bytes(photo.getvalue())


def _scan(folder: Path, model: Path, **options: object) -> dict[str, tuple[Status, str]]:
    """By PyTorch: to convert the networks takes longer than the scan."""
    table = folder.parent / "tags.csv"
    chosen = ScanOptions(model=model, engine_options=EngineOptions("pytorch"), **options)  # type: ignore[arg-type]
    scan_library([str(folder)], str(table), chosen)
    return {Path(row.path).name: (row.status, row.landmark) for row in read_table(table)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    _photo(folder / "tower.jpg", "eiffel_tower", "eiffel_tower")
    _photo(folder / "grey.jpg", "", "")
    _photo(folder / "bare.jpg", "", None)
    _photo(folder / "hidden.jpg", "eiffel_tower", "")
    return folder


def test_what_the_thumbnail_rules_out_stays_unread(
    folder: Path, cascade_model: Path, read_wholly: list[str]
) -> None:
    rows = _scan(folder, cascade_model)
    assert sorted(read_wholly) == ["bare.jpg", "tower.jpg"]
    assert rows["tower.jpg"] == (Status.TAGGED, "Eiffel Tower")
    assert rows["grey.jpg"][0] is rows["bare.jpg"][0] is Status.NO_LANDMARK
    assert rows["hidden.jpg"] == (Status.NO_LANDMARK, "")


def test_what_the_prefilter_rejects_is_not_classified(
    folder: Path, cascade_model: Path, read_wholly: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither at a photo that has a thumbnail nor at one that has none."""
    checkpoint = load_checkpoint(cascade_model)
    blind = dict(checkpoint.tensors)
    blind["classifier.weight"] = np.zeros_like(blind["classifier.weight"])
    blind["classifier.bias"] = np.zeros_like(blind["classifier.bias"])
    blind["classifier.bias"][-1] = 20
    header = checkpoint.prefilter().header._replace(sha256="blind")  # not what the cache holds
    monkeypatch.setattr(Checkpoint, "prefilter", lambda self: Checkpoint(header, blind))
    _photo(folder / "bare_tower.jpg", "eiffel_tower", None)
    rows = _scan(folder, cascade_model)
    assert sorted(read_wholly) == ["bare.jpg", "bare_tower.jpg"]
    assert rows["tower.jpg"] == rows["bare_tower.jpg"] == (Status.NO_LANDMARK, "")


def test_photos_without_a_usable_thumbnail_that_pass_are_tagged(
    folder: Path, cascade_model: Path
) -> None:
    _photo(folder / "bare_tower.jpg", "eiffel_tower", None)
    _photo(folder / "broken.jpg", "eiffel_tower", "eiffel_tower")
    data = (folder / "broken.jpg").read_bytes()
    start = data.index(b"\xff\xd8", 2)
    (folder / "broken.jpg").write_bytes(data[: start + 2] + bytes(200) + data[start + 202 :])
    (folder / "damaged.jpg").write_bytes(data[:5000])
    rows = _scan(folder, cascade_model)
    assert rows["bare_tower.jpg"] == rows["broken.jpg"] == (Status.TAGGED, "Eiffel Tower")
    assert rows["damaged.jpg"][0] is Status.UNREADABLE
    assert len(rows) == 7


def test_a_decoded_photo_is_rejected_only_below_its_own_threshold(
    folder: Path, cascade_model: Path, read_wholly: list[str]
) -> None:
    """The threshold of thumbnails is higher: reading those photos would cost more."""
    checkpoint = load_checkpoint(cascade_model)
    prefilter = checkpoint.spec.prefilter._replace(photo_threshold=0.0)
    model = folder.parent / "sure.safetensors"
    save_checkpoint(model, checkpoint.spec._replace(prefilter=prefilter), checkpoint.tensors)
    assert load_checkpoint(model).spec.prefilter == prefilter
    _scan(folder, model)
    assert sorted(read_wholly) == ["bare.jpg", "tower.jpg"]
    read_wholly.clear()
    _scan(folder, model, cascade=False)  # bare.jpg was classified in full
    assert sorted(read_wholly) == ["grey.jpg", "hidden.jpg"]


@pytest.mark.slow
def test_many_photos_of_all_kinds_each_have_one_row(tmp_path: Path, cascade_model: Path) -> None:
    """More than are in flight at once, so that they wait in every stage."""
    folder = tmp_path / "photos"
    folder.mkdir()
    expected = {}
    for number in range(150):
        colour, thumbnail = number % 2, number % 3
        name = f"{number:03}.jpg"
        seen = "eiffel_tower" if colour else ""
        _photo(folder / name, seen, seen if thumbnail else None)
        expected[name] = Status.TAGGED if colour else Status.NO_LANDMARK
    rows = _scan(folder, cascade_model)
    assert {name: status for name, (status, _) in rows.items()} == expected


def test_without_the_cascade_all_are_read(
    folder: Path, cascade_model: Path, read_wholly: list[str]
) -> None:
    rows = _scan(folder, cascade_model, cascade=False)
    assert sorted(read_wholly) == ["bare.jpg", "grey.jpg", "hidden.jpg", "tower.jpg"]
    assert rows["hidden.jpg"] == (Status.TAGGED, "Eiffel Tower")


def test_a_model_without_a_prefilter_reads_all(
    folder: Path, model_path: Path, read_wholly: list[str]
) -> None:
    _scan(folder, model_path)
    assert len(read_wholly) == 4


def test_a_second_scan_reads_nothing(
    folder: Path, cascade_model: Path, read_wholly: list[str]
) -> None:
    first = _scan(folder, cascade_model)
    read_wholly.clear()
    assert _scan(folder, cascade_model) == first
    assert read_wholly == []


def test_renamed_and_touched_photos_are_known_without_a_look(
    folder: Path, cascade_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a landmark or without, whether thumbnail, prefilter or network told."""
    first = _scan(folder, cascade_model)
    for name in ("tower", "grey", "bare"):
        (folder / f"{name}.jpg").rename(folder / f"{name}2.jpg")
    os.utime(folder / "hidden.jpg", (1, 1))
    with monkeypatch.context() as patch:
        patch.setattr("geotag.runners.local.Classifier", None)
        again = _scan(folder, cascade_model)
    assert again == {
        name.replace(".", "2.") if name != "hidden.jpg" else name: row
        for name, row in first.items()
    }


def test_a_photo_with_another_thumbnail_is_looked_at(
    folder: Path, cascade_model: Path, read_wholly: list[str]
) -> None:
    _scan(folder, cascade_model)
    size = (folder / "grey.jpg").stat().st_size
    _photo(folder / "grey.jpg", "taj_mahal", "taj_mahal")
    changed = (folder / "grey.jpg").read_bytes()
    assert len(changed) < size
    (folder / "grey.jpg").write_bytes(changed.ljust(size, b"\0"))
    assert _scan(folder, cascade_model)["grey.jpg"] == (Status.TAGGED, "Taj Mahal")


def test_turning_the_cascade_off_reads_what_was_rejected(
    folder: Path, cascade_model: Path, read_wholly: list[str]
) -> None:
    _scan(folder, cascade_model)
    read_wholly.clear()
    rows = _scan(folder, cascade_model, cascade=False)
    assert sorted(read_wholly) == ["bare.jpg", "grey.jpg", "hidden.jpg"]
    assert rows["hidden.jpg"] == (Status.TAGGED, "Eiffel Tower")
    read_wholly.clear()
    assert _scan(folder, cascade_model) == rows
    assert read_wholly == []


@pytest.mark.parametrize("precisions", [(0.99, 0.95), (0.95, 0.99)])
def test_another_threshold_reads_only_what_passes_its_own(
    folder: Path, model_path: Path, read_wholly: list[str], precisions: tuple[float, float]
) -> None:
    """The grey thumbnails fall short of either threshold."""
    checkpoint = load_checkpoint(model_path)
    thresholds = (Threshold(0.95, 0.3), Threshold(0.99, 0.5))
    model = folder.parent / "thresholds.safetensors"
    spec = checkpoint.spec._replace(prefilter=Prefilter(48, thresholds))
    save_checkpoint(model, spec, checkpoint.tensors)
    _scan(folder, model, min_precision=precisions[0])
    read_wholly.clear()
    _scan(folder, model, min_precision=precisions[1])
    assert read_wholly == []


def test_a_low_threshold_reads_all(
    folder: Path, cascade_model: Path, read_wholly: list[str]
) -> None:
    _scan(folder, cascade_model, threshold=0.3)
    assert len(read_wholly) == 4
