"""Tests of what the place of a photo makes of the landmarks that the network saw in it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from geotag.places.prior import can_reach, probability
from geotag.places.sighting import Method, Placement
from geotag.records import Location, OwnCategory, Prediction, Score

shares = st.lists(st.floats(0, 1), min_size=1, max_size=4).filter(lambda each: sum(each) > 0)
degrees = st.floats(-1, 1)


@given(shares, st.floats(0, 1), st.floats(0.01, 1), st.lists(degrees, min_size=4, max_size=4))
def test_what_no_place_makes_so_likely_is_less_likely_at_any(
    parts: list[float], whole: float, least: float, north: list[float]
) -> None:
    found = sorted((whole * each / sum(parts) for each in parts), reverse=True)
    top = tuple(Score(f"{at}", each) for at, each in enumerate(found))
    prediction, here = Prediction(top, whole), Location(0, 0)

    def landmark_of(slug: str) -> OwnCategory:
        return OwnCategory(int(slug), slug, slug, north[int(slug)], 0.0, 500.0)

    placement = Placement(here, 100.0, Method.NEIGHBOUR, None, ())
    if probability(prediction, placement, landmark_of) >= least:
        assert can_reach(prediction, least)


def test_a_place_makes_little_of_what_the_network_hardly_saw() -> None:
    assert not can_reach(Prediction((Score("tower", 0.05),), 0.1), 0.9)
    assert can_reach(Prediction((Score("tower", 0.7),), 0.9), 0.9)
