"""What the page is told of a photo, and of what it may ask."""

from __future__ import annotations

import base64
import io
import math
from collections import defaultdict
from collections.abc import Callable
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from geotag.categories import load_categories
from geotag.errors import MissingDependencyError
from geotag.files.extensions import PHOTO_EXTENSIONS, RAW_EXTENSIONS
from geotag.places.distance import distance_m
from geotag.places.languages import country_names
from geotag.places.names import Town, load_town_names
from geotag.places.standing import landmark_finder, with_landmark
from geotag.records import Location, Outcome, Status
from geotag.tables.csv import CsvFormat
from geotag.tables.geojson import GeojsonFormat

if TYPE_CHECKING:
    from PIL import Image

    from geotag.decision import Decider
    from geotag.recognition.predictor import Explained, Predictor
    from geotag.tables.base import MapFormat

MOST_PHOTOS = 1000  # that the page takes at a time
_TOWNS = 30
_SOMEWHERE = Outcome("", Status.HAS_GPS, 0.0, 0.0)
_HEIF = ("heic", "heif", "hif")


class Namer:
    """Adds to a row where it was taken, as far as its position tells, and finds towns around."""

    def __init__(self) -> None:
        self._at_landmark = landmark_finder(load_categories())
        self._towns = Towns()

    def prepare(self) -> None:
        """Read what the first photo would wait for."""
        self.named(_SOMEWHERE)
        self.towns(_SOMEWHERE)

    def named(self, row: Outcome) -> Outcome:
        """The row with the names of its place, and the landmark at which it was taken."""
        return self._naming(with_landmark(row, self._at_landmark))

    def towns(self, row: Outcome) -> list[list[Any]]:
        """The nearest towns of a row with a position: name, longitude, latitude."""
        if row.latitude is None or row.longitude is None:
            return []
        # That by which the place is called stands on the map before the others.
        return self._towns.around(Location(row.latitude, row.longitude), row.place)

    @cached_property
    def _naming(self) -> Callable[[Outcome], Outcome]:
        from geotag.places.library import naming  # only now: numpy is heavy

        try:
            return naming()
        except MissingDependencyError:  # without the extra places have no names
            return lambda row: row


class Towns:
    """The towns around a position, for a map."""

    def around(self, here: Location, first: str = "") -> list[list[Any]]:
        """The nearest ones, those of a name first: name, longitude, latitude."""
        north, east = _cell(here.latitude, here.longitude)
        around = [
            (distance_m(here, Location(town.latitude, town.longitude)), town)
            for up in (-1, 0, 1)
            for right in (-1, 0, 1)
            for town in self._by_cell[(north + up, (east + right) % 360)]
        ]
        around.sort(key=lambda pair: (pair[1].name != first, pair))
        return [[t.name, round(t.longitude, 3), round(t.latitude, 3)] for _, t in around[:_TOWNS]]

    @cached_property
    def _by_cell(self) -> dict[tuple[int, int], list[Town]]:
        cells: dict[tuple[int, int], list[Town]] = defaultdict(list)
        for town in load_town_names():
            cells[_cell(town.latitude, town.longitude)].append(town)
        return cells


def about(predictor: Predictor, decider: Decider, size_limit: int) -> dict[str, Any]:
    """What the page says before any photo: the limits, and the landmarks that the model knows."""
    countries = country_names("en")
    known = [predictor.categories.by_slug(slug) for slug in predictor.spec.categories]
    return {
        "model": decider.model,
        "threshold": decider.threshold,
        "size_limit": size_limit,
        "photos": MOST_PHOTOS,
        "extensions": sorted(PHOTO_EXTENSIONS - _unreadable()),
        "explains": find_spec("skimage") is not None,
        "landmarks": sorted(
            [one.name, one.city, one.country or countries.get(one.country_code, "")]
            for one in known
        ),
    }


def tell_row(row: Outcome) -> dict[str, Any]:
    """A row as JSON, and as the tables of it alone that the page puts together."""
    told = {**row._asdict(), "top_k": [entry._asdict() for entry in row.top_k]}
    return told | {
        "csv": _table(CsvFormat(with_mark=False), row),
        "geojson": _table(GeojsonFormat(), row),
    }


def tell_explanation(explained: Explained) -> dict[str, Any]:
    """An explanation as figures and pictures."""
    from geotag.recognition.drawing import explanation_pictures

    found = explained.explanation
    alone, weighed = explanation_pictures(explained)
    return {
        "landmark": explained.landmark,
        "confidence": found.confidence,
        "alone": found.alone,
        "without": found.without,
        "marked": int(found.marked.sum()),
        "parts": len(found.marked),
        "fit": found.fit,
        "strongest": float(abs(found.weights).max()),
        "pictures": [_jpeg(alone), _jpeg(weighed)],
    }


def _table(layout: MapFormat, row: Outcome) -> str:
    file = io.BytesIO()
    layout.write(file, [row])
    return file.getvalue().decode()


def _jpeg(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return base64.b64encode(file.getvalue()).decode()


def _cell(latitude: float, longitude: float) -> tuple[int, int]:
    return math.floor(latitude), math.floor(longitude) % 360


def _unreadable() -> set[str]:
    """Extensions of formats whose decoders are not installed."""
    missing: set[str] = set() if find_spec("pillow_heif") else set(_HEIF)
    return missing if find_spec("rawpy") else missing | RAW_EXTENSIONS
