"""A place that is sure where its landmarks are not."""

from __future__ import annotations

import pytest

from geotag.categories import load_categories
from geotag.places.distance import distance_m
from geotag.places.vicinity import find_vicinity
from geotag.records import Location, Prediction, Score

TABLE = load_categories()


def _seen(**confidences: float) -> Prediction:
    scores = tuple(Score(slug, confidence) for slug, confidence in confidences.items())
    return Prediction(scores, sum(confidences.values()))


def test_neighbours_that_are_sure_together_give_a_circle_around_both() -> None:
    seen = _seen(blue_mosque_istanbul=0.6, hagia_sophia=0.35, st_pauls_cathedral_london=0.04)
    found = find_vicinity(seen, TABLE.by_slug, 0.94)
    assert found is not None
    assert found.names == ("Blue Mosque", "Hagia Sophia")
    assert (found.city, found.country) == ("Istanbul", "Turkey")
    for slug in ("blue_mosque_istanbul", "hagia_sophia"):
        landmark = TABLE.by_slug(slug)
        away = distance_m(found.location, Location(landmark.latitude, landmark.longitude))
        assert away + landmark.radius_m <= found.radius_m + 1


def test_a_city_that_differs_is_left_out() -> None:
    seen = _seen(patan_durbar_square=0.5, bhaktapur_durbar_square=0.47)
    found = find_vicinity(seen, TABLE.by_slug, 0.95)
    assert found is not None
    assert (found.city, found.country) == ("", "Nepal")
    assert 10_000 < found.radius_m < 12_000


@pytest.mark.parametrize(
    "seen",
    [
        _seen(blue_mosque_istanbul=0.6, hagia_sophia=0.3),
        _seen(blue_mosque_istanbul=0.6, st_pauls_cathedral_london=0.38),
        _seen(eiffel_tower=0.5, big_ben=0.49),
    ],
)
def test_too_little_or_too_far_is_none(seen: Prediction) -> None:
    assert find_vicinity(seen, TABLE.by_slug, 0.95) is None
