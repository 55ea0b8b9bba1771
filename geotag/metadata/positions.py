"""Coordinates and altitudes as cameras and programs write them, to degrees and metres. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from geotag.records import Location

Degrees = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

_NUMBER = r"[+-]?\d+(?:\.\d*)?(?:/\d+)?"
_NUMBERS = re.compile(_NUMBER)
# Degrees, minutes and seconds, with what people and programs put between them.
_BETWEEN = r"(?:[ ,:;°'\"′″]|deg|d|min|m)"
_COORDINATE = re.compile(
    rf"([NSEWnsew])? ?({_NUMBER}(?:{_BETWEEN}+{_NUMBER}){{0,2}}){_BETWEEN}*s?"
    r"(?:([NSEWnsew])[a-z]*)?"
)
_ALTITUDE = re.compile(rf"\s*({_NUMBER})\s*m?\s*")
_TEXT_LIMIT = 200
# Exif 3.0: at and below the sea's level, and above and below the ellipsoid.
_BELOW = ("1", "3")


def parse_coordinate(text: str, hemispheres: str, reference: str = "") -> float | None:
    """Degrees of "48,51.5N", "48, 51, 30 N", "-2.29", "48/1 51/1 30/1" and their like.

    `reference` is the hemisphere that is told apart. Without one the sign counts; one that
    contradicts the sign is not understood.
    """
    match = _COORDINATE.fullmatch(" ".join(text[:_TEXT_LIMIT].split()))
    if match is None:
        return None
    parts = [_number(part) for part in _NUMBERS.findall(match[2])]
    letters = {letter.upper() for letter in (match[1], match[3], reference[:1]) if letter}
    if None in parts or len(letters) > 1 or not letters <= set(hemispheres):
        return None
    return signed_degrees([part for part in parts if part is not None], hemispheres, *letters)


def _number(text: str) -> float | None:
    number, _, denominator = text.partition("/")
    if denominator and int(denominator) == 0:
        return None
    return float(number) / int(denominator or 1)


def signed_degrees(
    parts: Sequence[float], hemispheres: str, letter: str = "", *, limit: float = 60
) -> float | None:
    """Degrees, minutes and seconds of a hemisphere ("NS", "N") as one number, or None.

    Without a letter the sign tells; it may stand before all parts, but they must agree.
    """
    if not 1 <= len(parts) <= 3:
        return None
    degrees, scale, is_negative = 0.0, 1, math.copysign(1, parts[0]) < 0
    for part in parts:
        if scale > 1 and (part < 0 < parts[0] or abs(part) > limit):
            return None
        degrees += abs(part) / scale
        scale *= 60
        is_negative = is_negative or part < 0
    if is_negative and letter == hemispheres[0]:
        return None
    return -degrees if is_negative or letter == hemispheres[1] else degrees


def parse_altitude(text: str, reference: str) -> float | None:
    """Metres above the sea of "25/10" or "-3.5 m"."""
    match = _ALTITUDE.fullmatch(text[:_TEXT_LIMIT])
    metres = _number(match[1]) if match is not None else None
    return None if metres is None else signed_altitude(metres, reference)


def signed_altitude(metres: float, reference: str) -> float:
    """An altitude by its reference: some writers give it a sign as well."""
    is_below = reference in _BELOW or reference[:5].lower() == "below"
    return round(-abs(metres) if is_below else metres, 3)


def checked_location(
    latitude: float, longitude: float, altitude: float | None = None
) -> Location | None:
    """The position, or None when it is out of range, not finite, or the 0,0 of a cold receiver."""
    if not (abs(latitude) <= 90 and abs(longitude) <= 180) or latitude == longitude == 0:
        return None
    if altitude is not None and not math.isfinite(altitude):
        altitude = None
    return Location(round(latitude, 8), round(longitude, 8), altitude)


def degrees_to_rationals(degrees: float) -> Degrees:
    """Degrees, minutes and seconds to a ten-thousandth of a second (3 mm); the sign is dropped."""
    units = round(abs(degrees) * 3600 * 10_000)
    minutes, seconds = divmod(units, 60 * 10_000)
    whole, minutes = divmod(minutes, 60)
    return (whole, 1), (minutes, 1), (seconds, 10_000)
