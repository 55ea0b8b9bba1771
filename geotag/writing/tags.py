"""What geotag writes into a photo, in the terms of the metadata standards. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from geotag.metadata.marks import SOURCE_INFERRED
from geotag.records import Category

METHOD = "landmark recognition by a convolutional neural network"
METHOD_USER = "named by the user"
MAP_DATUM = "WGS-84"
# Letters that no XML holds, and ends of texts and lines, which other fields cannot hold.
_CONTROLS = re.compile("[\0-\x1f\ud800-\udfff\ufffe\uffff]+")


class LandmarkTags(NamedTuple):
    """The landmark that a photo shows, who or what recognised it, and whether to give its position.

    `located` says whether anyone knows where it is: a model's own landmarks may be names alone.
    `position` asks for map pins (`--gps`): the landmark's position is written as the camera's too,
    under geotag's own mark.
    """

    landmark: Category
    source: str = SOURCE_INFERRED
    confidence: float | None = None
    model: str = ""
    model_sha256: str = ""
    threshold: float | None = None
    run_id: str = ""
    position: bool = False
    located: bool = True


class Change(NamedTuple):
    """One field that a write alters; an empty text means that the field is not there."""

    field: str
    old: str
    new: str


class Surroundings(NamedTuple):
    """What a photo says of itself elsewhere than in the XMP packet that is being edited.

    `places` maps XMP names ("photoshop:City") to the texts of their IPTC twins.
    """

    keywords: tuple[str, ...] = ()
    places: Mapping[str, str] = {}

    def beside(self, other: Surroundings) -> Surroundings:
        """Both together."""
        return Surroundings(union(self.keywords, *other.keywords), {**self.places, **other.places})


NO_SURROUNDINGS = Surroundings()


def hierarchy(landmark: Category, separator: str) -> str:
    """The path of the landmark among places, with levels that are not known left out."""
    levels = ("Places", landmark.country, landmark.city, landmark.name)
    return separator.join(level.replace(separator, "-") for level in levels if level)


def place_fields(landmark: Category) -> dict[str, str]:
    """The legacy IPTC place fields by their XMP names."""
    fields = {
        "Iptc4xmpCore:Location": landmark.name,
        "photoshop:City": landmark.city,
        "photoshop:State": landmark.region,
        "photoshop:Country": landmark.country,
        "Iptc4xmpCore:CountryCode": landmark.country_code,
    }
    return {name: text for name, text in fields.items() if text}


def format_coordinate(degrees: float, hemispheres: str) -> str:
    """XMP's GPSCoordinate, "48,51.499920N", to a millionth of a minute (2 mm)."""
    whole, millionths = divmod(round(abs(degrees) * 60_000_000), 60_000_000)
    letter = hemispheres[degrees < 0]
    return f"{whole},{millionths // 1_000_000}.{millionths % 1_000_000:06d}{letter}"


def union(texts: Iterable[str], *more: str) -> tuple[str, ...]:
    """All texts once, in their first order."""
    return tuple(dict.fromkeys((*texts, *more)))


def plain_keywords(texts: Iterable[str]) -> tuple[str, ...]:
    """Keywords as every field can hold them: without control characters, and none empty."""
    return union(filter(None, (_CONTROLS.sub(" ", text).strip() for text in texts)))


def changes_between(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[Change, ...]:
    """The fields whose texts differ, those of `old` first."""
    return tuple(
        Change(field, old.get(field, ""), new.get(field, ""))
        for field in union(old, *new)
        if old.get(field, "") != new.get(field, "")
    )
