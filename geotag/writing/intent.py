"""What a row of the table asks to be written, also one that a person edited. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple, assert_never

from geotag.categories import OWN_ID, OWN_PREFIX, slugify
from geotag.errors import PhotoError
from geotag.metadata.marks import SOURCE_INFERRED, SOURCE_USER
from geotag.places.private import WHY
from geotag.places.sighting import Method
from geotag.places.standing import METHOD
from geotag.records import Category, Location, Outcome, Status, TopCategory
from geotag.writing.tags import LandmarkTags, PlacedTags, Tags, TimeTags

_TEXT_LIMIT = 200
# Of Excel, LibreOffice and Google's, in the place of a value.
_SHEET_ERROR = re.compile(r"#(?:[A-Z_]+[!?]|N/A|DIV/0!)|Err:\d{3}")
_SAME_DEGREES = 1e-6
_ROUNDED = range(2, 6)  # to so many decimals
_RADIUS_M = 100.0
_LONG = 1000
# The nearest town to a position known less well may be another one.
_TOWN_M = 2000.0
NOT_ASKED = "placed without a tag, which only --gps writes"
NOT_MEASURED = "with a position in a sidecar that does not say how far off it may be"


class IntentError(PhotoError):
    """A row cannot be understood; says what to change in it."""


class Intent(NamedTuple):
    """Tags to write, or (`clear`) those of an earlier run to take out, or neither, and why.

    Tags that are taken out for a reason were not cleared by the user.
    """

    tags: Tags | TimeTags | None = None
    clear: bool = False
    reason: str = ""


class Landmarks:
    """The landmark table as rows refer to it: by number, and by name whatever its case."""

    def __init__(self, categories: Iterable[Category]) -> None:
        self._by_id = {category.id: category for category in categories}
        self._by_name = {_fold(c.name): c for c in reversed(self._by_id.values())}

    def by_id(self, number: int | None) -> Category | None:
        return self._by_id.get(number) if number is not None else None

    def by_name(self, name: str) -> Category | None:
        return self._by_name.get(_fold(name))


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold().strip()


def read_intent(row: Outcome, landmarks: Landmarks) -> Intent:
    """What to do for a row.

    A landmark that differs from what the scan found is the user's word; one that was cleared takes
    back what geotag wrote before. Raises IntentError for a landmark that the user named and nobody
    knows the position of.
    """
    name = unicodedata.normalize("NFC", row.landmark).strip()
    if not name and row.status is Status.PLACED:
        return _placed(row)
    if not name:
        return _without_name(row)
    if row.method == METHOD and _names_number(row, name, landmarks):
        return Intent(reason="with a position from the camera")
    for field, text in (("landmark", name), ("city", row.city), ("country", row.country)):
        check_text(text, field)
    is_found = row.status in (Status.TAGGED, Status.HAS_GPS) and row.confidence is not None
    is_scanned = is_found and _scanned(row, landmarks) == name
    chosen = _chosen(row, name, landmarks, is_scanned)
    if chosen is None:
        return Intent(_of_model(row, name) if is_scanned else _of_user(row, name, landmarks))
    landmark = _moved(row, chosen, landmarks)
    if is_scanned and chosen.name == name and landmark == chosen:
        return Intent(_found(row, landmark))
    return Intent(_named_by_user(landmark))


def _names_number(row: Outcome, name: str, landmarks: Landmarks) -> bool:
    """Whether a row's landmark is still the one that its number is of."""
    numbered = landmarks.by_id(row.category_id)
    return numbered is not None and _fold(numbered.name) == _fold(name)


class Guess(NamedTuple):
    """The most likely landmark of a photo by the catalog: its slug, by which model, and whether
    that made it a tag."""

    slug: str
    confidence: float
    model: str
    is_tag: bool


def is_of_another_photo(row: Outcome, guess: Guess) -> bool:
    """Whether a row says that the scan found what it did not find in this photo.

    So it is where a spreadsheet sorted some columns without the others.
    """
    is_scans = row.confidence is not None and bool(row.top_k) and row.model == guess.model
    is_said = is_scans and _fold(row.landmark) == _fold(row.top_k[0].landmark)
    return is_said and row.top_k[0].slug != guess.slug


def with_guess(row: Outcome, guess: Guess, landmarks: Landmarks) -> Outcome:
    """A row that lacks what the scan found, completed where its landmark is what the scan found.

    A table of paths and landmarks alone must not make a model's guesses the user's word.
    """
    lacks_scan = (row.category_id is None and not row.top_k) or row.status is Status.UNCERTAIN
    category = landmarks.by_name(row.landmark)
    slug = category.slug if category else OWN_PREFIX + slugify(row.landmark)
    if not (lacks_scan and guess.is_tag and guess.slug == slug):
        return row
    number = category.id if category else OWN_ID
    found = TopCategory(number, guess.slug, row.landmark.strip(), guess.confidence)
    return row._replace(
        status=row.status if row.status is Status.HAS_GPS else Status.TAGGED,
        landmark=category.name if category else row.landmark,
        category_id=number,
        confidence=guess.confidence,
        top_k=(found._replace(landmark=category.name) if category else found,),
        model=guess.model,
    )


def named_by_user(row: Outcome, landmarks: Landmarks) -> str:
    """The landmark of a row that is taken as the user's word; empty for others."""
    with suppress(IntentError):  # which the write reports
        tags = read_intent(row, landmarks).tags
        if isinstance(tags, LandmarkTags) and tags.source == SOURCE_USER:
            return tags.name
    return ""


def is_cleared(row: Outcome, landmarks: Landmarks) -> bool:
    """Whether the user took the landmark out of a row."""
    with suppress(IntentError):
        intent = read_intent(row, landmarks)
        return intent.clear and not intent.reason
    return False


def _named_by_user(landmark: Category) -> LandmarkTags:
    return LandmarkTags(landmark, SOURCE_USER, confidence=1.0)


def _found(row: Outcome, landmark: Category) -> LandmarkTags:
    check_text(row.model, "model")
    return LandmarkTags(landmark, SOURCE_INFERRED, row.confidence, row.model)


def _without_name(row: Outcome) -> Intent:
    was_tagged = row.category_id is not None or row.confidence is not None
    match row.status:
        case Status.TAGGED:
            return Intent(clear=True)
        case Status.HAS_GPS if was_tagged:
            return Intent(clear=True)
        case Status.HAS_GPS:
            return Intent(reason="with a position from the camera")
        case Status.UNCERTAIN:
            return Intent(reason="uncertain")
        case Status.NO_LANDMARK:
            return Intent(reason="without a landmark")
        case Status.UNREADABLE:
            return Intent(reason="unreadable")
        case Status.PLACED:
            return Intent(reason=NOT_ASKED)
        case Status.CONFLICT:
            return Intent(reason="with a landmark that contradicts the time")
        case Status.PRIVATE:
            return Intent(clear=True, reason=WHY)
        case _:
            assert_never(row.status)


def _placed(row: Outcome) -> Intent:
    """Where a photo was placed; one whose position was taken out of the table is to have none."""
    if row.latitude is None or row.longitude is None:
        return Intent(clear=True, reason="without the position that it was placed at")
    _check_position(row.latitude, row.longitude)
    for field in ("method", "place", "region", "country"):
        check_text(getattr(row, field), field)
    if row.method == Method.SIDECAR.value and row.radius_m is None:
        return Intent(reason=NOT_MEASURED)
    if not row.method or row.radius_m is None:
        raise IntentError("it was placed, but its row lacks the method or the radius")
    return Intent(
        PlacedTags(
            Location(row.latitude, row.longitude),
            row.radius_m,
            row.method,
            "".join(letter if letter.isprintable() else " " for letter in row.evidence)[:_LONG],
            row.place if row.radius_m <= _TOWN_M else "",
            row.region,
            row.country,
        )
    )


def check_text(text: str, field: str) -> None:
    """Raise IntentError for a text that no field of a photo's metadata should hold."""
    if len(text) > _TEXT_LIMIT:
        raise IntentError(f"its {field} is longer than {_TEXT_LIMIT} letters")
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Co", "Cn") for letter in text):
        raise IntentError(f"its {field} holds control characters")
    if _SHEET_ERROR.fullmatch(text.strip()):
        raise IntentError(f"its {field} is a spreadsheet's error ({text.strip()})")


def _scanned(row: Outcome, landmarks: Landmarks) -> str:
    """The name that the scan gave the row."""
    if row.top_k:
        return unicodedata.normalize("NFC", row.top_k[0].landmark)
    category = landmarks.by_id(row.category_id)
    return category.name if category else ""


def _chosen(row: Outcome, name: str, landmarks: Landmarks, is_scanned: bool) -> Category | None:
    """By number where that fits the name or is all that was changed, else by name.

    A number that the table does not have is that of a landmark of the model's own.
    """
    numbered = landmarks.by_id(row.category_id)
    if numbered is not None and _fold(numbered.name) == _fold(name):
        return numbered
    if is_scanned and row.category_id is not None:
        is_renumbered = bool(row.top_k) and row.category_id != row.top_k[0].category_id
        return numbered if is_renumbered else None
    return landmarks.by_name(name)


def _of_model(row: Outcome, name: str) -> LandmarkTags:
    """A landmark that was added to the model; it may have no position."""
    position = _position(row)
    landmark = _new_category(row, name, position or (0.0, 0.0))
    return _found(row, landmark)._replace(located=position is not None)


def _of_user(row: Outcome, name: str, landmarks: Landmarks) -> LandmarkTags:
    """A landmark that only the user knows. What the row still has of the scan's is another's."""
    position = _given_position(row, landmarks)
    if position is None:
        raise IntentError(
            f"“{name}” is not in the landmark table: give its own latitude and longitude"
        )
    old = landmarks.by_id(row.category_id)
    if old is not None:
        if (row.city, row.country) == (old.city, old.country):
            row = row._replace(city="", country="")
        if row.radius_m == old.radius_m:
            row = row._replace(radius_m=None)
    return _named_by_user(_new_category(row, name, position))


def _new_category(row: Outcome, name: str, position: tuple[float, float]) -> Category:
    return Category(
        -1, "", name, *position, row.radius_m or _RADIUS_M, row.city, "", row.country, ""
    )


def _position(row: Outcome) -> tuple[float, float] | None:
    """Where the row says that the landmark is; a measured position, or one by time, is the
    camera's."""
    is_measured = row.status is Status.HAS_GPS or row.position_source == "measured"
    is_measured |= row.status is Status.PLACED
    if row.latitude is None or row.longitude is None or is_measured:
        return None
    _check_position(row.latitude, row.longitude)
    return row.latitude, row.longitude


def _given_position(row: Outcome, landmarks: Landmarks) -> tuple[float, float] | None:
    """The position that the user gave: not the one that the scan wrote with its landmark.

    That of a landmark that was added to the model is not known here: it stands where the row still
    calls it inferred.
    """
    position = _position(row)
    scanned = [landmarks.by_id(row.category_id), landmarks.by_name(_scanned(row, landmarks))]
    is_models = row.category_id is not None and scanned[0] is None
    if position is None or (is_models and row.position_source == "inferred"):
        return None
    is_scans = any(c is not None and _is_at(c, *position) for c in scanned)
    return None if is_scans else position


def _moved(row: Outcome, chosen: Category, landmarks: Landmarks) -> Category:
    """The landmark, at another place where the user gave it one."""
    position = _given_position(row, landmarks)
    if position is None or _is_at(chosen, *position):
        return chosen
    return chosen._replace(latitude=position[0], longitude=position[1])


def _check_position(latitude: float, longitude: float) -> None:
    if not (abs(latitude) <= 90 and abs(longitude) <= 180) or latitude == longitude == 0:
        raise IntentError(f"no such position: {latitude:g}, {longitude:g}")


def _is_at(category: Category, latitude: float, longitude: float) -> bool:
    return _is_same(category.latitude, latitude) and _is_same(category.longitude, longitude)


def _is_same(known: float, given: float) -> bool:
    """Whether a coordinate is the known one, as it stands or as a spreadsheet rounds it."""
    rounded = (known, *(round(known, digits) for digits in _ROUNDED))
    return any(abs(each - given) < _SAME_DEGREES for each in rounded)
