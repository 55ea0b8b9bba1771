"""The points of recorded tracks as they are read from files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple


class Point(NamedTuple):
    """A moment (seconds of UTC) and a position; None in their stream is a break."""

    time: float
    latitude: float
    longitude: float


Points = Iterator[Point | None]


def parse_seconds(text: str | None) -> float:
    """ISO 8601 in UTC, unless it says otherwise. Raises ValueError."""
    time = datetime.fromisoformat((text or "").strip())
    return (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp()
