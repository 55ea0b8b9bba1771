"""The look at thumbnails: a network of its own for it, and a gate as high as the tags allow."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from geotag.checkpoint import Checkpoint, Glance, Threshold, load_checkpoint, read_header
from geotag.engines.pytorch import load_network
from geotag.model import build_model
from tests.conftest import picture
from tests.training.conftest import Invoke, write_set
from training import glance
from training.glance import LEAST_TAGS, THUMBNAIL, Confidences, fit_thresholds, thumbnail


def _seen(count: int = 1000) -> Confidences:
    rng = np.random.default_rng(0)
    photos = rng.uniform(0, 1, count)
    return Confidences(photos, photos * rng.uniform(0.2, 1, count))


def test_no_more_than_the_share_of_tags_is_lost() -> None:
    seen = _seen()
    thresholds = (Threshold(0.9, 0.3), Threshold(0.99, 0.7))
    for loss in (0.0, 0.005, 0.05):
        gates = fit_thresholds(seen, thresholds, loss)
        for (precision, confidence), (fitted, least) in zip(thresholds, gates, strict=True):
            tagged = seen.thumbnails[seen.photos >= confidence]
            assert precision == fitted
            assert (tagged < least).mean() <= loss
            assert (tagged <= least).mean() > loss


def test_few_tags_give_no_gate() -> None:
    seen = _seen()
    rare = float(np.sort(seen.photos)[-LEAST_TAGS + 1])
    assert fit_thresholds(seen, (Threshold(0.99, rare),)) == ()


def test_a_thumbnail_is_a_cameras() -> None:
    small = thumbnail(Image.new("RGB", (900, 1200), (200, 100, 50)))
    assert small.size == THUMBNAIL
    assert np.abs(np.asarray(small).astype(int) - (200, 100, 50)).max() < 8


def test_the_command_fits_a_network_that_knows_thumbnails(
    model_path: Path, tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glance, "LEAST_TAGS", 6)
    data = write_set(tmp_path, {"train": 12, "val": 4}, size=(240, 180))
    model = Path(shutil.copy(model_path, tmp_path / "model.safetensors"))
    said = invoke(glance.main, "--model", model, "--data", data, "--size", 32)
    assert "lost 0.00% of 12 tags, read 0.0% of 4 negatives" in said
    checkpoint = load_checkpoint(model)
    assert [t.precision for t in checkpoint.spec.glance.thresholds] == [0.95, 0.99]
    assert checkpoint.weights.keys() == load_checkpoint(model_path).weights.keys()
    network = load_network(checkpoint.glancing())
    shown = np.stack([np.asarray(picture(c, (32, 32), seed=9)) for c in ("taj_mahal", "")])
    with torch.inference_mode():
        assert network(torch.from_numpy(shown)).argmax(1).tolist() == [
            checkpoint.spec.categories.index("taj_mahal"),
            len(checkpoint.spec.categories),
        ]
    again = read_header(model).sha256
    invoke(glance.main, "--model", model, "--data", data, "--size", 32)
    assert read_header(model).sha256 == again


def test_one_backbone_looks_for_two(model_path: Path) -> None:
    header = read_header(model_path)
    spec = header.spec._replace(
        architecture="lite1_pplcnetv2", glance=Glance(32, (), "pplcnetv2", backbone=1)
    )
    torch.manual_seed(0)
    both = build_model(spec.architecture, len(spec.categories) + 1)
    own = build_model("pplcnetv2", len(spec.categories) + 1).classifier
    tensors = {name: tensor.numpy() for name, tensor in both.state_dict().items()}
    parts = own.state_dict().items()
    tensors |= {f"glance.classifier.{name}": tensor.numpy() for name, tensor in parts}
    network = load_network(Checkpoint(header._replace(spec=spec), tensors).glancing())
    pictures = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        embedding = torch.nn.functional.normalize(both.backbones[1](pictures))
        assert torch.allclose(network.network(pictures), own(embedding), atol=1e-5)
