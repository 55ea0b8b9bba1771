"""Placing photos by their neighbours and by tracks, beside the rules of other programs.

The libraries are made by benchmarks.movement from simulated movement: the figures tell how the
rules compare, not how they do on anybody's photos.
"""

from __future__ import annotations

import bisect
import math
import multiprocessing
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import click
import numpy as np

from benchmarks.clocks import ClockScore
from benchmarks.movement import moved, zone_at
from benchmarks.photographers import Library, libraries
from benchmarks.recorded import PHONE_MINUTES, recorded_library
from geotag.categories import ModelCategories, load_categories
from geotag.decision import Decider
from geotag.evidence import LibraryEvidence
from geotag.metadata.header import READER_VERSION
from geotag.options import ScanOptions
from geotag.places.distance import distance_m
from geotag.places.placing import place_photos
from geotag.places.sighting import TAKEN_HERE, Kind, Placement, Places, Sighting
from geotag.places.trackfiles import read_tracks
from geotag.places.tracks import Segment
from geotag.records import (
    Capture,
    Location,
    Metadata,
    Photo,
    Prediction,
    Reading,
    Score,
    Status,
)
from geotag.runners.base import grouped
from geotag.state.catalog import open_catalog

_RIGHT_M = 1000.0
_FAR_M = 5000.0
# Days between the libraries that make up a large one.
_DAY_S, _REST_DAYS = 86_400.0, 5

_CATALOG, _LIST = "tags.csv.geotag", "photos.txt"
# Photos of the second night, and what the network saw in photos without a position.
_NEW = 100
_SEEN = Prediction((Score(next(iter(load_categories())).slug, 0.05),), 0.1)


class Answer(NamedTuple):
    """A position that a rule gives, with a radius where it states one."""

    location: Location
    radius_m: float | None = None


# How many photos a scan placed, its processor time in seconds, and its memory in MB.
Scan = tuple[int, float, int]
Rule = Callable[[Library], Mapping[str, Answer]]


def geotag_rule(library: Library) -> dict[str, Answer]:
    """geotag, by photos alone."""
    return _answers(_placed(library).placements)


def geotag_tracks(library: Library) -> dict[str, Answer]:
    """geotag, with the tracks of the journeys."""
    return _answers(_placed(library, _tracks(library)).placements)


def _tracks(library: Library) -> list[Segment]:
    times, latitudes, longitudes = library.track.T
    breaks = np.flatnonzero(np.diff(times) > 600) + 1
    parts = zip(
        *(np.split(column, breaks) for column in (times, latitudes, longitudes)), strict=True
    )
    return [Segment("journey.gpx", *part) for part in parts]


def _located(library: Library, share: float, seed: int) -> Library:
    """With a position in some of the cameras' photos, as somebody sets it: some 50 m off."""
    rng = np.random.default_rng([seed, 2])
    captures = list(library.captures)
    for at, each in enumerate(captures):
        if each.device in library.regimes and each.position is None and rng.random() < share:
            place = library.truth[each.photo].location
            off = moved(
                (place.latitude, place.longitude),
                abs(rng.normal(0, 50)),
                rng.uniform(0, 2 * math.pi),
            )
            captures[at] = each._replace(position=Location(*off))
    return library._replace(captures=captures)


def _placed(library: Library, segments: Sequence[Segment] = ()) -> Places:
    return place_photos(library.captures, zone_at, segments)


def _answers(placements: Mapping[str, object]) -> dict[str, Answer]:
    return {
        name: Answer(found.location, found.radius_m)
        for name, found in placements.items()
        if isinstance(found, Placement)
    }


def nearest_rule(limit: float) -> Rule:
    """Copy the position of the photo nearest in time, as the clocks show it."""

    def rule(library: Library) -> dict[str, Answer]:
        fixes = _fixes(library)
        times = [t for t, _ in fixes]
        answers = {}
        for evidence in _without_position(library):
            near = [at for at in _beside(times, evidence.clock or 0) if at is not None]
            best = min(near, key=lambda at: abs(times[at] - (evidence.clock or 0)), default=None)
            if best is not None and abs(times[best] - (evidence.clock or 0)) <= limit:
                answers[evidence.photo] = Answer(fixes[best][1])
        return answers

    return rule


def interpolating_rule(limit: float) -> Rule:
    """Between the fixes before and after, each within a limit, as the clocks show it."""

    def rule(library: Library) -> dict[str, Answer]:
        fixes = _fixes(library)
        times = [t for t, _ in fixes]
        answers = {}
        for evidence in _without_position(library):
            clock = evidence.clock or 0
            before, after = _beside(times, clock)
            before = before if before is not None and clock - times[before] <= limit else None
            after = after if after is not None and times[after] - clock <= limit else None
            if before is not None and after is not None:
                gap = times[after] - times[before]
                share = (clock - times[before]) / gap if gap else 0.0
                a, b = fixes[before][1], fixes[after][1]
                east = (b.longitude - a.longitude + 180) % 360 - 180
                latitude = a.latitude + share * (b.latitude - a.latitude)
                longitude = (a.longitude + share * east + 180) % 360 - 180
                answers[evidence.photo] = Answer(Location(latitude, longitude))
            elif before is not None or after is not None:
                only = before if before is not None else after
                answers[evidence.photo] = Answer(fixes[only or 0][1])
        return answers

    return rule


def _fixes(library: Library) -> list[tuple[float, Location]]:
    found = [(e.clock, e.position) for e in library.captures if e.position is not None and e.clock]
    return sorted((clock, place) for clock, place in found)


def _without_position(library: Library) -> Iterable[Sighting]:
    return (e for e in library.captures if e.position is None and e.clock is not None)


def _beside(times: list[float], t: float) -> tuple[int | None, int | None]:
    after = bisect.bisect_left(times, t)
    return (after - 1 if after > 0 else None), (after if after < len(times) else None)


RULES: dict[str, Rule] = {
    "geotag": geotag_rule,
    "geotag with tracks": geotag_tracks,
    "nearest within 36 h (PhotoPrism's rule)": nearest_rule(36 * 3600.0),
    "nearest within 1 h (osxphotos' rule)": nearest_rule(3600.0),
    "between fixes within 30 min (exiftool's rule)": interpolating_rule(1800.0),
}


class Tally:
    """What a rule did in one situation."""

    def __init__(self) -> None:
        self.photos = self.placed = self.right = self.far = self.held = self.stated = 0

    def add(self, error: float | None, radius: float | None) -> None:
        """Count a photo: how far off it was placed, or None."""
        self.photos += 1
        if error is None:
            return
        self.placed += 1
        self.right += error <= min(_RIGHT_M, _RIGHT_M if radius is None else radius)
        self.far += error > max(_FAR_M, radius or 0)
        if radius is not None:
            self.stated += 1
            self.held += error <= radius

    def cells(self) -> list[str]:
        """Shares: placed, within 1 km, far off of those placed, within the radius."""
        held = f"{self.held / self.stated:6.1%}" if self.stated else "     -"
        placed = max(1, self.placed)
        photos = max(1, self.photos)
        return [
            f"{self.placed / photos:6.1%}",
            f"{self.right / photos:6.1%}",
            f"{self.far / placed:6.1%}",
            held,
        ]


def score(library: Library, answers: Mapping[str, Answer], tallies: dict[str, Tally]) -> None:
    """Count one library's photos by situation, and by what is wrong with the camera's clock."""
    for evidence in library.captures:
        if evidence.position is not None:
            continue
        truth = library.truth[evidence.photo]
        answer = answers.get(evidence.photo)
        error = None
        if answer is not None:
            error = distance_m(answer.location, truth.location)
        radius = answer.radius_m if answer is not None else None
        names = [truth.situation, "all to place" if truth.placeable else "all not to place"]
        if truth.placeable and evidence.device in library.regimes:
            names.append(f"clock: {library.regimes[evidence.device]}")
        for name in names:
            tallies[name].add(error, radius)


def simulate(first: int, count: int, rules: Mapping[str, Rule], share: float) -> None:
    """Score all rules on the libraries of some seeds, where a share of the cameras' photos has a
    position."""
    tallies: dict[str, dict[str, Tally]] = {name: defaultdict(Tally) for name in rules}
    clocks, along = ClockScore(), ClockScore()
    for seed, library in enumerate(libraries(first, count), first):
        library = _located(library, share, seed)
        for name, rule in rules.items():
            score(library, rule(library), tallies[name])
        clocks.add(library, _placed(library).clocks)
        if share:
            along.add(library, _placed(library, _tracks(library)).clocks)
    for name, by_situation in tallies.items():
        print(f"\n{name}\n{'':34}{'photos':>8} placed   1 km  wrong  in radius")
        for situation in sorted(by_situation, key=lambda s: (not s.startswith("all"), s)):
            tally = by_situation[situation]
            print(f"{situation:34}{tally.photos:8} {' '.join(tally.cells())}")
    print("\n" + clocks.line())
    if share:
        print("with tracks: " + along.line())


def on_tracks(places: Sequence[str], seeds: range) -> None:
    """Place a camera's photos on recorded tracks by a phone's, for several rates of the latter."""
    segments = read_tracks(places)
    hours = sum(segment.times[-1] - segment.times[0] for segment in segments) / 3600
    print(f"{len(segments)} segments of tracks, {hours:.1f} h")
    print(f"{'a phone took a photo':34}{'photos':>8} placed   1 km  wrong  in radius")
    for minutes in PHONE_MINUTES:
        tally = Tally()
        for seed in seeds:
            sightings, truth = recorded_library(segments, minutes, seed)
            answers = _answers(place_photos(sightings, zone_at).placements)
            for name, place in truth.items():
                answer = answers.get(name)
                if answer is None:
                    tally.add(None, None)
                else:
                    tally.add(distance_m(answer.location, place), answer.radius_m)
        print(f"{f'every {minutes:.0f} min':34}{tally.photos:8} {' '.join(tally.cells())}")


def speed(count: int) -> None:
    """What `--places` adds to a scan of so many photos that are known already, and to that of the
    night after, with some more. Each scan is a process of its own."""
    with TemporaryDirectory() as folder:
        readings, photos = _known(), 0
        for more in (count, _NEW):
            photos += more
            _record(Path(folder), islice(readings, more))
            _, without, _ = _in_process(_scan, Path(folder), ScanOptions())
            placed, taken, peak = _in_process(_scan, Path(folder), ScanOptions(places=True))
            print(
                f"{photos} photos, {placed} placed: {taken - without:.1f} s of processor time more"
                f" than the {without:.1f} s without; at most {peak} MB"
            )


def _record(folder: Path, readings: Iterable[Reading]) -> None:
    """Add photos to a catalog, and to the list of all photos beside it."""
    with (
        open_catalog(folder / _CATALOG) as catalog,
        open(folder / _LIST, "a", encoding="utf-8") as names,
    ):
        catalog.begin_scan(READER_VERSION)
        for group in grouped(readings):
            catalog.record(group, None)
            names.writelines(f"{reading.photo.uri}\n" for reading in group)


def _in_process(work: Callable[..., Scan], *arguments: object) -> Scan:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _scan(folder: Path, options: ScanOptions) -> Scan:
    """A scan that reads no photo: how many are placed, its processor time, and its memory (MB)."""
    with (
        open_catalog(folder / _CATALOG) as catalog,
        open(folder / _LIST, encoding="utf-8") as names,
    ):
        catalog.begin_scan(READER_VERSION)
        for _ in catalog.noting(_photo(name.rstrip("\n")) for name in names):
            pass
        used = time.process_time()
        decider = Decider(0.9, 5, "", ModelCategories(()).by_slug)
        rows = LibraryEvidence(options).decided(decider, catalog.readings, catalog)
        found = Counter(outcome.status for _, outcome in rows)
        taken = time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return found[Status.PLACED], taken, peak


def _photo(uri: str) -> Photo:
    return Photo(uri, 4_000_000, "1")


def _known() -> Iterator[Reading]:
    """Readings of the photos of made-up libraries, one after the other in time: somebody's years,
    who moves to another city now and then."""
    begin = datetime(2000, 1, 3, tzinfo=UTC).timestamp()
    for at, library in enumerate(libraries(5000, 400)):
        times = [truth.utc for truth in library.truth.values()]
        days = math.floor((begin - min(times)) / _DAY_S)
        begin += (math.ceil((max(times) - min(times)) / _DAY_S) + _REST_DAYS) * _DAY_S
        for sighting in library.captures:
            yield _reading(sighting, f"{at:03}/{sighting.photo}", days * _DAY_S)


def _reading(sighting: Sighting, name: str, shift: float) -> Reading:
    """What a catalog would know of a photo, its clock set to so much later."""
    assert sighting.clock is not None
    is_phone = sighting.kind is Kind.PHONE
    taken = _iso(sighting.clock + shift, sighting.offset)
    stamp = _iso(sighting.stamp + shift, 0.0) if sighting.stamp is not None else ""
    make = "" if sighting.kind not in TAKEN_HERE else "Apple" if is_phone else "Canon"
    capture = Capture(taken, stamp, make, sighting.device if make else "")
    metadata = Metadata(sighting.position, taken, 1, make or None, "", capture)
    prediction = _SEEN if sighting.position is None else None
    return Reading(_photo(f"/photos/{name}"), metadata, prediction)


def _iso(seconds: float, ahead: float | None) -> str:
    zone = timezone(timedelta(seconds=ahead)) if ahead is not None else None
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=zone).isoformat()


@click.command("places")
@click.option("--first", default=1000, show_default=True, help="The first seed.")
@click.option("--libraries", "count", default=20, show_default=True, help="How many of them.")
@click.option("--peers/--no-peers", default=True, help="The rules of other programs, too.")
@click.option("--located", default=0.0, help="The share of the cameras' photos with a position.")
@click.option("--photos", type=int, help="Only the time for so many photos.")
@click.option(
    "--tracks",
    multiple=True,
    help="One person's recorded tracks, a file or folder: photos are simulated on these instead.",
)
def command(
    first: int,
    count: int,
    peers: bool,
    located: float,
    photos: int | None,
    tracks: tuple[str, ...],
) -> None:
    """Score placing on simulated libraries, by situation."""
    if photos is not None:
        speed(photos)
        return
    if tracks:
        on_tracks(tracks, range(first, first + count))
        return
    rules = {n: r for n, r in RULES.items() if peers or n.startswith("geotag")}
    simulate(first, count, rules, located)
