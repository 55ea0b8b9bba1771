"""The prefilter: a network of its own, and thresholds as high as the tags allow."""

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
from geotag.model.spec import Prefilter, Threshold
from geotag.records import OwnCategory
from tests.training.conftest import Invoke, write_set
from training import prefilter
from training.prefilter import (
    HIGHEST,
    LEAST_TAGS,
    Scores,
    fit_photo_threshold,
    fit_thumbnail_thresholds,
)


def _seen(count: int = 1000) -> Scores:
    rng = np.random.default_rng(0)
    confidences = rng.uniform(0, 1, count)
    photos, thumbnails = (confidences * rng.uniform(least, 1, count) for least in (0.4, 0.2))
    return Scores(confidences, photos, thumbnails, confidences < 0.1, confidences > 0.3)


def test_no_more_than_the_share_of_tags_is_lost() -> None:
    seen = _seen()
    thresholds = (Threshold(0.9, 0.3), Threshold(0.99, 0.7))
    for loss in (0.0, 0.005, 0.05):
        fitted_ones = fit_thumbnail_thresholds(seen, thresholds, loss)
        for (precision, confidence), (fitted, least) in zip(thresholds, fitted_ones, strict=True):
            tagged = seen.confidences >= confidence
            assert precision == fitted
            assert (seen.thumbnails[tagged] < least).mean() <= loss
            assert (seen.thumbnails[tagged] <= least).mean() > loss


def test_few_tags_give_no_threshold() -> None:
    seen = _seen()
    rare = float(np.sort(seen.confidences)[-LEAST_TAGS + 1])
    assert fit_thumbnail_thresholds(seen, (Threshold(0.99, rare),)) == ()


def test_a_decoded_photo_is_rejected_only_where_hardly_any_would_be_named_rightly() -> None:
    seen = _seen()
    assert fit_photo_threshold(seen) == HIGHEST
    doubtful = seen._replace(photos=seen.photos / 10)
    threshold = fit_photo_threshold(doubtful, loss=0.01)
    right = doubtful.photos[doubtful.is_right]
    assert 0 < threshold < HIGHEST
    assert 0 < (right < threshold).mean() <= 0.01
    few = np.flatnonzero(seen.is_right)[: LEAST_TAGS - 1]
    assert fit_photo_threshold(Scores(*(column[few] for column in seen))) == 0


def test_a_thumbnail_is_a_cameras() -> None:
    for camera in CAMERAS:
        small = thumbnail(Image.new("RGB", (900, 1200), (200, 100, 50)), camera)
        assert small.size == THUMBNAIL
        assert np.abs(np.asarray(small).astype(int) - (200, 100, 50)).max() < 8


@pytest.mark.slow
def test_the_command_fits_the_thresholds_of_photos_and_thumbnails(
    model_path: Path, tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of landmarks known from small photos alone count as well."""
    monkeypatch.setattr(prefilter, "LEAST_TAGS", 6)
    data = write_set(tmp_path, {"train": 2, "val": 4}, size=(96, 96))
    model = Path(shutil.copy(model_path, tmp_path / "model.safetensors"))
    output = invoke(prefilter.main, "--model", model, "--data", data, "--size", 32)
    assert output.count("0.00% of 12 tags lost, 0.0% of 4 negatives pass") == 4
    checkpoint = load_checkpoint(model)
    assert [t.precision for t in checkpoint.spec.prefilter.thresholds] == [0.95, 0.99]
    assert checkpoint.tensors.keys() == load_checkpoint(model_path).tensors.keys()
    again = read_header(model).sha256
    invoke(prefilter.main, "--model", model, "--data", data, "--size", 32)
    assert read_header(model).sha256 == again


def test_landmarks_of_a_user_come_after_the_prefilter(
    invoke: Invoke, model_path: Path, colour_set: Path, tmp_path: Path
) -> None:
    header = read_header(model_path)
    categories = ("own_house", *header.spec.categories[1:])
    own = (OwnCategory(1_000_000, "own_house", "House"),)
    spec = header.spec._replace(categories=categories, own_categories=own)
    model = tmp_path / "model.safetensors"
    save_checkpoint(model, spec, load_checkpoint(model_path).tensors)
    with pytest.raises(DataError, match="before adding"):
        invoke(prefilter.main, "--model", model, "--data", colour_set)


def test_one_backbone_is_the_prefilter_of_two(model_path: Path) -> None:
    header = read_header(model_path)
    spec = header.spec._replace(
        architecture="lite1_pplcnetv2", prefilter=Prefilter(32, (), "pplcnetv2", backbone=1)
    )
    torch.manual_seed(0)
    both = build_model(spec.architecture, len(spec.categories) + 1)
    tensors = {name: tensor.numpy() for name, tensor in both.state_dict().items()}
    checkpoint = Checkpoint(header._replace(spec=spec), tensors)
    network = load_network(checkpoint.prefilter())
    pictures = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        embedding = torch.nn.functional.normalize(both.backbones[1](pictures))
        share = 2 * both.classifier.weight[:, EMBEDDING:]
        expected = embedding @ share.T + both.classifier.bias
        assert torch.allclose(network.network(pictures), expected, atol=1e-5)
    for number in (-3, 2):
        chosen = Prefilter(32, (), "pplcnetv2", backbone=number)
        wrong = checkpoint._replace(header=header._replace(spec=spec._replace(prefilter=chosen)))
        with pytest.raises(CheckpointError, match="lacks the weights"):
            wrong.prefilter()
    with pytest.raises(CheckpointError, match="lacks the weights"):
        checkpoint._replace(tensors={}).prefilter()
