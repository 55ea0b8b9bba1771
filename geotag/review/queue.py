"""Which rows of a table are to be looked at, in which order, and which belong together. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple, assert_never

from geotag.categories import OWN_ID
from geotag.places.sighting import Method
from geotag.places.vicinity import METHOD as VICINITY
from geotag.records import Outcome, Status

WIDE_M = 1000.0
BURST_SECONDS = 60.0
_NEAR_SECONDS = 86_400.0
_NEIGHBOURS = 4  # before and after
_MOST_APART = 2.2 * 86400  # of what clocks show within a day: they are up to 27 hours off


class Doubt(IntEnum):
    """Why a guess is to be looked at; the most doubtful first."""

    CONFLICT = 0
    UNCERTAIN = 1
    WIDE = 2
    OWN = 3
    TAGGED = 4


class Item(NamedTuple):
    """A guess to look at: the number of its row, why, and the day and burst it belongs to.

    `day` is empty and `burst` the row's own number where its time is not known.
    """

    row: int
    doubt: Doubt
    day: str
    burst: int


class Neighbour(NamedTuple):
    """A photo with a position, taken so many seconds after another one (before: negative)."""

    row: int
    seconds: float


def doubt_of(row: Outcome, with_tagged: bool) -> Doubt | None:
    """Why a row is to be looked at; None for one that is not."""
    match row.status:
        case Status.CONFLICT:
            return Doubt.CONFLICT
        case Status.UNCERTAIN:
            return Doubt.UNCERTAIN if row.top_k else None
        case Status.PLACED if row.method == VICINITY:
            return Doubt.UNCERTAIN
        case Status.PLACED if row.method == Method.SIDECAR.value:
            return None
        case Status.PLACED:
            is_wide = row.radius_m is None or row.radius_m >= WIDE_M
            return Doubt.WIDE if is_wide or with_tagged else None
        case Status.TAGGED:
            if row.category_id is not None and row.category_id >= OWN_ID:
                return Doubt.OWN
            return Doubt.TAGGED if with_tagged else None
        case Status.HAS_GPS | Status.NO_LANDMARK | Status.UNREADABLE | Status.PRIVATE:
            return None
        case _:
            assert_never(row.status)


def build_queue(rows: Sequence[Outcome], with_tagged: bool = False) -> list[Item]:
    """The rows to look at, the doubtful first, then by time, so that bursts stay together."""
    clocks = [clock(row) for row in rows]
    bursts = _bursts(rows, clocks)
    items = [
        Item(number, doubt, row.taken_at[:10] if clocks[number] is not None else "", bursts[number])
        for number, row in enumerate(rows)
        if (doubt := doubt_of(row, with_tagged)) is not None
    ]
    return sorted(items, key=lambda item: (item.doubt, *_by_time(rows, clocks, item.row)))


def clock(row: Outcome) -> float | None:
    """What the camera's clock showed, in seconds as if it ran on UTC; None where that is none."""
    try:
        return datetime.fromisoformat(row.taken_at[:19] + "+00:00").timestamp()
    except (ValueError, OverflowError):
        return None


def _true_time(row: Outcome) -> float | None:
    """When it really was, in seconds; None where neither the scan found it nor the camera told."""
    try:
        time = datetime.fromisoformat(row.utc or row.taken_at)
        return None if time.tzinfo is None else time.timestamp()
    except (ValueError, OverflowError):
        return None


class Timeline:
    """The photos with a position in the order of time."""

    def __init__(self, rows: Sequence[Outcome]) -> None:
        self._rows = rows
        self._dated = sorted(
            (time, number)
            for number, row in enumerate(rows)
            if row.latitude is not None
            and row.longitude is not None
            and (time := clock(row)) is not None
        )

    def neighbours(self, number: int, row: Outcome) -> list[Neighbour]:
        """The photos nearest in time to a row: some before, some after, in order.

        By the true times where both are known, else by what the clocks show; within a day.
        """
        here, truly = clock(row), _true_time(row)
        if here is None:
            return []
        first = bisect_left(self._dated, (here - _MOST_APART, -1))
        last = bisect_left(self._dated, (here + _MOST_APART, -1))
        near = []
        for shown, at in self._dated[first:last]:
            then = None if truly is None else _true_time(self._rows[at])
            seconds = shown - here if then is None or truly is None else then - truly
            if at != number and abs(seconds) <= _NEAR_SECONDS:
                near.append(Neighbour(at, seconds))
        near.sort(key=lambda one: one.seconds)
        before = [one for one in near if one.seconds < 0][-_NEIGHBOURS:]
        return [*before, *[one for one in near if one.seconds >= 0][:_NEIGHBOURS]]


def _by_time(
    rows: Sequence[Outcome], clocks: Sequence[float | None], number: int
) -> tuple[bool, float, str]:
    time = clocks[number]
    return time is None, time or 0.0, rows[number].path


def _bursts(rows: Sequence[Outcome], clocks: Sequence[float | None]) -> list[int]:
    """The number of the burst that each row belongs to: photos of one camera, each within a minute
    of the one before."""
    bursts = list(range(len(rows)))
    last: dict[str, tuple[float, int]] = {}
    for number in sorted(range(len(rows)), key=lambda at: _by_time(rows, clocks, at)):
        time, camera = clocks[number], rows[number].camera
        if time is None:
            continue
        if camera in last and time - last[camera][0] <= BURST_SECONDS:
            bursts[number] = last[camera][1]
        last[camera] = time, bursts[number]
    return bursts


def alike(items: Sequence[Item], item: Item, by_day: bool) -> Iterator[Item]:
    """The other items of an item's burst, or day."""
    for other in items:
        same = item.day and other.day == item.day if by_day else other.burst == item.burst
        if same and other.row != item.row:
            yield other
