"""Estimates of scans against the scans themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from geotag.cli import cli
from geotag.cli.forecast import forecast
from geotag.errors import UsageError
from geotag.options import ScanOptions
from geotag.pipeline import scan_library
from tests.conftest import WritePhoto, gps_ifd, jpeg_bytes, picture
from tests.geotag.conftest import FaultyProxy


@pytest.mark.slow
def test_a_bucket_takes_the_requests_and_bytes_that_were_foretold(
    bucket: Path, faults: FaultyProxy, tmp_path: Path, model_path: Path
) -> None:
    for seed in range(60):
        (bucket / f"{seed}.jpg").write_bytes(
            jpeg_bytes(picture("taj_mahal", seed=seed), gps=gps_ifd(1, 2) if seed % 3 else None)
        )
    (bucket / "notes.txt").write_text("x")
    options, table = ScanOptions(model=model_path, workers=1), tmp_path / "t.csv"
    found = forecast(["s3://photos"], str(table), options)
    assert list(tmp_path.iterdir()) == []
    assert (found.photos, found.to_read, found.sampled, found.listing) == (60, 60, 60, 1)
    asked: list[str] = []
    faults.fault = lambda method, path: asked.append(path)
    summary = scan_library(["s3://photos"], str(table), options)
    requests = sum(path.endswith(".jpg") for path in asked)
    assert found.requests.middle == pytest.approx(requests, rel=0.3)
    assert found.fetched.middle == pytest.approx(summary.bytes_fetched, rel=0.3)
    for spread in (found.requests, found.fetched, found.seconds):
        assert spread.least is not None and spread.most is not None
        assert 0 <= spread.least <= spread.middle <= spread.most


def test_photos_that_the_catalog_knows_are_left_out(
    tmp_path: Path, write_photo: WritePhoto, model_path: Path
) -> None:
    for seed in range(5):
        write_photo(f"{seed}.jpg", "taj_mahal", seed=seed)
    options, table = ScanOptions(model=model_path), str(tmp_path / "t.csv")
    scan_library([str(tmp_path / "photos")], table, options)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    write_photo("0.jpg", "stonehenge", seed=9)
    found = forecast([str(tmp_path / "photos")], table, options)
    assert (found.photos, found.to_read, found.sampled) == (5, 1, 1)
    assert found.seconds.middle > 0 and found.seconds.least is None
    assert found.requests.middle == found.fetched.middle == found.listing == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_the_sample_is_drawn_from_all_of_a_large_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_path: Path, write_photo: WritePhoto
) -> None:
    monkeypatch.setattr("geotag.cli.forecast.SAMPLE", 10)
    for seed in range(40):
        write_photo(f"{seed:02d}.jpg", gps=gps_ifd(1, 2))
    found = forecast([str(tmp_path / "photos")], "-", ScanOptions(model=model_path))
    again = forecast([str(tmp_path / "photos")], "-", ScanOptions(model=model_path))
    assert (found.to_read, found.sampled) == (again.to_read, again.sampled) == (40, 10)


def test_an_empty_library_takes_nothing(tmp_path: Path, model_path: Path) -> None:
    found = forecast([str(tmp_path)], "-", ScanOptions(model=model_path))
    assert (found.photos, found.sampled, found.seconds.middle) == (0, 0, 0)


def test_the_command_prints_it_and_writes_nothing(
    tmp_path: Path, model_path: Path, write_photo: WritePhoto
) -> None:
    write_photo("a.jpg")
    arguments = ["scan", str(tmp_path / "photos"), "--out", str(tmp_path / "t.csv"), "--estimate"]
    result = CliRunner().invoke(cli, [*arguments, "--model", str(model_path)])
    assert result.exit_code == 0
    assert result.output.startswith("1 of 1 photos to read, as estimated from 1 of them; nothing")
    assert "seconds (too few for an interval), here with" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


@pytest.mark.parametrize("options", [ScanOptions(runner="ray"), ScanOptions(rescan=True)])
def test_what_cannot_be_estimated_is_refused(tmp_path: Path, options: ScanOptions) -> None:
    with pytest.raises(UsageError, match="estimate"):
        forecast([str(tmp_path)], "-", options)
