"""Stores in a model file what it remembers of its training photos, to know what it never saw.

python -m training.openset --model model.safetensors --data DIR

The memory holds whitened embeddings of the training photos. How much an unfamiliar photo counts is
fitted by leaving landmarks out: for each of five parts of the categories a linear classifier and a
memory are made without them, and of the validation photos those of the left-out landmarks are
photos of what was never seen. Each photo counts twice, as it is and at 64 pixels. Run it before the
calibration.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geotag.decision import probabilities
from geotag.engines.embedding import find_classifier
from geotag.engines.pytorch import load_bare_network
from geotag.errors import CheckpointError, DataError
from geotag.model.checkpoint import (
    MEMORY,
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from geotag.model.memory import Memory, Recollection, parse_recollection
from geotag.model.networks import Recogniser
from geotag.model.spec import ModelSpec, Threshold
from geotag.recognition.model import Model
from training.calibrate import calibrate, fit_temperature
from training.data.dataset import Dataset
from training.fitting.teacher import fit_linear
from training.reports import commands
from training.reports.embeddings import Embedded, Embeddings, Floats
from training.reports.shares import shares_of, without_own

WIDTH = 256  # numbers of a remembered photo
SMALL = 64  # pixels of the degraded view
FOLDS = 5
_RIDGE = 0.1  # of the mean variance, so that whitening does not blow up what hardly varies
_STEPS = 400
_RATE = 0.05
_MOST_SHIFT, _SHIFT_STEP = 6.0, 0.25  # in units of the calibrated softmax
_START = (-2.0, 0.5, -5.0)


def classify(checkpoint: Checkpoint, view: Embedded) -> Floats:
    """The logits (N, K + 1) of embeddings, without a memory."""
    layer = find_classifier(load_bare_network(checkpoint).network)[1]
    with torch.inference_mode():
        logits: Floats = layer(torch.from_numpy(view.embeddings)).numpy()
    return logits


def remember(train: Embedded, categories: int, width: int = WIDTH) -> Recollection:
    """The memory of these photos, with weights that leave the background as it is."""
    mean = train.embeddings.mean(0)
    centred = train.embeddings - mean
    variances, directions = np.linalg.eigh(centred.T @ centred / len(centred))
    kept = variances[-width:]
    projection = directions[:, -width:] / np.sqrt(kept + _RIDGE * kept.mean())
    points = centred @ projection
    points *= 127 / np.abs(points).max(axis=1, keepdims=True)
    labels = np.where(train.labels < categories, train.labels, -1)
    return Recollection(
        torch.from_numpy(mean.astype(np.float16)),
        torch.from_numpy(np.ascontiguousarray(projection.T.astype(np.float16))),
        torch.from_numpy(np.rint(points).astype(np.int8)),
        torch.from_numpy(labels.astype(np.int16)),
        torch.tensor([-1e4, 0.0, 0.0, 0.0]),
    )


def tighten(
    before: ModelSpec, after: ModelSpec, logits: Sequence[Floats], labels: NDArray[np.intp]
) -> ModelSpec:
    """Half of the tags that are gained are given up for a stricter threshold.

    `logits` are of the same validation photos by either model. What the calibration cannot prove
    any more, for want of photos, tags as many as before.
    """
    outcomes = [
        _right_confidences(*pair, labels) for pair in zip((before, after), logits, strict=True)
    ]
    fitted = dict(after.thresholds)
    found, floor = [], 0.0
    for precision, confidence in before.thresholds:
        old = int((outcomes[0] >= confidence).sum())
        new = int((outcomes[1] >= fitted[precision]).sum()) if precision in fitted else old
        kept = min(new, (old + new) // 2)
        if kept:
            floor = max(floor, float(outcomes[1][-kept]), fitted.get(precision, 0.0))
            found.append(Threshold(precision, floor))
    return after._replace(thresholds=tuple(found))


def _right_confidences(
    spec: ModelSpec, logits: Floats, labels: NDArray[np.intp]
) -> NDArray[np.float64]:
    """The confidences of right names, lowest first."""
    scores = probabilities(logits, spec.temperature)[:, :-1]
    return np.sort(scores.max(axis=1)[scores.argmax(axis=1) == labels])


class Evidence(NamedTuple):
    """What the fit needs of photos, each (N,), in units of the calibrated softmax.

    `right` is the logit of the label (of the background where nothing is known), `all` the
    log-sum-exp of the outputs, `background` that output, `best` the greatest of the categories;
    `is_known` says which photos show a landmark that was learned.
    """

    right: Tensor
    all: Tensor
    background: Tensor
    best: Tensor
    familiarity: Tensor
    is_known: Tensor


def leave_out(
    train: Embedded, views: Sequence[Embedded], held: NDArray[np.intp], categories: int
) -> Evidence:
    """What a classifier and a memory without the held categories make of the views."""
    number = np.full(categories + 1, -1)
    kept = np.setdiff1d(np.arange(categories), held)
    number[kept] = np.arange(len(kept))
    number[categories] = len(kept)
    learnt = number[train.labels] >= 0
    reduced = Embedded(train.embeddings[learnt], number[train.labels[learnt]])
    head = fit_linear(
        torch.from_numpy(reduced.embeddings), torch.from_numpy(reduced.labels), len(kept) + 1, 0
    )
    memory = Memory(remember(reduced, len(kept)))
    labels = [np.where(number[v.labels] < 0, len(kept), number[v.labels]) for v in views]
    with torch.inference_mode():
        logits = [head(torch.from_numpy(view.embeddings)) for view in views]
        temperature = fit_temperature(logits[0].numpy(), labels[0])
        parts = [
            _evidence(memory, view, scores / temperature, torch.from_numpy(truth))
            for view, scores, truth in zip(views, logits, labels, strict=True)
        ]
    return Evidence(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def _evidence(memory: Memory, view: Embedded, logits: Tensor, labels: Tensor) -> Evidence:
    best, category = logits[:, :-1].max(1)
    return Evidence(
        logits.gather(1, labels[:, None])[:, 0],
        logits.logsumexp(1),
        logits[:, -1],
        best,
        memory.familiarity(torch.from_numpy(view.embeddings), category),
        labels < logits.shape[1] - 1,
    )


def fit_weights(evidence: Evidence) -> Tensor:
    """The weights (3,) of "unknown" with the least negative log-likelihood.

    Photos of known landmarks and all others count alike, as in the calibration.
    """
    weights = torch.tensor(_START, requires_grad=True)
    optimiser = torch.optim.Adam([weights], _RATE)
    known = evidence.is_known
    for _ in range(_STEPS):
        unknown = weights[0] + weights[1] * evidence.best + weights[2] * evidence.familiarity
        everything = torch.logaddexp(evidence.all, unknown)
        right = torch.where(known, evidence.right, torch.logaddexp(evidence.background, unknown))
        losses = everything - right
        loss = losses[known].mean() + losses[~known].mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return weights.detach()


def fit_memory(
    train: Embedded, views: Sequence[Embedded], categories: int, temperature: float, seed: int
) -> Recollection:
    """The memory of the training photos, its weights fitted with landmarks left out."""
    fold = np.random.default_rng(seed).integers(FOLDS, size=categories)
    parts = [
        leave_out(train, views, np.flatnonzero(fold == at), categories)
        for at in range(FOLDS)
        if (fold == at).any()
    ]
    evidence = Evidence(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
    constant, share, weight = fit_weights(evidence).tolist()
    found = torch.tensor([constant * temperature, share, weight * temperature, 0.0])
    return remember(train, categories)._replace(weights=found)


def fit_shift(
    found: Recollection, view: Embedded, logits: NDArray[np.float32], temperature: float
) -> Recollection:
    """With the shift of the background that has, at its best temperature, the least negative
    log-likelihood of the validation photos (N,), of which `logits` (N, K + 1) are the network's."""
    rows, losses = np.arange(len(logits)), []
    shifts = temperature * np.arange(0, _MOST_SHIFT, _SHIFT_STEP)
    with torch.inference_mode():
        raised = Memory(found)(torch.from_numpy(view.embeddings), torch.from_numpy(logits)).numpy()
    for shift in shifts:
        shifted = raised.copy()
        shifted[:, -1] -= shift
        scores = probabilities(shifted, fit_temperature(shifted, view.labels))
        losses.append(-np.log(np.maximum(scores[rows, view.labels], 1e-12)).mean())
    weights = found.weights.clone()
    weights[-1] = float(shifts[int(np.argmin(losses))])
    return found._replace(weights=weights)


def can_remember(checkpoint: Checkpoint) -> bool:
    """Whether the network ends in an embedding that a memory can be made of."""
    return isinstance(load_bare_network(checkpoint).network, Recogniser)


def add_memory(checkpoint: Checkpoint, dataset: Dataset, cache: Path, seed: int) -> Checkpoint:
    """The model with a memory of the training photos, calibrated anew.

    A memory that it has already is forgotten first. Raises DataError without photos to train and
    to validate on.
    """
    if not dataset.of("train") or not dataset.of("val"):
        raise DataError(f"{dataset.root}: photos to train and to validate on are needed")
    if not can_remember(checkpoint):
        raise CheckpointError(
            f"{checkpoint.source}: {checkpoint.spec.architecture} ends in no embedding to remember"
        )
    if checkpoint.memory:
        kept = {n: t for n, t in checkpoint.tensors.items() if not n.startswith(MEMORY)}
        bare = checkpoint.with_tensors(kept)
        checkpoint = bare.with_spec(calibrate(Model(bare), dataset))
    spec = checkpoint.spec
    embeddings = Embeddings(checkpoint, dataset, cache)
    views = [embeddings.of("val", small) for small in (0, SMALL)]
    found = fit_memory(embeddings.of("train"), views, len(spec.categories), spec.temperature, seed)
    plain = classify(checkpoint, views[0])
    found = fit_shift(found, views[0], plain, spec.temperature)
    remembering = checkpoint.with_tensors({**checkpoint.tensors, **as_tensors(found)})
    with torch.inference_mode():
        raised = Memory(found)(torch.from_numpy(views[0].embeddings), torch.from_numpy(plain))
    calibrated = calibrate(Model(remembering), dataset)
    spec = tighten(spec, calibrated, (plain, raised.numpy()), views[0].labels)
    return with_shares(remembering.with_spec(spec), views[0])


def with_shares(checkpoint: Checkpoint, view: Embedded) -> Checkpoint:
    """The model with how sure it is of landmarks that it does not know: of each photo of one that
    it does, the landmark and its photos in the memory are taken away."""
    logits, left_out = take_away(checkpoint, view)
    spec = checkpoint.spec
    shares = shares_of(logits, left_out, view.labels, spec)
    return checkpoint.with_spec(spec._replace(shares=shares))


def take_away(checkpoint: Checkpoint, view: Embedded) -> tuple[Floats, Floats]:
    """The logits (N, K + 1) of a model that remembers, and those (M, K + 1) of the photos of its
    landmarks with each one's own taken away, the landmarks in their order."""
    found = parse_recollection(
        {name: torch.from_numpy(tensor) for name, tensor in checkpoint.memory.items()},
        len(checkpoint.spec.categories),
    )
    plain = classify(checkpoint, view)
    with torch.inference_mode():
        logits = Memory(found)(torch.from_numpy(view.embeddings), torch.from_numpy(plain)).numpy()
    left_out = [
        _without(found, category, view.embeddings[rows], plain[rows])
        for category in range(len(checkpoint.spec.categories))
        if len(rows := np.flatnonzero(view.labels == category))
    ]
    return logits, np.concatenate(left_out)


def _without(found: Recollection, category: int, embeddings: Floats, plain: Floats) -> Floats:
    """The logits of photos of a category by a model that lacks it."""
    kept = found.categories != category
    rest = found._replace(points=found.points[kept], categories=found.categories[kept])
    bare = without_own(plain, np.full(len(plain), category))
    with torch.inference_mode():
        raised = Memory(rest)(torch.from_numpy(embeddings), torch.from_numpy(bare))
    logits: Floats = raised.numpy()
    return logits


@click.command("training.openset")
@commands.takes_dataset(seeded=True)
@commands.REPLACED
@click.option(
    "--cache", type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the photos' embeddings. [default: cache beside the model]",
)  # fmt: skip
@click.option(
    "--shares-only", is_flag=True,
    help="Keep memory and thresholds; measure only how sure the model is of what it does not know.",
)  # fmt: skip
def main(path: Path, dataset: Dataset, seed: int, cache: Path | None, shares_only: bool) -> None:
    """Store what a model remembers of its training photos, and calibrate it anew.

    A photo that is like none of its category's counts as background then. Killed, the same command
    goes on with the embeddings that it has.
    """
    checkpoint = load_checkpoint(path)
    if checkpoint.spec.own_categories:
        raise DataError(f"{path}: has landmarks of your own; do this before adding them")
    cache = cache or path.parent / "cache"
    if shares_only:
        if not checkpoint.memory:
            raise DataError(f"{path}: has no memory; training.calibrate measures this for it")
        found = with_shares(checkpoint, Embeddings(checkpoint, dataset, cache).of("val"))
        if (shares := found.spec.shares) is None:
            raise DataError(f"{dataset.root}: too few validation photos to measure this by")
        save_checkpoint(path, found.spec, found.tensors)
        click.echo(
            f"{path}: {shares.unknown[0]:.1%} of the photos of landmarks that it does not know are "
            f"somewhat sure of one (at least {shares.confidences[0]:g}), {shares.known[0]:.1%} of "
            "those that it does"
        )
        return
    found = add_memory(checkpoint, dataset, cache, seed)
    save_checkpoint(path, found.spec, found.tensors)
    points, (constant, share, weight, _) = (found.memory[n] for n in ("points", "weights"))
    click.echo(
        f"{path}: remembers {len(points)} photos, {path.stat().st_size / 1e6:.1f} MB; "
        f"unknown = {constant:.2f} + {share:.2f} of the best logit {weight:+.2f} a familiarity"
    )


def as_tensors(found: Recollection) -> dict[str, NDArray[np.generic]]:
    """The memory's tensors as a model file holds them."""
    return {MEMORY + name: tensor.numpy() for name, tensor in found._asdict().items()}


if __name__ == "__main__":
    commands.run(main)
