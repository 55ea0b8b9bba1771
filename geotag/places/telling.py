"""What was found of clocks, and what a position that was worked out rests on, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import assert_never

from geotag.places.sighting import (
    ClockPiece,
    Clocks,
    ClockSource,
    Method,
    Neighbour,
    Placement,
    Reason,
)

_NAMED = 3
_OTHERS = " and others"
NOT_KNOWN = "nothing tells what its clock was; not corrected"


def tell(placement: Placement, photo: str = "") -> str:
    """One sentence on a photo: by which others, how long before or after, how far away."""
    match placement.method:
        case Method.NEIGHBOUR:
            return "; ".join(_beside(neighbour, photo) for neighbour in placement.neighbours)
        case Method.TRACK:
            near = placement.neighbours[0]
            return (
                f"on the track {near.photo}, {tell_duration(near.seconds)} from its nearest point"
            )
        case Method.COPY:
            original = placement.neighbours[0].photo.rpartition("/")[2]
            how = " by what both show" if placement.by_picture else ""
            return f"a copy of {original}{how}, whose position was measured"
        case Method.MATCH:
            return _same_scene(placement.neighbours)
        case Method.SIDECAR:
            return (
                "Google Photos gives this position in the JSON file beside it: set by hand, or "
                "guessed by Google; how far off it may be is not known"
            )
        case _:
            assert_never(placement.method)


def _same_scene(neighbours: Sequence[Neighbour]) -> str:
    names = [each.photo.rpartition("/")[2] for each in neighbours]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    spread = tell_distance(max(each.metres for each in neighbours))
    return (
        f"shows the same scene as {', '.join(names[:_NAMED])}{more}, whose positions were measured "
        f"within {spread} of it"
    )


def tell_why_not(reason: Reason) -> str:
    """Why a photo was not placed, in a sentence."""
    match reason:
        case Reason.KIND:
            return (
                "not placed: a screenshot, a scan, a download, a received picture, or one of a "
                "clock that was never set; its time says nothing of where it was taken"
            )
        case Reason.NO_TIME:
            return (
                "not placed: at what time it was taken is not known (midnight to the second stands "
                "for a day alone)"
            )
        case Reason.NO_DEVICE:
            return "not placed: which camera took it is not known"
        case Reason.NO_NEIGHBOUR:
            return (
                "not placed: no photo with a position is near enough in time, by somebody known to "
                "have been there"
            )
        case Reason.CONTRADICTION:
            return "not placed: photos or tracks of that time contradict each other"
        case Reason.WIDE:
            return "not placed: the photos near it in time tell its place to no better than 25 km"
        case _:
            assert_never(reason)


def _beside(neighbour: Neighbour, photo: str) -> str:
    name = neighbour.photo.rpartition("/")[2]
    if name == photo.rpartition("/")[2]:
        name = f"another {name}"  # two cameras count alike
    way = "before" if neighbour.seconds < 0 else "after"
    when, away = tell_duration(neighbour.seconds), tell_distance(neighbour.metres)
    return f"{name} was taken {when} {way}, {away} away"


def tell_duration(seconds: float) -> str:
    """A length of time in seconds, in words."""
    seconds = abs(seconds)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 2 * 86_400 else f"{seconds / 86_400:.0f} days"


def tell_distance(metres: float) -> str:
    """A distance in metres, in words."""
    return f"{metres:.0f} m" if metres < 1000 else f"{metres / 1000:.1f} km"


def tell_clock(pieces: Sequence[ClockPiece], clock: float) -> str:
    """What is known of a clock when it showed a time; empty where nothing is."""
    return next((_of_clock(p) for p in pieces if p.start <= clock <= p.end), "")


def clock_lines(clocks: Clocks) -> Iterator[str]:
    """A line for each stretch of each device's clock."""
    for device, pieces in sorted(clocks.items()):
        for piece in _as_told(pieces):
            yield f"{device}, {_days(piece)}: {_of_clock(piece)}"
        if not pieces:
            yield f"{device}: {NOT_KNOWN}"


def _as_told(pieces: Iterable[ClockPiece]) -> Iterator[ClockPiece]:
    """A device's pieces, of one part of a library after the other: those together that follow each
    other and tell the same."""
    last: ClockPiece | None = None
    for piece in pieces:
        if last is not None and _is_same(last, piece):
            last = _both(last, piece)
            continue
        if last is not None:
            yield last
        last = piece
    if last is not None:
        yield last


def _is_same(one: ClockPiece, other: ClockPiece) -> bool:
    if one.offset is None or other.offset is None:
        return one.offset is other.offset
    away = abs(one.offset - other.offset)
    return one.source is other.source and away <= one.uncertainty + other.uncertainty


def _both(one: ClockPiece, other: ClockPiece) -> ClockPiece:
    """Two pieces as one, by the offset that more photos tell."""
    most, least = (one, other) if one.pairs >= other.pairs else (other, one)
    away = abs((most.offset or 0.0) - (least.offset or 0.0))
    along = one.along.removesuffix(_OTHERS) + (_OTHERS if one.along != other.along else "")
    return most._replace(
        start=min(one.start, other.start), end=max(one.end, other.end),
        uncertainty=max(most.uncertainty, away + least.uncertainty),
        pairs=one.pairs + other.pairs, visits=one.visits + other.visits, along=along,
    )  # fmt: skip


def _days(piece: ClockPiece) -> str:
    first, last = (
        datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d") for time in (piece.start, piece.end)
    )
    return first if first == last else f"{first} to {last}"


def _of_clock(piece: ClockPiece) -> str:
    if piece.offset is None:
        return "too little tells what its clock was; not corrected"
    hours, seconds = divmod(round(abs(piece.offset)), 3600)
    minutes, seconds = divmod(seconds, 60)
    ahead = (
        f"{hours} h {minutes:02} min {seconds:02} s {'ahead of' if piece.offset >= 0 else 'behind'}"
    )
    photos = "1 photo" if piece.pairs == 1 else f"{piece.pairs} photos"
    photos = photos if piece.pairs else "photos of the weeks around"
    match piece.source:
        case ClockSource.GIVEN:
            return f"{ahead} local time, as given"
        case ClockSource.GPS:
            return f"{ahead} UTC, by the satellite receiver in {photos}"
        case ClockSource.RECORDED:
            return f"{ahead} UTC, as it recorded in {photos}"
        case ClockSource.ZONE:
            return f"{ahead} UTC, by the time zone of {photos} with a position"
        case ClockSource.COMPANY:
            visits = f" on {piece.visits} visits" if piece.pairs else ""
            return (
                f"{ahead} UTC, give or take {piece.uncertainty:.0f} s, by {photos}{visits} beside "
                "those of another device"
            )
        case ClockSource.POSITIONS:
            return (
                f"{ahead} UTC, give or take {piece.uncertainty:.0f} s, by the positions of "
                f"{photos} along {piece.along}"
            )
        case ClockSource.UNKNOWN:
            return "too little tells what its clock was; not corrected"
        case _:
            assert_never(piece.source)
