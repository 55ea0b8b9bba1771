"""What is kept from night to night: the answers are those of placing everything anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from geotag.errors import DamagedCatalogError, UsageError
from geotag.places import windows
from geotag.places.library import find_clock_of, joined, place_library, tell_clocks
from geotag.places.readings import sighting_of
from geotag.places.sighting import Placed, Placement, Reason
from geotag.places.telling import clock_lines, tell_clock
from geotag.records import Capture, Location, Metadata, Photo, Reading
from geotag.state.catalog import Catalog, open_catalog
from geotag.state.placed import PlacedPhotos
from geotag.state.unopened import known_library

DAY = 86_400.0
BEGIN = datetime(2019, 3, 1, tzinfo=UTC).timestamp()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of few photos."""
    monkeypatch.setattr(windows, "_MOST", 60)


def reading(
    name: str, device: str, seconds: float, place: Location | None, version: str = "1"
) -> Reading:
    time = datetime.fromtimestamp(BEGIN + seconds, UTC).replace(tzinfo=None).isoformat()
    make = "Apple" if device == "iPhone" else "Canon"
    capture = Capture(f"{time}+00:00" if make == "Apple" else time, "", make, device)
    return Reading(Photo(f"/photos/{name}", 1, version), Metadata(place, capture=capture))


def photos(rng: np.random.Generator, count: int, name: str) -> dict[str, Reading]:
    """A phone's with a position, a camera's without, of the same walks, and some without a time."""
    found = {}
    for number in range(count):
        walk = float(rng.integers(0, 30)) * 10
        seconds = walk * DAY + (8 + walk % 7) * 3600 + float(rng.uniform(0, 3600))
        uri = f"{name}{number:03}.jpg"
        if rng.random() < 0.5:
            place = Location(48 + walk / 100, 2 + seconds % 3600 / 1e5)
            found[uri] = reading(uri, "iPhone", seconds, place)
        else:
            found[uri] = reading(uri, "EOS", seconds + 120, None)
        if rng.random() < 0.05:
            metadata = found[uri].metadata._replace(capture=Capture(make="Canon", model="EOS"))
            found[uri] = found[uri]._replace(metadata=metadata)
    return found


Library = Mapping[str, Reading]
Night = tuple[dict[str, Placement | Reason], list[str]]


def placed(path: Path | None, library: Library, new: Library) -> Night:
    """All that a night over a library comes to, of which some is new to the catalog."""
    with open_catalog(path) as catalog:
        return night(catalog, library, new)


def night(catalog: Catalog, library: Library, new: Library) -> Night:
    catalog.begin_scan(1)
    catalog.record(new.values(), None)
    for _ in catalog.noting(each.photo for each in library.values()):
        pass
    place_library(catalog.placed)
    return dict(catalog.placed), list(clock_lines(joined(catalog.placed.clocks)))


def nights(seed: int, count: int) -> Iterator[tuple[dict[str, Reading], dict[str, Reading]]]:
    """A library that grows, shrinks and changes: each time all of it, and what is new."""
    rng = np.random.default_rng(seed)
    library = photos(rng, 300, "a")
    yield library, library
    for at in range(count):
        new = photos(rng, int(rng.integers(0, 25)), f"b{at}")
        for name in rng.choice(sorted(library), 4, replace=False):
            seconds = float(rng.integers(0, 300)) * DAY
            place = Location(50, 3) if rng.random() < 0.5 else None
            new[name] = reading(name, "EOS", seconds, place, f"{at + 2}")
        gone = set(rng.choice(sorted(library), int(rng.integers(0, 8)), replace=False))
        library = {uri: each for uri, each in library.items() if uri not in gone} | new
        yield library, new


@pytest.mark.parametrize(
    ("seed", "count"),
    [(0, 1), *(pytest.param(seed, 6, marks=pytest.mark.slow) for seed in range(1, 5))],
)
def test_each_night_comes_to_what_placing_all_anew_does(
    tmp_path: Path, seed: int, count: int
) -> None:
    kept = tmp_path / "tags.csv.geotag"
    for library, new in nights(seed, count):
        found = placed(kept, library, new)
        backwards = dict(reversed(library.items()))
        assert found == placed(None, backwards, backwards)
        assert any(isinstance(each, Placement) for each in found[0].values())


def test_a_night_places_those_parts_alone_that_something_changed_near(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = photos(np.random.default_rng(1), 300, "a")
    parts: list[windows.Window] = []
    keep = PlacedPhotos.keep

    def noted(self: PlacedPhotos, window: windows.Window, *rest: object) -> None:
        parts.append(window)
        keep(self, window, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(PlacedPhotos, "keep", noted)
    path = tmp_path / "tags.csv.geotag"
    placed(path, library, library)
    assert len(parts) > 5
    parts.clear()
    placed(path, library, {})
    assert not parts
    new = {"new.jpg": reading("new.jpg", "EOS", 299 * DAY, None)}
    placed(path, library | new, new)
    day = windows.day_at(BEGIN + 299 * DAY)
    assert 1 <= len(parts) <= 2
    assert all(part.reach.first <= day < part.reach.last for part in parts)


def test_what_else_placing_hangs_on_places_anew(tmp_path: Path) -> None:
    library = photos(np.random.default_rng(1), 100, "a")
    with open_catalog(tmp_path / "tags.csv.geotag") as catalog:
        before = night(catalog, library, library)
        place_library(catalog.placed, (), {"Canon EOS": 7200.0})
        assert dict(catalog.placed) != before[0]
        with pytest.raises(UsageError, match="no photo was taken with 'Leica'"):
            place_library(catalog.placed, (), {"Leica": 1.0})
        place_library(catalog.placed)
        assert dict(catalog.placed) == before[0]


@pytest.mark.parametrize("is_kept", [True, False])
def test_clocks_are_told_as_a_scan_finds_them(tmp_path: Path, is_kept: bool) -> None:
    """Also where none was scanned with places."""
    library = photos(np.random.default_rng(2), 300, "a")
    with open_catalog(tmp_path / "tags.csv.geotag") as catalog:
        found = night(catalog, library, library)[1]
        clocks = joined(catalog.placed.clocks)
        for window in () if is_kept else catalog.placed.windows():
            catalog.placed.forget(window)
    sightings = map(sighting_of, library.values())
    told = [each for each in sightings if each.device == "Canon EOS" and each.clock is not None]
    with known_library(tmp_path / "tags.csv.geotag") as known:
        assert tell_clocks(known, {}) == found
        for each in told[::25]:
            assert each.clock is not None
            said = tell_clock(clocks[each.device], each.clock)
            assert find_clock_of(known, each, {}) == said != ""


def test_a_clock_that_is_the_same_for_years_is_told_once(tmp_path: Path) -> None:
    """However many parts the library is divided into; each photo counts once."""
    library = photos(np.random.default_rng(2), 300, "a")
    found = night_of(tmp_path, library)
    (told,) = (line for line in found if line.startswith("Apple iPhone"))
    phones = [each for each in map(sighting_of, library.values()) if each.offset is not None]
    assert f"as it recorded in {len(phones)} photos" in told


def night_of(folder: Path, library: Library) -> list[str]:
    with open_catalog(folder / "tags.csv.geotag") as catalog:
        return night(catalog, library, library)[1]


def test_placements_are_looked_up_in_any_order(tmp_path: Path) -> None:
    with open_catalog(tmp_path / "tags.csv.geotag") as catalog:
        names = [f"/photos/{number:04}.jpg" for number in range(0, 3000, 2)]
        placements = dict.fromkeys(names, Reason.NO_TIME)
        catalog.placed.keep(windows.Window(1, 2), b"", Placed(placements, {}))
        rng = np.random.default_rng(0)
        for number in (*range(3001), *rng.integers(0, 3001, 200)):
            known = number % 2 == 0 and number < 3000
            assert (catalog.placed.get(f"/photos/{number:04}.jpg") is not None) == known
        assert len(catalog.placed) == len(list(catalog.placed)) == 1500
        with pytest.raises(KeyError):
            catalog.placed["/photos/none.jpg"]


def test_a_damaged_placement_is_no_answer(tmp_path: Path) -> None:
    with open_catalog(tmp_path / "tags.csv.geotag") as catalog:
        night(catalog, {}, {})
        catalog.connection.execute("INSERT INTO placements VALUES (x'61', 1, '[1, 2, 3]', 7)")
        with pytest.raises(DamagedCatalogError):
            catalog.placed.get("a")
