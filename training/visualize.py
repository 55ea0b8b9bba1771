"""Draws the kernels of a network's first layer, and the feature maps of a photo.

python -m training.visualize photo.jpg --out pictures
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
import torch
from torch import Tensor, nn

from geotag.engines.pytorch import load_network
from geotag.errors import CheckpointError, UsageError
from geotag.model.checkpoint import load_checkpoint
from geotag.recognition.drawing import WIDTH, plain
from training.reports import commands, plots
from training.reports.inference import Pixels, read_pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIDE, _GAP = 64, 4  # pixels of a sheet
_MOST = 64
# The shares of values that a scale tells apart: the outermost would make all others pale.
_MOST_KERNELS, _MOST_VALUES = 0.9, 0.999


def convolutions(network: nn.Module) -> dict[str, nn.Conv2d]:
    """The convolutions by name, in the network's order. Raises CheckpointError without any."""
    found = {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv2d)}
    if not found:
        raise CheckpointError("this network has no convolutions to draw")
    return found


def first_kernels(network: nn.Module) -> Tensor:
    """The first convolution's kernels (N, 3, H, W); those of other than colours as grey ones."""
    kernels = next(iter(convolutions(network).values())).weight.detach()
    return kernels if kernels.shape[1] == 3 else kernels[:, :1].expand(-1, 3, -1, -1)


def feature_maps(
    network: nn.Module, pixels: Pixels, names: Sequence[str] = ()
) -> dict[str, Tensor]:
    """What layers give for one picture (S, S, 3): the maps (C, 1, H, W) of each.

    The named layers, or all that give more than one number a channel: a squeezed or pooled
    picture has nothing to draw. Raises UsageError for a name that is no convolution's.
    """
    layers = convolutions(network)
    maps: dict[str, Tensor] = {}
    handles = []
    for name in names or layers:
        if name not in layers:
            raise UsageError(f"no convolution {name!r}; there are: {', '.join(layers)}")

        def note(layer: nn.Module, inputs: object, output: Tensor, name: str = name) -> None:
            if names or output[0, 0].numel() > 1:
                maps[name] = output[0, :, None].float()

        handles.append(layers[name].register_forward_hook(note))
    with torch.inference_mode():
        network(torch.from_numpy(pixels[None]))
    for handle in handles:
        handle.remove()
    return maps


def spread(names: Sequence[str], count: int) -> list[str]:
    """`count` of the names, evenly from first to last."""
    at = np.linspace(0, len(names) - 1, min(count, len(names))).round().astype(int)
    return [names[index] for index in dict.fromkeys(at.tolist())]


def draw_kernels(kernels: Tensor, path: Path) -> None:
    """Kernels (N, 3, H, W) as colours, all on one scale on which most can be told apart."""
    limit = _limit(kernels, _MOST_KERNELS)
    sheet = _sheet((kernels / (2 * limit) + 0.5).clamp(0, 1))
    count, _, height, width = kernels.shape
    with plots.drawn(path, WIDTH) as figure:
        axes = figure.subplots()
        axes.imshow(sheet.permute(1, 2, 0).numpy())
        _number(axes, len(kernels))
        axes.set(
            title=f"First layer: {_some(count)} kernels of {width} x {height} pixels",
            xlabel=f"grey is 0; full red, green or blue {limit:+.2g} and more, none {-limit:+.2g}",
        )


def draw_maps(maps: Tensor, name: str, seen: Pixels, path: Path) -> None:
    """Maps (C, 1, H, W) of a layer, all on one scale, below the picture that it sees (S, S, 3)."""
    values = maps[:_MOST]
    limit = _limit(values, _MOST_VALUES)
    count, _, height, width = maps.shape
    with plots.drawn(path, WIDTH + 1.9) as figure:
        photo, axes = figure.subplots(2, 1, height_ratios=(1, 4))
        photo.imshow(seen)
        photo.set_title(f"what the network sees: {seen.shape[1]} x {seen.shape[0]} pixels")
        photo.axis("off")
        shown = axes.imshow(_sheet(values)[0].numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit)
        _number(axes, len(values))
        axes.set_title(f"{_wrapped(name)}\n{_some(count)} maps of {width} x {height} pixels")
        figure.colorbar(
            shown, ax=axes, location="bottom", extend="both", label="output of the convolution",
            shrink=0.8,
        )  # fmt: skip


def _limit(values: Tensor, share: float) -> float:
    return float(np.quantile(values.abs().numpy(), share)) or 1.0


def _some(count: int) -> str:
    return f"{count}" if count <= _MOST else f"{_MOST} of {count}"


def _wrapped(name: str) -> str:
    """A layer's name, which has no spaces, in lines."""
    return "\n".join(textwrap.wrap(plain(name).replace(".", ". "), 50)).replace(". ", ".")


def _sheet(tiles: Tensor) -> Tensor:
    """Tiles (N, C, H, W), enlarged without smoothing, in a square; between them is nothing."""
    shown = nn.functional.interpolate(tiles[:_MOST], (_SIDE, _SIDE))
    step, columns = _SIDE + _GAP, _columns(len(shown))
    height, width = -(-len(shown) // columns) * step + _GAP, columns * step + _GAP
    sheet = torch.full((tiles.shape[1], height, width), torch.nan)
    for number, tile in enumerate(shown):
        top, left = (part * step + _GAP for part in divmod(number, columns))
        sheet[:, top : top + _SIDE, left : left + _SIDE] = tile
    return sheet


def _columns(count: int) -> int:
    return int(np.ceil(np.sqrt(count)))


def _number(axes: Axes, count: int) -> None:
    """The number of each row's first tile, and each column's, which add up to a tile's own."""
    columns = _columns(min(count, _MOST))
    rows = -(-min(count, _MOST) // columns)
    middles = (np.arange(columns) + 0.5) * (_SIDE + _GAP)
    axes.set_xticks(middles, [f"+{column}" for column in range(columns)])
    axes.set_yticks(middles[:rows], [f"{row * columns}" for row in range(rows)])
    axes.tick_params(length=0, labelsize=7)
    for spine in axes.spines.values():
        spine.set_visible(False)


@click.command("training.visualize")
@click.argument("photo", required=False, type=click.Path(dir_okay=False, path_type=Path))
@commands.MODEL
@click.option("--layer", "layers", multiple=True, help="Layers to draw [default: six, evenly].")
@commands.OUT
def main(photo: Path | None, model: Path | None, layers: tuple[str, ...], out: Path) -> None:
    """Draw a network's first kernels, and its feature maps of PHOTO.

    Writes OUT/kernels.png, and for each layer OUT/maps-NN-LAYER.png with its first 64 channels.
    """
    checkpoint = load_checkpoint(model)
    spec = checkpoint.spec
    network = load_network(checkpoint)
    draw_kernels(first_kernels(network), out / "kernels.png")
    click.echo(out / "kernels.png")
    if photo is None:
        return
    seen = read_pixels(photo, spec.input_size, spec.fit)
    maps = feature_maps(network, seen, layers)
    for number, name in enumerate(layers or spread(list(maps), 6)):
        path = out / f"maps-{number:02}-{name}.png"
        draw_maps(maps[name], name, seen, path)
        click.echo(path)


if __name__ == "__main__":
    commands.run(main)
