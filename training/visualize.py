"""Draws the kernels of a network's first layer, and the feature maps of a photo.

python -m training.visualize photo.jpg --out pictures
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor, nn
from torchvision.utils import make_grid, save_image

from geotag.engines.pytorch import load_network
from geotag.errors import CheckpointError, UsageError
from geotag.model.checkpoint import load_checkpoint
from training.reports import commands
from training.reports.inference import Pixels, read_pixels

_SIDE = 64
_MOST = 64


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


def draw(maps: Tensor, path: Path) -> None:
    """Maps (N, C, H, W) in a square sheet, enlarged without smoothing, each stretched to the full
    range; single numbers are stretched together, to tell them apart."""
    shown = nn.functional.interpolate(maps[:_MOST], (_SIDE, _SIDE))
    columns = int(np.ceil(np.sqrt(len(shown))))
    is_picture = maps[0, 0].numel() > 1
    sheet = make_grid(shown, columns, normalize=True, scale_each=is_picture, pad_value=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_image(sheet, path)


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
    draw(first_kernels(network), out / "kernels.png")
    click.echo(out / "kernels.png")
    if photo is None:
        return
    maps = feature_maps(network, read_pixels(photo, spec.input_size, spec.fit), layers)
    for number, name in enumerate(layers or spread(list(maps), 6)):
        path = out / f"maps-{number:02}-{name}.png"
        draw(maps[name], path)
        click.echo(path)


if __name__ == "__main__":
    commands.run(main)
