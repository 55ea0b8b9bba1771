"""Embeddings of a training set's photos, kept in parts: a killed run goes on where it was."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from geotag.decoding.transforms import shrink
from geotag.engines.pytorch import load_bare_network
from geotag.errors import DataError
from geotag.files.atomic import atomic_file
from geotag.model.checkpoint import Checkpoint
from training.calibrate import label_indices
from training.data.dataset import Dataset, Sample
from training.pretrained.trunk import compiled, trunk
from training.reports.inference import Photos

_BATCH = 32
_PART = 512  # photos whose embeddings are kept together: what a kill costs at most

Floats = NDArray[np.float32]


class Embedded(NamedTuple):
    """Embeddings (N, D) of photos and their labels (N,); whatever is no category has K."""

    embeddings: Floats
    labels: NDArray[np.intp]


class Embeddings:
    """A model's embeddings of a set's photos, those from `folder` that an earlier run left."""

    def __init__(self, checkpoint: Checkpoint, dataset: Dataset, folder: Path) -> None:
        self._spec = checkpoint.spec
        network = load_bare_network(checkpoint)
        network.network = trunk(network.network)
        self._run = compiled(network.eval(), checkpoint.spec.input_size)
        self._dataset = dataset
        self._folder = folder / f"embeddings-{_key(checkpoint, dataset)}"
        self._folder.mkdir(parents=True, exist_ok=True)

    def of(self, split: str, small: int = 0) -> Embedded:
        """Those of a split's photos that can be read, at `small` pixels if that is not 0.

        Raises DataError where none can be read.
        """
        samples = self._dataset.of(split)
        found, good = [], []
        with tqdm(total=len(samples), desc="embedding", disable=None, unit="photo") as progress:
            for start in range(0, len(samples), _PART):
                part = samples[start : start + _PART]
                path = self._folder / f"{split}-{small}-{start}.npz"
                if not path.is_file():
                    self._embed(part, small, path)
                with np.load(path, allow_pickle=False) as stored:
                    if len(stored["rows"]):
                        found.append(stored["embeddings"])
                        good += [part[row] for row in stored["rows"]]
                progress.update(len(part))
        if not good:
            raise DataError(f"{self._dataset.root}: none of the {split} photos can be read")
        return Embedded(np.concatenate(found), label_indices(good, self._spec.categories))

    def _embed(self, samples: Sequence[Sample], small: int, path: Path) -> None:
        spec = self._spec
        photos = Photos(self._dataset, samples, spec.input_size, spec.fit)
        pixels = [
            shrink(shrink(picture, small), spec.input_size) if small else picture
            for picture in photos
        ]
        rows = [row for row, sample in enumerate(samples) if sample.path not in photos.failed]
        found = [
            self._run(torch.from_numpy(np.stack(pixels[at : at + _BATCH]))).numpy()
            for at in range(0, len(pixels), _BATCH)
        ]
        embeddings = np.concatenate(found) if found else np.empty((0, 0), np.float32)
        with atomic_file(path) as file:
            np.savez(file, embeddings=embeddings, rows=np.array(rows, np.int32))


def _key(checkpoint: Checkpoint, dataset: Dataset) -> str:
    spec = checkpoint.spec
    digest = hashlib.sha256(f"{dataset.fingerprint}\0{spec.input_size}\0{spec.fit}".encode())
    for name, tensor in sorted(checkpoint.weights.items()):
        digest.update(name.encode() + np.ascontiguousarray(tensor).tobytes())
    return digest.hexdigest()[:16]
