"""Puts together what a photo's blocks say. Pure."""

from __future__ import annotations

from functools import lru_cache

from geotag.metadata.times import without_fraction
from geotag.records import Capture, Location, Metadata


def assemble(
    location: Location | None, unclear: str, capture: Capture, orientation: int = 1
) -> Metadata:
    """What one block says, or several do."""
    return Metadata(
        location=location,
        taken_at=without_fraction(capture.time) or without_fraction(capture.gps_time) or None,
        orientation=orientation if 1 <= orientation <= 8 else 1,
        camera=_camera(capture.make, capture.model),
        position_unclear="" if location is not None else unclear,
        capture=capture,
    )


def merge(first: Metadata, second: Metadata) -> Metadata:
    """What the first says, and the second where the first is silent."""
    return assemble(
        first.location or second.location,
        first.position_unclear or second.position_unclear,
        Capture._make(
            one or other for one, other in zip(first.capture, second.capture, strict=True)
        ),
        first.orientation if first.orientation != 1 else second.orientation,
    )


@lru_cache(maxsize=1024)
def _camera(make: str, model: str) -> str | None:
    if model.lower().startswith(make.split(" ")[0].lower()) or not make:
        return model or None
    return f"{make} {model}".strip()
