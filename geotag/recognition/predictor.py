"""The most likely landmarks of single pictures: the network without a library around it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from geotag.decision import TOP_K_LIMIT
from geotag.decoding.emptiness import why_empty
from geotag.decoding.loader import decode, upright_size
from geotag.decoding.transforms import preprocess, seen_size
from geotag.engines.base import EngineOptions
from geotag.errors import PhotoError, UsageError
from geotag.metadata.header import parse_header
from geotag.recognition.explanation import Explanation, explain
from geotag.recognition.model import Model
from geotag.records import Landmark, Photo, Prediction, Reading, TopCategory
from geotag.sources.base import Filters
from geotag.sources.local import LocalSource

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from geotag.decoding.isolated import IsolatedDecoder

_LONGEST = 800  # pixels of a picture that is shown


class Upload(NamedTuple):
    """A photo in memory; raw formats are known by the ending of its name."""

    name: str
    data: bytes


if TYPE_CHECKING:
    Picture = str | os.PathLike[str] | Image.Image | Upload


class Explained(NamedTuple):
    """The explanation of a landmark in a picture, and the probability that it shows any.

    `view` is the picture as the network sees it, in its own proportions.
    """

    landmark: str
    landmark_probability: float
    view: Image.Image
    explanation: Explanation


class Predictor:
    """A loaded model that classifies one picture at a time."""

    def __init__(
        self, model: Path | None = None, options: EngineOptions | None = None,
        decoder: IsolatedDecoder | None = None,
    ) -> None:  # fmt: skip
        self._decode = decode if decoder is None else decoder.decode
        self._upright_size = upright_size if decoder is None else decoder.upright_size
        options = options or EngineOptions()
        options = options._replace(batch_size=options.batch_size or 1)
        self.model = Model.open(model, options)
        self.spec = self.model.spec
        self.categories = self.model.categories

    def predict(self, picture: Picture, k: int = 5) -> Prediction:
        """The k most likely categories of a path or Pillow image.

        None, and `unclassified` says why, where there is nothing in it to recognise. Raises
        PhotoError that names the file when it cannot be read.
        """
        with _loaded(picture) as loaded:
            pixels, size = self._pixels(loaded), _stored_size(loaded)
        if empty := why_empty(pixels, size):
            return Prediction((), 0.0, empty)
        return self.model.predictions([pixels], k)[0]

    def top(self, prediction: Prediction) -> tuple[TopCategory, ...]:
        """The landmarks of a prediction by name, best first."""
        found = self.ranked(prediction)
        return tuple(TopCategory(c.id, c.slug, c.name, confidence) for c, confidence in found)

    def ranked(self, prediction: Prediction) -> list[tuple[Landmark, float]]:
        """As `top`, with all that is known of the landmarks."""
        return [(self.categories.by_slug(s.slug), s.confidence) for s in prediction.top]

    def read(self, upload: Upload) -> Reading:
        """What the camera wrote and the model recognises, as a scan with `classify_all` reads it.

        Raises PhotoError.
        """
        header = parse_header(upload.data, upload.name)
        photo = Photo(upload.name, len(upload.data), "")
        return Reading(photo, header.metadata, self.predict(upload, TOP_K_LIMIT))

    def explain(self, picture: Picture, landmark: str = "", samples: int = 500) -> Explained:
        """Which parts of a path or Pillow image show a landmark (extra `plot`).

        `landmark` is a name or slug; without it, the most likely one. Raises UsageError for one
        that the model does not know, and what `predict` raises.
        """
        column = self._column(landmark) if landmark else None
        pixels, view = self._pixels(picture), self.view(picture)
        whole = self.model.scores([pixels])[0]
        at = int(whole[:-1].argmax()) if column is None else column
        explanation = explain(lambda views: self.model.scores(views)[:, at], pixels, samples)
        name = self.categories.by_slug(self.spec.categories[at]).name
        return Explained(name, float(1 - whole[-1]), view, explanation)

    def _column(self, landmark: str) -> int:
        names = [self.categories.by_slug(slug).name for slug in self.spec.categories]
        for at, slug in enumerate(self.spec.categories):
            if landmark.casefold() in (slug, names[at].casefold()):
                return at
        close = get_close_matches(landmark, names, 1)
        meant = f"did you mean “{close[0]}”?" if close else "see `geotag categories`"
        raise UsageError(f"this model knows no landmark “{landmark}”; {meant}")

    def view(self, picture: Picture) -> Image.Image:
        """What the network sees of a path or Pillow image: upright, in its own proportions."""
        from PIL import Image

        with _loaded(picture) as loaded:
            width, height = self._size(loaded)
            longest = min(_LONGEST, max(1, round(max(width, height))))
            pixels = self._pixels(loaded, longest)
        scale = longest / max(width, height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        return Image.fromarray(pixels).resize(size)

    def _pixels(self, picture: Picture, size: int = 0) -> NDArray[np.uint8]:
        size, fit = size or self.spec.input_size, self.spec.fit
        with _loaded(picture) as loaded:
            if isinstance(loaded, Upload):
                return self._decode(loaded.data, parse_header(loaded.data, loaded.name), size, fit)
            return preprocess(loaded, size, fit, _orientation(loaded))

    def _size(self, picture: Image.Image | Upload) -> tuple[float, float]:
        """As it is seen: upright, of the part that the network's fit leaves."""
        if isinstance(picture, Upload):
            header = parse_header(picture.data, picture.name)
            return self._upright_size(picture.data, header, self.spec.fit)
        return seen_size(picture.size, self.spec.fit, _orientation(picture))


@contextmanager
def _loaded(picture: Picture) -> Iterator[Image.Image | Upload]:
    """A path's bytes, other pictures as they are. Raises PhotoError that names the file."""
    if not isinstance(picture, (str, os.PathLike)):
        yield picture
        return
    path = os.fspath(picture)
    upload = load_photo(path)
    try:
        yield upload
    except PhotoError as error:
        raise PhotoError(f"{path}: {error}") from error


def load_photo(path: str) -> Upload:
    """A photo's bytes. Raises PhotoError that names the file."""
    try:
        return Upload(path, LocalSource(path, Filters()).read(path))
    except PhotoError as error:
        raise PhotoError(f"{path}: {error}") from error


def _stored_size(picture: Image.Image | Upload) -> tuple[int, int]:
    """Width and height as the header has them, which decodes nothing; 0 where it does not tell."""
    if not isinstance(picture, Upload):
        return picture.size
    capture = parse_header(picture.data, picture.name).metadata.capture
    return capture.width, capture.height


def _orientation(picture: Image.Image) -> int:
    return int(picture.getexif().get(0x0112, 1))
