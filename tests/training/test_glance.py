"""The look at thumbnails: a network of its own for it, and a gate as high as the tags allow."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from geotag.decoding.thumbnails import CAMERAS, THUMBNAIL, thumbnail
from geotag.engines.pytorch import load_network
from geotag.errors import CheckpointError, DataError
from geotag.model.architectures import build_model
from geotag.model.checkpoint import Checkpoint, load_checkpoint, read_header, save_checkpoint
from geotag.model.networks import EMBEDDING
from geotag.model.spec import Glance, Threshold
from geotag.records import OwnCategory
from tests.training.conftest import Invoke, write_set
from training import glance
from training.glance import (
    LEAST_TAGS,
    SURELY_NONE,
    Glances,
    fit_gates,
    fit_surely_none,
)


def _seen(count: int = 1000) -> Glances:
    rng = np.random.default_rng(0)
    confidences = rng.uniform(0, 1, count)
    photos, thumbnails = (confidences * rng.uniform(least, 1, count) for least in (0.4, 0.2))
    return Glances(confidences, photos, thumbnails, confidences < 0.1, confidences > 0.3)


def test_no_more_than_the_share_of_tags_is_lost() -> None:
    seen = _seen()
    thresholds = (Threshold(0.9, 0.3), Threshold(0.99, 0.7))
    for loss in (0.0, 0.005, 0.05):
        gates = fit_gates(seen, thresholds, loss)
        for (precision, confidence), (fitted, least) in zip(thresholds, gates, strict=True):
            tagged = seen.confidences >= confidence
            assert precision == fitted
            assert (seen.thumbnails[tagged] < least).mean() <= loss
            assert (seen.thumbnails[tagged] <= least).mean() > loss


def test_few_tags_give_no_gate() -> None:
    seen = _seen()
    rare = float(np.sort(seen.confidences)[-LEAST_TAGS + 1])
    assert fit_gates(seen, (Threshold(0.99, rare),)) == ()


def test_a_decoded_photo_is_turned_away_only_where_hardly_any_would_be_named_rightly() -> None:
    seen = _seen()
    assert fit_surely_none(seen) == SURELY_NONE
    doubtful = seen._replace(photos=seen.photos / 10)
    gate = fit_surely_none(doubtful, loss=0.01)
    right = doubtful.photos[doubtful.is_right]
    assert 0 < gate < SURELY_NONE
    assert 0 < (right < gate).mean() <= 0.01
    few = np.flatnonzero(seen.is_right)[: LEAST_TAGS - 1]
    assert fit_surely_none(Glances(*(column[few] for column in seen))) == 0


def test_a_thumbnail_is_a_cameras() -> None:
    for camera in CAMERAS:
        small = thumbnail(Image.new("RGB", (900, 1200), (200, 100, 50)), camera)
        assert small.size == THUMBNAIL
        assert np.abs(np.asarray(small).astype(int) - (200, 100, 50)).max() < 8


def test_the_command_fits_the_gate_of_photos_and_thumbnails(
    model_path: Path, tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of landmarks known from small photos alone count as well."""
    monkeypatch.setattr(glance, "LEAST_TAGS", 6)
    data = write_set(tmp_path, {"train": 2, "val": 4}, size=(96, 96))
    model = Path(shutil.copy(model_path, tmp_path / "model.safetensors"))
    said = invoke(glance.main, "--model", model, "--data", data, "--size", 32)
    assert said.count("0.00% of 12 tags lost, 0.0% of 4 negatives pass") == 4
    checkpoint = load_checkpoint(model)
    assert [t.precision for t in checkpoint.spec.glance.thresholds] == [0.95, 0.99]
    assert checkpoint.tensors.keys() == load_checkpoint(model_path).tensors.keys()
    again = read_header(model).sha256
    invoke(glance.main, "--model", model, "--data", data, "--size", 32)
    assert read_header(model).sha256 == again


def test_landmarks_of_an_owner_come_after_the_glance(
    invoke: Invoke, model_path: Path, tmp_path: Path
) -> None:
    header = read_header(model_path)
    categories = ("own_house", *header.spec.categories[1:])
    own = (OwnCategory(1_000_000, "own_house", "House"),)
    spec = header.spec._replace(categories=categories, own_categories=own)
    model = tmp_path / "model.safetensors"
    save_checkpoint(model, spec, load_checkpoint(model_path).tensors)
    with pytest.raises(DataError, match="glance first"):
        invoke(glance.main, "--model", model, "--data", tmp_path)


def test_one_backbone_glances_for_two(model_path: Path) -> None:
    header = read_header(model_path)
    spec = header.spec._replace(
        architecture="lite1_pplcnetv2", glance=Glance(32, (), "pplcnetv2", backbone=1)
    )
    torch.manual_seed(0)
    both = build_model(spec.architecture, len(spec.categories) + 1)
    tensors = {name: tensor.numpy() for name, tensor in both.state_dict().items()}
    checkpoint = Checkpoint(header._replace(spec=spec), tensors)
    network = load_network(checkpoint.glancing())
    pictures = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        embedding = torch.nn.functional.normalize(both.backbones[1](pictures))
        share = 2 * both.classifier.weight[:, EMBEDDING:]
        expected = embedding @ share.T + both.classifier.bias
        assert torch.allclose(network.network(pictures), expected, atol=1e-5)
    for number in (-3, 2):
        glance = Glance(32, (), "pplcnetv2", backbone=number)
        wrong = checkpoint._replace(header=header._replace(spec=spec._replace(glance=glance)))
        with pytest.raises(CheckpointError, match="lacks the backbone"):
            wrong.glancing()
    with pytest.raises(CheckpointError, match="lacks the backbone"):
        checkpoint._replace(tensors={}).glancing()
