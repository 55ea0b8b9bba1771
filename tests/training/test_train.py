"""Training through its command: every kind of recipe, and runs that are killed."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from geotag.errors import DataError
from geotag.model.architectures import build_model
from geotag.model.checkpoint import load_checkpoint, round_weights
from geotag.model.networks import EfficientNetLite, PPLCNetV2
from tests.training.conftest import Invoke, write_set
from training.data.dataset import load_dataset
from training.data.examples import World
from training.fitting.recipes import RECIPES, find_recipe
from training.pretrained import trunk
from training.reports.runs import Run
from training.train import Job, main, train

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _plots() -> None:
    pytest.importorskip("matplotlib")


def make_job(data: Path, out: Path, **changes: object) -> Job:
    recipe = replace(find_recipe("tiny"), **changes)  # type: ignore[arg-type]
    return Job(recipe, load_dataset(data), Run(out), None, out / "cache", World())


@pytest.mark.slow
def test_a_tiny_recipe_learns_colours(colour_set: Path, tmp_path: Path, invoke: Invoke) -> None:
    out = tmp_path / "run"
    invoke(main, "--recipe", "tiny", "--data", colour_set, "--out", out, "--epochs", 12)
    checkpoint = load_checkpoint(out / "model.safetensors")
    assert checkpoint.spec.categories == ("eiffel_tower", "stonehenge", "taj_mahal")
    rows = list(csv.DictReader((out / "log.csv").open()))
    assert len(rows) == 12
    assert float(rows[-1]["val_loss"]) < float(rows[0]["val_loss"])
    assert max(float(row["val_top1"]) for row in rows) > 0.7
    record = json.loads((out / "run.json").read_text())
    assert record["recipe"]["epochs"] == 12
    assert record["data"]["fingerprint"] == load_dataset(colour_set).fingerprint
    assert checkpoint.spec.provenance["data"] == record["data"]
    assert (out / "loss.png").is_file() and (out / "top1.png").is_file()


@pytest.mark.slow
def test_what_training_goes_without_is_said(tmp_path: Path, invoke: Invoke) -> None:
    root = write_set(tmp_path / "set", {"train": 4, "val": 2})
    for name in ("train0.jpg", "val1.jpg"):
        (root / "stonehenge" / name).write_bytes(b"no photo")
    manifest = root / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("taj_mahal,train", "eiffel_tower,train"))
    told = invoke(
        main, "--recipe", "tiny", "--data", root, "--out", tmp_path / "run", "--epochs", 1
    )
    assert re.search("not trained on: .*stonehenge/train0.jpg: not a photo.* and 1 more\n", told)
    assert "no train photos of: taj_mahal\n" in told


@pytest.mark.slow
def test_stopping_after_any_epoch_changes_nothing(colour_set: Path, tmp_path: Path) -> None:
    train(make_job(colour_set, tmp_path / "whole", epochs=3))
    states = []
    broken = make_job(colour_set, tmp_path / "broken", epochs=3)
    keep = broken.run.save_state

    def save_and_die(state: dict[str, object]) -> None:
        keep(state)
        states.append(state)
        if len(states) in (1, 2):
            raise KeyboardInterrupt

    broken.run.save_state = save_and_die  # type: ignore[method-assign, assignment]
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train(broken)
    train(broken)
    whole = (tmp_path / "whole/model.safetensors").read_bytes()
    assert (tmp_path / "broken/model.safetensors").read_bytes() == whole
    logs = [(tmp_path / name / "log.csv").read_text() for name in ("whole", "broken")]
    assert logs[0] == logs[1]


@pytest.mark.slow
def test_a_model_that_is_not_calibrated_yet_is_none(
    colour_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(colour_set, tmp_path, epochs=1)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("training.calibrate.score", interrupted)
        train(job)
    assert not job.run.model.exists()
    train(job)
    assert load_checkpoint(job.run.model).spec.temperature != 1


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_result(colour_set: Path, tmp_path: Path) -> None:
    def start(out: Path) -> subprocess.Popen[bytes]:
        command = ["--recipe", "tiny", "--epochs", "6", "--data", colour_set, "--out", out]
        return subprocess.Popen(
            [sys.executable, "-m", "training.train", *map(str, command)],
            cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    assert start(tmp_path / "whole").wait() == 0
    victim = start(tmp_path / "killed")
    while not (tmp_path / "killed/state.pt").is_file() and victim.poll() is None:
        time.sleep(0.01)
    victim.kill()
    victim.wait()
    assert start(tmp_path / "killed").wait() == 0
    results = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "killed")]
    assert results[0] == results[1]


@pytest.mark.slow
def test_two_processes_train_together(colour_set: Path, tmp_path: Path) -> None:
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m",
               "training.train", "--recipe", "tiny", "--epochs", "8", "--data", str(colour_set),
               "--out", str(tmp_path / "run")]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=True)
    rows = list(csv.DictReader((tmp_path / "run/log.csv").open()))
    assert len(rows) == 8
    assert float(rows[-1]["val_loss"]) < float(rows[0]["val_loss"])
    assert load_checkpoint(tmp_path / "run/model.safetensors").spec.thresholds is not None


@pytest.mark.slow
def test_a_folder_takes_one_run(colour_set: Path, tmp_path: Path, invoke: Invoke) -> None:
    arguments = ("--data", colour_set, "--out", tmp_path, "--epochs", 1)
    invoke(main, "--recipe", "tiny", *arguments)
    with pytest.raises(DataError, match="holds a run of another recipe"):
        invoke(main, "--recipe", "scratch-bn", *arguments)


@pytest.mark.slow
def test_left_out_labels_become_background(colour_set: Path, tmp_path: Path) -> None:
    job = make_job(colour_set, tmp_path, epochs=1, left_out=("stonehenge",))
    train(job)
    assert load_checkpoint(job.run.model).spec.categories == ("eiffel_tower", "taj_mahal")


@pytest.mark.slow
def test_a_frozen_trunk_is_computed_once_and_not_changed(
    colour_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(colour_set, tmp_path, frozen=True, views=2, epochs=2, mixup=0.0)
    train(job)
    torch.manual_seed(job.recipe.seed)
    untrained = build_model("lenet", 4).state_dict()
    tensors = load_checkpoint(job.run.model).tensors
    kept = tensors["features.0.weight"]
    assert np.array_equal(kept, round_weights(untrained["features.0.weight"].numpy()))
    head = round_weights(untrained["classifier.weight"].numpy())
    assert not np.array_equal(tensors["classifier.weight"], head)
    job.run.model.unlink()
    (tmp_path / "state.pt").unlink()

    def fail(*_: object) -> None:
        raise AssertionError("features were computed again")

    monkeypatch.setattr(trunk, "compiled", fail)
    train(job)


@pytest.mark.slow
def test_features_that_a_killed_run_had_are_not_computed_again(
    colour_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"frozen": True, "views": 2, "epochs": 2, "mixup": 0.0}
    train(make_job(colour_set, tmp_path / "whole", **settings))
    monkeypatch.setattr(trunk, "PART", trunk.BATCH)
    compiled, calls = trunk.compiled, []

    def die_at_the_third(*network: Any) -> Any:
        run = compiled(*network)

        def counted(batch: torch.Tensor) -> torch.Tensor:
            calls.append(batch)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return run(batch)

        return counted

    monkeypatch.setattr(trunk, "compiled", die_at_the_third)
    job = make_job(colour_set, tmp_path / "killed", **settings)
    with pytest.raises(KeyboardInterrupt):
        train(job)
    train(job)
    parts = list((tmp_path / "killed/cache").glob("features-*/*.npz"))
    assert len(calls) == len(parts) + 1
    whole = (tmp_path / "whole/model.safetensors").read_bytes()
    assert job.run.model.read_bytes() == whole


@pytest.mark.slow
def test_a_blend_lies_between_beginning_and_end(colour_set: Path, tmp_path: Path) -> None:
    def classifier(share: float) -> np.ndarray:
        out = tmp_path / str(share)
        job = make_job(colour_set, out, frozen=True, epochs=2, mixup=0.0, blend=share)
        train(job)
        return load_checkpoint(job.run.model).tensors["classifier.weight"].astype(np.float32)

    begun, half, fitted = (classifier(share) for share in (0.0, 0.5, 1.0))
    assert not np.allclose(begun, fitted, atol=1e-3)
    assert np.allclose(half, (begun + fitted) / 2, atol=1e-3)


@pytest.mark.slow
def test_the_best_or_the_last_epoch_is_kept(colour_set: Path, tmp_path: Path) -> None:
    """At a rate that makes the loss rise in the end, they are not the same."""
    settings = {"epochs": 6, "ema": 0.0, "learning_rate": 0.05}
    for keep in ("best", "last"):
        train(make_job(colour_set, tmp_path / keep, keep=keep, **settings))
    rows = list(csv.DictReader((tmp_path / "last/log.csv").open()))
    losses = [float(row["val_loss"]) for row in rows]
    state = torch.load(tmp_path / "last/state.pt", weights_only=True)
    last = load_checkpoint(tmp_path / "last/model.safetensors").tensors["classifier.weight"]
    assert np.array_equal(last, _stored(state["module"], "classifier.weight"))
    kept = load_checkpoint(tmp_path / "best/model.safetensors").tensors["classifier.weight"]
    assert np.array_equal(kept, _stored(state["best"], "classifier.weight"))
    assert np.array_equal(kept, last) == (losses.index(min(losses)) == 5)


def _stored(state: dict[str, torch.Tensor], name: str) -> np.ndarray:
    (value,) = (value for key, value in state.items() if key.endswith(name))
    return round_weights(value.numpy())


@pytest.mark.parametrize(
    ("counts", "label", "message"),
    [
        ({"val": 2}, "eiffel_tower", "no train photos"),
        ({"train": 1}, "eiffel_tower", "no val photos"),  # too few to take some for val
        ({"train": 2, "val": 2}, "negatives", "no photos of a landmark"),
    ],
)
def test_a_set_that_lacks_what_training_needs_is_named(
    counts: dict[str, int], label: str, message: str, tmp_path: Path, invoke: Invoke
) -> None:
    root = write_set(tmp_path / "set", counts)
    head, *rows = (root / "manifest.csv").read_text().splitlines()
    rows = [row for row in rows if row.startswith(label)]
    (root / "manifest.csv").write_text("\n".join([head, *rows]) + "\n")
    with pytest.raises(DataError, match=message):
        invoke(main, "--recipe", "tiny", "--data", root, "--out", tmp_path / "run")


@pytest.mark.slow
def test_training_that_diverges_says_so(colour_set: Path, tmp_path: Path) -> None:
    job = make_job(colour_set, tmp_path, epochs=1, optimiser="sgd", learning_rate=1e30)
    with pytest.raises(DataError, match="diverged"):
        train(job)


@pytest.mark.slow
@pytest.mark.parametrize("grey", [False, True])
def test_the_shipped_recipe_joins_tuned_backbones(
    grey: bool, colour_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 32 pixels, from random backbones: all stages of the recipe that takes an hour."""
    networks = {"efficientnet_lite1": EfficientNetLite, "pplcnetv2": PPLCNetV2}
    monkeypatch.setattr(
        "training.train.load_pretrained", lambda name, _: networks[name]().state_dict()
    )
    monkeypatch.setattr("training.train.accelerate", lambda _: 0)
    small = {"input_size": 32, "train_size": 32, "epochs": 1, "batch_size": 8, "views": 1}
    for name in ("shipped-lite1", "shipped-pplcnetv2"):
        monkeypatch.setitem(RECIPES, name, replace(RECIPES[name], **small))
    changes = {"left_out": ("stonehenge",), "seed": 3, "greyscale": grey}
    recipe = replace(RECIPES["shipped"], **small, **changes)
    job = make_job(colour_set, tmp_path)._replace(recipe=recipe)
    assert train(job, "shipped-pplcnetv2") == tmp_path / "shipped-pplcnetv2" / "model.safetensors"
    assert not list(tmp_path.glob("model.*")) and not list(tmp_path.glob("shipped-lite1/model.*"))
    train(job)
    whole = load_checkpoint(job.run.model)
    part = load_checkpoint(tmp_path / "shipped-lite1" / "model.safetensors")
    assert whole.spec.categories == ("eiffel_tower", "taj_mahal")
    assert part.spec.categories == ("eiffel_tower", "stonehenge", "taj_mahal")
    assert part.spec.provenance["recipe"]["seed"] == 3
    before = "1." if grey else ""
    name = f"{before}backbones.0.backbone.last.0.weight"
    assert np.array_equal(whole.tensors[name], part.tensors[name])
    stem = f"{before}backbones.0.backbone.stem.0.weight"  # frozen, the classifiers are not
    assert np.array_equal(whole.tensors[stem], part.tensors[stem])
    written = job.run.model.read_bytes()
    train(job)
    assert job.run.model.read_bytes() == written


@pytest.mark.slow
def test_several_backbones_start_from_weights_of_their_own(
    colour_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    states = {
        "efficientnet_lite1": EfficientNetLite().state_dict(),
        "pplcnetv2": PPLCNetV2().state_dict(),
    }
    monkeypatch.setattr("training.train.load_pretrained", lambda name, _: states[name])
    recipe = replace(RECIPES["backbones"], input_size=32, train_size=32, epochs=1)
    job = make_job(colour_set, tmp_path)._replace(recipe=recipe)
    train(job)
    tensors = load_checkpoint(job.run.model).tensors
    for number, state in enumerate(states.values()):
        for name, value in state.items():
            kept = tensors[f"backbones.{number}.backbone.{name}"]
            assert np.array_equal(kept, round_weights(value.numpy()))


@pytest.mark.slow
def test_grey_models_see_no_colour(colour_set: Path, tmp_path: Path) -> None:
    job = make_job(colour_set, tmp_path, epochs=1, greyscale=True)
    train(job)
    spec = load_checkpoint(job.run.model).spec
    assert spec.architecture == "lenet_grey"
    network = build_model(spec.architecture, 4).eval()
    red, same_luminance = torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32)
    red[:, 0], same_luminance[:, 1] = 1.0, 0.299 / 0.587
    assert torch.allclose(network(red), network(same_luminance), atol=1e-5)


@pytest.mark.slow
def test_grey_models_start_from_pretrained_weights(
    colour_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(7)
    state = build_model("resnet18", 1000).state_dict()
    monkeypatch.setattr("training.train.load_pretrained", lambda *_: state)
    recipe = replace(RECIPES["resnet18"], input_size=32, train_size=32, epochs=1)
    cache = tmp_path / "cache"
    for grey in (False, True):
        job = make_job(colour_set, tmp_path / str(grey))
        job = job._replace(recipe=replace(recipe, greyscale=grey), cache=cache)
        train(job)
        tensors = load_checkpoint(job.run.model).tensors
        kept = tensors["1.conv1.weight" if grey else "conv1.weight"]
        assert np.array_equal(kept, round_weights(state["conv1.weight"].numpy()))
    assert len(list(cache.glob("features-*"))) == 2  # what colours gave is not taken for grey


def test_weights_of_another_network_are_refused(
    colour_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = build_model("resnet18", 1000).state_dict()
    monkeypatch.setattr("training.train.load_pretrained", lambda *_: state)
    recipe = replace(RECIPES["resnet50"], input_size=32, train_size=32, epochs=1)
    with pytest.raises(DataError, match="weights of resnet50 do not fit resnet50: they lack"):
        train(make_job(colour_set, tmp_path)._replace(recipe=recipe))


def test_a_part_that_is_none_is_named(colour_set: Path, tmp_path: Path, invoke: Invoke) -> None:
    with pytest.raises(DataError, match="tiny has no part 'wheel'"):
        invoke(main, "--recipe", "tiny", "--part", "wheel", "--data", colour_set, "--out", tmp_path)


def test_recipes_name_networks_that_exist() -> None:
    for recipe in RECIPES.values():
        assert recipe.source
        assert all(part in RECIPES for part in recipe.parts)
        if recipe.frozen:
            assert recipe.train_size == recipe.input_size


def test_an_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(DataError, match="scratch-bn"):
        find_recipe("magic")
