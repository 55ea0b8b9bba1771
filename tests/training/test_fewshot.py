"""The measurement of added landmarks, and the background that they are told from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from geotag.errors import DataError
from geotag.model.checkpoint import load_checkpoint, save_checkpoint
from geotag.recognition.landmarks import load_background
from tests.training.conftest import Invoke, write_set
from training import background, fewshot
from training.data.dataset import load_dataset


@pytest.fixture(scope="module")
def big_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("big"), {"train": 24, "val": 10})


def test_left_out_labels_are_random_but_fixed(big_set: Path) -> None:
    dataset = load_dataset(big_set)
    labels = fewshot.choose_labels(dataset, 2, 20, seed=0)
    assert len(labels) == 2 and labels == fewshot.choose_labels(dataset, 2, 20, seed=0)
    reduced = fewshot.without(dataset, labels)
    assert set(reduced.classes) == set(dataset.classes) - set(labels)
    with pytest.raises(DataError, match="0 classes have 99"):
        fewshot.choose_labels(dataset, 1, 99, seed=0)


def test_the_background_is_chosen_evenly(big_set: Path) -> None:
    dataset = load_dataset(big_set)
    chosen = background.choose(dataset, dataset.classes, 40, seed=0)
    assert all(sample.split == "train" for sample in chosen)
    counts = [sum(s.label == label for s in chosen) for label in (*dataset.classes, "")]
    assert counts == [9, 9, 9, 12]
    chosen = background.choose(dataset, ["stonehenge"], 40, seed=0)
    assert {sample.label for sample in chosen} == {"stonehenge", ""}


@pytest.mark.slow
def test_a_landmark_that_was_left_out_is_learned(
    big_set: Path, model_path: Path, tmp_path: Path, invoke: Invoke
) -> None:
    """The model of the tests, without its output for blue."""
    checkpoint = load_checkpoint(model_path)
    spec, at = checkpoint.spec, checkpoint.spec.categories.index("stonehenge")
    tensors = {
        name: np.delete(t, at, 0) if name.startswith("classifier.") else t
        for name, t in checkpoint.tensors.items()
    }
    categories = tuple(c for c in spec.categories if c != "stonehenge")
    dataset = load_dataset(big_set)
    save_checkpoint(tmp_path / "lacking.safetensors", spec._replace(categories=categories), tensors)
    lacking = load_checkpoint(tmp_path / "lacking.safetensors")
    reduced = write_set(tmp_path / "reduced", {"train": 20})
    lines = (reduced / "manifest.csv").read_text().splitlines()
    kept = [line for line in lines if not line.startswith("stonehenge")]
    (reduced / "manifest.csv").write_text("\n".join(kept) + "\n")
    out = tmp_path / "ready.safetensors"
    output = invoke(
        background.main, "--data", reduced, "--model", tmp_path / "lacking.safetensors",
        "--count", 60, "--out", out,
    )  # fmt: skip
    assert "58 photos as background" in output
    assert len(load_background(load_checkpoint(out))) == 58
    before = fewshot.judge_own(lacking, dataset, dataset.of("val"))
    assert before.labels.max() == 3  # blue is no category of this model
    taught, estimated = fewshot.teach(load_checkpoint(out), dataset, ["stonehenge"], 15, seed=0)
    written = tmp_path / "taught.safetensors"  # engines cache networks by this hash
    assert save_checkpoint(written, taught.spec, taught.tensors) == taught.header.sha256
    judged = fewshot.judge_own(taught, dataset, dataset.of("val"))
    report = fewshot.figures(judged, 1, 0.9)
    assert report["top1"] == report["recall"] == report["precision"] == 1
    assert report["known_top1"] == report["known_recall"] == 1
    assert report["photos"] == 10 and estimated == 1


@pytest.mark.slow
def test_the_command_trains_without_some_classes_and_adds_them(
    tmp_path: Path, invoke: Invoke
) -> None:
    root = write_set(tmp_path / "set", {"train": 24, "val": 120, "test": 6})
    output = invoke(
        fewshot.main, "--recipe", "tiny", "--epochs", 12, "--data", root, "--classes", 1,
        "--shots", 5, "--shots", 8, "--split", "test", "--out", tmp_path / "out",
    )  # fmt: skip
    report = json.loads((tmp_path / "out/fewshot.json").read_text())
    (label,) = report["labels"]
    trained = load_checkpoint(tmp_path / "out/run/model.safetensors").spec.categories
    assert set(trained) == {"eiffel_tower", "stonehenge", "taj_mahal"} - {label}
    assert list(report["shots"]) == ["5", "8"] and report["shots"]["8"]["photos"] == 6
    assert 0 <= report["shots"]["8"]["recall"] <= report["shots"]["8"]["top1"] <= 1
    for shown in report["shots"].values():
        assert 0 <= shown["tags_lost"] <= shown["tags"]
        assert 0 <= shown["negatives_passing"] <= 1
    assert "  5 photos: top-1" in output and "  8 photos: top-1" in output


@pytest.mark.slow
def test_a_model_that_can_promise_nothing_is_an_error_that_says_so(
    colour_set: Path, tmp_path: Path, invoke: Invoke
) -> None:
    with pytest.raises(DataError, match="train longer"):
        invoke(
            fewshot.main, "--recipe", "tiny", "--epochs", 1, "--data", colour_set, "--classes", 1,
            "--shots", 5, "--out", tmp_path,
        )  # fmt: skip
