"""What geotag writes into a photo, in the terms of the metadata standards. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from geotag.metadata.marks import SOURCE_INFERRED, SOURCE_USER
from geotag.records import Category, Location

METHOD = "landmark recognition by a convolutional neural network"
METHOD_USER = "named by the user"
MAP_DATUM = "WGS-84"
# The legacy IPTC place fields in XMP.
PLACES = (
    "Iptc4xmpCore:Location",
    "photoshop:City",
    "photoshop:State",
    "photoshop:Country",
    "Iptc4xmpCore:CountryCode",
)
# Those of the IPTC's LocationShown and LocationCreated.
LEVELS = tuple(
    f"Iptc4xmpExt:{name}" for name in ("City", "ProvinceState", "CountryName", "CountryCode")
)
# Letters that no XML holds, and ends of texts and lines, which other fields cannot hold.
_CONTROLS = re.compile("[\0-\x1f\ud800-\udfff\ufffe\uffff]+")


class Camera(NamedTuple):
    """Where a camera was, and how many metres off that may be."""

    location: Location
    radius_m: float

    @property
    def error(self) -> int:
        """GPSHPositioningError: whole metres, never less than the radius."""
        return max(1, math.ceil(self.radius_m))


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

    @property
    def name(self) -> str:
        """The keyword that is added."""
        return self.landmark.name

    @property
    def subject(self) -> Location | None:
        """Where the landmark is, as far as it is known."""
        return Location(self.landmark.latitude, self.landmark.longitude) if self.located else None

    @property
    def camera(self) -> Camera | None:
        """Where the camera was, as far as it is to be written."""
        place = self.subject if self.position else None
        return Camera(place, self.landmark.radius_m) if place is not None else None

    @property
    def outranks_user(self) -> bool:
        """Whether it may take the place of what the user named."""
        return self.source != SOURCE_INFERRED

    def place_fields(self) -> dict[str, str]:
        landmark = self.landmark
        return _present(landmark.name, landmark.city, landmark.region, landmark.country,
                        landmark.country_code)  # fmt: skip

    def shown(self) -> dict[str, str]:
        landmark, subject = self.landmark, self.subject
        levels = landmark.city, landmark.region, landmark.country, landmark.country_code
        return location_fields(levels, *(format_coordinates(subject) if subject else ()))

    def block(self) -> dict[str, str]:
        return {
            "Method": METHOD_USER if self.source == SOURCE_USER else METHOD,
            "Landmark": self.landmark.name,
            "Model": self.model,
            "ModelSHA256": self.model_sha256,
            "Confidence": "" if self.confidence is None else f"{self.confidence:.4f}",
            "Threshold": "" if self.threshold is None else f"{self.threshold:.4f}",
        }


class PlacedTags(NamedTuple):
    """Where the camera was, as the rest of the library or a track tells; `method` is the table's.

    `city`, `region` and `country` are of that position.
    """

    location: Location
    radius_m: float
    method: str
    evidence: str = ""
    city: str = ""
    region: str = ""
    country: str = ""
    run_id: str = ""
    source: str = SOURCE_INFERRED
    confidence: float | None = None
    model: str = ""
    name: str = ""
    subject: Location | None = None
    outranks_user: bool = False

    @property
    def camera(self) -> Camera:
        """Where the camera was."""
        return Camera(self.location, self.radius_m)

    def place_fields(self) -> dict[str, str]:
        return _present("", self.city, self.region, self.country, "")

    def created(self) -> dict[str, str]:
        return location_fields(self._place().split("|"), *format_coordinates(self.location))

    def block(self) -> dict[str, str]:
        latitude, longitude = format_coordinates(self.location)
        return {
            "Method": self.method,
            "Latitude": latitude,
            "Longitude": longitude,
            "RadiusMetres": str(self.camera.error),
            "Place": self._place(),
            "Evidence": self.evidence,
        }

    def _place(self) -> str:
        return "|".join(text.replace("|", "-") for text in (self.city, self.region, self.country))


class TimeTags(NamedTuple):
    """How far ahead of UTC ("+02:00") a photo's DateTimeOriginal is, and how that is known.

    `time` is DateTimeOriginal in ISO 8601 as the scan read it.
    """

    time: str
    offset: str
    evidence: str


Tags = LandmarkTags | PlacedTags


def location_fields(
    levels: Iterable[str], latitude: str = "", longitude: str = ""
) -> dict[str, str]:
    """The fields of a place that are known: its city, region, country and country's code, as far as
    they are given, and XMP's coordinates."""
    fields = dict(zip(LEVELS, levels, strict=False))
    fields |= {"exif:GPSLatitude": latitude, "exif:GPSLongitude": longitude}
    return {name: text for name, text in fields.items() if text}


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


def _present(*texts: str) -> dict[str, str]:
    return {name: text for name, text in zip(PLACES, texts, strict=True) if text}


def format_coordinates(place: Location) -> tuple[str, str]:
    """Latitude and longitude as XMP's GPSCoordinate."""
    return format_coordinate(place.latitude, "NS"), format_coordinate(place.longitude, "EW")


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
