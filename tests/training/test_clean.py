"""Wrong labels, copies and outliers planted in a generated set are found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geotag.errors import DataError
from tests.conftest import picture
from tests.training.conftest import Invoke, write_set
from training import clean
from training.data.dataset import Sample, load_dataset


@pytest.mark.slow
def test_planted_faults_end_on_the_list(model_path: Path, tmp_path: Path, invoke: Invoke) -> None:
    pytest.importorskip("cleanlab")
    root = write_set(tmp_path / "set", {"train": 14, "val": 4}, mislabelled=2)
    shutil.copy(root / "taj_mahal/val0.jpg", root / "taj_mahal/train3.jpg")
    (root / "stonehenge/train5.jpg").write_bytes(b"\xff\xd8\xff broken")
    out = tmp_path / "out"
    output = invoke(
        clean.main, "--data", root, "--model", model_path, "--deviations", 1000, "--out", out
    )
    report = json.loads((out / "clean.json").read_text())
    for n in range(2):
        assert report["mislabelled"][f"eiffel_tower/train{n}.jpg"] == (
            "mislabelled: rather eiffel_tower"
        )
    assert report["duplicates"]["taj_mahal/train3.jpg"] == "duplicate of taj_mahal/val0.jpg"
    exclusions = out / "exclusions.csv"
    left = load_dataset(root, exclusions)
    gone = {s.path for s in load_dataset(root).samples} - {s.path for s in left.samples}
    planted = {"eiffel_tower/train0.jpg", "eiffel_tower/train1.jpg", "taj_mahal/train3.jpg",
               "stonehenge/train5.jpg"}  # fmt: skip
    assert gone == planted
    assert f"--exclude {exclusions}" in output
    for name in ("mislabelled", "duplicates", "outliers"):
        Image.open(out / f"{name}.png").verify()


@pytest.mark.slow
def test_a_sheet_shows_a_copy_beside_what_it_is_a_copy_of(
    model_path: Path, tmp_path: Path, invoke: Invoke
) -> None:
    pytest.importorskip("cleanlab")
    root = write_set(tmp_path / "set", {"train": 8, "val": 4})
    shutil.copy(root / "taj_mahal/val0.jpg", root / "taj_mahal/train3.jpg")
    out = tmp_path / "out"
    invoke(clean.main, "--data", root, "--model", model_path, "--epochs", 0, "--out", out)
    sheet = np.asarray(Image.open(out / "duplicates.png"))
    copy, original, nothing = (sheet[2:114, at * 116 + 2 : at * 116 + 114] for at in range(3))
    np.testing.assert_array_equal(copy, original)
    assert copy.std() > 0 and (nothing == 255).all()


@pytest.mark.slow
@pytest.mark.parametrize("parts", [["train"], ["train", "val"]])
def test_only_the_named_splits_lose_photos(
    parts: list[str], model_path: Path, tmp_path: Path, invoke: Invoke
) -> None:
    pytest.importorskip("cleanlab")
    root = write_set(tmp_path / "set", {"train": 8, "val": 4})
    broken = {f"stonehenge/{part}2.jpg": part for part in ("train", "val")}
    for path in broken:
        (root / path).write_bytes(b"\xff\xd8\xff broken")
    options = [option for part in parts for option in ("--from", part)]
    out = tmp_path / "out"
    invoke(clean.main, "--data", root, "--model", model_path, "--epochs", 0, *options, "--out", out)
    left_out = {row.split(",")[0] for row in (out / "exclusions.csv").read_text().splitlines()[1:]}
    assert left_out == {path for path, part in broken.items() if part in parts}
    assert set(json.loads((out / "clean.json").read_text())["unreadable"]) == set(broken)


@pytest.mark.slow
def test_a_class_that_cannot_be_held_out_is_not_judged() -> None:
    pytest.importorskip("cleanlab")
    rng = np.random.default_rng(0)
    labels = [*("abc" * 8), "lone"]
    samples = [Sample(f"{n}.jpg", label, "train", "", f"{n}") for n, label in enumerate(labels)]
    centres = {"a": 0, "b": 1, "c": 2, "lone": 1}
    embeddings = np.stack([6 * np.eye(16)[centres[label]] for label in labels])
    embeddings += rng.normal(0, 1, embeddings.shape)
    assert clean.find_mislabelled(samples, embeddings, seed=0) == []
    samples[3] = samples[3]._replace(label="c")  # one wrong label is found beside it
    found = clean.find_mislabelled(samples, embeddings, seed=0)
    assert [(s.at, s.reason) for s in found] == [(3, "mislabelled: rather a")]


@pytest.mark.slow
@pytest.mark.parametrize("counts", [(1, 1), (2, 1), (2, 2), (1, 1, 1, 1, 1, 1)])
def test_a_handful_of_photos_has_nothing_to_tell(counts: tuple[int, ...]) -> None:
    pytest.importorskip("cleanlab")
    samples = [Sample(f"{label}{n}.jpg", str(label), "train", "", f"{label}{n}")
               for label, count in enumerate(counts) for n in range(count)]  # fmt: skip
    embeddings = np.random.default_rng(0).normal(size=(len(samples), 8))
    clean.find_mislabelled(samples, embeddings, seed=0)


def test_an_empty_split_is_named(model_path: Path, tmp_path: Path, invoke: Invoke) -> None:
    root = write_set(tmp_path / "set", {"train": 2, "val": 1})
    with pytest.raises(DataError, match="no photos in split test"):
        invoke(clean.main, "--data", root, "--model", model_path, "--from", "test",
               "--out", tmp_path / "out")  # fmt: skip


def test_a_rescaled_copy_has_the_same_hash() -> None:
    rng = np.random.default_rng(0)
    soft = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
    large = soft.resize((256, 256), Image.Resampling.BICUBIC)
    small = np.asarray(large.resize((128, 128)))
    one, two = clean.difference_hash(np.asarray(large)[None]), clean.difference_hash(small[None])
    other = clean.difference_hash(np.asarray(picture("", size=(64, 64)))[None])
    assert np.bitwise_count(one ^ two)[0] <= 2 < np.bitwise_count(one ^ other)[0]


def test_the_test_photo_stays_and_the_train_photo_goes() -> None:
    samples = [Sample(f"{split}.jpg", "a" if split != "val" else "b", split)
               for split in ("train", "val", "test")]  # fmt: skip
    hashes, colours = np.array([7, 7, 5], np.uint64), np.array([[100.0], [101], [110]])
    found = clean.find_duplicates(samples, hashes, colours)
    assert found == [
        (0, "duplicate of val.jpg under another label", 1),
        (1, "duplicate of test.jpg under another label", 2),
    ]
    assert clean.find_duplicates(samples, hashes, colours * 20) == []


@pytest.mark.slow
def test_what_the_auto_encoder_cannot_rebuild_is_an_outlier() -> None:
    level = np.linspace(40, 200, 100).astype(np.uint8)
    pixels = np.broadcast_to(level[:, None, None, None], (100, 64, 64, 3)).copy()
    pixels[42] = np.random.default_rng(0).integers(0, 256, (64, 64, 3))
    errors = clean.reconstruction_errors(pixels, 30, seed=0)
    assert clean.find_outliers(errors, 6.0)[0].at == 42


def test_the_same_seed_gives_the_same_errors() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    first, second = (clean.reconstruction_errors(pixels, 1, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first, second)
