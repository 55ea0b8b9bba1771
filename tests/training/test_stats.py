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
    assert report["histogram"]["green"][pixels[0, 0, 0, 1]] >= 1
    assert report["histogram"]["red"].sum() == 3 * 64


def test_the_report_counts_and_draws(colour_set: Path, tmp_path: Path, invoke: Invoke) -> None:
    pytest.importorskip("matplotlib")
    output = invoke(main, "--data", colour_set, "--split", "all", "--size", 32, "--out", tmp_path)
    report = json.loads((tmp_path / "stats.json").read_text())
    assert report["splits"] == {split: 4 * count for split, count in PHOTOS.items()}
    assert report["labels"]["stonehenge"] == PHOTOS
    assert report["labels"]["(no landmark)"] == PHOTOS
    assert report["photos"] == report["read"] == 4 * sum(PHOTOS.values())
    # A third of the landmarks is red, of the photos a quarter grey.
    assert report["mean"][0] == pytest.approx((200 + 30 + 30 + 128) / 4 / 255, abs=0.02)
    assert f"{report['photos']} photos of 3 classes" in output
    for name in ("histogram", "classes", "samples"):
        Image.open(tmp_path / f"{name}.png").verify()
