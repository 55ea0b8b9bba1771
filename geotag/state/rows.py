"""Readings as rows of the catalog, each with a checksum of its own."""

from __future__ import annotations

import json
import os
import zlib
from typing import Any

from geotag.errors import DamagedCatalogError
from geotag.records import (
    Failure,
    FailureKind,
    Location,
    Metadata,
    Photo,
    Prediction,
    Reading,
    Score,
)

READ_COLUMNS = (
    "uri, size, version, content_key, latitude, longitude, altitude, taken_at, orientation, "
    "camera, model, top, landmark_probability, failure_kind, failure_reason, checksum"
)


def format_row(reading: Reading, model: str | None) -> tuple[Any, ...]:
    """The cells of a reading in the order of READ_COLUMNS, with their checksum."""
    photo, metadata, prediction, failure, content_key, glance = reading
    cells = (
        os.fsencode(photo.uri),
        photo.size,
        photo.version,
        (content_key or None) if prediction is not None else None,
        *(_real(number) for number in metadata.location or (None, None, None)),
        metadata.taken_at,
        metadata.orientation,
        metadata.camera,
        seen_by(model, glance) if prediction is not None else None,
        json.dumps(prediction.top) if prediction is not None else None,
        _real(prediction.landmark_probability) if prediction is not None else None,
        failure.kind.value if failure is not None else None,
        failure.reason if failure is not None else None,
    )
    return (*cells, _checksum(cells))


def _real(number: float | None) -> float | None:
    """As SQLite gives it back: never an integer, never minus zero."""
    return float(number) + 0.0 if number is not None else None


def _checksum(cells: tuple[Any, ...]) -> int:
    return zlib.crc32(repr(cells).encode("utf-8", "backslashreplace"))


def parse_row(row: tuple[Any, ...]) -> Reading:
    """The reverse of `format_row`; DamagedCatalogError when a row is not what was written."""
    if _checksum(row[:-1]) != row[-1]:
        raise DamagedCatalogError(f"the catalog is damaged (the row of {os.fsdecode(row[0])!r})")
    uri, size, version, content_key, latitude, longitude, altitude = row[:7]
    taken_at, orientation, camera, _, top, landmark_probability, kind, reason, _ = row[7:]
    return Reading(
        Photo(os.fsdecode(uri), size, version),
        Metadata(
            Location(latitude, longitude, altitude) if latitude is not None else None,
            taken_at,
            orientation,
            camera,
        ),
        Prediction(tuple(Score(*pair) for pair in json.loads(top)), landmark_probability)
        if top is not None
        else None,
        Failure(FailureKind(kind), reason) if kind is not None else None,
        content_key or "",
    )


def seen_by(model: str | None, glance: float) -> str | None:
    """The name of a look at a photo: the model, and where it was but a glance, its gate."""
    return f"{model}~{glance:.6f}" if glance else model


def model_of(row: tuple[Any, ...]) -> str | None:
    """The model (its SHA-256) that looked at the photo of a row."""
    model = row[READ_COLUMNS.split(", ").index("model")]
    return str(model) if model is not None else None
