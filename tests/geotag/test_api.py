"""The Python door: what `import geotag` offers."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

import geotag
from geotag.cli import cli
from tests.conftest import WritePhoto, gps_ifd, picture


@pytest.fixture
def library(tmp_path: Path, write_photo: WritePhoto) -> Path:
    write_photo("tower.jpg", "eiffel_tower")
    write_photo("measured.jpg", gps=gps_ifd(10, 20))
    write_photo("grey.jpg")
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no photo")
    return tmp_path / "photos"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_scan_gives_a_frame_as_the_table(library: Path, model_path: Path, tmp_path: Path) -> None:
    table = tmp_path / "tags.parquet"
    frame = geotag.scan(library, out=table, model=model_path)
    assert list(frame["status"]) == ["unreadable", "no_landmark", "has_gps", "tagged"]
    assert (frame["latitude"][2], frame["landmark"][3]) == (pytest.approx(10), "Eiffel Tower")
    assert frame["confidence"].dtype == "float64" and frame["category_id"].dtype == "Int64"
    assert list(frame["landmark"].isna()) == [True, True, True, False]
    assert frame["top_k"][3][0].landmark == "Eiffel Tower"
    shared = [name for name in frame if name not in ("top_k", "category_id")]
    assert frame[shared].to_csv() == pd.read_parquet(table)[shared].to_csv()
    again = geotag.scan([str(library)], model=str(model_path))
    pd.testing.assert_frame_equal(again, frame)


def test_a_frame_without_rows_has_the_same_columns(tmp_path: Path, model_path: Path) -> None:
    frame = geotag.scan(tmp_path, model=model_path)
    assert list(frame.columns) == list(geotag.Outcome._fields)
    assert frame["latitude"].dtype == "float64"


def test_rows_as_records(library: Path, model_path: Path, tmp_path: Path) -> None:
    rows = list(geotag.scan_rows(library, model=model_path, include="t*.jpg"))
    assert [(row.status, row.landmark) for row in rows] == [(geotag.Status.TAGGED, "Eiffel Tower")]
    out = tmp_path / "tags.jsonl"
    assert list(geotag.scan_rows([library], out=out, model=model_path, exclude=["[!t]*"])) == rows
    assert list(geotag.read_table(out)) == rows


def test_scan_declares_its_parameters() -> None:
    parameters = inspect.signature(geotag.scan).parameters
    assert parameters == inspect.signature(geotag.scan_rows).parameters
    for name, parameter in parameters.items():
        assert parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        assert f" {name}: " in (geotag.scan.__doc__ or "")
    with pytest.raises(TypeError, match="colour"):
        geotag.scan(".", colour="red")  # type: ignore[call-arg]


def test_python_and_the_command_line_have_the_same_options() -> None:
    command = cli.get_command(None, "scan")  # type: ignore[arg-type]
    assert command is not None
    of_the_command = {parameter.name for parameter in command.params}
    of_the_command -= {
        "summary_path",
        "log_format",
        "quiet",
        "verbose",
        "estimate",
    }  # what it prints
    of_the_command -= {"write_too", "gps", "sidecar"}  # geotag.write
    assert set(inspect.signature(geotag.scan).parameters) == of_the_command
    command = cli.get_command(None, "write")  # type: ignore[arg-type]
    assert command is not None
    of_the_command = {parameter.name for parameter in command.params} - {"quiet", "only"}
    assert set(inspect.signature(geotag.write).parameters) == of_the_command | {"include"}


# Option by option what both doors refuse, as the command line spells it.
REFUSED: list[tuple[str, Any]] = [
    ("threshold", 2),
    ("threshold", float("nan")),
    ("min_precision", -0.1),
    ("min_precision", 1.01),
    ("top_k", 0),
    ("top_k", 99),
    ("top_k", 2.5),
    ("limit", -1),
    ("workers", 0),
    ("workers", 257),
    ("batch_size", 0),
    ("engine", "abacus"),
    ("device", "gpu"),
    ("dtype", "float8"),
    ("runner", "slurm"),
]


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_both_doors_refuse_the_same_values(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(geotag.UsageError, match=name):
        geotag.scan_rows(tmp_path, **{name: value})
    option = "--" + name.replace("_", "-")
    out = str(tmp_path / "t.csv")
    result = CliRunner().invoke(cli, ["scan", str(tmp_path), "--out", out, option, str(value)])
    assert result.exit_code == 2 or isinstance(result.exception, geotag.UsageError)
    assert not Path(out).exists()


def test_a_table_is_a_file(tmp_path: Path) -> None:
    for out, words in (("-", "must be a file"), (tmp_path / "tags.xls", "suffix")):
        with pytest.raises(geotag.UsageError, match=words):
            next(geotag.scan_rows(tmp_path, out=out))
    with pytest.raises(geotag.UsageError, match="nothing to scan"):
        geotag.scan([])


@pytest.mark.parametrize("value", [True, "5", None])
def test_values_of_other_types_are_refused(tmp_path: Path, value: Any) -> None:
    if value is None:
        assert geotag.scan_rows(tmp_path, limit=None)
        return
    with pytest.raises(geotag.UsageError, match="whole number"):
        geotag.scan_rows(tmp_path, limit=value)


def test_a_picture_in_any_form(library: Path, model_path: Path) -> None:
    path = library / "tower.jpg"
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
        for form in (path, str(path), image, pixels, np.flip(pixels, axis=1)):
            assert geotag.predict_landmarks(form, 1, model=model_path) == ["Eiffel Tower"]
    assert geotag.predict_landmarks(path, 2, model=str(model_path))[0] == "Eiffel Tower"


def test_confidences_and_positions(library: Path, model_path: Path) -> None:
    first, second, third = geotag.rank_landmarks(library / "tower.jpg", model=model_path)
    assert (first.name, first.city, first.country) == ("Eiffel Tower", "Paris", "France")
    position = (first.latitude, first.longitude)
    assert position == (pytest.approx(48.858, abs=0.01), pytest.approx(2.294, abs=0.01))
    assert 1 >= first.confidence > 0.9 > second.confidence >= third.confidence >= 0


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((9, 9), np.uint8),
        np.zeros((9, 9, 4), np.uint8),
        np.zeros((1, 9, 9, 3), np.uint8),
        np.zeros((9, 9, 3), np.float32),
        np.zeros((0, 9, 3), np.uint8),
    ],
)
def test_an_array_that_is_no_picture(pixels: Any, model_path: Path) -> None:
    with pytest.raises(geotag.UsageError, match=re.escape("uint8 (H, W, 3)")):
        geotag.predict_landmarks(pixels, model=model_path)


@pytest.mark.parametrize("k", [0, -1, 1001, True, 1.5])
def test_k_has_limits(library: Path, model_path: Path, k: Any) -> None:
    with pytest.raises(geotag.UsageError, match="k must be"):
        geotag.predict_landmarks(library / "tower.jpg", k, model=model_path)


def test_a_photo_that_cannot_be_read(library: Path, model_path: Path) -> None:
    with pytest.raises(geotag.PhotoError, match=r"broken\.jpg"):
        geotag.rank_landmarks(library / "broken.jpg", model=model_path)
    with pytest.raises(geotag.GeotagError, match="no such model file"):
        geotag.rank_landmarks(library / "tower.jpg", model="/missing")


def test_suggest_locations_draws(library: Path, model_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    names = geotag.suggest_locations(np.asarray(picture("taj_mahal")), 3, model_path, show=False)
    assert names[0] == "Taj Mahal"
    labels = [label.get_text() for label in matplotlib.pyplot.gcf().axes[1].get_yticklabels()]
    assert labels[::-1] == names


def test_write_and_revert(
    library: Path, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table, photo = tmp_path / "tags.csv", library / "tower.jpg"
    geotag.scan(library, out=table, model=model_path)
    before = photo.read_bytes()
    (shown,) = geotag.write(table, include=["tower.*"], dry_run=True)
    assert shown.action is geotag.Action.WRITTEN and shown.changes
    assert photo.read_bytes() == before
    results = geotag.write(table)
    assert [result.action.value for result in results].count("written") == 1
    assert photo.read_bytes() != before
    (reverted,) = geotag.revert()
    assert (reverted.path, reverted.action) == (str(photo), geotag.Action.REVERTED)
    assert photo.read_bytes() == before
    with pytest.raises(geotag.UsageError, match="no run"):
        geotag.revert()
    with pytest.raises(geotag.UsageError, match="min_confidence"):
        geotag.write(table, min_confidence=95)


def test_all_that_is_promised_is_there() -> None:
    for name in geotag.__all__:
        assert getattr(geotag, name).__doc__
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", geotag.__version__)
    assert CliRunner().invoke(cli, ["--version"]).output == f"geotag {geotag.__version__}\n"
    with pytest.raises(AttributeError, match="colour"):
        geotag.colour  # noqa: B018
