"""Clocks found from where photos were taken, along a track or a phone's way, and left alone where
that tells too little."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotag.places.placing import place_photos
from geotag.places.sighting import ClockPiece, ClockSource, Kind, Method, Placement, Sighting
from geotag.places.sphere import Floats, metres, to_vectors
from geotag.places.telling import clock_lines
from geotag.places.tracks import Segment
from geotag.records import Location

HOUR, DAY = 3600.0, 86_400.0
MORNING = 9 * HOUR


def an_hour(place: Location, clock: float) -> float:
    """The local time, ahead of UTC."""
    return HOUR


def journey(
    day: int = 0, hours: float = 5.0, seed: int = 1, at: tuple[float, float] = (48.0, 2.0)
) -> Segment:
    """Somebody's walk through a town: a point each 10 s, never twice the same street."""
    rng = np.random.default_rng([seed, day])
    times = np.arange(0.0, hours * HOUR, 10.0)
    course = np.cumsum(rng.normal(0, 0.05, len(times)))
    step = 1.2 * 10 * np.clip(rng.normal(1, 0.4, len(times)), 0, 2) / 111_195
    latitude = at[0] + np.cumsum(step * np.cos(course))
    longitude = at[1] + np.cumsum(step * np.sin(course) / np.cos(np.radians(at[0])))
    return Segment("walk.gpx", day * DAY + MORNING + times, latitude, (longitude + 180) % 360 - 180)


def where(way: Segment, utc: float) -> Location:
    row = int(np.argmin(np.abs(way.times - utc)))
    return Location(float(way.latitudes[row]), float(way.longitudes[row]))


def taken(
    way: Segment, ahead: float, count: int = 40, each: int = 3, seed: int = 2
) -> list[Sighting]:
    """Photos of a camera on the way, every third of which has a position, some 20 m off."""
    rng = np.random.default_rng([seed, int(way.times[0])])
    found = []
    for number, utc in enumerate(np.sort(rng.uniform(*way.times[[0, -1]], count))):
        at = where(way, utc)
        off = Location(at.latitude + rng.normal(0, 2e-4), at.longitude + rng.normal(0, 2e-4))
        name = f"{way.times[0]:.0f} {number}.jpg"
        place = off if number % each == 0 else None
        found.append(Sighting(name, "EOS", Kind.CAMERA, utc + ahead, None, None, place))
    return found


def clock(*library: Sighting, tracks: tuple[Segment, ...]) -> list[ClockPiece]:
    pieces = place_photos(library, an_hour, tracks).clocks["EOS"]
    return [piece for piece in pieces if piece.offset is not None]


@pytest.mark.parametrize(
    "ahead", [HOUR, HOUR + 437.0, 2 * HOUR, 0.0, 13 * HOUR, -8 * HOUR, 5.5 * HOUR]
)
def test_positions_along_a_track_tell_the_clock(ahead: float) -> None:
    way = journey()
    (piece,) = clock(*taken(way, ahead), tracks=(way,))
    assert piece.source is ClockSource.POSITIONS and piece.pairs >= 12
    assert abs(piece.offset - ahead) <= max(20, piece.uncertainty) <= 60  # type: ignore[operator]


def test_photos_without_a_position_are_then_on_the_track() -> None:
    """Within a radius that holds, and as the sentence of the clock says."""
    way = journey()
    photos = taken(way, HOUR - 437)
    found = place_photos(photos, an_hour, (way,))
    held = []
    for photo in photos:
        answer = found.placements.get(photo.photo)
        if photo.position is None:
            assert isinstance(answer, Placement) and answer.method is Method.TRACK
            assert answer.radius_m < 300 and answer.utc is not None and photo.clock is not None
            truth = where(way, photo.clock - HOUR + 437)
            away = metres(*(to_vectors(p.latitude, p.longitude) for p in (truth, answer.location)))
            held.append(away <= answer.radius_m)
    assert np.mean(held) >= 0.95
    assert any(
        "min" in line and "photos along walk.gpx" in line for line in clock_lines(found.clocks)
    )


@pytest.mark.parametrize("longitude", [179.999, -179.999])
def test_the_antimeridian_is_a_place_like_any_other(longitude: float) -> None:
    way = journey(at=(-17.0, longitude))
    (piece,) = clock(*taken(way, 2 * HOUR), tracks=(way,))
    assert piece.offset == pytest.approx(2 * HOUR, abs=60)


def test_a_clock_that_was_changed_is_known_in_pieces() -> None:
    """DST: set forward in the night between two days."""
    ways = [journey(day) for day in range(4)]
    library = [photo for day, way in enumerate(ways) for photo in taken(way, (1 + day // 2) * HOUR)]
    pieces = clock(*library, tracks=tuple(ways))
    assert [round((piece.offset or 0) / HOUR) for piece in pieces] == [1, 2]
    assert pieces[0].end < 2 * DAY < pieces[1].start


@pytest.mark.parametrize("day", [0, 1])
def test_the_track_of_somebody_else_tells_nothing(day: int) -> None:
    """In the same town, the same day or the next."""
    photos = taken(journey(seed=1), HOUR, count=60)
    assert not clock(*photos, tracks=(journey(day, seed=3),))


def test_the_same_way_of_another_day_tells_nothing() -> None:
    way = journey()
    later = way._replace(times=way.times + DAY + 700)
    assert not clock(*taken(way, HOUR), tracks=(later,))


def test_who_stays_at_one_place_tells_no_seconds() -> None:
    times = np.arange(MORNING, MORNING + 5 * HOUR, 10.0)
    still = Segment("walk.gpx", times, np.full(len(times), 48.0), np.full(len(times), 2.0))
    assert not clock(*taken(still, HOUR + 300, count=60), tracks=(still,))


def test_few_positions_are_too_little_evidence() -> None:
    way = journey()
    assert not clock(*taken(way, HOUR, count=9), tracks=(way,))


def test_one_place_for_a_whole_day_is_no_evidence() -> None:
    """Somebody chose the town in a photo program, for all photos."""
    way = journey()
    town = where(way, MORNING + HOUR)
    photos = [p._replace(position=town if p.position else None) for p in taken(way, HOUR)]
    assert not clock(*photos, tracks=(way,))


def test_a_phones_way_tells_it_too_and_a_told_offset_goes_before() -> None:
    way = journey()
    shown: Floats = way.times[::12]
    phone = [
        Sighting(f"p{utc}", "Pixel", Kind.PHONE, utc + HOUR, HOUR, None, where(way, utc))
        for utc in shown
    ]
    library = [*phone, *taken(way, 3 * HOUR, count=80)]
    found = [p for p in place_photos(library, an_hour).clocks["EOS"] if p.offset is not None]
    assert {piece.source for piece in found} >= {ClockSource.POSITIONS}
    assert all(abs((p.offset or 0) - 3 * HOUR) <= max(60, p.uncertainty) for p in found)
    assert "along the way of Pixel" in "".join(clock_lines({"EOS": tuple(found)}))
    given = place_photos(library, an_hour, (way,), {"EOS": 60.0}).clocks["EOS"]
    assert [piece.source for piece in given] == [ClockSource.GIVEN]


@pytest.mark.slow
@given(st.integers(-(10**8), 10**8), st.floats(0, 360), st.randoms(use_true_random=False))
def test_neither_time_nor_meridian_nor_the_order_of_files_changes_a_clock(
    shift: int, east: float, rng: random.Random
) -> None:
    way = journey()
    photos = taken(way, HOUR + 437)
    (here,) = clock(*photos, tracks=(way,))

    def moved(longitude: float) -> float:
        return (longitude + east + 180) % 360 - 180

    there = [
        photo._replace(
            clock=(photo.clock or 0.0) + shift,
            position=photo.position
            and photo.position._replace(longitude=moved(photo.position.longitude)),
        )
        for photo in rng.sample(photos, len(photos))
    ]
    track = way._replace(
        times=way.times + shift, longitudes=(way.longitudes + east + 180) % 360 - 180
    )
    (found,) = clock(*there, tracks=(track,))
    assert found.offset == pytest.approx(here.offset, abs=1)
    assert found.uncertainty == pytest.approx(here.uncertainty, abs=7)
    assert (found.pairs, found.start - shift) == (here.pairs, pytest.approx(here.start, abs=0.01))
