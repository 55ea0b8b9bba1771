"""The evaluation's report, on a model that is right and on hand-made scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geotag.errors import DataError
from geotag.model.checkpoint import load_checkpoint
from tests.training.conftest import PHOTOS, Invoke, write_set
from training.data.dataset import Sample
from training.evaluate import judge, main, measure, measure_classes, measure_sources


@pytest.fixture(autouse=True)
def few_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which precision and recall are estimated: 200 take seconds."""
    monkeypatch.setattr("training.reports.mixtures.LIBRARIES", 20)


def test_a_right_model_gets_full_marks(
    colour_set: Path, model_path: Path, tmp_path: Path, invoke: Invoke
) -> None:
    pytest.importorskip("matplotlib")
    output = invoke(
        main, "--data", colour_set, "--model", model_path, "--split", "test", "--out", tmp_path
    )
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["known_landmarks"] == 3 * PHOTOS["test"]
    assert report["negatives"] == PHOTOS["test"]
    for figure in ("top1", "top5", "gap", "recall_at_precision_0.99"):
        assert report[figure] == 1
    assert report["no_landmark"]["auroc"] == 1 and report["no_landmark"]["fpr95"] == 0
    assert report["thresholds"]["0.99"]["negatives_refused"] == 1
    assert report["classes"]["eiffel_tower"]["f1"] == 1
    assert set(report["by_source"]) == {"web", "camera"}
    assert report["ece"] < 0.1
    assert "top1                       1.0000" in output
    for name in ("reliability", "risk_coverage", "precision_recall", "mistakes", "countries"):
        with Image.open(tmp_path / f"{name}.png") as image:
            assert image.format == "PNG"


def test_what_the_model_gets_wrong_is_counted(
    model_path: Path, tmp_path: Path, invoke: Invoke
) -> None:
    root = write_set(tmp_path / "set", {"train": 2, "val": 2})
    lines = (root / "manifest.csv").read_text().splitlines()
    # Half of the red photos are said to be an unknown landmark, half of the grey ones Stonehenge.
    lines = [
        line.replace(",eiffel_tower,", ",atomium,") if "tower/val0" in line else line
        for line in lines
    ]
    lines = [line.replace(",,val", ",stonehenge,val") if "val1" in line else line for line in lines]
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    (root / "taj_mahal/val0.jpg").write_bytes(b"not a photo")
    out = tmp_path / "out"
    output = invoke(main, "--data", root, "--model", model_path, "--out", out, "--no-plots")
    assert "1 more cannot be read" in output
    report = json.loads((out / "report.json").read_text())
    assert list(report["unreadable"]) == ["taj_mahal/val0.jpg"]
    assert (report["known_landmarks"], report["negatives"], report["other_landmarks"]) == (5, 1, 1)
    assert report["thresholds"]["0.99"]["other_landmarks_refused"] == 0
    assert report["thresholds"]["0.99"]["precision"] == pytest.approx(4 / 5)
    assert report["thresholds"]["0.99"]["recall"] == pytest.approx(4 / 5)
    assert report["classes"]["stonehenge"]["recall"] == pytest.approx(2 / 3)
    assert report["mistakes"] == [
        {"label": "no landmark", "predicted": "Eiffel Tower", "times": 1, "photos": 2},
        {"label": "Stonehenge", "predicted": "no landmark", "times": 1, "photos": 3},
    ]
    assert not list(out.glob("*.png"))


@pytest.mark.slow
def test_include_keeps_negatives(
    colour_set: Path, model_path: Path, tmp_path: Path, invoke: Invoke
) -> None:
    invoke(
        main, "--data", colour_set, "--model", model_path, "--out", tmp_path, "--no-plots",
        "--include", "taj_mahal/*",
    )  # fmt: skip
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["known_landmarks"], report["negatives"]) == (PHOTOS["val"], PHOTOS["val"])


def test_a_glob_that_matches_nothing_is_named(
    colour_set: Path, model_path: Path, tmp_path: Path, invoke: Invoke
) -> None:
    with pytest.raises(DataError, match=r"in split val matches landmark/\*$"):
        invoke(main, "--data", colour_set, "--model", model_path, "--out", tmp_path,
               "--include", "landmark/*")  # fmt: skip


def test_an_empty_split_is_an_error(model_path: Path, tmp_path: Path, invoke: Invoke) -> None:
    root = write_set(tmp_path / "set", {"train": 1, "val": 1})
    with pytest.raises(DataError, match="no photos in split test"):
        invoke(main, "--data", root, "--model", model_path, "--split", "test", "--out", tmp_path)


def test_figures_by_hand(model_path: Path) -> None:
    spec = load_checkpoint(model_path).spec
    labels = ["eiffel_tower", "taj_mahal", "", "atomium"]
    samples = [Sample(f"{n}.jpg", label, "val", "web") for n, label in enumerate(labels)]
    order = [spec.categories.index(s) for s in ("eiffel_tower", "taj_mahal", "stonehenge")] + [3]
    scores = np.array([[0.9, 0, 0, 0.1], [0.6, 0.4, 0, 0], [0.2, 0, 0, 0.8], [0, 0, 0.95, 0.05]])[
        :, np.argsort(order)
    ]
    judged = judge(samples, scores, spec.categories)
    report = measure(judged, spec)
    assert report["top1"] == 0.5 and report["top5"] == 1
    # Without the unknown landmark the one right answer leads the list; with it, it is second.
    assert report["gap"] == pytest.approx(1 / 2)
    assert report["gap_with_other_landmarks"] == pytest.approx(1 / 4)
    assert report["no_landmark"]["auroc"] == 1
    classes = measure_classes(judged, spec)
    # One of two taken for it is right; the one there is, is found.
    expected = {"precision": 0.5, "recall": 1, "f1": pytest.approx(2 / 3), "support": 1}
    assert classes["eiffel_tower"] == expected
    assert np.isnan(classes["stonehenge"]["recall"])  # there is none, but one is taken for it
    assert classes["(no landmark)"]["support"] == 2
    by_source = measure_sources(judged, samples, 0.9)
    assert by_source["web"]["tagged"] == 0.5 and by_source["web"]["tagged_rightly"] == 0.25
