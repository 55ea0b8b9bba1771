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
        assert path.name == "kernels.png" or "network.features" in path.name
        with Image.open(path) as image:
            assert np.asarray(image).std() > 0


@pytest.mark.slow
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


def test_all_maps_are_on_one_scale_that_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure
    figures: list[figure] = []
    monkeypatch.setattr(figure, "savefig", lambda self, *to, **settings: figures.append(self))
    maps = torch.stack([torch.full((1, 4, 4), value) for value in (-2.0, 0.5, 1.0)])
    seen = np.zeros((8, 8, 3), np.uint8)
    visualize.draw_maps(maps, "layer.of.$a.long.name." * 4, seen, tmp_path / "maps.png")
    _, axes, scale = figures[0].axes
    (shown,) = axes.images
    assert shown.get_clim() == (-2.0, 2.0) and scale.get_xlabel() == "output of the convolution"
    assert [text.get_text() for text in axes.get_yticklabels()] == ["0", "2"]
    tiles = shown.get_array()
    assert {tiles[10, 10], tiles[10, 80], tiles[80, 10]} == {-2.0, 0.5, 1.0}
    *name, size = axes.get_title().splitlines()
    assert len(name) > 1 and size == "3 maps of 4 x 4 pixels"


def test_kernels_are_the_networks_on_one_scale(
    model_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure
    figures: list[figure] = []
    monkeypatch.setattr(figure, "savefig", lambda self, *to, **settings: figures.append(self))
    network = load_network(load_checkpoint(model_path))
    kernels = visualize.first_kernels(network)
    visualize.draw_kernels(kernels, tmp_path / "kernels.png")
    (axes,) = figures[0].axes
    weight = kernels[0].numpy().transpose(1, 2, 0)
    drawn = np.asarray(axes.images[0].get_array())[4:68, 4:68]
    middles = ((np.arange(len(weight)) + 0.5) * 64 / len(weight)).astype(int)
    limit = np.quantile(np.abs(kernels.numpy()), 0.9)
    expected = np.clip(weight / limit / 2 + 0.5, 0, 1)
    assert np.allclose(drawn[np.ix_(middles, middles)], expected, atol=1e-5)
    assert f"{limit:+.2g}" in axes.get_xlabel()


def test_an_unknown_layer_names_the_known_ones(model_path: Path) -> None:
    network = load_network(load_checkpoint(model_path))
    with pytest.raises(UsageError, match=r"network\.features"):
        visualize.feature_maps(network, np.zeros((32, 32, 3), np.uint8), ["nothing"])
