"""Models side by side, trained on the way or given."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from geotag.errors import DataError, UsageError
from geotag.model.checkpoint import load_checkpoint, save_checkpoint
from tests.training.conftest import PHOTOS, Invoke
from training import compare
from training.data.dataset import load_dataset

pytestmark = pytest.mark.skipif(not find_spec("matplotlib"), reason="matplotlib is not installed")


@pytest.mark.slow
def test_a_trained_recipe_beside_a_given_model(
    colour_set: Path, model_path: Path, tmp_path: Path, invoke: Invoke
) -> None:
    arguments = [
        "--data", colour_set, "--split", "test", "--recipe", "tiny", "--epochs", 1,
        "--model", f"colours={model_path}", "--no-built-in", "--out", tmp_path,
    ]  # fmt: skip
    output = invoke(compare.main, *arguments)
    rows = json.loads((tmp_path / "compare.json").read_text())["models"]
    assert list(rows) == ["tiny", "colours"]
    assert rows["colours"]["top1"] == rows["colours"]["gap"] == 1
    assert rows["colours"]["photos"] == rows["tiny"]["photos"] == 4 * PHOTOS["test"]
    assert rows["tiny"]["top1"] <= rows["tiny"]["top5"] == 1
    for row in rows.values():
        assert row["images_per_second"] > 0
    assert rows["colours"]["megabytes"] == pytest.approx(model_path.stat().st_size / 1e6, rel=1e-4)
    table = (tmp_path / "compare.md").read_text()
    assert table in output + "\n" and "| colours | 1.000 | 1.000 | 1.000 | 1.000 |" in table
    assert (rows["tiny"]["epochs"], rows["colours"]["epochs"]) == (1, None)
    assert "epochs trained: tiny 1" in table
    trained = (tmp_path / "tiny/model.safetensors").stat().st_mtime_ns
    invoke(compare.main, *arguments)
    assert (tmp_path / "tiny/model.safetensors").stat().st_mtime_ns == trained


@pytest.mark.slow
def test_a_run_of_other_settings_is_not_passed_off_as_the_recipe(
    colour_set: Path, tmp_path: Path, invoke: Invoke
) -> None:
    arguments = ["--data", colour_set, "--recipe", "tiny", "--no-built-in", "--out", tmp_path]
    invoke(compare.main, *arguments, "--epochs", 1)
    record = (tmp_path / "tiny/run.json").read_bytes()
    with pytest.raises(DataError, match="tiny: holds a run of another recipe; choose another"):
        invoke(compare.main, *arguments, "--epochs", 2)
    assert (tmp_path / "tiny/run.json").read_bytes() == record


def test_only_landmarks_that_all_know_are_compared(
    colour_set: Path, model_path: Path, tmp_path: Path
) -> None:
    checkpoint = load_checkpoint(model_path)
    other = checkpoint.spec._replace(categories=("eiffel_tower", "taj_mahal", "atomium"))
    save_checkpoint(tmp_path / "m.safetensors", other, checkpoint.tensors)
    models = [checkpoint.spec, load_checkpoint(tmp_path / "m.safetensors").spec]
    samples = compare.common_samples(models, load_dataset(colour_set).samples)
    assert {s.label for s in samples} == {"eiffel_tower", "taj_mahal", ""}
    with pytest.raises(DataError, match="all of the models know"):
        compare.common_samples(models, [s for s in samples if not s.label])


def test_nothing_to_compare_is_an_error(colour_set: Path, tmp_path: Path, invoke: Invoke) -> None:
    with pytest.raises(UsageError, match="nothing to compare"):
        invoke(compare.main, "--data", colour_set, "--no-built-in", "--out", tmp_path)
    with pytest.raises(UsageError, match="not NAME=FILE"):
        invoke(compare.main, "--data", colour_set, "--model", "x", "--out", tmp_path)


@pytest.mark.parametrize("name", ["geotag", "tiny"])
def test_no_model_takes_anothers_place_in_the_table(
    name: str, colour_set: Path, model_path: Path, tmp_path: Path, invoke: Invoke
) -> None:
    with pytest.raises(UsageError, match=f"{name}: two models of that name"):
        invoke(
            compare.main, "--data", colour_set, "--recipe", "tiny", "--model",
            f"{name}={model_path}", "--out", tmp_path,
        )  # fmt: skip
    assert not (tmp_path / "tiny").exists()  # before an hour of training
