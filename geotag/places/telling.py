"""What a position that was worked out rests on, in a sentence."""

from __future__ import annotations

from typing import assert_never

from geotag.places.sighting import Method, Neighbour, Placement


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
