"""How far ahead of UTC photos' times are, as Exif writes it, where their clocks are known. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from geotag.places.sighting import (
    TAKEN_HERE,
    ClockPiece,
    Clocks,
    ClockSource,
    Sighting,
)
from geotag.places.telling import tell_clock

# Zones differ by quarters of an hour; a clock may be so many seconds off its zone's time.
_QUARTER, _OFF = 900, 120.0
_LONGEST = 14 * 3600
# What tells an offset from UTC itself.
_TOLD = frozenset(ClockSource) - {ClockSource.GIVEN, ClockSource.UNKNOWN}


class Offset(NamedTuple):
    """An offset from UTC such as "+02:00", and how it is known, in words; or why there is none.

    `time` is the reading of the clock that it belongs to, in seconds.
    """

    text: str = ""
    evidence: str = ""
    why_none: str = ""
    time: float = 0.0


def find_offset(photo: Sighting, clocks: Clocks) -> Offset:
    """The offset of a photo's time, or why it has none."""
    return _offset(photo, clocks.get(photo.device, ()))


def _offset(photo: Sighting, pieces: Sequence[ClockPiece]) -> Offset:
    if photo.clock is None:
        return Offset(why_none="without the time at which it was taken")
    if photo.offset is not None:
        return Offset(why_none="with an offset from UTC of its own")
    if photo.kind not in TAKEN_HERE:
        return Offset(why_none=f"taken by no camera ({photo.kind.value})")
    piece = next((p for p in pieces if p.start <= photo.clock <= p.end), None)
    if piece is not None and piece.source is ClockSource.GIVEN:
        return Offset(why_none="whose --clock-offset you gave: that is from local time, not UTC")
    if piece is None or piece.offset is None or piece.source not in _TOLD:
        return Offset(why_none="whose clock's offset from UTC is not known")
    whole = round(piece.offset / _QUARTER) * _QUARTER
    if abs(piece.offset - whole) + piece.uncertainty > _OFF or abs(whole) > _LONGEST:
        return Offset(why_none="whose clock was, or may have been, minutes off any zone's time")
    hours, minutes = divmod(abs(whole) // 60, 60)
    text = f"{'-' if whole < 0 else '+'}{hours:02}:{minutes:02}"
    return Offset(text, tell_clock(pieces, photo.clock), time=photo.clock)
