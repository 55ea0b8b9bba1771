"""A model that is ready to classify: from a model file and pictures to calibrated probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geotag.categories import ModelCategories
from geotag.decision import TOP_K_LIMIT, parse_scores, probabilities
from geotag.decoding.fingerprint import fingerprint
from geotag.engines import build_engine
from geotag.engines.base import EngineOptions
from geotag.model.checkpoint import Checkpoint, ModelHeader, load_checkpoint
from geotag.model.spec import ModelSpec
from geotag.records import Prediction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]


class Model:
    """A verified model file and the engine that runs it.

    Pictures are RGB, uint8 (S, S, 3) at the spec's input size: an array of any number of them, or
    one after the other from an iterator. They go through the engine in batches.
    """

    def __init__(
        self, checkpoint: Checkpoint, options: EngineOptions | None = None, streams: int = 1
    ) -> None:
        self.checkpoint = checkpoint
        self.engine = build_engine(checkpoint, options or EngineOptions(), streams)

    @classmethod
    def open(
        cls, path: Path | None = None, options: EngineOptions | None = None, streams: int = 1
    ) -> Model:
        """Load a model file (None: the built-in one) into an engine.

        `streams` is how many threads will use it at once. Raises CheckpointError, EngineError,
        MissingDependencyError.
        """
        return cls(load_checkpoint(path), options, streams)

    @property
    def header(self) -> ModelHeader:
        return self.checkpoint.header

    @property
    def spec(self) -> ModelSpec:
        return self.checkpoint.spec

    @property
    def name(self) -> str:
        """The model as tables name it."""
        return self.header.name

    @cached_property
    def categories(self) -> ModelCategories:
        """The landmarks by slug, the user's own among them."""
        return ModelCategories(self.spec.own_categories)

    def logits(self, pictures: Pixels | Iterable[Pixels]) -> NDArray[np.float32]:
        """What the network gives, (N, K + 1) of K categories and, last, the background."""
        return self._outputs(pictures)[:, : len(self.spec.categories) + 1]

    def _outputs(self, pictures: Pixels | Iterable[Pixels]) -> NDArray[np.float32]:
        """Logits and, where the engine gives them, embeddings."""
        remaining = iter(pictures)
        parts: list[NDArray[np.float32]] = []
        while batch := list(islice(remaining, self.engine.batch_size)):
            parts.append(self.engine.predict(np.stack(batch)))
        return np.concatenate(parts or [np.empty((0, len(self.spec.categories) + 1), np.float32)])

    def scores(self, pictures: Pixels | Iterable[Pixels]) -> NDArray[np.float64]:
        """The calibrated probabilities (N, K + 1) of each category and, last, of none of them."""
        return probabilities(self.logits(pictures), self.spec.temperature)

    def predictions(
        self, pictures: Pixels | Iterable[Pixels], k: int = TOP_K_LIMIT
    ) -> list[Prediction]:
        """The `k` most likely categories of each picture, best first."""
        prints: list[bytes] = []
        outputs, width = self._outputs(_noted(pictures, prints)), len(self.spec.categories) + 1
        logits, embeddings = outputs[:, :width], outputs[:, width:].astype("<f2")
        found = parse_scores(logits, self.spec.categories, self.spec.temperature, k)
        return [
            prediction._replace(embedding=row.tobytes(), fingerprint=print_)
            for prediction, row, print_ in zip(found, embeddings, prints, strict=True)
        ]


def _noted(pictures: Pixels | Iterable[Pixels], prints: list[bytes]) -> Iterator[Pixels]:
    """The same pictures; their fingerprints are added to a list."""
    for picture in pictures:
        prints.append(fingerprint(picture))
        yield picture
