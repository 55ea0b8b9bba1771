"""What rows ask for, as scanned and as edited by hand."""

from __future__ import annotations

import pytest

from geotag.records import Outcome, Status, TopCategory
from geotag.writing.intent import (
    Guess,
    IntentError,
    Landmarks,
    is_of_another_photo,
    named_by_user,
    read_intent,
    with_guess,
)
from tests.geotag.writing.samples import EIFFEL, RIO

LANDMARKS = Landmarks([EIFFEL, RIO])
TOP = (
    TopCategory(EIFFEL.id, EIFFEL.slug, EIFFEL.name, 0.93),
    TopCategory(RIO.id, RIO.slug, RIO.name, 0.01),
)
SCANNED = Outcome(
    "/p/a.jpg", Status.TAGGED, EIFFEL.latitude, EIFFEL.longitude, None, "inferred",
    EIFFEL.radius_m, EIFFEL.name, EIFFEL.id, 0.93, EIFFEL.city, EIFFEL.country,
    top_k=TOP, model="net-1",
)  # fmt: skip


def tags_of(row: Outcome) -> object:
    tags = read_intent(row, LANDMARKS).tags
    assert tags is not None
    return tags


def test_scanned_row_is_a_tags_of_the_model() -> None:
    assert tags_of(SCANNED)[:4] == (EIFFEL, "inferred", 0.93, "net-1")  # type: ignore[index]


def test_changed_landmark_is_the_users_word() -> None:
    for name in ("Christ the Redeemer", "christ the redeemer", " Christ the Redeemer "):
        tags = tags_of(SCANNED._replace(landmark=name))
        assert tags[:4] == (RIO, "user", 1.0, "")  # type: ignore[index]


def test_changed_number_alone_is_the_users_word() -> None:
    tags = tags_of(SCANNED._replace(category_id=RIO.id))
    assert tags[:2] == (RIO, "user")  # type: ignore[index]


@pytest.mark.parametrize("digits", [2, 3, 4, 5])
def test_a_position_that_a_spreadsheet_rounded_is_not_the_users_word(digits: int) -> None:
    latitude, longitude = SCANNED.latitude, SCANNED.longitude
    assert latitude is not None and longitude is not None
    rounded = SCANNED._replace(latitude=round(latitude, digits), longitude=round(longitude, digits))
    assert tags_of(rounded) == tags_of(SCANNED)


def test_moved_position_is_taken_with_the_known_name() -> None:
    tags = tags_of(SCANNED._replace(latitude=48.9, longitude=2.3))
    landmark = tags[0]  # type: ignore[index]
    assert (landmark.latitude, landmark.longitude, landmark.name) == (48.9, 2.3, EIFFEL.name)


def test_unknown_name_with_a_position_is_a_landmark_of_the_users() -> None:
    row = SCANNED._replace(
        landmark="Our house", latitude=52.0, longitude=13.0, city="Berlin", country="Germany"
    )
    landmark, source = tags_of(row)[:2]  # type: ignore[index]
    assert source == "user"
    assert (landmark.name, landmark.latitude, landmark.city) == ("Our house", 52.0, "Berlin")


def test_renamed_to_an_unknown_landmark_the_old_place_does_not_stay() -> None:
    row = SCANNED._replace(landmark="Our house")
    with pytest.raises(IntentError, match="own latitude and longitude"):
        read_intent(row, LANDMARKS)
    with pytest.raises(IntentError, match="own latitude and longitude"):
        read_intent(row._replace(top_k=()), LANDMARKS)
    landmark = tags_of(row._replace(latitude=48.9, longitude=2.4))[0]  # type: ignore[index]
    assert (landmark.latitude, landmark.longitude) == (48.9, 2.4)
    assert (landmark.city, landmark.country, landmark.radius_m) == ("", "", 100.0)
    moved = row._replace(latitude=45.76, longitude=4.83, city="Lyon", radius_m=50.0)
    landmark = tags_of(moved)[0]  # type: ignore[index]
    assert (landmark.city, landmark.country, landmark.radius_m) == ("Lyon", EIFFEL.country, 50.0)


def test_the_place_of_an_added_landmark_does_not_stay_either() -> None:
    row = SCANNED._replace(
        landmark="Elsewhere", category_id=1_000_000, latitude=36.1, longitude=-115.2,
        top_k=(TopCategory(1_000_000, "own_house", "Our house", 0.93),),
    )  # fmt: skip
    with pytest.raises(IntentError, match="own latitude and longitude"):
        read_intent(row, LANDMARKS)
    assert tags_of(row._replace(landmark=RIO.name))[0] == RIO  # type: ignore[index]
    given = row._replace(latitude=52.0, position_source="")
    assert tags_of(given)[0].latitude == 52.0  # type: ignore[index]


BARE = Outcome("/p/a.jpg", Status.UNCERTAIN, landmark=EIFFEL.name)
GUESS = Guess(EIFFEL.slug, 0.93, "net-1", True)


def test_what_a_row_lacks_is_taken_from_the_scan() -> None:
    assert with_guess(SCANNED, GUESS, LANDMARKS) == SCANNED
    assert with_guess(BARE, GUESS._replace(is_tag=False), LANDMARKS) == BARE
    assert tags_of(BARE)[:2] == (EIFFEL, "user")  # type: ignore[index]
    for name in (EIFFEL.name, " eiffel tower"):
        row = with_guess(BARE._replace(landmark=name), GUESS, LANDMARKS)
        assert tags_of(row)[:4] == (EIFFEL, "inferred", 0.93, "net-1")  # type: ignore[index]
    for name in (RIO.name, "Nowhere"):
        row = BARE._replace(landmark=name)
        assert with_guess(row, GUESS, LANDMARKS) == row


def test_what_a_row_lacks_of_an_added_landmark() -> None:
    guess = Guess("own_our_house", 0.93, "net-1", True)
    row = with_guess(BARE._replace(landmark="Our house"), guess, LANDMARKS)
    tags = read_intent(row, LANDMARKS).tags
    assert tags is not None and not tags.located
    assert (tags.landmark.name, tags.source) == ("Our house", "inferred")


def test_a_row_of_another_photo() -> None:
    other = GUESS._replace(slug=RIO.slug)
    assert is_of_another_photo(SCANNED, other)
    assert not is_of_another_photo(SCANNED, GUESS)
    assert not is_of_another_photo(SCANNED, other._replace(model="net-2"))  # scanned again since
    assert not is_of_another_photo(SCANNED._replace(landmark=RIO.name), other)  # the user's word
    assert not is_of_another_photo(SCANNED._replace(confidence=None), other)
    assert not is_of_another_photo(BARE, other)


def test_the_users_word_is_listed() -> None:
    rows = [SCANNED, SCANNED._replace(landmark=RIO.name), SCANNED._replace(landmark="Nowhere")]
    assert [named_by_user(row, LANDMARKS) for row in rows] == ["", RIO.name, ""]


def test_model_whose_table_is_another_is_believed() -> None:
    row = SCANNED._replace(
        landmark="Elsewhere", category_id=99, latitude=1.0, longitude=2.0,
        top_k=(TopCategory(99, "elsewhere", "Elsewhere", 0.93),),
    )  # fmt: skip
    assert tags_of(row)[1] == "inferred"  # type: ignore[index]


def test_landmark_of_the_models_own_may_have_no_position() -> None:
    row = SCANNED._replace(
        landmark="Our house", category_id=99, latitude=None, longitude=None, radius_m=None,
        city="", country="", top_k=(TopCategory(99, "own_house", "Our house", 0.93),),
    )  # fmt: skip
    tags = read_intent(row, LANDMARKS).tags
    assert tags is not None and not tags.located
    assert (tags.landmark.name, tags.source, tags.confidence) == ("Our house", "inferred", 0.93)


def test_landmark_of_the_models_own_may_bear_a_known_name() -> None:
    row = SCANNED._replace(
        category_id=99, latitude=36.1, longitude=-115.2,
        top_k=(TopCategory(99, "own_tower", EIFFEL.name, 0.93),),
    )  # fmt: skip
    tags = read_intent(row, LANDMARKS).tags
    assert tags is not None and tags.source == "inferred"
    assert (tags.landmark.latitude, tags.landmark.longitude) == (36.1, -115.2)


def test_table_without_the_list_of_scores_is_enough() -> None:
    assert tags_of(SCANNED._replace(top_k=()))[1] == "inferred"  # type: ignore[index]
    changed = SCANNED._replace(top_k=(), landmark=RIO.name)
    assert tags_of(changed)[1] == "user"  # type: ignore[index]


def test_cleared_landmark_takes_the_tags_back() -> None:
    assert read_intent(SCANNED._replace(landmark=""), LANDMARKS).clear


@pytest.mark.parametrize(
    "status", [Status.HAS_GPS, Status.UNCERTAIN, Status.NO_LANDMARK, Status.UNREADABLE]
)
def test_rows_without_a_landmark_ask_for_nothing_and_say_why(status: Status) -> None:
    intent = read_intent(Outcome("/p/a.jpg", status), LANDMARKS)
    assert intent.tags is None and not intent.clear and intent.reason


def test_landmark_filled_in_by_hand_counts() -> None:
    row = Outcome("/p/a.jpg", Status.NO_LANDMARK, landmark=EIFFEL.name)
    assert tags_of(row)[:2] == (EIFFEL, "user")  # type: ignore[index]


def test_measured_position_is_not_taken_for_the_landmarks() -> None:
    row = SCANNED._replace(
        status=Status.HAS_GPS, position_source="measured", latitude=48.8, longitude=2.2
    )
    assert tags_of(row)[:2] == (EIFFEL, "inferred")  # type: ignore[index]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"landmark": "Nowhere", "latitude": None}, "latitude"),
        ({"landmark": "Nowhere", "latitude": 91.0}, "no such position"),
        ({"landmark": "a\x07b"}, "control"),
        ({"landmark": "x" * 201}, "longer"),
        ({"model": "a\x00b"}, "model"),
    ],
)
def test_rows_that_make_no_sense_say_what_to_change(change: dict[str, object], word: str) -> None:
    with pytest.raises(IntentError, match=word):
        read_intent(SCANNED._replace(**change), LANDMARKS)  # type: ignore[arg-type]
