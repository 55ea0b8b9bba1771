"""A library divided by time: each part is placed by itself, with the days around it. Pure.

What becomes of a part hangs on its photos and on those of the days around it alone, so that it may
be kept until one of these changes, and all comes out as if everything were placed anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import date
from typing import NamedTuple

# A part has no more photos than this, unless it is as short as this (a power of two, in days).
# Fewer photos would tell less of clocks and people.
_MOST, _SHORTEST = 4096, 16
_WHOLE = 2**22  # days: more than there are
_DAY_S, _EPOCH = 86_400.0, date(1970, 1, 1).toordinal()
# So much of its length is looked at on both sides, and so many days at least: clocks are up to 27
# hours off, and fixes tell of 30 hours.
_MARGIN, _LEAST_MARGIN = 16, 4


class Window(NamedTuple):
    """Days from `first` up to `last`, which is none of them, numbered as Python does; 0 to 1 stand
    for photos without a day."""

    first: int
    last: int

    @property
    def reach(self) -> Window:
        """The days whose photos tell something of its own."""
        if self.first == 0:
            return self
        margin = max(_LEAST_MARGIN, (self.last - self.first) // _MARGIN)
        return Window(max(1, self.first - margin), self.last + margin)

    @property
    def clock(self) -> tuple[float, float]:
        """All its readings of a clock, from the first up to what is none, in seconds since 1970."""
        if self.first == 0:
            return -math.inf, math.inf
        return (self.first - _EPOCH) * _DAY_S, (self.last - _EPOCH) * _DAY_S


EVER = Window(0, _WHOLE)


def windows_of(photos: Mapping[int, int]) -> list[Window]:
    """The parts of a library, in order, by how many photos it has of each day.

    They are halves of halves of all time, divided wherever there are too many photos: photos of
    one time move no border elsewhere.
    """
    days = sorted(day for day in photos if day)
    undated = [Window(0, 1)] if 0 in photos else []
    return undated + list(_divided(Window(0, _WHOLE), [(day, photos[day]) for day in days]))


def _divided(window: Window, days: list[tuple[int, int]]) -> Iterator[Window]:
    if not days:
        return
    size = window.last - window.first
    if size <= _SHORTEST or sum(count for _, count in days) <= _MOST:
        yield Window(max(1, window.first), window.last)
        return
    middle = window.first + size // 2
    yield from _divided(Window(window.first, middle), [each for each in days if each[0] < middle])
    yield from _divided(Window(middle, window.last), [each for each in days if each[0] >= middle])


def day_at(clock: float | None) -> int:
    """The day of a reading of a clock, in seconds since 1970; 0 for none."""
    day = math.floor(clock / _DAY_S) + _EPOCH if clock is not None else 0
    return day if 0 < day < _WHOLE else 0
