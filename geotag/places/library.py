"""Places the photos of a whole catalog."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from geotag.places.placing import place_photos
from geotag.places.readings import sighting_of
from geotag.places.sighting import ClockSource, Placement, Places
from geotag.places.tracks import Segment
from geotag.places.zones import local_zone
from geotag.records import Reading

_log = logging.getLogger(__name__)


def find_placements(
    readings: Iterable[Reading], segments: Iterable[Segment]
) -> Mapping[str, Placement]:
    """The photos that could be placed, by URI; what was found of clocks is logged.

    Raises MissingDependencyError.
    """
    zone = local_zone()
    places = place_photos(map(sighting_of, readings), zone, segments)
    for line in clock_lines(places):
        _log.info("%s", line)
    return {uri: each for uri, each in places.placements.items() if isinstance(each, Placement)}


def clock_lines(places: Places) -> Iterable[str]:
    """What was found of the clocks that no device tells itself, in sentences."""
    for device, pieces in sorted(places.clocks.items()):
        for piece in pieces:
            if piece.source is ClockSource.COMPANY and piece.offset is not None:
                hours, minutes = divmod(round(abs(piece.offset) / 60), 60)
                way = "ahead of" if piece.offset >= 0 else "behind"
                yield (
                    f"{device}: its clock was {hours} h {minutes:02} min {way} UTC, give or take "
                    f"{piece.uncertainty:.0f} s, by {piece.pairs} photos on {piece.visits} visits "
                    "beside a phone"
                )
            elif piece.source is ClockSource.UNKNOWN:
                yield f"{device}: too little tells whether its clock was right; not corrected"
