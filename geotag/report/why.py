"""Why a photo's row says what it says, in sentences, and what would help. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple, assert_never

from geotag.places.nearby import Nearby, Surroundings
from geotag.places.sighting import Kind, Reason, Sighting
from geotag.places.telling import tell_distance, tell_duration, tell_why_not
from geotag.places.vicinity import METHOD as VICINITY
from geotag.records import FailureKind, Outcome, Reading, Status

_NEAR_S = 2 * 3600.0
_LISTED = 3
_MISSET_S = 600.0
_KINDS = {
    Kind.CAMERA: "the photo of a camera",
    Kind.PHONE: "the photo of a phone",
    Kind.EDITED: "an edited export of a photo",
    Kind.SCREENSHOT: "a screenshot",
    Kind.SCAN: "a scan",
    Kind.RECEIVED: "a picture that a messenger received",
    Kind.DOWNLOAD: "a download, or a picture whose metadata are gone",
    Kind.DEFAULT_DATE: "a photo whose camera's clock was never set",
}
_METHODS = {
    VICINITY: "by landmarks of one place that it may show",
    "landmark": "by the landmark that it shows",
    "neighbour": "by photos taken near it in time",
    "track": "by a recorded track",
    "copy": "as a copy of a photo with a position",
    "sidecar": "by its sidecar",
    "match": "by photos of the same scene",
}


class Known(NamedTuple):
    """What the catalog knows beside the row: empty where there is none, or it lacks the photo.

    `threshold` is the confidence that a tag needs; `clock` a sentence on the device's clock.
    """

    reading: Reading | None = None
    sighting: Sighting | None = None
    around: Surroundings = Surroundings()
    clock: str = ""
    threshold: float | None = None


def explain_row(row: Outcome, known: Known) -> Iterator[str]:
    """The sentences: what was measured, read, found of time and place, and seen; what would help.

    Of a private row nothing but that it is private.
    """
    yield _headline(row)
    if row.status is Status.PRIVATE:
        return
    yield from _taken(row, known)
    yield from _measured(row)
    yield from _found(row, known)
    yield from _seen(row, known)
    yield from _help(row, known)


def _headline(row: Outcome) -> str:
    match row.status:
        case Status.HAS_GPS:
            return f"It has a position of its own: {_place(row)}."
        case Status.TAGGED:
            return f"It is tagged with {row.landmark}."
        case Status.PLACED:
            return f"It has no position of its own, and was placed at {_place(row)}."
        case Status.CONFLICT:
            return "What it seems to show cannot be where it was taken: neither is believed."
        case Status.UNCERTAIN:
            return "It may show a landmark, but not surely enough for a tag."
        case Status.NO_LANDMARK:
            return "Where it was taken is not known, and it shows no landmark that the model knows."
        case Status.UNREADABLE:
            return f"It could not be read: {row.error}."
        case Status.PRIVATE:
            return "It lies in a private zone: nothing is told of where."
        case _:
            assert_never(row.status)


def _place(row: Outcome) -> str:
    if row.latitude is None or row.longitude is None:
        return "a place that the table leaves out"
    within = f", within {tell_distance(row.radius_m)}" if row.radius_m is not None else ""
    return f"{row.latitude:.5f}, {row.longitude:.5f}{within}"


def _taken(row: Outcome, known: Known) -> Iterator[str]:
    if row.status is Status.UNREADABLE and not row.taken_at:
        return
    if row.taken_at:
        yield f"Taken {row.taken_at}{f' with {row.camera}' if row.camera else ''}."
    else:
        yield f"Its metadata do not say when it was taken{'' if row.camera else ', nor with what'}."
    if known.sighting is not None:
        yield f"By its metadata, name and folder it is {_KINDS[known.sighting.kind]}."
    if row.utc:
        yield f"In UTC that was {row.utc}."
    if known.clock:
        device = known.sighting.device if known.sighting is not None else row.camera
        yield f"The clock of {device}: {known.clock}."
    if _seconds_apart(row.taken_at, row.utc) > _MISSET_S:
        yield "The offset from UTC that it recorded itself is another one, and is not believed."


def _seconds_apart(taken_at: str, utc: str) -> float:
    """How far the time of the metadata is from UTC by the clock that was found; 0 where either is
    not told."""
    try:
        recorded, found = (datetime.fromisoformat(time) for time in (taken_at, utc))
        return abs((recorded - found).total_seconds())
    except (ValueError, TypeError):  # the one without an offset
        return 0.0


def _measured(row: Outcome) -> Iterator[str]:
    if row.status is Status.HAS_GPS:
        yield "The position is in its metadata or a sidecar; it counts as measured and is kept."
    elif row.error and row.status is not Status.UNREADABLE:
        yield f"{row.error[:1].upper()}{row.error[1:]}."
    elif row.status is not Status.UNREADABLE:
        yield "Neither its metadata nor a sidecar holds a measured position."


def _found(row: Outcome, known: Known) -> Iterator[str]:
    """What the time, the rest of the library and the tracks say."""
    if row.status is Status.PLACED or (row.status is Status.TAGGED and row.evidence):
        how = _METHODS.get(row.method, f"by {row.method}")
        yield f"It was placed {how}: {row.evidence or 'the table does not say which'}."
    elif row.evidence:
        yield f"{row.evidence[:1].upper()}{row.evidence[1:]}."
    if row.status is Status.TAGGED and row.radius_m is not None:
        yield (
            f"Its position is the landmark's: the camera stood up to {tell_distance(row.radius_m)} "
            "away."
        )
    named = ", ".join(filter(None, (row.place or row.city, row.region, row.country)))
    if named and row.latitude is not None:
        zone = f"; the time zone is {row.time_zone}" if row.time_zone else ""
        yield f"The place is called {named}{zone}."
    if row.status in (Status.UNCERTAIN, Status.NO_LANDMARK, Status.CONFLICT):
        yield from _nearest(known)


def _nearest(known: Known) -> Iterator[str]:
    around = known.around
    if known.reading is None or known.sighting is None:
        return
    if not around.measured:
        yield "No other photo of the library has a position."
    elif around.nearest is not None:
        beside = " and ".join(_beside(each) for each in (around.before, around.after) if each)
        yield f"The nearest in time with a position: {beside}."


def _beside(near: Nearby) -> str:
    name = near.photo.rpartition("/")[2]
    way = "before" if near.seconds <= 0 else "after"
    return f"{name} ({near.device or 'of an unknown device'}), {tell_duration(near.seconds)} {way}"


def _seen(row: Outcome, known: Known) -> Iterator[str]:
    """What the network saw."""
    prediction = known.reading.prediction if known.reading is not None else None
    if not row.top_k:
        if row.status is Status.HAS_GPS:
            yield "The network did not look at it, for it has a position."
        elif prediction is not None and prediction.unclassified:
            yield f"The network did not look at it: {prediction.unclassified}."
        return
    best = ", ".join(f"{e.landmark} {e.confidence:.1%}" for e in row.top_k[:_LISTED])
    is_sure = known.threshold is not None and row.top_k[0].confidence >= known.threshold
    yield f"The network saw in it: {best}{_needs(known.threshold)}."
    if prediction is not None:
        yield f"That it shows any landmark the model knows: {prediction.landmark_probability:.1%}."
    if is_sure and row.status in (Status.NO_LANDMARK, Status.PLACED):
        yield "You cleared its landmark, so it gets none."


def _needs(threshold: float | None) -> str:
    """What a tag takes in the library, as far as it is known."""
    if threshold is None:
        return ""
    return f"; a tag needs {threshold:.1%} or more" if threshold <= 1 else "; too little for a tag"


def _help(row: Outcome, known: Known) -> Iterator[str]:
    """What could be done, where anything is missing."""
    match row.status:
        case Status.UNREADABLE:
            failure = known.reading.failure if known.reading is not None else None
            is_permanent = failure is not None and failure.kind is FailureKind.PERMANENT
            again = "once the file has changed" if is_permanent else "by the next scan that may"
            yield f"What would help: it is read again {again}."
        case Status.CONFLICT:
            yield (
                "What would help: if the landmark is right, the clock of its camera may be wrong "
                "(--clock-offset), or the photos near it in time are another person's (--exclude)."
            )
        case Status.UNCERTAIN | Status.NO_LANDMARK:
            yield from (f"What would help: {help}." for help in _remedies(row, known))
        case Status.HAS_GPS | Status.TAGGED | Status.PLACED | Status.PRIVATE:
            return
        case _:
            assert_never(row.status)


def _remedies(row: Outcome, known: Known) -> Iterator[str]:
    if row.status is Status.UNCERTAIN:
        yield "a lower --min-precision or --threshold tags more, and errs more often"
    if row.error:
        yield "correct or remove the position in its metadata, which is not understood"
        return
    if "not placed" not in row.evidence:
        yield "scan with --places, which places photos by others and by tracks of the same time"
        return
    reason = next((each for each in Reason if tell_why_not(each) in row.evidence), None)
    match reason:
        case Reason.KIND:
            yield "only a position of its own, for its time does not tell where it was taken"
        case Reason.NO_TIME:
            yield "the time at which it was taken, written as DateTimeOriginal"
        case Reason.NO_DEVICE:
            yield "the camera's name in its metadata (Make and Model)"
        case Reason.CONTRADICTION:
            yield "leave out with --exclude what is another person's, or give the --track you took"
        case Reason.NO_NEIGHBOUR | Reason.WIDE | None:
            yield _near_in_time(known, reason is Reason.WIDE)
        case _:
            assert_never(reason)


def _near_in_time(known: Known, is_wide: bool) -> str:
    nearest = known.around.nearest
    is_lonely = nearest is None or abs(nearest.seconds) > _NEAR_S
    if is_lonely and not is_wide:
        return (
            "no photo with a position was taken within 2 hours; give a recorded --track of that "
            "day, or photos of a phone"
        )
    device = known.sighting.device if known.sighting is not None else ""
    return (
        "a recorded --track of that day, more photos with a position, or, if you know it, how far "
        f"its clock was off: --clock-offset '{device or 'CAMERA'}=OFFSET'"
    )
