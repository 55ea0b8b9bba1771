"""The division of a library by time."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotag.places import windows
from geotag.places.windows import EVER, Window, day_at, windows_of

LIBRARIES = st.dictionaries(st.integers(730_000, 740_000), st.integers(1, 30), max_size=60)


@pytest.fixture(autouse=True, scope="module")
def small() -> object:
    """Windows of few photos."""
    kept, windows._MOST = windows._MOST, 50
    yield
    windows._MOST = kept


@given(LIBRARIES)
def test_each_day_is_of_one_window_which_is_short_or_has_few_photos(photos: dict[int, int]) -> None:
    found = windows_of(photos)
    assert found == sorted(found)
    for day in photos:
        assert sum(window.first <= day < window.last for window in found) == 1
    for first, last in found:
        count = sum(photos[day] for day in photos if first <= day < last)
        assert 0 < count <= 50 or last - first <= 16


@given(LIBRARIES.filter(bool), st.data())
def test_more_photos_of_one_day_divide_its_own_window_alone(
    photos: dict[int, int], data: st.DataObject
) -> None:
    day = data.draw(st.sampled_from(sorted(photos)))
    before, after = windows_of(photos), windows_of({**photos, day: photos[day] + 40})
    (own,) = [window for window in before if window.first <= day < window.last]
    assert {*before} - {*after} <= {own}
    assert all(own.first <= first and last <= own.last for first, last in {*after} - {*before})


def test_a_window_is_placed_with_the_days_around_it() -> None:
    assert Window(736_000, 736_032).reach == Window(735_996, 736_036)
    assert Window(736_000, 736_256).reach == Window(735_984, 736_272)
    assert windows_of({0: 3}) == [Window(0, 1)] and Window(0, 1).reach == Window(0, 1)
    assert EVER.reach == EVER


def test_days_are_those_that_a_clock_shows() -> None:
    assert day_at(0.0) == date(1970, 1, 1).toordinal() == Window(719_163, 719_164).first
    assert Window(719_163, 719_164).clock == (0.0, 86_400.0)
    assert day_at(-1.0) == 719_162
    assert day_at(None) == day_at(-1e12) == day_at(1e15) == 0
