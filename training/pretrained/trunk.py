"""A network parted into trunk and classifier, and the features that a frozen trunk gives."""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from geotag.files.atomic import atomic_file
from geotag.model.architectures import Greyscale, Normalised
from geotag.model.networks import EfficientNetLite, PPLCNetV2
from training.data.augment import Variant, degrade
from training.data.examples import Views, generator, view
from training.data.pixels import Pixels
from training.fitting.recipes import Recipe

_CLASSIFIERS = ("classifier", "fc")
BATCH = 32
PART = 512  # photos whose features are kept together: what a kill costs at most


def in_colour(network: nn.Module) -> nn.Module:
    """What a network without colours runs behind the loss of them; any other one itself."""
    grey = isinstance(network, nn.Sequential) and isinstance(network[0], Greyscale)
    return network.get_submodule("1") if grey else network


def classifier_name(network: nn.Module) -> str:
    """The path to the last, trainable part of a network."""
    names: list[str] = [name for name, _ in network.named_modules()]
    return next(name for name in names if name.split(".")[-1] in _CLASSIFIERS)


def classifier(network: nn.Module) -> nn.Module:
    """The last part of a network, from features to logits."""
    return network.get_submodule(classifier_name(network))


def trunk(network: nn.Module) -> nn.Module:
    """A copy of the network that stops before its classifier."""
    below = copy.deepcopy(network)
    below.set_submodule(classifier_name(below), nn.Identity())
    return below.eval()


def freeze_blocks(network: nn.Module, count: int) -> None:
    """Keep a backbone's stem and its first blocks as they are."""
    for module in network.modules():
        if isinstance(module, (EfficientNetLite, PPLCNetV2)) and count:
            for frozen in (module.stem, *list(module.blocks)[:count]):
                frozen.requires_grad_(False)


def load_features(network: nn.Module, recipe: Recipe, pixels: Pixels, folder: Path) -> Views:
    """Features of all photos, those from `folder` that an earlier or killed run left there.

    View 0 is the photo unchanged; the others are augmented. A recipe with `nuisance` has one view
    more, the last: the photo without its fine detail.
    """
    module = Normalised(trunk(network), recipe.mean, recipe.std).eval()
    cache = folder / f"features-{_key(module, recipe, pixels)}"
    cache.mkdir(parents=True, exist_ok=True)
    parts = {
        cache / f"{number}-{start}.npz": (number, range(len(pixels))[start : start + PART])
        for number in range(recipe.views + (recipe.nuisance > 0))
        for start in range(0, len(pixels), PART)
    }
    if missing := [path for path in parts if not path.is_file()]:
        run = compiled(module, recipe.input_size)
        todo = sum(len(parts[path][1]) for path in missing)
        with tqdm(total=todo, desc="features", disable=None, unit="photo") as progress:
            for path in missing:
                features, sides = _forward(run, _pictures(recipe, pixels, *parts[path]))
                with atomic_file(path) as file:
                    np.savez(file, features=features, sides=sides)
                progress.update(len(sides))
    return _read(list(parts), len(pixels))


def _read(paths: Sequence[Path], photos: int) -> Views:
    """The parts, view by view, as one."""
    features, sides = [], []
    for path in paths:
        with np.load(path, allow_pickle=False) as part:
            features.append(part["features"])
            sides.append(part["sides"])
    together = np.concatenate(features)
    return Views(
        together.reshape(-1, photos, together.shape[1]), np.concatenate(sides).reshape(-1, photos)
    )


def _key(module: nn.Module, recipe: Recipe, pixels: Pixels) -> str:
    variants = (recipe.views, recipe.nuisance > 0, recipe.augmentation, recipe.seed)
    sizes = (recipe.input_size, recipe.train_size, recipe.greyscale, pixels.shape)
    digest = hashlib.sha256(repr((variants, sizes)).encode())
    digest.update(np.ascontiguousarray(pixels[:: max(1, len(pixels) // 64), ::8, ::8]).tobytes())
    for value in module.state_dict().values():
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _pictures(recipe: Recipe, pixels: Pixels, number: int, rows: range) -> Iterator[Variant]:
    for row in rows:
        if number == 0:
            yield Variant(np.array(pixels[row]), len(pixels[row]))
        elif number == recipe.views:
            yield degrade(pixels[row], generator(recipe, row, 4))
        else:
            yield view(pixels[row], recipe, (number, row, 3))


def _forward(
    run: Callable[[Tensor], Tensor], pictures: Iterator[Variant]
) -> tuple[NDArray[np.float16], NDArray[np.int32]]:
    """Features and detail of a stream of pictures, batch by batch."""
    found: list[NDArray[np.float16]] = []
    sides: list[int] = []
    while batch := list(islice(pictures, BATCH)):
        inputs = torch.from_numpy(np.stack([picture.pixels for picture in batch]))
        found.append(run(inputs).numpy().astype(np.float16))
        sides += [picture.side for picture in batch]
    return np.concatenate(found), np.array(sides, np.int32)


def compiled(module: nn.Module, size: int) -> Callable[[Tensor], Tensor]:
    """A trunk, uint8 (N, size, size, 3) to features: by OpenVINO where it is installed, several
    times as fast; else by torch."""
    try:
        import openvino
    except ImportError:
        return torch.inference_mode()(module)
    example = torch.zeros(1, size, size, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, not OpenVINO's
        model = openvino.convert_model(module, example_input=example)
    compiled = openvino.Core().compile_model(model, "CPU")
    return lambda inputs: torch.from_numpy(np.array(compiled(inputs.numpy())[0]))
