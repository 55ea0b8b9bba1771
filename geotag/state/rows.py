"""Readings as rows of the catalog, each with a checksum of its own."""

from __future__ import annotations

import json
import math
import os
from typing import Any, assert_never

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
        json.dumps(prediction.unclassified or prediction.top) if prediction is not None else None,
        _real(prediction.landmark_probability) if prediction is not None else None,
        failure.reason if failure is not None and not is_passing(failure) else None,
    )
    return (*cells, checksum(cells))


def is_passing(failure: Failure | None) -> bool:
    """Whether a photo failed for the time being alone."""
    match failure and failure.kind:
        case None | FailureKind.PERMANENT:
            return False
        case FailureKind.TRANSIENT:
            return True
        case other:
            assert_never(other)


def _real(number: float | None) -> float | None:
    """As SQLite gives it back: never an integer, never minus zero."""
    return float(number) + 0.0 if number is not None else None


def parse_row(row: tuple[Any, ...], fingerprint: bytes = b"") -> Reading:
    """The reverse of `format_row`; DamagedCatalogError when a row is not what was written."""
    try:
        if checksum(row[:-1]) == row[-1]:
            found = _parse(row)
            known = found.prediction
            return found._replace(prediction=known and known._replace(fingerprint=fingerprint))
    except (TypeError, ValueError, RecursionError):
        pass
    raise DamagedCatalogError(f"the catalog is damaged (the row of {row[0]!r:.500})")


def _parse(row: tuple[Any, ...]) -> Reading:
    """Raises TypeError or ValueError, also for what no reading can be."""
    uri, size, version, content_key, latitude, longitude, altitude, taken_at = row[:8]
    orientation, camera, unclear, capture, model, prefilter, top, probability, reason, _ = row[8:]
    for text in (version, content_key, taken_at, camera, unclear, model, reason):
        _check(text is None or isinstance(text, str))
    _check(isinstance(uri, bytes) and isinstance(version, str))
    _check(isinstance(size, int) and isinstance(orientation, int))
    _check(latitude is None or (abs(latitude) <= 90 and abs(longitude) <= 180))
    _check(altitude is None or math.isfinite(altitude))
    return Reading(
        Photo(os.fsdecode(uri), size, version),
        Metadata(
            Location(latitude, longitude, altitude) if latitude is not None else None,
            taken_at,
            orientation,
            camera,
            unclear or "",
            parse_capture(capture),
        ),
        _parse_prediction(top, probability) if top is not None else None,
        Failure(FailureKind.PERMANENT, reason) if reason is not None else None,
        content_key or "",
        float(prefilter or 0),
    )


def parse_capture(text: str | None) -> Capture:
    """The reverse of how a capture is kept; raises TypeError and ValueError."""
    if text is None:
        return Capture()
    capture = Capture(*json.loads(text))
    for value, known in zip(capture, Capture(), strict=True):
        _check(isinstance(value, type(known)))
    return capture


def _parse_prediction(text: str, landmark_probability: float) -> Prediction:
    found = json.loads(text)
    if isinstance(found, str):
        _check(bool(found) and landmark_probability == 0)
        return Prediction((), 0.0, found)
    top = tuple(Score(slug, confidence) for slug, confidence in found)
    _check(bool(top) and all(isinstance(slug, str) for slug, _ in top))
    _check(all(0 <= share <= 1 for share in (landmark_probability, *(s.confidence for s in top))))
    return Prediction(top, landmark_probability)


def _check(is_sound: bool) -> None:
    if not is_sound:
        raise ValueError
