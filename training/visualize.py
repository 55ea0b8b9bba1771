"""Draws what a network's first layer looks for, and what its layers make of a photo.

python -m training.visualize photo.jpg --out pictures
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from geotag.engines.pytorch import load_network
from geotag.errors import CheckpointError, UsageError
from geotag.model.checkpoint import load_checkpoint
from training.reports import commands
from training.reports.inference import Pixels, read_pixels

Maps = NDArray[np.float32]
_SIDE = 64
_GAP = 2


def convolutions(network: nn.Module) -> dict[str, nn.Conv2d]:
    """The convolutions by name, in the network's order. Raises CheckpointError without any."""
    found = {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv2d)}
    if not found:
        raise CheckpointError("this network has no convolutions to draw")
    return found


def first_kernels(network: nn.Module) -> Pixels:
    """The first convolution's kernels as pictures (N, H, W, 3), each stretched to full range."""
    first = next(iter(convolutions(network).values()))
    kernels = first.weight.detach().numpy().transpose(0, 2, 3, 1)
    pictures = np.stack([_stretched(kernel) for kernel in kernels])
    return pictures if pictures.shape[-1] == 3 else pictures[..., :1].repeat(3, axis=-1)


def feature_maps(network: nn.Module, pixels: Pixels, names: Sequence[str] = ()) -> dict[str, Maps]:
    """What layers give for one picture (S, S, 3): the maps (C, H, W) of each.

    The named layers, or all that give more than one number a channel: a squeezed or pooled
    picture has nothing to draw. Raises UsageError for a name that is no convolution's.
    """
    layers = convolutions(network)
    maps: dict[str, Maps] = {}
    handles = []
    for name in names or layers:
        if name not in layers:
            raise UsageError(f"no convolution {name!r}; there are: {', '.join(layers)}")

        def note(layer: nn.Module, inputs: object, output: torch.Tensor, name: str = name) -> None:
            if names or output[0, 0].numel() > 1:
                maps[name] = output[0].float().numpy()

        handles.append(layers[name].register_forward_hook(note))
    with torch.inference_mode():
        network(torch.from_numpy(pixels[None]))
    for handle in handles:
        handle.remove()
    return maps


def grey_pictures(maps: Maps) -> Pixels:
    """Maps (C, H, W) as pictures (C, H, W, 3): each stretched, single numbers beside each other."""
    if maps[0].size == 1:
        pictures = _stretched(maps)
    else:
        pictures = np.stack([_stretched(plane) for plane in maps])
    return pictures[..., None].repeat(3, axis=-1)


def spread(names: Sequence[str], count: int) -> list[str]:
    """`count` of the names, evenly from first to last."""
    at = np.linspace(0, len(names) - 1, min(count, len(names))).round().astype(int)
    return [names[index] for index in dict.fromkeys(at.tolist())]


def _stretched(values: NDArray[np.float32]) -> Pixels:
    low, high = float(values.min()), float(values.max())
    stretched: Pixels = np.rint((values - low) * (255 / ((high - low) or 1))).astype(np.uint8)
    return stretched


def tile(pictures: Pixels, path: Path, most: int = 64) -> None:
    """Pictures side by side in a square sheet, enlarged without smoothing."""
    shown = pictures[:most]
    columns = int(np.ceil(np.sqrt(len(shown))))
    step = _SIDE + _GAP
    sheet = Image.new("RGB", (columns * step, -(-len(shown) // columns) * step), "white")
    for index, picture in enumerate(shown):
        cell = Image.fromarray(picture).resize((_SIDE, _SIDE), Image.Resampling.NEAREST)
        sheet.paste(cell, (index % columns * step, index // columns * step))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


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
    tile(first_kernels(network), out / "kernels.png")
    click.echo(out / "kernels.png")
    if photo is None:
        return
    maps = feature_maps(network, read_pixels(photo, spec.input_size, spec.fit), layers)
    for number, name in enumerate(layers or spread(list(maps), 6)):
        path = out / f"maps-{number:02}-{name}.png"
        tile(grey_pictures(maps[name]), path)
        click.echo(path)


if __name__ == "__main__":
    commands.run(main)
