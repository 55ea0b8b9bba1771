"""Readings as rows of the catalog, each with a checksum of its own."""

from __future__ import annotations

import json
import os
from typing import Any

from geotag.errors import DamagedCatalogError
from geotag.records import (
    Capture,
    Failure,
    FailureKind,
    Location,
    Metadata,
    Photo,
    Prediction,
    Reading,
    Score,
)
from geotag.state.schema import checksum


def format_row(reading: Reading, model: str | None) -> tuple[Any, ...]:
    """The cells of a reading in the order of READING_COLUMNS, with their checksum.

    `model` (its SHA-256) made the prediction. A passing failure is no part of it.
    """
    photo, metadata, prediction, failure, content_key, prefilter, _ = reading
    is_lasting = failure is not None and failure.kind is FailureKind.PERMANENT
    cells = (
        os.fsencode(photo.uri),
        photo.size,
        photo.version,
        (content_key or None) if prediction is not None else None,
        *(_real(number) for number in metadata.location or (None, None, None)),
        metadata.taken_at,
        metadata.orientation,
        metadata.camera,
        metadata.position_unclear or None,
        json.dumps(metadata.capture) if metadata.capture != Capture() else None,
        model if prediction is not None else None,
        float(prefilter) if prediction is not None and prefilter else None,
        json.dumps(prediction.top) if prediction is not None else None,
        _real(prediction.landmark_probability) if prediction is not None else None,
        failure.reason if failure is not None and is_lasting else None,
    )
    return (*cells, checksum(cells))


def _real(number: float | None) -> float | None:
    """As SQLite gives it back: never an integer, never minus zero."""
    return float(number) + 0.0 if number is not None else None


def parse_row(row: tuple[Any, ...]) -> Reading:
    """The reverse of `format_row`; DamagedCatalogError when a row is not what was written."""
    if checksum(row[:-1]) != row[-1]:
        raise DamagedCatalogError(f"the catalog is damaged (the row of {row[0]!r})")
    uri, size, version, content_key, latitude, longitude, altitude, taken_at = row[:8]
    orientation, camera, unclear, capture, _, prefilter, top, probability, reason, _ = row[8:]
    return Reading(
        Photo(os.fsdecode(uri), size, version),
        Metadata(
            Location(latitude, longitude, altitude) if latitude is not None else None,
            taken_at,
            orientation,
            camera,
            unclear or "",
            Capture(*json.loads(capture)) if capture is not None else Capture(),
        ),
        Prediction(tuple(Score(*pair) for pair in json.loads(top)), probability)
        if top is not None
        else None,
        Failure(FailureKind.PERMANENT, reason) if reason is not None else None,
        content_key or "",
        prefilter or 0.0,
    )
