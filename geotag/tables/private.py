"""The rows of a table without what lies in private zones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from geotag.categories import CategoryTable, load_categories
from geotag.errors import CategoryTableError
from geotag.places.private import Zone, blanked, is_private, screened
from geotag.records import Location, Outcome, Status, TopCategory

# Two numbers in a sentence that may be a position, and how far from it the photo may have been.
_PAIR = re.compile(r"(-?\d{1,3}\.\d+)[, ]+(-?\d{1,3}\.\d+)")
_PAIR_M = 5000.0
_AROUND = " \t,;:()[]\"'"


def without_private(
    read: Callable[[], Iterable[Outcome]], zones: Sequence[Zone]
) -> Iterator[Outcome]:
    """The rows that `read` gives, those of photos in a zone blanked.

    So are the rows whose evidence names one of these: with zones `read` is called twice. A table
    does not tell where landmarks of a model's own are: they are left out where there are zones.
    """
    if not zones:
        yield from read()
        return
    table = load_categories()
    names = {
        _last_word(row.path)
        for row in read()
        if row.status is not Status.PRIVATE
        and _screened(row, zones, table).status is Status.PRIVATE
    }
    for row in read():
        if names and row.evidence and names & _words(row.evidence):
            yield blanked(row)
        else:
            yield _screened(row, zones, table)


def _screened(row: Outcome, zones: Sequence[Zone], table: CategoryTable) -> Outcome:
    if _tells_private_position(row.evidence, zones):
        return blanked(row)
    return screened(row, zones, lambda entry: _hides(entry, zones, table))


def _hides(entry: TopCategory, zones: Sequence[Zone], table: CategoryTable) -> bool:
    try:
        category = table.by_slug(entry.slug) if entry.slug else table.by_id(entry.category_id)
    except CategoryTableError:
        return True
    place = Location(category.latitude, category.longitude)
    return is_private(place, zones, category.radius_m)


def _tells_private_position(evidence: str, zones: Sequence[Zone]) -> bool:
    """Whether a sentence, such as that of a conflict, holds a position in or near a zone."""
    pairs = ((float(a), float(b)) for a, b in _PAIR.findall(evidence))
    places = (Location(a, b) for a, b in pairs if abs(a) <= 90 and abs(b) <= 180)
    return any(is_private(place, zones, _PAIR_M) for place in places)


def _last_word(path: str) -> str:
    """By which a photo's name is found in a sentence, also one of several words."""
    return path.rpartition("/")[2].rsplit(None, 1)[-1].strip(_AROUND)


def _words(text: str) -> set[str]:
    return {word.strip(_AROUND) for word in text.split()}
