"""What the rest of a library, tracks and the user say of each photo, as a scan's options ask."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from geotag.categories import ModelCategories, format_categories, load_categories
from geotag.decision import Decider, Evidence
from geotag.errors import CategoryTableError, CheckpointError, UsageError
from geotag.model.checkpoint import ModelHeader
from geotag.options import ScanOptions
from geotag.places.languages import country_names
from geotag.places.packages import check_installed, rules_digest
from geotag.places.private import blanked, is_private, private_photos, screened
from geotag.places.sighting import Method, Placement, Reason
from geotag.places.standing import landmark_finder, with_landmark
from geotag.places.stated import stated_placement
from geotag.records import Landmark, Location, Outcome, Reading, TopCategory
from geotag.state.catalog import Catalog
from geotag.tables.base import SCHEMA_VERSION

if TYPE_CHECKING:
    from geotag.places.tracks import Segment

Readings = Callable[[], Iterable[Reading]]


class LibraryEvidence:
    """What is asked of a library by its options; raises what reading the tracks does."""

    def __init__(self, options: ScanOptions) -> None:
        if options.places:
            check_installed()
        if options.language is not None:
            country_names(options.language)  # raises for one that is not known
        self.options = options
        self.pictures: Callable[[], Iterable[tuple[str, bytes]]] = tuple
        self._segments, self._tracks_digest = _read_tracks(options)

    @property
    def signature(self) -> list[object]:
        """What changes whenever the same readings would come to other rows."""
        options = self.options
        told = [options.clock_offsets, options.private, options.language]
        rules = rules_digest() if options.places else ""
        return [rules, options.places, options.match, self._tracks_digest, *told]

    def decided(
        self, decider: Decider, readings: Readings, catalog: Catalog
    ) -> Iterator[tuple[Reading, Outcome]]:
        """Each reading of a catalog with its row. The readings are gone through several times where
        photos are placed by what they show, or some are private."""
        placed, named = self._placements(readings, catalog), self._naming(catalog)
        standing, is_cleared = self._standing(), catalog.cleared.is_cleared
        zones = self.options.private
        private = private_photos(readings(), placed, zones) if zones else frozenset()

        def hides(entry: TopCategory) -> bool:
            category = decider.category_of(entry.slug)
            if category.latitude is None or category.longitude is None:
                return False
            place = Location(category.latitude, category.longitude)
            return is_private(place, zones, category.radius_m or 0.0)

        for reading in readings():
            uri = reading.photo.uri
            cleared = is_cleared(uri)
            is_open = reading.metadata.location is None
            placement = (stated_placement(reading) or placed.get(uri)) if is_open else None
            evidence = Evidence(cleared, placement)
            outcome = decider.outcome(reading, evidence)
            outcome = blanked(outcome) if uri in private else screened(outcome, zones, hides)
            yield reading, named(outcome if cleared else standing(outcome))
        catalog.names.save()

    def _naming(self, catalog: Catalog) -> Callable[[Outcome], Outcome]:
        """What adds the names of places to a row; nothing unless asked."""
        if not self.options.places:
            return lambda outcome: outcome
        from geotag.places.library import naming  # only now: numpy is heavy

        return naming(self.options.language, catalog.names)

    def _standing(self) -> Callable[[Outcome], Outcome]:
        """What names the landmark at which a measured photo was taken; nothing unless asked."""
        if not self.options.places:
            return lambda outcome: outcome
        zones = self.options.private
        shown = (
            landmark
            for landmark in load_categories()
            if not is_private(
                Location(landmark.latitude, landmark.longitude), zones, landmark.radius_m
            )
        )
        find = landmark_finder(shown)
        return lambda outcome: with_landmark(outcome, find)

    def _placements(self, readings: Readings, catalog: Catalog) -> Mapping[str, Placement | Reason]:
        """Where photos were taken by what the rest of the library tells, or why it does not;
        nothing unless asked."""
        if not self.options.places:
            return {}
        from geotag.places.library import place_library  # only now: numpy is heavy

        said = dict(self.options.clock_offsets)
        place_library(catalog.placed, self._segments, said, self._tracks_digest)
        return with_matches(catalog.placed, self._matches(readings))

    def _matches(self, readings: Readings) -> Mapping[str, Placement]:
        """Where photos were taken by what they show; nothing unless asked."""
        if not self.options.match:
            return {}
        from geotag.places.scenes import find_matches  # only now: numpy is heavy

        return find_matches(readings(), self.pictures)


def with_matches(
    found: Mapping[str, Placement | Reason], matches: Mapping[str, Placement]
) -> Mapping[str, Placement | Reason]:
    """All placements: a copy's goes before what its time says, and that before the scene."""
    new: dict[str, Placement | Reason] = {
        uri: placement
        for uri, placement in matches.items()
        if placement.method is Method.COPY or not isinstance(found.get(uri), Placement)
    }
    return {**found, **new} if new else found


def build_decider(header: ModelHeader, options: ScanOptions) -> Decider:
    """The decision of a model at the threshold that the options ask for.

    Raises UsageError where the model has nothing by which to go by an option.
    """
    if options.prevalence is not None and header.spec.shares is None:
        raise UsageError(
            f"--prevalence: {header.name} does not say how sure it is of landmarks which it does "
            "not know: run python -m training.calibrate on it, or set a --threshold"
        )
    threshold = options.threshold
    if threshold is None:
        threshold = header.spec.threshold_for(options.min_precision)
    landmarks = ModelCategories(header.spec.own_categories)
    return Decider(threshold, options.top_k, header.name, lambda slug: known(landmarks, slug))


def known(landmarks: ModelCategories, slug: str) -> Landmark:
    """The category of a model's slug. Raises CheckpointError when the table lacks it."""
    try:
        return landmarks.by_slug(slug)
    except CategoryTableError as error:
        raise CheckpointError(f"model and landmark table do not fit: {error}") from None


def rules_of(options: ScanOptions, decider: Decider) -> dict[str, object]:
    """What must be the same where the rows of several scans make up one table, by name.

    Of private zones their number alone: who has a digest of few digits can try all of them.
    """
    rules = [format_categories(load_categories()), SCHEMA_VERSION]
    return {
        "threshold": decider.threshold,
        "threshold's precision": None if options.threshold is not None else options.min_precision,
        "prevalence": options.prevalence,
        "top-k": options.top_k,
        "all": options.classify_all,
        **options.filters._asdict(),
        "number of private zones": len(options.private),
        "geotag": hashlib.sha256(json.dumps(rules).encode()).hexdigest(),
    }


def _read_tracks(options: ScanOptions) -> tuple[list[Segment], str]:
    """The recorded tracks to place photos by, and what changes whenever one of their files does."""
    if not options.tracks:
        return [], ""
    from geotag.places.trackfiles import digest_of, read_tracks  # only now: numpy is heavy

    return read_tracks(options.tracks), digest_of(options.tracks)
