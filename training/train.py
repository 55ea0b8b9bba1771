"""Trains a model by a recipe; a run that was killed is continued.

python -m training.train --recipe NAME --data DIR --out runs/NAME
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, cast

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from geotag.errors import DataError
from geotag.files.atomic import atomic_file
from geotag.model.architectures import GREY, Normalised, build_model
from geotag.model.checkpoint import (
    Checkpoint,
    ModelHeader,
    load_checkpoint,
    round_weights,
    save_checkpoint,
)
from geotag.model.networks import EMBEDDING, Recogniser
from geotag.model.networks_study import initialise_normal
from geotag.model.spec import ModelSpec
from geotag.recognition.model import Model
from training.calibrate import calibrate, label_indices
from training.data.dataset import Dataset
from training.data.detail import find_detail
from training.data.examples import Features, Pictures, Split, Views, World
from training.data.pixels import PixelCache, load_pixels
from training.fitting.depthwise import accelerate
from training.fitting.loop import Trainer, choose_device, join_world, on_first_rank
from training.fitting.nuisance import Blinkers
from training.fitting.recipes import Recipe, find_recipe
from training.fitting.teacher import Lesson, fit_linear, teach
from training.pretrained.packages import load_matching, load_pretrained
from training.pretrained.trunk import (
    classifier,
    classifier_name,
    freeze_blocks,
    in_colour,
    load_features,
)
from training.reports import commands
from training.reports.runs import Run, describe

_GREY_PREFIX = "1."  # of the names in a network that loses the colours first


class Job(NamedTuple):
    """A recipe to run: on which photos, where to, with the pretrained weights in which folder."""

    recipe: Recipe
    dataset: Dataset
    run: Run
    weights: Path | None
    cache: Path
    world: World

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels that become categories."""
        return tuple(c for c in self.dataset.classes if c not in self.recipe.left_out)

    @property
    def architecture(self) -> str:
        """The network's name in geotag.model.architectures."""
        return self.recipe.architecture + (GREY if self.recipe.greyscale else "")

    def part(self, name: str) -> Job:
        """The job of one of the recipe's parts, of its seed and colours, in a folder of its own."""
        recipe = find_recipe(name, seed=self.recipe.seed, greyscale=self.recipe.greyscale)
        return self._replace(recipe=recipe, run=Run(self.run.folder / name))


def train(job: Job, part: str | None = None) -> Path:
    """Train, calibrate and save `model.safetensors`; returns its path.

    With `part`, only that part of the recipe is trained. Raises DataError, for one when the
    folder holds another run, or when there are no photos to learn from or to judge by.
    """
    if not job.classes:
        raise DataError(f"{job.dataset.root}: no photos of a landmark to learn")
    on_first_rank(job.world, lambda: job.run.begin(job.recipe, job.dataset, job.classes))
    cache = _pixels(job)
    if job.world.rank == 0:
        _report_missing(job, cache)
    if job.recipe.parts:
        lesson = _lesson(job, cache)
        for name in [part] if part else job.recipe.parts:
            _train_part(job.part(name), lesson)
        if part:
            return job.part(part).run.model
    else:
        lesson = None
    _fit(job, cache, lesson)
    return job.run.model


def _train_part(job: Job, lesson: Lesson) -> None:
    on_first_rank(job.world, lambda: job.run.begin(job.recipe, job.dataset, job.classes))
    if not job.run.model.is_file():
        _fit(job, _pixels(job), lesson)


def _fit(job: Job, cache: PixelCache, lesson: Lesson | None) -> None:
    split = _split(job, cache, lesson)
    network, new = _network(job)
    if job.recipe.frozen:
        _fit_classifier(job, network, cache, split)
    else:
        _fit_network(job, network, new, cache, split)
    on_first_rank(job.world, lambda: _save(job, network))


def _pixels(job: Job) -> PixelCache:
    samples = (*job.dataset.of("train"), *job.dataset.of("val"))

    def work() -> PixelCache:
        return load_pixels(job.dataset, samples, job.recipe.input_size, job.cache)

    on_first_rank(job.world, work)
    cache = work()
    for split in ("train", "val"):
        if not len(cache.rows(split)):
            raise DataError(f"{job.dataset.root}: no {split} photos that can be read")
    return cache


def _report_missing(job: Job, cache: PixelCache) -> None:
    """Photos and classes that training goes without, on standard error."""
    if cache.failed:
        reason = next(iter(cache.failed.values()))
        others = f" and {len(cache.failed) - 1} more" if len(cache.failed) > 1 else ""
        click.echo(f"not trained on: {reason}{others}", err=True)
    taught = {cache.samples[row].label for row in cache.rows("train")}
    if untaught := [name for name in job.classes if name not in taught]:
        click.echo(f"no train photos of: {', '.join(untaught)}", err=True)


def _lesson(job: Job, cache: PixelCache) -> Lesson:
    """Soft targets from the parts' backbones as pretrained, kept for a run that goes on."""
    path = job.run.folder / "lesson.npz"
    if not path.is_file():
        features = []
        for name in job.recipe.parts:
            part = job.part(name)
            network, _ = _network(part)
            plain = replace(part.recipe, views=1)
            features.append(load_features(network, plain, cache.pixels, job.cache).features[0])
        labels = label_indices(cache.samples, job.dataset.classes)
        groups = [sample.group for sample in cache.samples]
        lesson = teach(np.concatenate(features, 1), labels, cache.rows("train"), groups)
        with atomic_file(path) as file:
            np.savez(file, soft=lesson.soft, excluded=lesson.excluded)
    with np.load(path, allow_pickle=False) as stored:
        return Lesson(stored["soft"], stored["excluded"])


def _split(job: Job, cache: PixelCache, lesson: Lesson | None) -> Split:
    labels = label_indices(cache.samples, job.classes)
    count = len(job.classes) + 1
    smooth = job.recipe.label_smoothing
    targets = np.full((len(labels), count), smooth / count, np.float32)
    targets[np.arange(len(labels)), labels] += 1 - smooth
    rows = cache.rows("train")
    if lesson is not None:
        rows = np.setdiff1d(rows, lesson.excluded)
        if job.recipe.teacher:
            share = job.recipe.teacher
            targets[rows] = (1 - share) * targets[rows] + share * lesson.soft[rows]
    least = job.recipe.detail
    detail = find_detail(cache.sides, labels, rows, least, count) if least else None
    return Split(rows, cache.rows("val"), targets, labels, detail)


def _network(job: Job) -> tuple[nn.Module, list[str]]:
    """The recipe's network with the weights it starts from, and which parameters are new."""
    recipe = job.recipe
    torch.manual_seed(recipe.seed)
    whole = build_model(job.architecture, len(job.classes) + 1)
    network = in_colour(whole)
    new = [name for name, _ in network.named_parameters()]
    if recipe.initialisation == "normal":
        initialise_normal(network)
    if recipe.parts:
        assert isinstance(network, Recogniser)
        join_parts(network, [load_checkpoint(job.part(n).run.model) for n in recipe.parts], job)
    elif recipe.pretrained and isinstance(network, Recogniser):
        for backbone, name in zip(network.backbones, recipe.pretrained.split("+"), strict=True):
            backbone.backbone.load_state_dict(load_pretrained(name, job.weights))  # type: ignore[union-attr]
        new = [f"{classifier_name(network)}.{n}" for n in ("weight", "bias")]
    elif recipe.pretrained:
        new = load_matching(network, load_pretrained(recipe.pretrained, job.weights))
        trunk = [name for name in new if not name.startswith(f"{classifier_name(network)}.")]
        if trunk:
            raise DataError(
                f"weights of {recipe.pretrained} do not fit {recipe.architecture}: they lack "
                f"{trunk[0]}" + (f" and {len(trunk) - 1} more" if trunk[1:] else "")
            )
    freeze_blocks(network, recipe.frozen_blocks)
    return whole, [_GREY_PREFIX + name for name in new] if recipe.greyscale else new


def join_parts(network: Recogniser, parts: list[Checkpoint], job: Job) -> None:
    """Put trained backbones side by side; the classifier adds up their logits."""
    weights, biases = [], []
    for backbone, part in zip(network.backbones, parts, strict=True):
        state = {
            k.removeprefix(_GREY_PREFIX): torch.from_numpy(np.array(v, np.float32))
            for k, v in part.tensors.items()
        }
        prefix = "backbones.0."
        backbone.load_state_dict(
            {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        )
        rows = [*(part.spec.categories.index(name) for name in job.classes), -1]
        weights.append(state["classifier.weight"][rows])
        biases.append(state["classifier.bias"][rows])
    with torch.no_grad():
        network.classifier.weight.copy_(torch.cat(weights, 1))
        network.classifier.bias.copy_(torch.stack(biases).sum(0))


def _fit_classifier(job: Job, network: nn.Module, cache: PixelCache, split: Split) -> None:
    views = _features(job, network, cache)
    head = classifier(network)
    start = {name: value.clone() for name, value in head.state_dict().items()}
    blinkers = None
    if job.recipe.nuisance:
        blinkers = _blinkers(views.features, job.recipe.nuisance, split)
        views = views._replace(features=_blinkered(views.features, blinkers))
    examples = Features(job.recipe, views, split, job.world)
    best = Trainer(head, examples, job.recipe, job.run, job.world).fit()
    head.cpu().load_state_dict(best)
    if blinkers is not None:
        blinkers.project_classifier(cast(nn.Linear, head))
    share = job.recipe.blend
    head.load_state_dict({k: torch.lerp(start[k], v, share) for k, v in head.state_dict().items()})


def _blinkers(features: NDArray[np.float16], count: int, split: Split) -> Blinkers:
    """Blinkers for the directions in which the last, degraded view differs from the first."""
    rows = split.train
    if split.detail is not None:
        rows = rows[split.detail.sides[rows] >= split.detail.least]
    plain, degraded = (features[view, rows].astype(np.float32) for view in (0, -1))
    return Blinkers(plain, degraded, count, EMBEDDING)


def _blinkered(features: NDArray[np.float16], blinkers: Blinkers) -> NDArray[np.float16]:
    views = [blinkers.project(view.astype(np.float32)).astype(np.float16) for view in features]
    return np.stack(views)


def _features(job: Job, network: nn.Module, cache: PixelCache) -> Views:
    def work() -> Views:
        return load_features(network, job.recipe, cache.pixels, job.cache)

    on_first_rank(job.world, work)
    return work()


def _fit_network(
    job: Job, network: nn.Module, new: list[str], cache: PixelCache, split: Split
) -> None:
    """Train the whole network, from a classifier fitted to the pretrained features if any."""
    recipe, behind = job.recipe, in_colour(network)
    if recipe.pretrained and isinstance(behind, Recogniser):
        features = _features(job, network, cache).features[0, split.train]
        fitted = fit_linear(
            torch.from_numpy(features.astype(np.float32)),
            torch.from_numpy(split.labels[split.train]),
            len(job.classes) + 1,
            recipe.seed,
        )
        behind.classifier.load_state_dict(fitted.state_dict())
    module = Normalised(network, recipe.mean, recipe.std)
    if recipe.mixed_precision and choose_device(job.world).type == "cpu":
        accelerate(module)
    examples = Pictures(recipe, cache.pixels, split, job.world)
    fresh = [f"network.{name}" for name in new]
    best = Trainer(module, examples, recipe, job.run, job.world, fresh).fit()
    module.cpu().load_state_dict(best)


def _save(job: Job, network: nn.Module) -> None:
    """The finished model, its weights rounded, calibrated on the validation photos."""
    recipe = job.recipe
    provenance = describe(recipe, job.dataset, job.classes)
    provenance.pop("classes")
    spec = ModelSpec(
        job.architecture, recipe.input_size, "squash", recipe.mean, recipe.std,
        job.classes, 1.0, (), provenance,
    )  # fmt: skip
    tensors = {k: _stored(v) for k, v in network.state_dict().items()}
    bare = Checkpoint(ModelHeader(spec, ""), {}).with_tensors(tensors)
    spec = calibrate(Model(bare), job.dataset)
    save_checkpoint(job.run.model, spec, tensors)


def _stored(value: torch.Tensor) -> NDArray[np.generic]:
    array: NDArray[np.floating] = value.detach().cpu().numpy()
    return round_weights(array) if value.dtype == torch.float32 else array


@click.command("training.train")
@commands.RECIPE
@commands.takes_dataset(seeded=True)
@commands.OUT
@commands.WEIGHTS
@click.option(
    "--cache", type=click.Path(file_okay=False, path_type=Path),
    help="Folder for decoded photos and features. [default: cache in --out]",
)  # fmt: skip
@commands.EPOCHS
@click.option(
    "--part", help="Train only this part of a recipe that has parts; one process may do each."
)
@click.option("--greyscale", is_flag=True, help="Train and recognise without colour.")
def main(
    name: str, dataset: Dataset, seed: int, out: Path, weights: Path | None, cache: Path | None,
    epochs: int | None, part: str | None, greyscale: bool,
) -> None:  # fmt: skip
    """Train a model."""
    recipe = find_recipe(name, seed=seed, epochs=epochs, greyscale=greyscale)
    if part and part not in recipe.parts:
        raise DataError(f"{name} has no part {part!r}; it has: {', '.join(recipe.parts) or 'none'}")
    job = Job(recipe, dataset, Run(out), weights, cache or out / "cache", join_world())
    path = train(job, part)
    if job.world.rank == 0:
        click.echo(f"{path}: {len(load_checkpoint(path).spec.categories)} categories")


if __name__ == "__main__":
    commands.run(main)
