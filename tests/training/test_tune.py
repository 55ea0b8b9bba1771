"""A search of a few trials: gone on with, killed in between, diverging."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from geotag.errors import DataError
from tests.training.conftest import PHOTOS, Invoke, write_set
from training import tune
from training.fitting.recipes import find_recipe

optuna = pytest.importorskip("optuna")
pytestmark = pytest.mark.skipif(not find_spec("matplotlib"), reason="matplotlib is not installed")


def arguments(colour_set: Path, out: Path, trials: int) -> list[object]:
    return ["--recipe", "tiny", "--data", colour_set, "--epochs", 1, "--trials", trials,
            "--out", out]  # fmt: skip


def read(out: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((out / "tune.json").read_text())
    return report


@pytest.mark.slow
def test_a_search_finds_its_best_and_goes_on_as_if_unbroken(
    colour_set: Path, tmp_path: Path, invoke: Invoke
) -> None:
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    invoke(tune.main, *arguments(colour_set, broken, 2))
    assert len(read(broken)["trials"]) == 2
    output = invoke(tune.main, *arguments(colour_set, broken, 3))
    invoke(tune.main, *arguments(colour_set, whole, 3))
    report = read(broken)
    assert report == read(whole)
    assert "trial 1" not in output.split("best:")[0]
    losses = [trial["loss"] for trial in report["trials"]]
    assert len({trial["learning_rate"] for trial in report["trials"]}) == 3
    assert report["best"]["loss"] == min(losses)
    for number, trial in enumerate(report["trials"]):
        recipe = json.loads((broken / f"trial{number:03}/run.json").read_text())["recipe"]
        assert recipe["learning_rate"] == pytest.approx(trial["learning_rate"], rel=1e-5)
        assert recipe["optimiser"] == trial["optimiser"]
        assert recipe["batch_size"] == trial["batch_size"]
    assert (broken / "tune.png").is_file()


@pytest.mark.slow
def test_trials_of_other_settings_or_photos_are_not_mixed(
    colour_set: Path, tmp_path: Path, invoke: Invoke
) -> None:
    out = tmp_path / "out"
    invoke(tune.main, *arguments(colour_set, out, 1))
    with pytest.raises(DataError, match="another recipe"):
        invoke(tune.main, *arguments(colour_set, out, 2), "--epochs", 2)
    with pytest.raises(DataError, match="another data"):
        invoke(tune.main, *arguments(write_set(tmp_path / "set", PHOTOS | {"val": 3}), out, 1))
    assert len(read(out)["trials"]) == 1


@pytest.mark.slow
def test_the_first_trial_is_the_recipe_itself(
    colour_set: Path, tmp_path: Path, invoke: Invoke
) -> None:
    invoke(tune.main, *arguments(colour_set, tmp_path, 1))
    recipe, (trial,) = find_recipe("tiny"), read(tmp_path)["trials"]
    assert trial["learning_rate"] == recipe.learning_rate
    assert (trial["optimiser"], trial["batch_size"]) == (recipe.optimiser, recipe.batch_size)
    assert trial["augmentation"] == "full"


@pytest.mark.slow
def test_a_killed_trial_is_finished_with_its_own_settings(
    colour_set: Path, tmp_path: Path, invoke: Invoke
) -> None:
    invoke(tune.main, *arguments(colour_set, tmp_path, 1))
    study = optuna.load_study(study_name="tiny", storage=f"sqlite:///{tmp_path / 'study.db'}")
    study.ask()  # killed before its settings were known
    killed = study.ask()
    recipe = tune.suggest(find_recipe("tiny"), killed)
    invoke(tune.main, *arguments(colour_set, tmp_path, 3))
    trials = read(tmp_path)["trials"]
    assert [trial["trial"] for trial in trials] == [0, 2]
    assert trials[1]["learning_rate"] == pytest.approx(recipe.learning_rate, rel=1e-5)


@pytest.mark.slow
def test_a_trial_that_diverges_does_not_end_the_search(
    colour_set: Path, tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "RATES", (1e20, 1e21))
    output = invoke(tune.main, *arguments(colour_set, tmp_path, 2))
    assert "trial 1: diverged" in output
    assert [trial["trial"] for trial in read(tmp_path)["trials"]] == [0]


def test_a_joined_recipe_names_its_parts(colour_set: Path, tmp_path: Path, invoke: Invoke) -> None:
    part = find_recipe("shipped").parts[0]
    with pytest.raises(DataError, match=part):
        invoke(tune.main, "--recipe", "shipped", "--data", colour_set, "--out", tmp_path)


def test_trials_need_photos_to_judge_by(tmp_path: Path, invoke: Invoke) -> None:
    root = write_set(tmp_path / "set", {"train": PHOTOS["train"]})
    manifest = root / "manifest.csv"
    lone = [line for line in manifest.read_text().splitlines() if "train1" not in line]
    manifest.write_text("\n".join(lone[:2]) + "\n")  # too few to take val photos from
    with pytest.raises(DataError, match="no val photos"):
        invoke(tune.main, *arguments(root, tmp_path / "out", 1))
