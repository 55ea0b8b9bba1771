"""Kernels and feature maps as pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from geotag.engines.pytorch import load_network
from geotag.errors import UsageError
from geotag.model.architectures import build_model
from geotag.model.checkpoint import load_checkpoint, save_checkpoint
from tests.training.conftest import Invoke
from training import visualize


def test_kernels_and_maps_are_drawn(
    colour_set: Path, model_path: Path, tmp_path: Path, invoke: Invoke
) -> None:
    photo = colour_set / "stonehenge/val0.jpg"
    output = invoke(visualize.main, photo, "--model", model_path, "--out", tmp_path)
    drawn = [Path(line) for line in output.split()]
    assert [path.name.split("-")[0] for path in drawn] == ["kernels.png", "maps", "maps"]
    for path in drawn:
        with Image.open(path) as image:
            assert np.asarray(image).std() > 0


def test_a_pooled_picture_is_drawn_only_when_asked_for(
    colour_set: Path, model_path: Path, tmp_path: Path, invoke: Invoke
) -> None:
    """The attention of PP-LCNetV2 squeezes each map to a number: alone it would be black."""
    torch.manual_seed(0)
    network = build_model("pplcnetv2", 2)
    spec = load_checkpoint(model_path).spec._replace(architecture="pplcnetv2", categories=("a",))
    tensors = {name: value.numpy() for name, value in network.state_dict().items()}
    model = tmp_path / "pplcnetv2.safetensors"
    save_checkpoint(model, spec, tensors)
    arguments = [colour_set / "stonehenge/val0.jpg", "--model", model, "--out", tmp_path]
    drawn = invoke(visualize.main, *arguments).split()
    assert len(drawn) == 7 and not any("excit" in path or "last" in path for path in drawn)
    layers = visualize.convolutions(load_network(load_checkpoint(model)))
    squeezed = next(name for name in layers if "squeeze" in name)
    (_, path) = invoke(visualize.main, *arguments, "--layer", squeezed).split()
    assert squeezed in path and np.asarray(Image.open(path)).std() > 0


def test_kernels_are_the_networks(model_path: Path, tmp_path: Path) -> None:
    network = load_network(load_checkpoint(model_path))
    visualize.draw(visualize.first_kernels(network)[:1], tmp_path / "first.png")
    weight = next(iter(visualize.convolutions(network).values())).weight.detach().numpy()
    with Image.open(tmp_path / "first.png") as image:
        drawn = np.asarray(image)[2:-2, 2:-2]
    expected = weight[0].transpose(1, 2, 0)
    step = len(drawn) / len(expected)
    middles = ((np.arange(len(expected)) + 0.5) * step).astype(int)
    stretched = (expected - expected.min()) / np.ptp(expected) * 255
    assert np.abs(drawn[np.ix_(middles, middles)] - stretched).max() <= 1


def test_an_unknown_layer_names_the_known_ones(model_path: Path) -> None:
    network = load_network(load_checkpoint(model_path))
    with pytest.raises(UsageError, match=r"network\.features"):
        visualize.feature_maps(network, np.zeros((32, 32, 3), np.uint8), ["nothing"])
