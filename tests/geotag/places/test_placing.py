"""Whole libraries placed: who is placed by whom, what never is, and what changes nothing."""

from __future__ import annotations

import random

import numpy as np
import pytest
from benchmarks.movement import distance, zone_at
from benchmarks.photographers import make_library
from hypothesis import given
from hypothesis import strategies as st

from geotag.places.placing import place_photos
from geotag.places.sighting import ClockSource, Kind, Method, Placement, Places, Reason, Sighting
from geotag.places.tracks import Segment
from geotag.records import Location

HOUR, DAY = 3600.0, 86400.0
PARIS = Location(48.8583, 2.2945)
ROME = Location(41.8902, 12.4922)


def utc_everywhere(place: Location, clock: float) -> float:
    return 0.0


def phone(name: str, t: float, at: Location | None, device: str = "phone") -> Sighting:
    return Sighting(name, device, Kind.PHONE, t + HOUR, HOUR, None, at)


def camera(name: str, t: float, kind: Kind = Kind.CAMERA) -> Sighting:
    return Sighting(name, "camera", kind, t + HOUR, HOUR)


def near(place: Location, metres: float) -> Location:
    return Location(place.latitude + metres / 111_195, place.longitude)


def place(*library: Sighting) -> Places:
    return place_photos(library, utc_everywhere)


def test_a_photo_between_two_of_the_phone_is_placed_between_them() -> None:
    found = place(
        phone("a.jpg", 0, PARIS), phone("b.jpg", 600, near(PARIS, 200)), camera("c.jpg", 300)
    ).placements["c.jpg"]
    assert isinstance(found, Placement)
    assert found.location.latitude == pytest.approx(near(PARIS, 100).latitude, abs=1e-5)
    assert 100 < found.radius_m < 1000
    assert found.method is Method.NEIGHBOUR and found.utc == 300
    assert [(n.photo, n.seconds) for n in found.neighbours] == [("a.jpg", -300), ("b.jpg", 300)]


@pytest.mark.parametrize(
    "kind", [Kind.SCREENSHOT, Kind.SCAN, Kind.RECEIVED, Kind.DOWNLOAD, Kind.DEFAULT_DATE]
)
def test_what_nobody_took_there_is_never_placed_by_time(kind: Kind) -> None:
    found = place(phone("a.jpg", 0, PARIS), camera("c.jpg", 10, kind))
    assert found.placements == {"c.jpg": Reason.KIND}


def test_without_time_or_device_there_is_a_reason() -> None:
    no_time = Sighting("c.jpg", "camera", Kind.CAMERA, None)
    no_device = Sighting("d.jpg", "", Kind.CAMERA, 0.0, HOUR)
    found = place(phone("a.jpg", 0, PARIS), no_time, no_device).placements
    assert found == {"c.jpg": Reason.NO_TIME, "d.jpg": Reason.NO_DEVICE}


def test_nothing_near_in_time() -> None:
    found = place(phone("a.jpg", 0, PARIS), camera("c.jpg", 5 * HOUR)).placements
    assert found == {"c.jpg": Reason.NO_NEIGHBOUR}


def test_a_contradicting_neighbour_takes_the_position_away() -> None:
    library = [phone("a.jpg", 0, PARIS), phone("b.jpg", 600, PARIS), camera("c.jpg", 300)]
    assert isinstance(place(*library).placements["c.jpg"], Placement)
    found = place(*library, phone("d.jpg", 330, ROME)).placements["c.jpg"]
    assert found is Reason.CONTRADICTION


def test_two_people_apart_leave_a_camera_without_a_position() -> None:
    """The partner's phone is in Rome: whose camera is it?"""
    mine = [phone(f"m{n}.jpg", 300 * n, PARIS) for n in range(5)]
    theirs = [phone(f"t{n}.jpg", 300 * n + 7, ROME, "their phone") for n in range(5)]
    found = place(*mine, *theirs, camera("c.jpg", 450)).placements["c.jpg"]
    assert isinstance(found, Reason)


def test_who_takes_more_photos_is_not_taken_for_the_photographer() -> None:
    """By day a partner with many photos is beside the camera, in the evening 60 km away."""
    library = []
    for day in range(8):
        morning, evening = day * DAY + 9 * HOUR, day * DAY + 19 * HOUR
        for n in range(20):
            t = morning + 700 * n
            library += [camera(f"{day} {n}", t), phone(f"{day} t{n}", t + 9, PARIS, "their phone")]
        for hours in (-1, 1):
            elsewhere, t = near(PARIS, 60_000), evening + hours * HOUR
            library += [phone(f"{day} away {hours}", t, elsewhere, "their phone")]
        library += [camera(f"{day} evening", evening), phone(f"{day} home", evening + 60, PARIS)]
    library += [phone(f"{day} morning", day * DAY + 9.5 * HOUR, PARIS) for day in range(2)]
    found = place(*library)
    assert found.companions["camera"] == ("phone", "their phone")
    evenings = [found.placements[f"{day} evening"] for day in range(8)]
    assert not any(isinstance(answer, Placement) for answer in evenings)


def fixed(name: str, t: float, at: Location, lag: float = 0.0) -> Sighting:
    """A photo of a phone without an offset, in UTC, whose position was measured before."""
    return Sighting(name, "phone", Kind.PHONE, t, None, t - lag, at)


def test_an_old_position_of_a_phone_tells_where_it_was_then() -> None:
    """On an aeroplane it writes that of the gate, with the time of that."""
    before = [fixed(f"a{n}.jpg", -60.0 * n, PARIS) for n in range(3)]
    library = [*before, fixed("s.jpg", 3 * HOUR, PARIS, 10_400), fixed("b.jpg", 11000, ROME)]
    beside = [camera("g.jpg", -30), camera("r.jpg", 3 * HOUR + 100)]
    found = place(*library, *beside).placements
    assert isinstance(found["g.jpg"], Placement)
    at = found["r.jpg"]
    assert isinstance(at, Reason) or at.radius_m > distance(at.location[:2], ROME[:2])
    assert at is not Reason.CONTRADICTION


@pytest.mark.parametrize("lag", [900 * DAY, 5 * HOUR], ids=["no date", "local time"])
def test_a_receivers_time_that_is_always_old_is_not_believed(lag: float) -> None:
    seen = [fixed(f"{n}.jpg", 60.0 * n, PARIS, lag) for n in range(3)]
    library = [
        each._replace(clock=(each.clock or 0.0) - 5 * HOUR, offset=-5 * HOUR) for each in seen
    ]
    found = place(*library, camera("c.jpg", 90)).placements["c.jpg"]
    assert isinstance(found, Placement) and found.radius_m < 200


@pytest.mark.parametrize("recorded", [0.0, 9 * HOUR], ids=["factory", "true"])
def test_a_camera_whose_hour_was_set_and_not_its_zone(recorded: float) -> None:
    """Its time is the local one, UTC+9; what it records is the zone that the factory set, or the
    right one."""
    library = []
    for day in range(6):
        for n, minutes in enumerate((0, 47, 160, 305, 490)):
            t, at = day * DAY + minutes * 60 + 37 * n, near(PARIS, 1500 * n)
            library.append(phone(f"{day} {n}", t, at)._replace(clock=t + 9 * HOUR, offset=9 * HOUR))
            for more in (10, 300):
                name, shown = f"c{day} {n} {more}", t + more + 9 * HOUR
                library.append(Sighting(name, "camera", Kind.CAMERA, shown, recorded))
    found = place_photos(library, lambda place, clock: 9 * HOUR)
    placed = [found.placements[f"c{day} {n} 10"] for day in range(6) for n in range(5)]
    assert sum(isinstance(each, Placement) for each in placed) == len(placed)
    for at, each in enumerate(placed):
        assert isinstance(each, Placement)
        away = abs(each.location.latitude - near(PARIS, 1500 * (at % 5)).latitude) * 111_195
        assert away < each.radius_m < 1500
    source = {piece.source for piece in found.clocks["camera"]}
    assert source == {ClockSource.COMPANY if recorded == 0 else ClockSource.RECORDED}


def test_a_clock_that_somebody_set_may_be_a_minute_off() -> None:
    library = [phone("a.jpg", 0, PARIS), phone("b.jpg", 600, near(PARIS, 30_000))]
    by_camera = place(*library, camera("c.jpg", 300)).placements["c.jpg"]
    by_phone = place(*library, phone("p.jpg", 300, None)).placements["p.jpg"]
    assert isinstance(by_camera, Placement) and isinstance(by_phone, Placement)
    assert by_camera.radius_m > by_phone.radius_m + 1000


def test_somebody_elses_phone_is_not_placed_by_mine() -> None:
    mine = [phone(f"m{n}.jpg", 300 * n, PARIS) for n in range(5)]
    found = place(*mine, phone("t.jpg", 450, None, "their phone")).placements["t.jpg"]
    assert found is Reason.NO_NEIGHBOUR


def test_a_flight_has_no_middle() -> None:
    york = Location(40.7, -74.0)
    library = [phone("a.jpg", 0, PARIS), phone("b.jpg", 9 * HOUR, york)]
    assert place(*library, camera("c.jpg", 4 * HOUR)).placements["c.jpg"] is Reason.WIDE


def test_a_given_clock_offset_is_ahead_of_local_time() -> None:
    """The camera shows an hour and two minutes less than the clocks around it."""
    late = Sighting("c.jpg", "camera", Kind.CAMERA, 300 + HOUR - 3720)
    library = [phone("a.jpg", 0, PARIS), phone("b.jpg", 600, PARIS), late]
    told = place_photos(library, utc_everywhere, (), {"camera": -3720.0})
    found = told.placements["c.jpg"]
    assert isinstance(found, Placement) and found.utc == 300
    assert told.clocks["camera"][0].source is ClockSource.GIVEN
    assert isinstance(place(*library).placements["c.jpg"], Reason)


def test_a_track_places_to_the_metre_and_not_across_its_breaks() -> None:
    times = np.arange(0.0, 600.0, 10.0)
    way = Segment("walk.gpx", times, 48.0 + times * 1e-5, np.full(len(times), 2.0))
    later = way._replace(times=times + HOUR)
    library = [camera("c.jpg", 305), camera("d.jpg", 1800)]
    found = place_photos(library, utc_everywhere, (way, later)).placements
    first = found["c.jpg"]
    assert isinstance(first, Placement) and first.method is Method.TRACK
    assert first.location.latitude == pytest.approx(48.00305, abs=1e-6)
    assert first.radius_m < 100 and first.neighbours[0].photo == "walk.gpx"
    assert found["d.jpg"] is Reason.NO_NEIGHBOUR


def test_a_track_changes_neither_who_is_together_nor_a_clock() -> None:
    """It was recorded while one of two phones that are carried together took no photos."""
    beside = [
        phone(f"{device}{t}.jpg", t + after, PARIS, device)
        for device, after in (("Apple", 0.0), ("xiaomi", 30.0))
        for t in range(0, 9000, 900)
    ]
    later = [phone(f"later{t}.jpg", DAY + t, PARIS, "Apple") for t in range(0, 9000, 900)]
    times = np.arange(DAY, DAY + 9000, 10.0)
    way = Segment("walk.gpx", times, np.full(900, PARIS.latitude), np.full(900, PARIS.longitude))
    library = [*beside, *later, Sighting("c.jpg", "camera", Kind.CAMERA, HOUR + 450)]
    found, without = place_photos(library, utc_everywhere, (way,)), place(*library)
    assert found.clocks == without.clocks
    assert found.companions["xiaomi"] == without.companions["xiaomi"] == ("Apple", "xiaomi")


def test_a_track_of_somebody_else_takes_no_position_away() -> None:
    mine = [phone(f"m{n}.jpg", 900.0 * n, PARIS) for n in range(12)]
    beside = [camera(f"c{n}.jpg", 900.0 * n + 60) for n in range(11)]
    times = np.arange(0.0, 3 * HOUR, 60.0)
    theirs = Segment("rome.gpx", times, *(np.full(len(times), each) for each in ROME[:2]))
    alone, found = place(*mine, *beside), place_photos([*mine, *beside], utc_everywhere, (theirs,))
    assert found.placements == alone.placements
    assert all(isinstance(each, Placement) for each in found.placements.values())


def test_a_track_alone_is_in_the_local_time_of_its_places() -> None:
    """Nothing tells what the camera's clock shows: likely the local time, there an hour ahead."""
    times = np.arange(0.0, 8 * HOUR, 60.0)
    way = Segment("walk.gpx", times, 48.0 + times * 1e-7, np.full(len(times), 2.0))
    camera = Sighting("c.jpg", "camera", Kind.CAMERA, 5 * HOUR)
    found = place_photos([camera], lambda place, clock: HOUR, (way,)).placements["c.jpg"]
    assert isinstance(found, Placement)
    assert found.location.latitude == pytest.approx(48.0 + 4 * HOUR * 1e-7, abs=1e-6)


def test_a_given_clock_offset_counts_beside_a_track_alone() -> None:
    """A clock an hour off would have shown the first of these times before the track began."""
    times = np.arange(0.0, 8 * HOUR, 60.0)
    way = Segment("walk.gpx", times, 48.0 + times * 1e-6, np.full(len(times), 2.0))
    photo = Sighting("c.jpg", "camera", Kind.CAMERA, 600.0)
    open_one = place_photos([photo], utc_everywhere, (way,))
    assert open_one.placements["c.jpg"] is Reason.WIDE
    told = place_photos([photo], utc_everywhere, (way,), {"camera": -200.0})
    found = told.placements["c.jpg"]
    assert isinstance(found, Placement) and found.utc == 800 and found.radius_m < 200
    assert told.clocks["camera"][0].source is ClockSource.GIVEN


def test_a_strangers_camera_is_not_placed_by_my_phone() -> None:
    """Many photos, none of them when I took any."""
    mine = [phone(f"m{n}.jpg", n * DAY + s, PARIS) for n in range(10) for s in range(0, 9000, 900)]
    others = [
        camera(f"c{n}-{s}.jpg", n * DAY + 12000 + s) for n in range(10) for s in range(0, 9000, 900)
    ]
    found = place(*mine, *others).placements
    assert set(found.values()) == {Reason.NO_NEIGHBOUR}
    beside = [each._replace(clock=(each.clock or 0.0) - 11900) for each in others]
    assert any(isinstance(each, Placement) for each in place(*mine, *beside).placements.values())


def test_a_phone_shows_the_zone_of_the_photos_around() -> None:
    """Back west by four hours, and no photo tells its offset: one among those of the evening is
    of the evening, though that clock showed such a time in the morning, too."""

    def zone(place: Location, clock: float) -> float:
        return 4 * HOUR if place == ROME else 0.0

    def of_phone(name: str, clock: float, at: Location | None) -> Sighting:
        return Sighting(name, "phone", Kind.PHONE, clock, None, None, at)

    before = [of_phone(f"a{n}.jpg", n * HOUR, ROME) for n in range(8)]
    after = [of_phone(f"b{n}.jpg", (16 + n) * HOUR, PARIS) for n in range(8)]
    found = place_photos([*before, *after, of_phone("c.jpg", 20.5 * HOUR, None)], zone).placements
    placed = found["c.jpg"]
    assert isinstance(placed, Placement) and placed.utc == 20.5 * HOUR


def test_a_track_that_contradicts_the_phone_places_nothing() -> None:
    times = np.arange(0.0, 600.0, 10.0)
    way = Segment("walk.gpx", times, np.full(60, ROME.latitude), np.full(60, ROME.longitude))
    library = [phone("a.jpg", 0, PARIS), phone("b.jpg", 590, PARIS), camera("c.jpg", 300)]
    assert isinstance(place_photos(library, utc_everywhere, (way,)).placements["c.jpg"], Reason)


@pytest.mark.slow
def test_pictures_of_very_many_devices_are_placed() -> None:
    library = [
        each
        for number in range(100)
        for each in (
            phone(f"p{number}.jpg", 700.0 * number, near(PARIS, number), f"phone {number}"),
            camera(f"c{number}.jpg", 700.0 * number + 9)._replace(device=f"camera {number}"),
        )
    ]
    assert len(place(*library).placements) == 100


photos = st.lists(
    st.tuples(
        st.integers(0, 4 * 3600),
        st.sampled_from(["phone", "camera", "other phone"]),
        st.floats(0, 3000),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda row: row[0],
)
Drawn = list[tuple[int, str, float, bool]]


def drawn(rows: Drawn, shift: float = 0.0, east: float = 0.0) -> list[Sighting]:
    library = []
    for number, (t, device, metres, located) in enumerate(rows):
        at = near(Location(48.0, (2.0 + east + 180) % 360 - 180), metres)
        if device == "camera" or not located:
            at = None
        kind = Kind.CAMERA if device == "camera" else Kind.PHONE
        library.append(Sighting(f"{number}.jpg", device, kind, t + shift + HOUR, HOUR, None, at))
    return library


@pytest.mark.slow
@given(photos, st.randoms(use_true_random=False))
def test_the_order_of_the_files_changes_nothing(rows: Drawn, rng: random.Random) -> None:
    library = drawn(rows)
    shuffled = rng.sample(library, len(library))
    assert place(*library) == place(*shuffled)


@given(photos, st.integers(-(10**8), 10**8))
def test_a_shift_of_all_times_changes_nothing(rows: Drawn, shift: int) -> None:
    here, there = place(*drawn(rows)), place(*drawn(rows, float(shift)))
    assert here.companions == there.companions
    _same(here, there, 0.0)


@given(photos, st.floats(0, 360))
def test_the_antimeridian_is_a_place_like_any_other(rows: Drawn, east: float) -> None:
    _same(place(*drawn(rows)), place(*drawn(rows, east=east)), east)


def _same(here: Places, there: Places, east: float) -> None:
    assert here.placements.keys() == there.placements.keys()
    for photo, one in here.placements.items():
        other = there.placements[photo]
        if isinstance(one, Reason) or isinstance(other, Reason):
            assert one is other
            continue
        assert one.radius_m == pytest.approx(other.radius_m, abs=0.2)
        moved = (one.location.latitude, (one.location.longitude + east + 180) % 360 - 180)
        assert distance(moved, (other.location.latitude, other.location.longitude)) < 0.5


@pytest.mark.parametrize("seed", [1, 3])
def test_simulated_weeks_are_placed_within_the_radius(seed: int) -> None:
    """No photo that should not be is placed, and few lie outside their radius."""
    library = make_library(seed, short=True)
    found = place_photos(library.captures, zone_at).placements
    held = []
    for photo, each in found.items():
        if isinstance(each, Placement):
            truth = library.truth[photo]
            assert truth.placeable
            at = (each.location.latitude, each.location.longitude)
            error = distance(at, (truth.location.latitude, truth.location.longitude))
            held.append(error <= each.radius_m)
    assert len(held) > 40 and np.mean(held) >= 0.9
