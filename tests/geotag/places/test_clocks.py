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
