"""A search of two trials, gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from geotag.errors import DataError
from tests.training.conftest import Invoke
from training import tune
from training.recipes import find_recipe

pytest.importorskip("optuna")
pytest.importorskip("matplotlib")


def test_a_search_finds_its_best_and_goes_on(
    colour_set: Path, tmp_path: Path, invoke: Invoke
) -> None:
    arguments = ["--recipe", "tiny", "--data", colour_set, "--epochs", 1, "--out", tmp_path]
    invoke(tune.main, *arguments, "--trials", 1)
    first = json.loads((tmp_path / "tune.json").read_text())
    output = invoke(tune.main, *arguments, "--trials", 2)
    report = json.loads((tmp_path / "tune.json").read_text())
    assert len(first["trials"]) == 1 and report["trials"][0] == first["trials"][0]
    assert len(report["trials"]) == 2 and "trial 0" not in output.split("best:")[0]
    losses = [trial["loss"] for trial in report["trials"]]
    assert report["best"]["loss"] == min(losses)
    for number, trial in enumerate(report["trials"]):
        recipe = json.loads((tmp_path / f"trial{number:03}/run.json").read_text())["recipe"]
        assert recipe["learning_rate"] == pytest.approx(trial["learning_rate"], rel=1e-5)
        assert recipe["optimiser"] == trial["optimiser"]
        assert recipe["batch_size"] == trial["batch_size"]
    assert (tmp_path / "tune.png").is_file()


def test_a_joined_recipe_names_its_parts(colour_set: Path, tmp_path: Path, invoke: Invoke) -> None:
    part = find_recipe("shipped").parts[0]
    with pytest.raises(DataError, match=part):
        invoke(tune.main, "--recipe", "shipped", "--data", colour_set, "--out", tmp_path)
