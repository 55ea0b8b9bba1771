"""The landmark at which a measured photo was taken."""

from __future__ import annotations

import pytest

from geotag.categories import load_categories
from geotag.places.standing import landmark_finder, with_landmark
from geotag.records import Category, Location, Outcome, Status
from geotag.writing.intent import Landmarks, read_intent

TABLE = load_categories()
TOWER = TABLE.by_slug("eiffel_tower")
ROW = Outcome("/p.jpg", Status.HAS_GPS, TOWER.latitude, TOWER.longitude, position_source="measured")


def landmark(slug: str, longitude: float, radius: float) -> Category:
    return Category(0, slug, slug, 0.0, longitude, radius, "", "", "", "")


def test_the_nearest_by_its_own_radius() -> None:
    find = landmark_finder([landmark("wide", 0.0, 50_000.0), landmark("small", 0.1, 1000.0)])
    found = [find(Location(0.0, east)) for east in (0.0, 0.1, 0.108, 0.2, 0.5)]
    assert [each and each.slug for each in found] == ["wide", "small", "wide", "wide", None]


def test_across_the_antimeridian_and_at_a_pole() -> None:
    find = landmark_finder([landmark("date line", 180.0, 2000.0)])
    assert find(Location(0.01, -179.99)) is not None
    assert find(Location(90.0, 180.0)) is None


def test_a_measured_photo_is_named_after_it_and_not_written() -> None:
    row = with_landmark(ROW, landmark_finder(TABLE))
    assert (row.landmark, row.category_id, row.city) == ("Eiffel Tower", TOWER.id, "Paris")
    assert (row.method, row.confidence, row.position_source) == ("position", None, "measured")
    intent = read_intent(row, Landmarks(TABLE))
    assert (intent.tags, intent.clear) == (None, False)
    assert intent.reason == "with a position from the camera"
    renamed = read_intent(row._replace(landmark="Taj Mahal"), Landmarks(TABLE))
    assert renamed.tags is not None and renamed.tags.landmark.name == "Taj Mahal"


@pytest.mark.parametrize(
    "row",
    [
        ROW._replace(landmark="Taj Mahal", category_id=3),
        ROW._replace(latitude=0.0),
        ROW._replace(status=Status.PLACED),
        ROW._replace(status=Status.NO_LANDMARK, latitude=None, longitude=None),
    ],
)
def test_other_rows_stay_as_they_are(row: Outcome) -> None:
    assert with_landmark(row, landmark_finder(TABLE)) == row
