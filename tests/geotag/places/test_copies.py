"""Copies of measured photos: edited exports, raw files beside a JPEG, and what is none."""

from __future__ import annotations

import pytest

from geotag.places.copies import find_copies, picture_of
from geotag.places.sighting import Method, Placement
from geotag.records import Capture, Location, Metadata, Photo, Reading

HERE = Location(48.0, 2.0, 35.0)
CAPTURE = Capture(time="2023-06-01T12:00:00", make="Canon", model="Canon EOS 80D")
EXACT = CAPTURE._replace(time="2023-06-01T12:00:00.120")


def photo(name: str, capture: Capture = CAPTURE, place: Location | None = None) -> Reading:
    return Reading(Photo(f"/p/{name}", 1, "1"), Metadata(place, capture=capture))


def copies(*readings: Reading) -> dict[str, Placement]:
    found = find_copies(p for p in map(picture_of, readings) if p is not None)
    assert found == find_copies(p for p in map(picture_of, readings[::-1]) if p is not None)
    return {name.removeprefix("/p/"): placement for name, placement in found.items()}


@pytest.mark.parametrize(
    "name",
    [
        "IMG_1.CR2",
        "img_1-edited.jpg",
        "IMG_1 (2).jpg",
        "IMG_1~2.jpg",
        "export/IMG_1.jpg",
        "IMG_1-edytowane.jpg",
    ],
)
def test_a_copy_has_its_originals_position(name: str) -> None:
    (found,) = copies(photo("IMG_1.JPG", place=HERE), photo(name)).items()
    assert found[0] == name and found[1].method is Method.COPY
    assert found[1].location == Location(48.0, 2.0) and found[1].radius_m == 50.0
    assert [each.photo for each in found[1].neighbours] == ["/p/IMG_1.JPG"]


def test_the_same_fraction_of_a_second_needs_no_name() -> None:
    original = photo("IMG_1.JPG", EXACT, HERE)
    later = EXACT._replace(time="2023-06-01T12:00:00.12+02:00", software="Adobe Lightroom")
    assert list(copies(original, photo("Paris-7.jpg", later))) == ["Paris-7.jpg"]


@pytest.mark.parametrize(
    ("name", "capture"),
    [
        ("IMG_2.JPG", CAPTURE),  # the next photo of a burst
        ("IMG_1_2.JPG", CAPTURE),
        ("IMG_1-edited.jpg", CAPTURE._replace(time="2023-06-01T12:00:01")),
        ("IMG_1-edited.jpg", CAPTURE._replace(model="Canon EOS 5D")),
        ("IMG_1-edited.jpg", CAPTURE._replace(serial_number="77")),
        ("IMG_1-edited.jpg", CAPTURE._replace(make="", model="")),
        ("IMG_1-edited.jpg", CAPTURE._replace(time="")),
        ("Screenshot IMG_1.jpg", EXACT),
        ("IMG_1.CR2", EXACT._replace(time="2023-06-01T12:00:00.37")),
    ],
)
def test_what_is_no_copy(name: str, capture: Capture) -> None:
    original = CAPTURE if "." not in capture.time else EXACT
    assert copies(photo("IMG_1.JPG", original, HERE), photo(name, capture)) == {}


def test_originals_in_two_places_give_none() -> None:
    elsewhere = photo("b/IMG_1.JPG", place=Location(48.1, 2.0))
    assert copies(photo("a/IMG_1.JPG", place=HERE), elsewhere, photo("c/IMG_1.JPG")) == {}
