"""Photos, readings and catalogs for the tests of this room."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

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
from geotag.state.catalog import Catalog, Criteria, open_catalog
from geotag.state.intake import Intake

MODEL = "a" * 64
TOWER = Prediction((Score("eiffel_tower", 0.9), Score("taj_mahal", 0.05)), 0.97)
MEASURED = Metadata(Location(48.5, 2.25, -0.0), "2020-01-01T00:00:00", 6, "Canon EOS")


def photo(name: str, size: int = 10, version: str = "1") -> Photo:
    return Photo(f"/photos/{name}", size, version)


def classified(name: str, content_key: str = "key", version: str = "1") -> Reading:
    return Reading(photo(name, version=version), Metadata(), TOWER, None, content_key)


def failed(name: str, kind: FailureKind) -> Reading:
    return Reading(photo(name), Metadata(), failure=Failure(kind, "why"))


def pending(catalog: Catalog, criteria: Criteria | None = None) -> list[str]:
    count = catalog.find_pending(criteria or Criteria(MODEL))
    names = [found.uri.removeprefix("/photos/") for found in catalog.pending()]
    assert len(names) == count
    return names


def later(path: Path, seconds: float) -> Catalog:
    """The catalog as another scan opens it so much later."""
    return open_catalog(path, now=1e9 + seconds)


def note_listed(catalog: Catalog, photos: Iterable[Photo]) -> int:
    """Note which photos this run's sources hold; returns how many there are."""
    Intake(catalog, photos, lambda: None).finish()
    return catalog.count_listed()
