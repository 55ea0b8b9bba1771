"""A position between fixes: its radius holds, and nothing that contradicts narrows it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotag.places.neighbours import (
    Fixes,
    Interpolated,
    calibrate,
    interpolate,
    reachable,
    sorted_fixes,
)
from geotag.places.sphere import metres, to_degrees, to_vectors

Fix = tuple[float, float, float]
MINUTE = 60.0


def fixes_of(*rows: Fix) -> Fixes:
    times, latitudes, longitudes = (np.array(column, float) for column in zip(*rows, strict=True))
    return sorted_fixes(times, to_vectors(latitudes, longitudes), np.arange(len(rows)))


def at(found: Interpolated) -> tuple[float, float]:
    latitude, longitude = to_degrees(found.points)
    return float(latitude[0]), float(longitude[0])


def one(fixes: Fixes, t: float) -> Interpolated:
    return interpolate(fixes, np.array([t]))


def test_halfway_in_time_is_halfway_on_the_way() -> None:
    found = one(fixes_of((0, 48.0, 2.0), (10 * MINUTE, 48.01, 2.0)), 5 * MINUTE)
    assert at(found) == pytest.approx((48.005, 2.0), abs=1e-5)
    assert 500 < found.radius[0] < 2000
    assert (found.before[0], found.after[0]) == (0, 1)


def test_the_radius_grows_with_the_gap_and_with_the_way() -> None:
    quiet = fixes_of((0, 48.0, 2.0), (3600, 48.0, 2.0))
    moving = fixes_of((0, 48.0, 2.0), (3600, 48.03, 2.0))
    radii = [float(one(quiet, t).radius[0]) for t in (10.0, 300.0, 1800.0)]
    assert radii == sorted(radii) and radii[0] < 100
    assert one(moving, 1800.0).radius[0] > radii[-1]


@pytest.mark.parametrize("t", [-2 * 3600.0, 2 * 3600.0])
def test_too_far_from_a_single_fix_there_is_none(t: float) -> None:
    found = one(fixes_of((0, 48.0, 2.0)), t)
    assert math.isinf(found.radius[0]) and not found.contradicted[0]


def test_no_fixes_no_position() -> None:
    nothing = Fixes(np.zeros(0), np.zeros((0, 3)), np.zeros(0, np.int64))
    assert math.isinf(one(nothing, 0.0).radius[0])


def test_two_places_at_once_contradict_each_other() -> None:
    found = one(fixes_of((0, 48.0, 2.0), (MINUTE, 50.0, 8.0), (2 * MINUTE, 48.0, 2.0)), 90.0)
    assert found.contradicted[0] and math.isinf(found.radius[0])


def test_a_flight_is_no_contradiction_but_tells_nothing_of_its_middle() -> None:
    flight = fixes_of((0, 48.9, 2.3), (8 * 3600, 40.7, -74.0))
    middle = one(flight, 4 * 3600.0)
    assert not middle.contradicted[0] and middle.radius[0] > 5e5
    assert one(flight, 30.0).radius[0] < 5000


def test_somebody_who_leaves_soon_may_have_left_already() -> None:
    stays = fixes_of((0, 48.0, 2.0), (5 * 3600, 48.0, 2.0))
    leaves = fixes_of((0, 48.0, 2.0), (5 * 3600, 48.4, 2.0))
    assert one(leaves, 600.0).radius[0] > 2 * one(stays, 600.0).radius[0]


latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180)
nearby = st.tuples(st.floats(-1800, 1800), st.floats(-0.003, 0.003), st.floats(-0.003, 0.003))


@given(
    st.lists(nearby, min_size=2, max_size=6),
    st.floats(-1500, 1500),
    st.floats(-1800, 1800),
    latitudes,
    longitudes,
)
def test_a_contradicting_neighbour_never_narrows_the_radius(
    rows: list[Fix], t: float, when: float, latitude: float, longitude: float
) -> None:
    rows = [(s, 47 + north, 8 + east) for s, north, east in rows]
    before, added = fixes_of(*rows), fixes_of(*rows, (when, latitude, longitude))
    distance = metres(to_vectors(latitude, longitude), before.points)
    if reachable(distance, before.times - when).any():
        return
    old, new = one(before, t), one(added, t)
    assert new.radius[0] >= old.radius[0]


@given(latitudes, longitudes, st.floats(0, 2 * math.pi), st.floats(10, 3000), st.floats(0, 1))
def test_poles_and_the_antimeridian_are_places_like_any_other(
    latitude: float, longitude: float, bearing: float, way: float, share: float
) -> None:
    start = to_vectors(np.array([latitude]), np.array([longitude]))
    east = np.array([[-math.sin(math.radians(longitude)), math.cos(math.radians(longitude)), 0.0]])
    north = np.cross(start, east)
    ahead = start + (east * math.sin(bearing) + north * math.cos(bearing)) * way / 6_371_008.8
    ahead /= np.linalg.norm(ahead)
    fixes = sorted_fixes(
        np.array([0.0, 600.0]), np.concatenate((start, ahead)), np.arange(2, dtype=np.int64)
    )
    found = one(fixes, 600.0 * share)
    assert metres(found.points, start)[0] == pytest.approx(share * way, abs=0.5)
    assert metres(found.points, ahead)[0] == pytest.approx((1 - share) * way, abs=0.5)
    back = to_vectors(*to_degrees(found.points))
    assert metres(back, found.points)[0] < 0.01


@given(st.permutations([(60.0 * n, 48 + 0.001 * n, 2.0) for n in range(6)]))
def test_the_order_of_the_fixes_changes_nothing(rows: list[Fix]) -> None:
    t = np.linspace(-100, 500, 20)
    ordered, shuffled = interpolate(fixes_of(*sorted(rows)), t), interpolate(fixes_of(*rows), t)
    assert np.array_equal(ordered.points, shuffled.points)
    assert np.array_equal(ordered.radius, shuffled.radius)


def test_calibration_widens_the_radius_for_those_who_roam() -> None:
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.uniform(60, 1200, 400))
    calm = [(t, 48 + 1e-5 * rng.normal(), 2.0) for t in times]
    roaming = [(t, 48 + 0.02 * rng.normal(), 2 + 0.02 * rng.normal()) for t in times]
    quiet, wide = calibrate(fixes_of(*calm)), calibrate(fixes_of(*roaming))
    assert (wide >= quiet).all() and wide.max() > 1.0
    fixes = fixes_of(*roaming)
    half = fixes_of(*roaming[::2])
    found = interpolate(half, fixes.times[1::2], calibrate(half))
    inside = metres(found.points, fixes.points[1::2]) <= found.radius
    assert inside[np.isfinite(found.radius)].mean() >= 0.85
