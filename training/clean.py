"""Finds mislabelled, duplicate and outlying photos; writes a list that training leaves out.

python -m training.clean --data DIR --out cleaned
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from tqdm import tqdm

from geotag.engines.embedding import Embedder
from geotag.errors import DataError, MissingDependencyError
from geotag.model.checkpoint import Checkpoint, load_checkpoint
from training.data.dataset import SPLITS, Dataset, Sample, draw
from training.reports import commands, plots
from training.reports.inference import Photos, Pixels

FOLDS = 5
_COMPONENTS = 256
_SMALL = 64  # pixels, the side of what the auto-encoder sees
_CHUNK = 256
_SHOWN = 96
_HASH_BITS = 2
_LEVELS = 12  # mean difference of colours, of 255, that copies may have
_NO_LANDMARK = "(no landmark)"


class Suspect(NamedTuple):
    """A photo that may be left out: its number among the samples, and why; of what it is a copy."""

    at: int
    reason: str
    original: int | None = None


def find_mislabelled(
    samples: Sequence[Sample], embeddings: NDArray[np.float64], seed: int
) -> list[Suspect]:
    """Confident learning (Northcutt et al., JAIR 2021) by cleanlab, the least credible first.

    The probabilities are held-out ones of a logistic regression on the embeddings, with
    near-duplicates in one fold. Classes of a single group are passed over, and sets where too
    little is left to learn from.
    """
    try:
        from cleanlab.filter import find_label_issues
        from sklearn.decomposition import PCA
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import Normalizer
    except ImportError:
        raise MissingDependencyError("finding mislabelled photos", "train") from None
    groups = Counter(label for label, _ in {(sample.label, sample.group) for sample in samples})
    rows = [at for at, sample in enumerate(samples) if groups[sample.label] > 1]
    names = [samples[at].label for at in rows]
    classes, labels = np.unique(names, return_inverse=True)
    if len(classes) < 2:
        return []
    dealer = StratifiedGroupKFold(min(FOLDS, max(groups.values())), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes with fewer photos than folds
        folds = list(dealer.split(embeddings[rows], labels, [samples[at].group for at in rows]))
        if any(len(set(labels[others])) < 2 for others, _ in folds):
            return []
        components = min(embeddings.shape[1], len(rows) // 2, *(len(others) for others, _ in folds))
        model = make_pipeline(
            Normalizer(), PCA(min(_COMPONENTS, components), random_state=seed),
            LogisticRegression(C=100, max_iter=200),
        )  # fmt: skip
        scores = cross_val_predict(
            model, embeddings[rows], labels, cv=folds, method="predict_proba"
        )
    ranked = find_label_issues(labels, scores, return_indices_ranked_by="self_confidence", n_jobs=1)
    best = classes[scores.argmax(axis=1)]
    return [
        Suspect(rows[at], f"mislabelled: rather {best[at] or _NO_LANDMARK}")
        for at in ranked
        if best[at] != names[at]
    ]


def difference_hash(pixels: Pixels) -> NDArray[np.uint64]:
    """64 bits of each picture (N, S, S, 3): whether it grows brighter from cell to cell.

    Photos scaled or recompressed keep nearly all of them (N. Krawetz, "Kind of like that", 2013).
    """
    hashes = []
    for photo in pixels:
        grey = np.asarray(Image.fromarray(photo).convert("L").resize((9, 8)), np.int16)
        hashes.append(np.packbits(grey[:, 1:] > grey[:, :-1]).view(np.uint64)[0])
    return np.array(hashes, np.uint64)


def thumbnails(pixels: Pixels, side: int) -> Pixels:
    """The pictures (N, S, S, 3), small."""
    return np.stack([np.asarray(Image.fromarray(p).resize((side, side))) for p in pixels])


def find_duplicates(
    samples: Sequence[Sample], hashes: NDArray[np.uint64], colours: NDArray[np.float64]
) -> list[Suspect]:
    """Photos within two bits of an earlier one's hash, with nearly its `colours` (N, C), 0 to 255.

    Test and val photos come first, so that it is a train photo's copy that leaves.
    """
    order = sorted(range(len(samples)), key=lambda at: (-SPLITS.index(samples[at].split), at))
    ordered = hashes[order]
    found = []
    for place in range(1, len(order)):
        near = np.flatnonzero(np.bitwise_count(ordered[:place] ^ ordered[place]) <= _HASH_BITS)
        if not len(near):
            continue
        here = order[place]
        gaps = np.abs(colours[[order[at] for at in near]] - colours[here]).mean(axis=1)
        if gaps.min() <= _LEVELS:
            original = order[near[int(gaps.argmin())]]
            first, copy = samples[original], samples[here]
            other = " under another label" if first.label != copy.label else ""
            found.append(Suspect(here, f"duplicate of {first.path}{other}", original))
    return sorted(found)


class Features(NamedTuple):
    """What photos are told apart by: the readable samples, their embeddings (N, D), hashes (N,),
    colours (N, C) and small pictures (N, 64, 64, 3), and why others could not be read."""

    samples: list[Sample]
    embeddings: NDArray[np.float64]
    hashes: NDArray[np.uint64]
    colours: NDArray[np.float64]
    small: Pixels
    failed: dict[str, str]


def extract(dataset: Dataset, samples: Sequence[Sample], checkpoint: Checkpoint) -> Features:
    """Read the photos, a few at a time in memory. Raises DataError when none can be read."""
    embedder, spec = Embedder(checkpoint), checkpoint.spec
    photos = Photos(dataset, samples, spec.input_size, spec.fit)
    parts: list[tuple[NDArray[np.float64], NDArray[np.uint64], NDArray[np.float64], Pixels]] = []
    with tqdm(total=len(samples), desc="reading", disable=None, unit="photo") as progress:
        pictures = iter(photos)
        while chunk := list(islice(pictures, _CHUNK)):
            read = np.stack(chunk)
            colours = thumbnails(read, 4).reshape(len(read), -1).astype(np.float64)
            small = thumbnails(read, _SMALL)
            parts.append((embedder.embed(read), difference_hash(read), colours, small))
            progress.update(len(chunk))
    photos.check()
    embeddings, hashes, all_colours, all_small = (
        np.concatenate([part[at] for part in parts]) for at in range(4)
    )
    return Features(photos.good, embeddings, hashes, all_colours, all_small, photos.failed)


class AutoEncoder(nn.Module):
    """A convolutional auto-encoder of 64 x 64 pictures (Masci et al., ICANN 2011)."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 64, 16)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.ReLU()]
        for before, after in pairwise(widths[::-1]):
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1], nn.Sigmoid())

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, 3, 64, 64) in 0 to 1, the same shape back."""
        rebuilt: torch.Tensor = self.layers(pictures)
        return rebuilt


def reconstruction_errors(pixels: Pixels, epochs: int, seed: int) -> NDArray[np.float64]:
    """Mean squared error (N,) of an auto-encoder trained on these pictures (N, 64, 64, 3)."""
    torch.manual_seed(seed)
    network = AutoEncoder()
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(epochs):
        for batch in torch.split(torch.randperm(len(pixels)), 64):
            pictures = _planes(pixels[batch.numpy()])
            optimiser.zero_grad()
            loss = nn.functional.mse_loss(network(pictures), pictures)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    errors = []
    with torch.inference_mode():
        for start in range(0, len(pixels), 256):
            pictures = _planes(pixels[start : start + 256])
            errors.append((network(pictures) - pictures).square().mean((1, 2, 3)).numpy())
    return np.concatenate(errors).astype(np.float64)


def _planes(pixels: Pixels) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def find_outliers(errors: NDArray[np.float64], deviations: float) -> list[Suspect]:
    """Photos whose error is far above the median, in robust standard deviations, worst first.

    The deviation is 1.4826 times the median absolute one (Leys et al., 2013).
    """
    middle = np.median(errors)
    spread = 1.4826 * np.median(np.abs(errors - middle)) + 1e-12
    heights = (errors - middle) / spread
    worst = [int(at) for at in np.argsort(-heights, kind="stable") if heights[at] > deviations]
    return [Suspect(at, f"outlier: {heights[at]:.1f} deviations off") for at in worst]


def _write_sheet(features: Features, suspects: Sequence[Suspect], path: Path) -> None:
    """The suspects with label, reason and file name; a copy is followed by what it is a copy of."""
    shown: list[tuple[Pixels, str]] = []
    for suspect in suspects[:_SHOWN]:
        if suspect.original is None:
            shown.append(_cell(features, suspect.at, suspect.reason.partition(": ")[2]))
        else:
            shown.append(_cell(features, suspect.at, "a copy of the next"))
            shown.append(_cell(features, suspect.original, ""))
    plots.contact_sheet(shown, path)


def _cell(features: Features, at: int, text: str) -> tuple[Pixels, str]:
    sample = features.samples[at]
    return features.small[at], f"{sample.label or _NO_LANDMARK}\n{text}\n{Path(sample.path).name}"


@click.command("training.clean")
@commands.takes_dataset(seeded=True)
@commands.MODEL
@click.option("--limit", type=click.IntRange(1), help="Check so many photos only, at random.")
@click.option("--epochs", default=5, show_default=True, help="Of the auto-encoder; 0: no outliers.")
@click.option(
    "--deviations", default=6.0, show_default=True, help="How far off the median an outlier is."
)
@click.option(
    "--from", "parts", multiple=True, type=click.Choice(SPLITS), default=("train",),
    show_default=True, help="Splits to leave photos out of; repeatable.",
)  # fmt: skip
@commands.OUT
def main(
    dataset: Dataset, seed: int, model: Path | None, limit: int | None, epochs: int,
    deviations: float, parts: tuple[str, ...], out: Path,
) -> None:  # fmt: skip
    """Find mislabelled, duplicate and outlying photos.

    Writes OUT/exclusions.csv, for --exclude of training, and contact sheets of what is suspected:
    mislabelled.png, duplicates.png, outliers.png. View them before you use the list.
    """
    allowed = {sample.path for sample in dataset.samples if sample.split in parts}
    if not allowed:
        raise DataError(f"{dataset.root}: no photos in split {' or '.join(parts)}")
    most = len(dataset.samples) if limit is None else limit
    checked = draw(dataset.samples, most, np.random.default_rng(seed))
    features = extract(dataset, checked, load_checkpoint(model))
    samples, small, failed = features.samples, features.small, features.failed
    errors = reconstruction_errors(small, epochs, seed) if epochs else np.zeros(len(small))
    found = {
        "mislabelled": find_mislabelled(samples, features.embeddings, seed),
        "duplicates": find_duplicates(samples, features.hashes, features.colours),
        "outliers": find_outliers(errors, deviations),
    }
    reasons = {path: f"unreadable: {reason}" for path, reason in failed.items()}
    for name, suspects in reversed(found.items()):
        _write_sheet(features, suspects, out / f"{name}.png")
        reasons |= {samples[s.at].path: s.reason for s in suspects}
    reasons = {path: reason for path, reason in reasons.items() if path in allowed}
    if len(reasons) == len(allowed):
        raise DataError("every photo is suspected: choose a --model trained on photos like these")
    commands.write_csv(out / "exclusions.csv", ("file", "reason"), sorted(reasons.items()))
    counts = {name: len(suspects) for name, suspects in found.items()}
    commands.write_json(out / "clean.json", {
        "data": dataset.fingerprint, "photos": len(samples), "unreadable": failed,
        **{name: {samples[s.at].path: s.reason for s in suspects}
           for name, suspects in found.items()},
    })  # fmt: skip
    click.echo(
        f"{len(samples)} photos: " + ", ".join(f"{n} {name}" for name, n in counts.items())
        + f", {len(failed)} unreadable\n{len(reasons)} of {' and '.join(parts)} are left out by "
        f"--exclude {out / 'exclusions.csv'}"
    )  # fmt: skip


if __name__ == "__main__":
    commands.run(main)
