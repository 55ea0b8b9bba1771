"""The frozen records of placing: what each photo can testify, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from geotag.records import Location


class Kind(str, Enum):
    """What kind of picture a file is, as far as its metadata and name tell."""

    CAMERA = "camera"
    PHONE = "phone"
    EDITED = "edited"
    SCREENSHOT = "screenshot"
    SCAN = "scan"
    RECEIVED = "received"
    DOWNLOAD = "download"
    DEFAULT_DATE = "default date"


# Their time is when a camera or phone of the owner took them; that of the others is not.
TAKEN_HERE = frozenset((Kind.CAMERA, Kind.PHONE, Kind.EDITED))


class Sighting(NamedTuple):
    """One photo as evidence.

    `clock` is what the device's clock showed, in seconds since 1970 as if it ran on UTC;
    `offset` how far that is ahead of UTC, where the device recorded it; `stamp` is UTC from GPS.
    `position` is a measured one.
    """

    photo: str
    device: str
    kind: Kind
    clock: float | None
    offset: float | None = None
    stamp: float | None = None
    position: Location | None = None


class ClockSource(str, Enum):
    """How a clock's offset from UTC is known."""

    GIVEN = "given"
    GPS = "gps"
    RECORDED = "recorded"
    ZONE = "zone"
    COMPANY = "company"
    POSITIONS = "positions"
    UNKNOWN = "unknown"


class ClockPiece(NamedTuple):
    """A stretch of a device's photos over which its clock was ahead of UTC by `offset` seconds.

    `start` and `end` are readings of that clock. `pairs` and `visits` count the evidence.
    `offset` is None where there is too little of it; `likely` are then the offsets that it may
    have been, the likeliest first, as far as these can be told.
    """

    start: float
    end: float
    offset: float | None
    uncertainty: float
    source: ClockSource
    pairs: int = 0
    visits: int = 0
    likely: tuple[float, ...] = ()
    along: str = ""


class Method(str, Enum):
    """What a position that was not measured comes from."""

    NEIGHBOUR = "neighbour"
    TRACK = "track"
    COPY = "copy"
    SIDECAR = "sidecar"
    MATCH = "match"


class Neighbour(NamedTuple):
    """A photo (or the name of a track) that a position rests on, and how far it was from it.

    `seconds` is negative where it was taken before.
    """

    photo: str
    seconds: float
    metres: float


class Placement(NamedTuple):
    """A position worked out for a photo, and the radius that holds it 19 times of 20. How far off
    one that a sidecar gives may be, nobody says.

    `utc` is when it was taken, None where the clock's offset from UTC is not known. `by_picture`
    says that a copy is one by what is seen of it.
    """

    location: Location
    radius_m: float
    method: Method
    utc: float | None
    neighbours: tuple[Neighbour, ...]
    by_picture: bool = False


class Reason(str, Enum):
    """Why a photo was not placed."""

    KIND = "kind"
    NO_TIME = "no time"
    NO_DEVICE = "no device"
    NO_NEIGHBOUR = "no neighbour"
    CONTRADICTION = "contradiction"
    WIDE = "wide"


Clocks = Mapping[str, tuple[ClockPiece, ...]]


class Placed(NamedTuple):
    """What became of the photos of some days: a placement or the reason for none of each that has
    no position, and the clocks by device."""

    placements: Mapping[str, Placement | Reason]
    clocks: Clocks


class Places(NamedTuple):
    """What is known of a library: a placement or the reason for none by photo, clocks by device,
    and the devices (and tracks) that each device was found to be with."""

    placements: Mapping[str, Placement | Reason]
    clocks: Clocks
    companions: Mapping[str, tuple[str, ...]]
