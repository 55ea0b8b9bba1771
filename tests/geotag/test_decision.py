"""Scores to decisions and rows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from geotag.categories import load_categories
from geotag.decision import (
    Decider,
    Evidence,
    Thresholds,
    parse_scores,
)
from geotag.errors import EngineError
from geotag.places.sighting import Method, Neighbour, Placement, Reason
from geotag.records import (
    Failure,
    FailureKind,
    Location,
    Metadata,
    Photo,
    Prediction,
    Reading,
    Score,
    Status,
)

PHOTO = Photo("/p.jpg", 1, "1")
TABLE = load_categories()
SURE = Prediction((Score("eiffel_tower", 0.95), Score("taj_mahal", 0.01)), 0.97)
TORN = Prediction((Score("eiffel_tower", 0.5), Score("taj_mahal", 0.4)), 0.92)
NOTHING = Prediction((Score("eiffel_tower", 0.02),), 0.03)


def test_confidence_is_low_throughout_without_a_landmark() -> None:
    """The background takes its share: two categories out of two and a sure background."""
    prediction = parse_scores(np.array([[1.0, 0.0, 9.0]], np.float32), ("a", "b"), 1.0)[0]
    assert all(score.confidence < 0.001 for score in prediction.top)
    assert prediction.landmark_probability < 0.001


def test_scores_are_a_softmax_at_the_temperature() -> None:
    logits = np.array([[2.0, 4.0, 0.0]], np.float32)
    prediction = parse_scores(logits, ("a", "b"), 2.0)[0]
    expected = np.exp([1, 2, 0]) / np.exp([1, 2, 0]).sum()
    assert [score.slug for score in prediction.top] == ["b", "a"]
    assert prediction.top[0].confidence == pytest.approx(expected[1], abs=1e-5)
    assert prediction.landmark_probability == pytest.approx(1 - expected[2], abs=1e-5)


def test_equal_scores_keep_the_order_of_the_categories() -> None:
    prediction = parse_scores(np.zeros((1, 4), np.float32), ("c", "a", "b"), 1.0)[0]
    assert [score.slug for score in prediction.top] == ["c", "a", "b"]


def test_huge_logits_do_not_overflow() -> None:
    prediction = parse_scores(np.array([[3e38, -3e38, 0]], np.float32), ("a", "b"), 1.0)[0]
    assert prediction.top[0].confidence == 1.0


@pytest.mark.parametrize("logit", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_are_no_answer(logit: float) -> None:
    with pytest.raises(EngineError, match="not numbers"):
        parse_scores(np.array([[0, 1, 0], [0, logit, 0]], np.float32), ("a", "b"), 1.0)


@pytest.mark.parametrize(
    ("prediction", "threshold", "status"),
    [
        (SURE, 0.9, Status.TAGGED),
        (SURE, 0.95, Status.TAGGED),
        (SURE, 0.96, Status.UNCERTAIN),
        (TORN, 0.9, Status.UNCERTAIN),
        (NOTHING, 0.9, Status.NO_LANDMARK),
    ],
)
def test_decisions(prediction: Prediction, threshold: float, status: Status) -> None:
    decider = Decider(threshold, 2, "model-1", TABLE.by_slug)
    assert decider.outcome(Reading(PHOTO, Metadata(), prediction)).status is status


@pytest.fixture
def decider() -> Decider:
    return Decider(0.9, 2, "model-1", TABLE.by_slug)


def test_a_tag_is_marked_as_inferred(decider: Decider) -> None:
    row = decider.outcome(Reading(PHOTO, Metadata(taken_at="2008-01-01T00:00:00"), SURE))
    tower = TABLE.by_slug("eiffel_tower")
    assert (row.status, row.position_source) == (Status.TAGGED, "inferred")
    assert (row.latitude, row.longitude) == (tower.latitude, tower.longitude)
    assert (row.radius_m, row.landmark, row.city) == (tower.radius_m, "Eiffel Tower", "Paris")
    assert row.confidence == 0.95
    assert [entry.slug for entry in row.top_k] == ["eiffel_tower", "taj_mahal"]
    assert row.model == "model-1"


def test_a_measured_position_is_never_replaced(decider: Decider) -> None:
    here = Location(1.5, 2.5, 30.0)
    row = decider.outcome(Reading(PHOTO, Metadata(location=here), SURE))
    assert (row.status, row.position_source) == (Status.HAS_GPS, "measured")
    assert (row.latitude, row.longitude, row.altitude) == here
    assert row.radius_m is None
    assert row.landmark == "Eiffel Tower"


@pytest.mark.parametrize("prediction", [TORN, NOTHING])
def test_no_tag_no_place(decider: Decider, prediction: Prediction) -> None:
    row = decider.outcome(Reading(PHOTO, Metadata(), prediction))
    assert row.latitude is row.longitude is row.radius_m is row.category_id is row.confidence
    assert row.latitude is None
    assert row.landmark == row.city == row.country == row.position_source == ""
    assert row.top_k


def test_a_failure_is_a_row_with_its_reason(decider: Decider) -> None:
    failure = Failure(FailureKind.PERMANENT, "damaged: truncated")
    row = decider.outcome(Reading(PHOTO, Metadata(camera="X"), failure=failure))
    assert (row.status, row.error, row.camera) == (Status.UNREADABLE, "damaged: truncated", "X")
    assert row.model == ""


def test_a_landmark_that_was_cleared_is_none(decider: Decider) -> None:
    cleared = Evidence(is_cleared=True)
    row = decider.outcome(Reading(PHOTO, Metadata(), SURE), cleared)
    assert (row.status, row.landmark, row.latitude) == (Status.NO_LANDMARK, "", None)
    assert row.top_k
    row = decider.outcome(Reading(PHOTO, Metadata(Location(1.5, 2.5)), SURE), cleared)
    assert (row.status, row.landmark, row.latitude) == (Status.HAS_GPS, "", 1.5)


def test_beside_a_position_that_is_not_understood_none_is_inferred(decider: Decider) -> None:
    unclear = Metadata(position_unclear="a latitude of 91 degrees")
    row = decider.outcome(Reading(PHOTO, unclear, SURE))
    assert (row.status, row.landmark) == (Status.TAGGED, "Eiffel Tower")
    assert (row.latitude, row.longitude, row.radius_m, row.position_source) == (None,) * 3 + ("",)
    assert row.error == "a latitude of 91 degrees"


def test_a_photo_that_changed_and_cannot_be_read_has_no_tag_but_keeps_its_position(
    decider: Decider,
) -> None:
    failure = Failure(FailureKind.TRANSIENT, "no permission to read it")
    reading = Reading(PHOTO, Metadata(), SURE, failure, is_outdated=True)
    row = decider.outcome(reading)
    assert (row.status, row.landmark, row.error) == (Status.UNREADABLE, "", failure.reason)
    row = decider.outcome(reading._replace(metadata=Metadata(Location(1.5, 2.5))))
    assert (row.status, row.latitude, row.error) == (Status.HAS_GPS, 1.5, failure.reason)
    row = decider.outcome(reading._replace(is_outdated=False))
    assert (row.status, row.landmark) == (Status.TAGGED, "Eiffel Tower")


BESIDE = Neighbour("/p/b.jpg", -90.0, 40.0)
PLACED = Placement(Location(48.85, 2.29), 120.0, Method.NEIGHBOUR, 1_000_000_000.0, (BESIDE,))


AT_SEA = PLACED._replace(location=Location(0.0, -140.0))
LIKELY = Prediction((Score("eiffel_tower", 0.8), Score("taj_mahal", 0.05)), 0.86)


@pytest.mark.parametrize(
    ("prediction", "placement"), [(NOTHING, PLACED), (NOTHING, AT_SEA), (TORN, AT_SEA)]
)
def test_a_photo_without_a_landmark_is_placed_by_its_neighbours(
    decider: Decider, prediction: Prediction, placement: Placement
) -> None:
    at = placement.location
    row = decider.outcome(Reading(PHOTO, Metadata(), prediction), Evidence(placement=placement))
    assert (row.status, row.position_source, row.method) == (
        Status.PLACED, "inferred", "neighbour",
    )  # fmt: skip
    assert (row.latitude, row.longitude, row.radius_m) == (at.latitude, at.longitude, 120.0)
    assert row.evidence == "b.jpg was taken 2 min before, 40 m away"
    assert row.utc == "2001-09-09T01:46:40Z"
    assert row.landmark == ""


def test_a_neighbour_of_the_same_file_name_is_another_photo(decider: Decider) -> None:
    twin = PLACED._replace(neighbours=(BESIDE._replace(photo=f"/phone{PHOTO.uri}"), BESIDE))
    row = decider.outcome(Reading(PHOTO, Metadata(), NOTHING), Evidence(placement=twin))
    assert row.evidence.startswith("another p.jpg was taken 2 min before, 40 m away; b.")


def test_a_landmark_that_can_be_seen_from_there_stays_a_tag(decider: Decider) -> None:
    row = decider.outcome(Reading(PHOTO, Metadata(), SURE), Evidence(placement=PLACED))
    assert (row.status, row.landmark, row.method) == (Status.TAGGED, "Eiffel Tower", "landmark")
    assert row.evidence == ""


def test_the_neighbours_support_what_the_picture_alone_leaves_uncertain(decider: Decider) -> None:
    likely = Reading(PHOTO, Metadata(), LIKELY)
    assert decider.outcome(likely).status is Status.UNCERTAIN
    row = decider.outcome(likely, Evidence(placement=PLACED))
    assert (row.status, row.landmark, row.method) == (Status.TAGGED, "Eiffel Tower", "landmark")
    assert row.confidence is not None and row.confidence >= 0.9
    assert (
        row.evidence == "supported by where it was taken: b.jpg was taken 2 min before, 40 m away"
    )
    elsewhere = decider.outcome(likely, Evidence(placement=AT_SEA))
    assert (elsewhere.status, elsewhere.landmark) == (Status.PLACED, "")
    # The prefilter alone is no witness, and what the user cleared stays cleared.
    small = decider.outcome(likely._replace(prefilter=0.9), Evidence(placement=PLACED))
    cleared = decider.outcome(likely, Evidence(is_cleared=True, placement=PLACED))
    assert small.status is cleared.status is Status.PLACED


def test_a_position_that_speaks_for_a_landmark_never_takes_it_away() -> None:
    certain = Prediction((Score("eiffel_tower", 0.99995),), 1.0)
    row = Decider(0.9999, 2, "m", TABLE.by_slug).outcome(
        Reading(PHOTO, Metadata(), certain), Evidence(placement=PLACED)
    )
    assert row.status is Status.TAGGED


def test_a_landmark_that_cannot_be_seen_from_there_is_a_conflict(decider: Decider) -> None:
    elsewhere = PLACED._replace(location=Location(40.0, -3.7))
    row = decider.outcome(Reading(PHOTO, Metadata(), SURE), Evidence(placement=elsewhere))
    assert row.status is Status.CONFLICT
    assert row.latitude is row.category_id is row.confidence is None
    assert (row.landmark, row.method, row.position_source) == ("", "", "")
    assert (
        "seems to show Eiffel Tower, but was taken near 40.00000, -3.70000: b.jpg was"
        in row.evidence
    )


@pytest.mark.parametrize("reason", Reason)
def test_why_a_photo_was_not_placed(decider: Decider, reason: Reason) -> None:
    row = decider.outcome(Reading(PHOTO, Metadata(), NOTHING), Evidence(placement=reason))
    assert (row.status, row.latitude, row.method) == (Status.NO_LANDMARK, None, "")
    assert row.evidence.startswith("not placed: ")
    tagged = decider.outcome(Reading(PHOTO, Metadata(), SURE), Evidence(placement=reason))
    assert (tagged.status, tagged.evidence) == (Status.TAGGED, "")


def test_a_measured_or_unclear_position_is_never_replaced_by_a_placement(decider: Decider) -> None:
    measured = Metadata(location=Location(1.5, 2.5))
    unclear = Metadata(position_unclear="a position without a hemisphere")
    placed = Evidence(placement=PLACED)
    row = decider.outcome(Reading(PHOTO, measured, NOTHING), placed)
    assert (row.status, row.latitude, row.evidence) == (Status.HAS_GPS, 1.5, "")
    row = decider.outcome(Reading(PHOTO, unclear, NOTHING), placed)
    assert (row.status, row.latitude, row.evidence) == (Status.NO_LANDMARK, None, "")


@pytest.mark.parametrize(
    ("here", "status", "why"),
    [
        (Thresholds(0.0), Status.TAGGED, ""),
        (Thresholds(0.93), Status.TAGGED, ""),
        (Thresholds(0.99, {"eiffel_tower": 0.91}), Status.TAGGED, ""),
        (
            Thresholds(0.0, {"eiffel_tower": 0.99}),
            Status.UNCERTAIN,
            "a tag takes a confidence of 0.99 here, this has 0.95",
        ),
        (Thresholds(0.98), Status.UNCERTAIN, "a tag takes a confidence of 0.98 here"),
        (Thresholds(math.inf), Status.UNCERTAIN, "no confidence is enough"),
    ],
)
def test_a_library_may_take_more_for_a_tag(here: Thresholds, status: Status, why: str) -> None:
    prediction = Prediction((Score("eiffel_tower", 0.95),), 0.97)
    decider = Decider(0.9, 1, "model-1", TABLE.by_slug, here)
    row = decider.outcome(Reading(PHOTO, Metadata(), prediction))
    assert row.status is status and why in row.evidence
    assert bool(row.evidence) == bool(why)


def test_a_library_never_takes_less_than_the_threshold() -> None:
    prediction = Prediction((Score("eiffel_tower", 0.85),), 0.9)
    decider = Decider(0.9, 1, "model-1", TABLE.by_slug, Thresholds(0.5))
    row = decider.outcome(Reading(PHOTO, Metadata(), prediction))
    assert (row.status, row.evidence) == (Status.UNCERTAIN, "")


NEAR = Prediction((Score("blue_mosque_istanbul", 0.6), Score("hagia_sophia", 0.36)), 0.97)


def test_a_place_is_given_where_its_landmarks_are_unsure() -> None:
    decider = Decider(0.9, 2, "model-1", TABLE.by_slug)
    photo = Photo("/p.jpg", 1, "1")
    row = decider.outcome(Reading(photo, Metadata(), NEAR))
    assert (row.status, row.method, row.position_source) == (Status.PLACED, "vicinity", "inferred")
    assert (row.landmark, row.category_id, row.confidence) == ("", None, None)
    assert (row.city, row.country) == ("Istanbul", "Turkey")
    assert row.evidence == "shows Blue Mosque or Hagia Sophia: not sure which"
    measured = Metadata(location=Location(41.0, 29.0))
    assert decider.outcome(Reading(photo, measured, NEAR)).status is Status.HAS_GPS
    cleared = decider.outcome(Reading(photo, Metadata(), NEAR), Evidence(is_cleared=True))
    assert (cleared.status, cleared.latitude) == (Status.NO_LANDMARK, None)
    rare = decider._replace(here=Thresholds(0.99)).outcome(Reading(photo, Metadata(), NEAR))
    assert rare.status is Status.UNCERTAIN
