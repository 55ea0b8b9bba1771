"""Statistics of a training set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.training.conftest import PHOTOS, Invoke
from training.stats import main, measure_pixels


def test_channel_statistics_are_those_of_the_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    report = measure_pixels(pixels)
    scaled = pixels.reshape(-1, 3) / 255
    np.testing.assert_allclose(report["mean"], scaled.mean(0))
    np.testing.assert_allclose(report["std"], scaled.std(0))
    for number, name in enumerate(("red", "green", "blue")):
        values, counts = np.unique(pixels[..., number], return_counts=True)
        np.testing.assert_array_equal(report["histogram"][name][values], counts)
        assert report["histogram"][name].sum() == 3 * 64
    assert (measure_pixels(np.full((1, 4, 4, 3), 77, np.uint8))["std"] < 1e-6).all()


def test_the_report_counts_and_draws(colour_set: Path, tmp_path: Path, invoke: Invoke) -> None:
    pytest.importorskip("matplotlib")
    output = invoke(main, "--data", colour_set, "--split", "all", "--size", 32, "--out", tmp_path)
    report = json.loads((tmp_path / "stats.json").read_text())
    assert report["splits"] == {split: 4 * count for split, count in PHOTOS.items()}
    assert report["labels"]["stonehenge"] == PHOTOS
    assert report["labels"]["(no landmark)"] == PHOTOS
    assert report["photos"] == report["read"] == 4 * sum(PHOTOS.values())
    # A quarter of the photos is red, green, blue, grey each.
    assert report["mean"][0] == pytest.approx((200 + 30 + 30 + 128) / 4 / 255, abs=0.02)
    assert f"{report['photos']} photos of 3 classes" in output
    for name in ("histogram", "classes", "samples"):
        Image.open(tmp_path / f"{name}.png").verify()
    drawn = set(Image.open(tmp_path / "histogram.png").convert("RGB").get_flattened_data())
    assert {(255, 0, 0), (0, 128, 0), (0, 0, 255)} <= drawn  # each channel in its own colour


def test_pixels_are_those_of_train_unless_told(
    colour_set: Path, tmp_path: Path, invoke: Invoke
) -> None:
    """What a network is normalised by must not know val and test."""
    pytest.importorskip("matplotlib")
    count = 4 * PHOTOS["train"]
    arguments = ["--data", colour_set, "--size", 32, "--out", tmp_path]
    assert f"read {count} of {count} (train)" in invoke(main, *arguments)
    output = invoke(main, *arguments, "--limit", 5, "--split", "val")
    assert f"read 5 of {4 * PHOTOS['val']} (val), 0 unreadable" in output
    assert json.loads((tmp_path / "stats.json").read_text())["read"] == 5
