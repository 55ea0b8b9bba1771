"""What kind of picture a file is, and what a reading can testify."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from geotag.places.kinds import kind_of
from geotag.places.readings import device_of, sighting_of
from geotag.places.sighting import Kind
from geotag.records import Capture, Location, Metadata, Photo, Reading

NOON = datetime(2023, 6, 1, 12, 30, tzinfo=UTC)
CANON = Capture(make="Canon", model="Canon EOS 80D")
PHONE = Capture(make="samsung", model="SM-G930F")


@pytest.mark.parametrize(
    ("capture", "name", "kind"),
    [
        (CANON, "IMG_0001.JPG", Kind.CAMERA),
        (PHONE, "20230601_123000.jpg", Kind.PHONE),
        (Capture(make="Apple", model="iPhone 11"), "IMG_1.HEIC", Kind.PHONE),
        (Capture(make="SAMSUNG", model="NX300"), "SAM_0001.JPG", Kind.CAMERA),
        (Capture(make="SONY", model="ILCE-7M3"), "DSC1.JPG", Kind.CAMERA),
        (Capture(make="Sony", model="XQ-AT51"), "DSC1.JPG", Kind.PHONE),
        (CANON._replace(software="Adobe Photoshop Lightroom 6"), "a.jpg", Kind.EDITED),
        (PHONE, "Screenshot_20230601-123000.png", Kind.SCREENSHOT),
        (Capture(), "Bildschirmfoto 2023-06-01.png", Kind.SCREENSHOT),
        (CANON, "IMG-20230601-WA0007.jpg", Kind.RECEIVED),
        (Capture(), "signal-2023-06-01-123000.jpg", Kind.RECEIVED),
        (Capture(make="EPSON", model="Perfection V600"), "scan1.jpg", Kind.SCAN),
        (CANON._replace(software="VueScan 9"), "a.jpg", Kind.SCAN),
        (Capture(), "wallpaper.jpg", Kind.DOWNLOAD),
        (CANON, "48123456789_0a1b2c3d4e_o.jpg", Kind.DOWNLOAD),
        (CANON, "jane-doe-qwErTy12345-unsplash.jpg", Kind.DOWNLOAD),
        (CANON, "/me/Downloads/IMG_1.JPG", Kind.DOWNLOAD),
        (CANON, "/me/Downloads/Trip/IMG_1.JPG", Kind.CAMERA),
        (CANON, "/me/Signal Hill/IMG_1.JPG", Kind.CAMERA),
        (PHONE, "/sd/WhatsApp Images/x.jpg", Kind.RECEIVED),
        (PHONE, "/sd/DCIM/Screenshots/20230601.jpg", Kind.SCREENSHOT),
        (CANON, "/me/Scans/1998.jpg", Kind.SCAN),
        (PHONE, "mmexport1562141234567.jpg", Kind.RECEIVED),
        (Capture(make="Nikon", model="SUPER COOLSCAN 5000 ED"), "1.jpg", Kind.SCAN),
        (Capture(make="NORITSU KOKI", model="QSS-32_33"), "1.jpg", Kind.SCAN),
        (Capture(make="Microsoft", model="Lumia 950"), "WP_1.jpg", Kind.PHONE),
        (Capture(make="Sony", model="J9110"), "DSC1.JPG", Kind.PHONE),
        (Capture(make="SONY", model="DSC-RX100"), "DSC1.JPG", Kind.CAMERA),
    ],
)
def test_the_kind(capture: Capture, name: str, kind: Kind) -> None:
    assert kind_of(capture, name, NOON) is kind


@pytest.mark.parametrize(
    "time", [datetime(1980, 1, 1, 5, tzinfo=UTC), datetime(2012, 1, 1, 0, 0, 12, tzinfo=UTC)]
)
def test_a_clock_that_was_never_set(time: datetime) -> None:
    assert kind_of(CANON, "IMG_0001.JPG", time) is Kind.DEFAULT_DATE


def test_the_fireworks_of_new_year_are_no_default_date() -> None:
    assert kind_of(CANON, "a.jpg", datetime(2020, 1, 1, 0, 4, tzinfo=UTC)) is Kind.CAMERA


def test_a_sighting_keeps_the_times_apart() -> None:
    capture = PHONE._replace(
        time="2023-06-01T14:30:00.500+02:00", gps_time="2023-06-01T12:29:58+00:00"
    )
    metadata = Metadata(Location(48.0, 2.0), capture=capture)
    seen = sighting_of(Reading(Photo("/p/a.jpg", 1, "1"), metadata))
    assert seen.clock == NOON.timestamp() + 7200.5
    assert (seen.offset, seen.stamp) == (7200, NOON.timestamp() - 2)
    assert (seen.photo, seen.position) == ("/p/a.jpg", Location(48.0, 2.0))


def test_times_that_are_none() -> None:
    seen = sighting_of(Reading(Photo("/p/a.jpg", 1, "1"), Metadata(capture=CANON)))
    assert seen.clock is None and seen.stamp is None and seen.device == "Canon EOS 80D"


@pytest.mark.parametrize(
    ("time", "is_told"),
    [
        ("2023-06-01T00:00:00", False),
        ("2023-06-01T00:00:00+02:00", False),
        ("2023-06-01T00:00:00.25", True),
        ("2023-06-01T00:00:01", True),
    ],
)
def test_midnight_to_the_second_is_a_day_alone(time: str, is_told: bool) -> None:
    metadata = Metadata(capture=CANON._replace(time=time))
    seen = sighting_of(Reading(Photo("/p/a.jpg", 1, "1"), metadata))
    assert (seen.clock is not None) is is_told


def test_devices_of_one_model_are_told_apart_by_their_serial_number() -> None:
    assert device_of(CANON) != device_of(CANON._replace(serial_number="123"))
    assert device_of(PHONE) == "samsung SM-G930F"
    assert device_of(Capture()) == ""
