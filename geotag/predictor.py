"""The most likely landmarks of single pictures: the network without a library around it."""

from __future__ import annotations

import io
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from geotag.categories import ModelCategories
from geotag.checkpoint import load_checkpoint
from geotag.decision import parse_scores
from geotag.engines import build_engine
from geotag.engines.base import EngineOptions
from geotag.errors import PhotoError, UsageError
from geotag.loader import decode
from geotag.metadata import parse_header
from geotag.records import Prediction, TopCategory
from geotag.sources.base import Filters
from geotag.sources.local import LocalSource
from geotag.transforms import preprocess

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    Picture = str | os.PathLike[str] | Image.Image


class Predictor:
    """A loaded model that answers for one picture at a time."""

    def __init__(self, model: Path | None = None, options: EngineOptions | None = None) -> None:
        checkpoint = load_checkpoint(model)
        self.spec = checkpoint.spec
        self.engine = build_engine(checkpoint, (options or EngineOptions())._replace(batch_size=1))
        self.categories = ModelCategories(self.spec.own_categories)

    def predict(self, picture: Picture, k: int = 5) -> Prediction:
        """The k most likely categories of a path or Pillow image.

        Raises PhotoError that names the file when it cannot be read, UsageError for k below 1.
        """
        if k < 1:
            raise UsageError(f"k must be at least 1, not {k}")
        pixels = self._pixels(picture)
        logits = self.engine.predict(pixels[None])
        return parse_scores(logits, self.spec.categories, self.spec.temperature, k)[0]

    def top(self, picture: Picture, k: int = 5) -> tuple[TopCategory, ...]:
        """As `predict`, with the names of the landmarks."""
        found = [
            (self.categories.by_slug(score.slug), score.confidence)
            for score in self.predict(picture, k).top
        ]
        return tuple(TopCategory(c.id, c.slug, c.name, confidence) for c, confidence in found)

    def _pixels(self, picture: Picture) -> NDArray[np.uint8]:
        size, fit = self.spec.input_size, self.spec.fit
        if not isinstance(picture, (str, os.PathLike)):
            orientation = int(picture.getexif().get(0x0112, 1))
            return preprocess(picture, size, fit, orientation)
        path = os.fspath(picture)
        try:
            data = LocalSource(path, Filters()).read(path)
            return decode(data, parse_header(data, path), size, fit)
        except PhotoError as error:
            raise PhotoError(f"{path}: {error}") from error


@lru_cache(maxsize=1)
def _predictor(model: Path | None) -> Predictor:
    return Predictor(model)


def predict_landmarks(picture: Picture, k: int = 5, model: Path | None = None) -> list[str]:
    """The names of the k most likely landmarks, best first.

    `picture` is a path or a Pillow image. Every picture has a most likely landmark, also one that
    shows none: `geotag.scan` decides whether there is one.
    """
    return [entry.landmark for entry in _predictor(model).top(picture, k)]


def suggest_locations(
    picture: Picture, k: int = 5, model: Path | None = None, show: bool = True
) -> list[str]:
    """Draw the picture with its k most likely landmarks beside it (extra `plot`).

    Returns the names; with `show` false the figure is left to the caller (pyplot.gcf()).
    """
    import matplotlib.pyplot as plt

    entries = _predictor(model).top(picture, k)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), width_ratios=(1, 1))
    left.imshow(_upright(picture))
    left.axis("off")
    names = [entry.landmark for entry in entries]
    right.barh(names[::-1], [entry.confidence for entry in entries][::-1])
    right.set_xlim(0, 1)
    right.set_xlabel("confidence")
    figure.tight_layout()
    if show:
        plt.show()
    return names


def _upright(picture: Picture) -> Image.Image:
    from PIL import Image, ImageOps

    if isinstance(picture, (str, os.PathLike)):
        data = Path(os.fspath(picture)).read_bytes()
        picture = Image.open(io.BytesIO(data))
    upright = ImageOps.exif_transpose(picture)
    upright.thumbnail((800, 800))
    return upright.convert("RGB")
