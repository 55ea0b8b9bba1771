"""What a position that was worked out rests on, in a sentence."""

from __future__ import annotations

from typing import assert_never

from geotag.places.sighting import Method, Neighbour, Placement, Reason


def tell(placement: Placement) -> str:
    """One sentence: which photos, how long before or after, how far away."""
    match placement.method:
        case Method.NEIGHBOUR:
            return "; ".join(_beside(neighbour) for neighbour in placement.neighbours)
        case Method.TRACK:
            near = placement.neighbours[0]
            return f"on the track {near.photo}, {_duration(near.seconds)} from its nearest point"
        case _:
            assert_never(placement.method)


def tell_why_not(reason: Reason) -> str:
    """Why a photo was not placed, in a sentence."""
    match reason:
        case Reason.KIND:
            return (
                "not placed: a screenshot, a scan, a download, a received picture, or one of a "
                "clock that was never set; its time says nothing of where it was taken"
            )
        case Reason.NO_TIME:
            return "not placed: when it was taken is not known"
        case Reason.NO_DEVICE:
            return "not placed: which camera took it is not known"
        case Reason.NO_NEIGHBOUR:
            return (
                "not placed: no photo with a position is near enough in time, of somebody who is "
                "known to have been there"
            )
        case Reason.CONTRADICTION:
            return "not placed: photos or tracks of that time contradict each other"
        case Reason.WIDE:
            return "not placed: the photos near it in time leave more than 5 km open"
        case _:
            assert_never(reason)


def _beside(neighbour: Neighbour) -> str:
    name = neighbour.photo.rpartition("/")[2]
    way = "before" if neighbour.seconds < 0 else "after"
    return (
        f"{name} was taken {_duration(neighbour.seconds)} {way}, {_distance(neighbour.metres)} away"
    )


def _duration(seconds: float) -> str:
    seconds = abs(seconds)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _distance(metres: float) -> str:
    return f"{metres:.0f} m" if metres < 1000 else f"{metres / 1000:.1f} km"
