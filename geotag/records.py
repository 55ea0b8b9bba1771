"""The frozen records that pass between the stages of a scan."""

from __future__ import annotations

from enum import Enum
from typing import Literal, NamedTuple

# How a picture is brought to the network's square: both sides scaled, or the centre cut out.
Fit = Literal["squash", "crop"]


class Status(str, Enum):
    """What came of one photo."""

    HAS_GPS = "has_gps"
    TAGGED = "tagged"
    UNCERTAIN = "uncertain"
    NO_LANDMARK = "no_landmark"
    UNREADABLE = "unreadable"
    PLACED = "placed"
    CONFLICT = "conflict"
    PRIVATE = "private"


UNKNOWN_SIZE = -1
# The largest photo that is read, and what all workers hold of photos' files at once.
READ_LIMIT = 320 * 2**20


class Photo(NamedTuple):
    """One photo as its source lists it.

    `uri` is an absolute path (undecodable bytes as surrogate escapes) or a bucket URI.
    `version` changes whenever the photo or one of its sidecars does. The size of one that could not
    be looked at is UNKNOWN_SIZE: reading it tells why.
    """

    uri: str
    size: int
    version: str
    sidecars: tuple[str, ...] = ()


class Location(NamedTuple):
    """A WGS-84 position in decimal degrees; altitude in metres above sea level."""

    latitude: float
    longitude: float
    altitude: float | None = None


class Capture(NamedTuple):
    """When and with what a photo was taken, as its metadata say it; empty or 0 where they don't.

    `time` is ISO 8601 with the fraction of the second and the offset that the camera recorded;
    `gps_time` is the satellite receiver's, in UTC, or a photo service's where there is no `time`.
    `width` and `height` are the stored picture's. `stated` is the "latitude,longitude" that a photo
    service gives: set by hand or guessed by it, so it is not measured.
    """

    time: str = ""
    gps_time: str = ""
    make: str = ""
    model: str = ""
    serial_number: str = ""
    software: str = ""
    width: int = 0
    height: int = 0
    stated: str = ""


class Metadata(NamedTuple):
    """What the camera wrote. `location` is a measured position, never an inferred one.

    `taken_at` is ISO 8601, with the offset when the camera recorded one.
    `orientation` is EXIF's, 1 to 8.
    `position_unclear` says which position is there that could not be understood: such a photo
    gets no inferred one. It is empty where all is clear.
    """

    location: Location | None = None
    taken_at: str | None = None
    orientation: int = 1
    camera: str | None = None
    position_unclear: str = ""
    capture: Capture = Capture()


class Category(NamedTuple):
    """A landmark that a model can know."""

    id: int
    slug: str
    name: str
    latitude: float
    longitude: float
    radius_m: float
    city: str
    region: str
    country: str
    country_code: str


class OwnCategory(NamedTuple):
    """A landmark that a user added to a model; its place may be known in part or not at all."""

    id: int
    slug: str
    name: str
    latitude: float | None = None
    longitude: float | None = None
    radius_m: float | None = None
    city: str = ""
    region: str = ""
    country: str = ""
    country_code: str = ""


Landmark = Category | OwnCategory


class Score(NamedTuple):
    """The calibrated probability that a photo shows one category."""

    slug: str
    confidence: float


class Prediction(NamedTuple):
    """The most likely categories, best first, and the probability that there is any at all.

    `unclassified` says why a picture was not shown to the network, for it holds nothing that could
    be a landmark: `top` is empty then. `embedding` is the picture's, float16, little-endian,
    where it was asked for, and is not kept in the catalog; `fingerprint` is nearly the same for
    copies.
    """

    top: tuple[Score, ...]
    landmark_probability: float
    unclassified: str = ""
    embedding: bytes = b""
    fingerprint: bytes = b""


class Likeliest(NamedTuple):
    """The most likely landmark of a photo, and what tells the photos of one scene: the `moment`,
    which is camera and minute, and the picture's fingerprint; empty where they are not known."""

    slug: str
    confidence: float
    moment: str = ""
    fingerprint: bytes = b""


class FailureKind(str, Enum):
    """Whether trying again without a change of the file can help."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"


class Failure(NamedTuple):
    """Why a photo could not be read."""

    kind: FailureKind
    reason: str


class Reading(NamedTuple):
    """All that was learned from one photo, before any decision.

    `content_key` is the same for photos of the same content; empty when none was classified.
    `prefilter` is set where the prefilter alone was run: the probability of a landmark that the
    photo stayed below. `is_outdated` says that the photo changed since, and could not be
    read again.
    """

    photo: Photo
    metadata: Metadata
    prediction: Prediction | None = None
    failure: Failure | None = None
    content_key: str = ""
    prefilter: float = 0.0
    is_outdated: bool = False


class TopCategory(NamedTuple):
    """One entry of a row's top_k."""

    category_id: int
    slug: str
    landmark: str
    confidence: float


class Outcome(NamedTuple):
    """One row of the table: exactly one for each photo."""

    path: str
    status: Status
    latitude: float | None = None
    longitude: float | None = None
    altitude: float | None = None
    position_source: str = ""
    radius_m: float | None = None
    landmark: str = ""
    category_id: int | None = None
    confidence: float | None = None
    city: str = ""
    country: str = ""
    taken_at: str = ""
    camera: str = ""
    top_k: tuple[TopCategory, ...] = ()
    model: str = ""
    error: str = ""
    method: str = ""
    evidence: str = ""
    utc: str = ""
    place: str = ""
    region: str = ""
    time_zone: str = ""
