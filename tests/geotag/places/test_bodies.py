"""Two cameras of one model without serial numbers are two; one camera stays one."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotag.places.bodies import by_body
from geotag.places.sighting import Kind, Sighting

HOUR, DAY = 3600.0, 86400.0


def shot(number: int, clock: float, pattern: str = "IMG_{:04}.JPG") -> Sighting:
    return Sighting(f"/photos/{pattern.format(number)}", "Canon EOS 80D", Kind.CAMERA, clock)


def days(
    first: int, count: int, start: float = 0.0, pattern: str = "IMG_{:04}.JPG"
) -> list[Sighting]:
    """Photos of a camera, one every two hours."""
    return [shot((first + n - 1) % 9999 + 1, start + 2 * HOUR * n, pattern) for n in range(count)]


def told_apart(photos: Iterable[Sighting], name: str = "Canon EOS 80D") -> dict[str, int]:
    ordered = sorted(photos, key=lambda each: (each.clock or 0.0, each.photo))
    return {body: len(own) for body, own in by_body(name, ordered).items()}


def test_two_cameras_whose_numbers_go_to_and_fro_for_days_are_two() -> None:
    found = told_apart([*days(1200, 40), *days(7300, 40, 1800.0)])
    assert found == {
        "Canon EOS 80D (IMG_1200.JPG and on)": 40,
        "Canon EOS 80D (IMG_7300.JPG and on)": 40,
    }


def test_two_new_cameras_that_begin_with_one_number_are_two() -> None:
    found = told_apart([*days(1, 800), *days(1, 600, 60 * DAY + 1800.0)])
    assert found == {
        "Canon EOS 80D (IMG_0001.JPG and on)": 800,
        "Canon EOS 80D (IMG_0001.JPG and on, 2)": 600,
    }


def test_photos_without_a_number_are_of_neither() -> None:
    renamed = [shot(0, 5 * HOUR, "Nile.jpg"), shot(20230501, 9 * HOUR, "IMG_{:08}_1200.jpg")]
    found = told_apart([*days(1200, 40), *days(7300, 40, 1800.0), *renamed])
    assert found["Canon EOS 80D (other files)"] == 2 and len(found) == 3


@pytest.mark.parametrize(
    "photos",
    [
        days(9980, 60),
        [*days(5000, 40), *days(1, 40, 40 * 2 * HOUR)],
        [*days(5000, 40), *days(8000, 40, 40 * 2 * HOUR), *days(5040, 40, 80 * 2 * HOUR)],
        [*days(5000, 40), *days(5040, 40, 40 * 2 * HOUR - DAY)],
        [*days(5000, 40), *days(1, 40, pattern="Trip-{:04}.jpg")],
        [*days(5000, 40), *days(1, 40)],
        [*days(5000, 40), *days(5000, 40, pattern="IMG_{:04}.CR2")],
        [*days(5000, 40), *days(5000, 40, pattern="IMG_E{:04}.JPG")],
        days(5000, 40)[::-1],
        [*days(5000, 40), *days(9000, 4, DAY)],
        [*days(5000, 40), *days(9000, 10, DAY)[:3]],
        [shot(n * 700 % 10_000, n * HOUR) for n in range(600)],
        [shot(n * 7919 % 10_000, n * HOUR) for n in range(600)],
    ],
    ids=[
        "rollover", "reset", "two cards", "clock set back", "renamed copies", "numbered anew",
        "raw beside", "edited", "any order", "few", "fewer", "many left out", "any numbers",
    ],
)  # fmt: skip
def test_one_camera_stays_one(photos: list[Sighting]) -> None:
    assert told_apart(photos) == {"Canon EOS 80D": len(photos)}


def test_a_serial_number_tells_enough() -> None:
    both = [*days(1200, 40), *days(7300, 40, 1800.0)]
    assert told_apart(both, "Canon EOS 80D (0123)") == {"Canon EOS 80D (0123)": 80}


@given(st.lists(st.tuples(st.integers(0, 9999), st.integers(0, 10**6)), max_size=60))
def test_every_photo_is_of_one_camera(shots: list[tuple[int, int]]) -> None:
    photos = sorted((shot(n, float(t)) for n, t in shots), key=lambda e: (e.clock or 0.0, e.photo))
    bodies = by_body("Canon EOS 80D", photos)
    assert sorted(id(each) for own in bodies.values() for each in own) == sorted(map(id, photos))
