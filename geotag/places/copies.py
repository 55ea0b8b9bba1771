"""Copies of measured photos: edited exports, and the raw file beside a JPEG. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from geotag.files.takeout import EDITED
from geotag.places.distance import distance_m
from geotag.places.kinds import kind_of
from geotag.places.readings import device_of
from geotag.places.sighting import TAKEN_HERE, Method, Neighbour, Placement
from geotag.records import Location, Reading

# What a camera's position is off at most, and how far those of one photo's copies may lie apart.
_RADIUS_M, _SAME_M = 50.0, 50.0
# What programs append to the name of a photo that they export or copy. A number alone may as well
# be that of the next photo of a burst.
_APPENDED = re.compile(
    rf"(?:[ _.-]*\(\d{{1,2}}\)|~\d{{1,2}}|[ _~.-]+(?:{EDITED}|edit|modifi.{{1,2}}|"
    r"export(?:ed)?|copy|kopie|copie|copia|dxo|web|small|resized|print|bw|crop(?:ped)?)\d{0,2})+"
)
_FRACTION = re.compile(r"\.\d+")


class Picture(NamedTuple):
    """What tells a photo from others: its file, and when and by what it was taken."""

    uri: str
    stem: str
    moment: tuple[str, str]
    has_fraction: bool
    location: Location | None


def find_copies(pictures: Iterable[Picture]) -> dict[str, Placement]:
    """The positions of photos without one that are copies of a measured photo, by URI.

    A copy has the device and the capture time of its original. Photos of one second may be a
    burst, so either both have the same fraction of the second, or both have none and the copy is
    named as the original, or after it. Where several originals fit they must be in one place.
    """
    groups: dict[tuple[str, str], list[Picture]] = defaultdict(list)
    for picture in pictures:
        groups[picture.moment].append(picture)
    return dict(_copies(groups.values()))


def _copies(groups: Iterable[Sequence[Picture]]) -> Iterable[tuple[str, Placement]]:
    for group in groups:
        measured = [each for each in group if each.location is not None]
        for each in group if measured else ():
            if each.location is None:
                originals = [o for o in measured if _is_copy(each, o)]
                placement = inherited(each.uri, [(o.uri, o.location) for o in originals])
                if placement is not None:
                    yield each.uri, placement


def inherited(uri: str, originals: Sequence[tuple[str, Location | None]]) -> Placement | None:
    """The position of a photo's originals, None where these are in several places."""
    found = sorted((name, place) for name, place in originals if place is not None and name != uri)
    if not found or any(distance_m(found[0][1], place) > _SAME_M for _, place in found):
        return None
    name, place = found[0]
    beside = (Neighbour(name, 0.0, 0.0),)
    return Placement(Location(*place[:2]), _RADIUS_M, Method.COPY, None, beside)


def picture_of(reading: Reading) -> Picture | None:
    """None for a photo whose time or device is not told, or is none of a camera."""
    capture, uri = reading.metadata.capture, reading.photo.uri
    device = device_of(capture)
    name = uri.rpartition("/")[2]
    if not device or not capture.time or kind_of(capture, uri, None) not in TAKEN_HERE:
        return None
    clock, fraction = capture.time[:19], _FRACTION.match(capture.time[19:])
    digits = fraction.group().rstrip("0") if fraction else ""
    stem = name.rpartition(".")[0].lower()
    moment = (device, clock + digits)
    return Picture(uri, stem, moment, fraction is not None, reading.metadata.location)


def _is_copy(photo: Picture, original: Picture) -> bool:
    """Of two photos of one device and moment, whether one is the other."""
    return photo.has_fraction or _is_named_after(photo.stem, original.stem)


def _is_named_after(stem: str, original: str) -> bool:
    rest = stem.removeprefix(original)
    return rest != stem and (not rest or _APPENDED.fullmatch(rest) is not None)
