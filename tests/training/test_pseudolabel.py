"""Unlabelled photos: the doubtful ones are asked for, the sure ones taken."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geotag.errors import DataError
from geotag.model.checkpoint import load_checkpoint
from geotag.review.labels import format_labels
from geotag.state.decisions import Decision, Verdict
from tests.conftest import COLOURS, picture
from tests.training.conftest import Invoke, write_set
from training import pseudolabel
from training.data.dataset import Sample, load_dataset


def test_the_new_manifest_trains_with_sure_photos(
    model_path: Path, tmp_path: Path, invoke: Invoke
) -> None:
    root = write_set(tmp_path / "set", {"train": 2, "val": 1})
    unlabelled = root / "unlabelled"
    unlabelled.mkdir()
    for colour in COLOURS:
        for n in range(3):
            picture(colour, seed=n).save(unlabelled / f"{colour or 'grey'}{n}.jpg")
    (unlabelled / "broken.jpg").write_bytes(b"no photo")
    out = tmp_path / "out"
    output = invoke(
        pseudolabel.main, "--data", root, "--photos", unlabelled, "--model", model_path,
        "--count", 1, "--most", 2, "--out", out,
    )  # fmt: skip
    assert "12 unlabelled photos: 1 to label, 8 taken as labelled, 1 unreadable" in output
    with (out / "to_label.csv").open() as file:
        (asked,) = csv.DictReader(file)
    Image.open(out / "to_label.png").verify()
    before = load_dataset(root)
    (root / "manifest.csv").write_bytes((out / "manifest.csv").read_bytes())
    after = load_dataset(root)
    new = set(after.samples) - set(before.samples)
    assert set(before.samples) <= set(after.samples) and len(new) == 8
    assert asked["path"] not in {sample.path for sample in new}
    for sample in new:
        assert (sample.split, sample.source) == ("train", "pseudolabel")
        assert Path(sample.path).stem[:-1] == (sample.label or "grey")


def test_labels_of_a_review_are_taken_and_not_asked_for_again(
    model_path: Path, tmp_path: Path, invoke: Invoke
) -> None:
    root = write_set(tmp_path / "set", {"train": 2, "val": 1})
    unlabelled = root / "unlabelled"
    unlabelled.mkdir()
    for n in range(4):
        picture("taj_mahal", seed=n).save(unlabelled / f"{n}.jpg")
    decided = {
        "/elsewhere/x.jpg": Decision(Verdict.REJECTED),
        str(unlabelled / "0.jpg"): Decision(Verdict.REJECTED),
        str(unlabelled / "1.jpg"): Decision(Verdict.CHANGED, "Stonehenge", "stonehenge"),
    }
    labels = root / "labels.csv"
    labels.write_text(format_labels(decided, root)[0] + "gone.jpg,,train,review,gone.jpg\n")
    out = tmp_path / "out"
    output = invoke(
        pseudolabel.main, "--data", root, "--photos", unlabelled, "--model", model_path,
        "--count", 0, "--labels", labels, "--out", out,
    )  # fmt: skip
    assert "2 unlabelled photos: 0 to label, 2 taken as labelled" in output
    assert "2 labels" in output and "1 of photos that are not below" in output
    (root / "manifest.csv").write_bytes((out / "manifest.csv").read_bytes())
    new = {s.path: (s.label, s.split) for s in load_dataset(root).samples if s.source == "review"}
    assert new == {
        "unlabelled/0.jpg": ("", "train"),
        "unlabelled/1.jpg": ("stonehenge", "train"),
    }


def test_no_class_is_added(model_path: Path, tmp_path: Path, invoke: Invoke) -> None:
    """A model may know landmarks that the set has no photos of."""
    root = write_set(tmp_path / "set", {"train": 2, "val": 1})
    manifest = root / "manifest.csv"
    kept = [line for line in manifest.read_text().splitlines() if "stonehenge" not in line]
    manifest.write_text("\n".join(kept) + "\n")
    out = tmp_path / "out"
    output = invoke(
        pseudolabel.main, "--data", root, "--photos", root / "stonehenge", "--model", model_path,
        "--count", 1, "--out", out,
    )  # fmt: skip
    assert "3 unlabelled photos: 1 to label, 0 taken as labelled" in output
    assert "stonehenge" not in (out / "manifest.csv").read_text()
    assert "stonehenge" in (out / "to_label.csv").read_text()


def test_excluded_photos_stay_out(model_path: Path, tmp_path: Path, invoke: Invoke) -> None:
    root = write_set(tmp_path / "set", {"train": 3, "val": 1})
    picture("eiffel_tower", seed=99).save(root / "eiffel_tower/new.jpg")
    (tmp_path / "exclusions.csv").write_text("file,reason\neiffel_tower/train1.jpg,a copy\n")
    output = invoke(
        pseudolabel.main, "--data", root, "--photos", root, "--model", model_path, "--count", 0,
        "--exclude", tmp_path / "exclusions.csv", "--out", tmp_path / "out",
    )  # fmt: skip
    assert "1 unlabelled photos: 0 to label, 1 taken as labelled" in output
    written = (tmp_path / "out/manifest.csv").read_text()
    assert "eiffel_tower/new.jpg" in written and "eiffel_tower/train1.jpg" not in written
    assert not (tmp_path / "out/to_label.png").exists()


def test_a_model_without_the_threshold_says_what_to_do(
    model_path: Path, tmp_path: Path, invoke: Invoke
) -> None:
    root = write_set(tmp_path / "set", {"train": 2, "val": 1})
    picture("taj_mahal").save(root / "new.jpg")
    with pytest.raises(DataError, match="--confidence"):
        invoke(
            pseudolabel.main, "--data", root, "--photos", root, "--model", model_path,
            "--precision", 0.999, "--out", tmp_path / "out",
        )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_only_the_surest_of_each_class_are_taken() -> None:
    guesses = [
        pseudolabel.Guess(f"{label}{confidence}.jpg", label, confidence, 0.0)
        for label in ("b", "a", "") for confidence in (0.91, 0.99, 0.89, 0.95, 0.9)
    ]  # fmt: skip
    taken = pseudolabel.take_surest(guesses, least=0.9, most=3)
    assert [(g.label, g.confidence) for g in taken] == [
        (label, confidence) for label in ("", "a", "b") for confidence in (0.99, 0.95, 0.91)
    ]


def test_photos_outside_the_set_are_refused(tmp_path: Path) -> None:
    dataset = load_dataset(write_set(tmp_path / "set", {"train": 1}))
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match="must lie below"):
        pseudolabel.find_unlabelled(dataset, tmp_path / "other")
    with pytest.raises(DataError, match="not labelled yet"):
        pseudolabel.find_unlabelled(dataset, dataset.root)


@pytest.mark.parametrize("doubt", pseudolabel.DOUBTS)
def test_each_measure_of_doubt_ranks_the_even_one_first(doubt: str, model_path: Path) -> None:
    spec = load_checkpoint(model_path).spec
    samples = [Sample(f"{n}.jpg", "", "train") for n in range(3)]
    scores = np.array([[0.97, 0.01, 0.01, 0.01], [0.3, 0.3, 0.2, 0.2], [0.1, 0.7, 0.1, 0.1]])
    ranked = pseudolabel.rank(samples, scores, spec, doubt)
    assert [guess.path for guess in ranked] == ["1.jpg", "2.jpg", "0.jpg"]
    assert ranked[2].label == spec.categories[0]
