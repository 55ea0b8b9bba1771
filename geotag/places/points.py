"""The points of recorded tracks as they are read from files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple


class Point(NamedTuple):
    """A moment (seconds of UTC) and a position; None in their stream is a break."""

    time: float
    latitude: float
    longitude: float


Points = Iterator[Point | None]
# A point that is there and cannot be read.
NOWHERE = Point(math.nan, math.nan, math.nan)


def parse_point(time: str | None, latitude: str | None, longitude: str | None) -> Point:
    """A point as a track writes it; NOWHERE for one that is damaged."""
    try:
        return Point(parse_seconds(time), float(latitude or ""), float(longitude or ""))
    except ValueError:
        return NOWHERE


def parse_seconds(text: str | None) -> float:
    """ISO 8601 in UTC, unless it says otherwise. Raises ValueError."""
    time = datetime.fromisoformat((text or "").strip())
    return (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp()
