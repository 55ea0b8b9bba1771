"""The great-circle distance of two positions."""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt

from geotag.records import Location

_EARTH_M = 6_371_008.8


def distance_m(a: Location, b: Location) -> float:
    """In metres."""
    phi, psi = radians(a.latitude), radians(b.latitude)
    across = sin(radians(b.longitude - a.longitude) / 2)
    chord = sin((psi - phi) / 2) ** 2 + cos(phi) * cos(psi) * across**2
    return 2 * _EARTH_M * asin(min(1.0, sqrt(chord)))
