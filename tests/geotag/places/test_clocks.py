"""Clocks found from photos taken beside each other, and left alone where too little tells."""

from __future__ import annotations

import numpy as np
import pytest

from geotag.places.clocks import find_clock, strength_of
from geotag.places.coincidence import Company
from geotag.places.sighting import ClockPiece

DAY, HOUR = 86400.0, 3600.0


def clock_of(camera: np.ndarray, phone: np.ndarray) -> tuple[ClockPiece, ...]:
    return find_clock(camera, company_of(phone)).pieces


def company_of(phone: np.ndarray) -> Company:
    """Somebody whose local time is an hour ahead of UTC."""
    return Company(phone, np.full(len(phone), HOUR))


def outings(seed: int, days: int = 6) -> np.ndarray:
    """The moments of sights on some days, three visits each."""
    rng = np.random.default_rng(seed)
    moments = [
        day * DAY + rng.uniform(8, 19) * HOUR + rng.uniform(0, 2400, 12)
        for day in range(days)
        for _ in range(3)
    ]
    return np.sort(np.concatenate(moments))


def seen(moments: np.ndarray, seed: int, share: float, delay: float = 15.0) -> np.ndarray:
    """Photos at some of the moments."""
    rng = np.random.default_rng(seed)
    chosen = moments[rng.random(len(moments)) < share]
    return np.sort(chosen + rng.laplace(0, delay, len(chosen)))


@pytest.mark.parametrize("offset", [0.0, 3600.0, -28800.0, 5 * HOUR + 1234.0, -517.0, 12 * HOUR])
def test_an_offset_is_found_to_seconds_where_moments_are_shared(offset: float) -> None:
    moments = outings(1)
    pieces = clock_of(seen(moments, 2, 0.9) + offset, seen(moments, 3, 0.6))
    assert len(pieces) == 1
    assert pieces[0].offset == pytest.approx(offset, abs=30)
    assert pieces[0].pairs >= 8 and pieces[0].visits >= 3
    assert pieces[0].uncertainty <= 60


def test_a_change_in_the_middle_makes_two_pieces() -> None:
    moments = outings(4, days=10)
    camera = seen(moments, 5, 0.9)
    camera += np.where(camera < 5 * DAY, HOUR, 7 * HOUR)
    pieces = [p for p in clock_of(np.sort(camera), seen(moments, 6, 0.6)) if p.offset is not None]
    assert [round(p.offset / HOUR) for p in pieces if p.offset] == [1, 7]
    assert pieces[0].end < 5 * DAY + 7 * HOUR <= pieces[1].start + HOUR


@pytest.mark.parametrize("minutes", [3, 4, 5])
def test_a_clock_that_was_set_by_minutes_is_not_corrected_by_those_of_one_side(
    minutes: int,
) -> None:
    moments = outings(4, days=14)
    camera = seen(moments, 5, 0.9)
    set_by = np.where(camera < 7 * DAY, 0.0, minutes * 60.0)
    phone = np.sort(np.concatenate((seen(moments, 6, 0.15, delay=5), outings(7, days=14)[::3])))
    for piece in clock_of(np.sort(camera + set_by), phone):
        own = set_by[(camera + set_by >= piece.start) & (camera + set_by <= piece.end)]
        off = np.abs(own - (piece.offset or 0.0))
        assert piece.offset is None or np.mean(off > max(30.0, piece.uncertainty)) < 0.1


def test_visits_alone_tell_it_to_minutes() -> None:
    rng = np.random.default_rng(7)
    visits = [(d * DAY + h * HOUR) for d in range(12) for h in sorted(rng.uniform(8, 20, 3))]
    camera = np.sort(np.concatenate([v + rng.uniform(0, 2400, 15) for v in visits]))
    phone = np.sort(np.concatenate([v + rng.uniform(0, 2400, 5) for v in visits]))
    known = [p for p in clock_of(camera + 9 * HOUR, phone) if p.offset is not None]
    assert known
    assert all(abs((p.offset or 0) - 9 * HOUR) <= max(30, p.uncertainty) for p in known)


@pytest.mark.parametrize("seed", range(8))
def test_photos_of_strangers_correct_no_clock(seed: int) -> None:
    camera, phone = seen(outings(seed), seed, 0.9), seen(outings(seed + 100), seed, 0.6)
    assert all(piece.offset is None for piece in clock_of(camera, phone))


def test_a_few_photos_are_too_little_evidence() -> None:
    phone = np.array([0.0, 600.0, 1200.0])
    assert all(piece.offset is None for piece in clock_of(phone + HOUR, phone))
    assert clock_of(phone, np.zeros(0)) == ()
    assert clock_of(np.zeros(0), phone) == ()


def test_a_shift_of_all_times_changes_nothing() -> None:
    moments = outings(8)
    camera, phone = seen(moments, 9, 0.9) + HOUR, seen(moments, 10, 0.6)
    shift = 123_456_000.0
    (one,), (other,) = clock_of(camera, phone), clock_of(camera + shift, phone + shift)
    assert other.offset == pytest.approx(one.offset, abs=0.01)
    assert other.start - shift == pytest.approx(one.start)


def test_company_shows_in_the_strength_of_the_evidence() -> None:
    moments = outings(11)
    camera = seen(moments, 12, 0.9)
    with_me, elsewhere = seen(moments, 13, 0.6), seen(outings(14), 15, 0.6)
    assert strength_of(camera, company_of(with_me)) > 20
    assert strength_of(camera, company_of(elsewhere)) < 6
    assert strength_of(camera, company_of(np.zeros(0))) == 0
    assert find_clock(camera, company_of(with_me)).strength > 20
    assert find_clock(camera, company_of(elsewhere)).strength < 6


def moved_clock(moments: np.ndarray, when: float, before: float, after: float) -> np.ndarray:
    """Readings of a clock that was set from one offset to another."""
    return np.sort(moments + np.where(moments < when, before, after))


def zoned(phone: np.ndarray, when: float, before: float, after: float) -> Company:
    """Somebody whose local clocks changed at a moment."""
    return Company(phone, np.where(phone < when, before, after))


def said(pieces: tuple[ClockPiece, ...], reading: float) -> float | None:
    """The offset that is known at a reading."""
    return next((p.offset for p in pieces if p.start <= reading <= p.end), None)


@pytest.mark.parametrize("after", [-5 * HOUR, 0.0, 2 * HOUR, 9 * HOUR])
def test_a_clock_that_goes_along_is_known_on_both_sides_of_a_journey(after: float) -> None:
    moments = outings(21, days=10)
    when = 5.2 * DAY
    camera, phone = seen(moments, 22, 0.9), seen(moments, 23, 0.6)
    pieces = find_clock(
        moved_clock(camera, when, HOUR, after), zoned(phone, when, HOUR, after)
    ).pieces
    right = [
        abs(offset - (HOUR if utc < when else after)) <= 60
        for utc in camera
        if (offset := said(pieces, utc + (HOUR if utc < when else after))) is not None
    ]
    assert len(right) > 0.7 * len(camera) and all(right)


def test_a_reading_that_was_shown_twice_belongs_to_no_offset() -> None:
    """Ten hours to the west: a reading of the hours that came twice tells neither offset."""
    moments = outings(24, days=10)
    when, west = 5.5 * DAY, -9 * HOUR
    camera, phone = seen(moments, 25, 0.9), seen(moments, 26, 0.6)
    lonely = when + 2 * HOUR  # nobody took a photo beside it
    readings = np.sort(np.append(moved_clock(camera, when, HOUR, west), lonely + west))
    pieces = find_clock(readings, zoned(phone, when, HOUR, west)).pieces
    offset = said(pieces, lonely + west)
    assert offset is None or abs(offset - west) <= 60


def test_minutes_that_a_clock_is_off_by_outlast_a_change_of_the_zone() -> None:
    moments = outings(27, days=10)
    camera, phone = seen(moments, 28, 0.9), seen(moments, 29, 0.6)
    pieces = find_clock(
        moved_clock(camera, 5.2 * DAY, HOUR + 517, 7 * HOUR + 517),
        zoned(phone, 5.2 * DAY, HOUR, 7 * HOUR),
    ).pieces
    known = {round((p.offset or 0.0) % HOUR / 10) for p in pieces if p.offset is not None}
    assert known and all(abs(ten - 51.7) <= 2 for ten in known)


@pytest.mark.parametrize("seed", [30, 40, 50])
def test_a_clock_twelve_hours_off_is_known_over_a_journey_by_an_hour(seed: int) -> None:
    """Each of its sessions tells little between the two zones, all of them together much."""
    moments = outings(seed, days=16)
    there, back = 5.2 * DAY, 10.2 * DAY
    camera, phone = seen(moments, seed + 1, 0.9), seen(moments, seed + 2, 0.3)

    def local(utc: np.ndarray) -> np.ndarray:
        return np.where((utc >= there) & (utc < back), 2 * HOUR, HOUR)

    pieces = find_clock(np.sort(camera + local(camera) + 12 * HOUR), Company(phone, local(phone)))
    truth = local(camera) + 12 * HOUR
    offsets = [said(pieces.pieces, u + ahead) for u, ahead in zip(camera, truth, strict=True)]
    known = [(o, a) for o, a in zip(offsets, truth, strict=True) if o is not None]
    assert len(known) >= 0.8 * len(camera)
    assert all(abs(offset - ahead) <= 60 for offset, ahead in known)
