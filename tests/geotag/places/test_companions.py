"""Whose tracks are whose: each person's photos are placed by that person's own."""

from __future__ import annotations

import numpy as np
from benchmarks.movement import distance

from geotag.places.placing import place_photos
from geotag.places.sighting import Kind, Placement, Places, Sighting
from geotag.places.tracks import Segment
from geotag.records import Location

HOUR, DAY = 3600.0, 86400.0
PARIS = Location(48.8583, 2.2945)
ROME = Location(41.8902, 12.4922)


def utc_everywhere(place: Location, clock: float) -> float:
    return 0.0


def phone(name: str, t: float, at: Location | None, device: str = "phone") -> Sighting:
    return Sighting(name, device, Kind.PHONE, t + HOUR, HOUR, None, at)


def camera(name: str, t: float) -> Sighting:
    return Sighting(name, "camera", Kind.CAMERA, t + HOUR, HOUR)


def logged(day: int, at: Location, name: str, after: float = 0.0) -> Segment:
    """A morning's track of somebody who stays."""
    times = day * DAY + after + np.arange(0.0, 4 * HOUR, 60.0)
    return Segment(name, times, *(np.full(len(times), each) for each in at[:2]))


def methods(found: Places) -> dict[str, str]:
    return {
        photo: each.method.value if isinstance(each, Placement) else each.value
        for photo, each in found.placements.items()
    }


def test_a_track_of_somebody_else_takes_away_nothing_of_my_own() -> None:
    """It would lie on the same lane as mine, and made that nobody's."""
    mine = [phone(f"m{n}-{i}.jpg", n * DAY + i * 1200, PARIS) for n in range(4) for i in range(10)]
    evening = [phone(f"e{i}.jpg", 2 * DAY + (8 + i / 3) * HOUR, PARIS) for i in range(8)]
    own = [logged(n, PARIS, f"{n}.gpx") for n in range(4)]
    theirs = logged(2, ROME, "rome.gpx", 8 * HOUR)
    library = [*mine, *evening, camera("c.jpg", DAY + 3.9 * HOUR), camera("d.jpg", 2.375 * DAY)]
    found = place_photos(library, utc_everywhere, [*own, theirs])
    assert methods(found) == {"c.jpg": "track", "d.jpg": "neighbour"}
    assert found == place_photos(library, utc_everywhere, own)


def test_each_is_placed_by_her_own_tracks_where_two_people_log() -> None:
    """Whose track begins first changes from day to day; every other day they are apart."""
    library, tracks = list[Sighting](), list[Segment]()
    for n in range(8):
        for who, at, after in (("me", PARIS, 0.0), ("her", ROME if n % 2 else PARIS, 77.0)):
            for i in range(8):
                t = n * DAY + i * 1200 + after
                library.append(phone(f"{who}{n}-{i}.jpg", t, at, who))
                library.append(camera(f"{who} {n}-{i}", t + 10)._replace(device=f"{who} camera"))
            first = (n // 2 % 2 == 0) == (who == "me")
            tracks.append(logged(n, at, f"{n}.gpx", 0.0 if first else 1.0)._replace(folder=who))
        library.append(camera(f"late {n}", n * DAY + 3.9 * HOUR)._replace(device="her camera"))
    found = place_photos(library, utc_everywhere, tracks)
    assert set(methods(found).values()) == {"track"}
    for name, each in found.placements.items():
        assert isinstance(each, Placement)
        is_in_rome = not name.startswith("me") and int(name.split()[1][0]) % 2 == 1
        assert distance(each.location, ROME if is_in_rome else PARIS) < 100


def test_what_a_logger_recorded_while_no_photo_was_taken_is_its_owners() -> None:
    mine = [phone(f"m{i}.jpg", i * 1200, PARIS) for i in range(10)]
    own = [logged(0, PARIS, "0.gpx"), logged(1, PARIS, "1.gpx")]
    beside = [camera(f"b{i}.jpg", i * 1200 + 5) for i in range(10)]
    library = [*mine, *beside, camera("c.jpg", DAY + HOUR)]
    assert methods(place_photos(library, utc_everywhere, own))["c.jpg"] == "track"
