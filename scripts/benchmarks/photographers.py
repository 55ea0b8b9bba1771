"""Makes libraries of photos by simulated people, with the truth beside.

They carry phones that know their position and cameras that do not, whose clocks are right, or off
by a zone, by minutes, by DST, drift, or were changed on the way. Everything that no real person
would tell us is drawn anew for each seed: how often a phone takes a photo, whether it is taken at
the camera's moments or at its own, how long people stay, how fast they go.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.movement import (
    Life,
    Point,
    Span,
    Walker,
    live,
    live_with,
    moved,
    position,
    zone_offset,
    zone_place,
)
from geotag.places.sighting import Kind, Sighting
from geotag.records import Location

_HOUR, _DAY = 3600.0, 86400.0
_QUIET = {"at home": 0.05, "at work": 0.03, "hotel": 0.1, "on the plane": 0.15}
_DRIVING = 0.5
# Where people sleep until some hour few photos are taken before.
_ASLEEP, _WAKES, _AWAKE = ("at home", "hotel"), 7.0, 0.05
REGIMES = (
    "right", "home zone", "minutes", "no dst", "changed", "home zone and minutes", "zone set late",
    "drift", "twelve hours",
)  # fmt: skip


class Truth(NamedTuple):
    """Where and when a photo really was taken, and in which situation."""

    location: Location
    utc: float
    situation: str
    placeable: bool = True


class Library(NamedTuple):
    """Photos in no order, their truth by name, what is wrong with the clocks of cameras, and
    tracks (UTC)."""

    captures: list[Sighting]
    truth: dict[str, Truth]
    regimes: dict[str, str]
    track: NDArray[np.float64]


def make_library(seed: int, short: bool | None = None) -> Library:
    """One library: its owner, perhaps a partner, their devices, and what must not be placed."""
    rng = np.random.default_rng(seed)
    day = datetime(2015 + seed % 9, int(rng.integers(1, 12)), int(rng.integers(1, 28)), tzinfo=UTC)
    owner = live(rng, day.timestamp(), bool(rng.random() < 0.3) if short is None else short)
    maker = _Maker(rng, owner)
    maker.phone("phone", owner.walker)
    maker.camera("camera", owner.walker)
    if rng.random() < 0.5:
        partner = live_with(rng, owner)
        maker.phone("partner's phone", partner)
        if rng.random() < 0.6:
            maker.camera("partner's camera", partner)
    if rng.random() < 0.3:
        maker.friend(day.timestamp())
    maker.not_to_place()
    apart = np.random.default_rng([seed, 1])
    if apart.random() < 0.4:
        maker.stranger(apart, day.timestamp())
    order = rng.permutation(len(maker.captures))
    captures = [maker.captures[at] for at in order]
    return Library(captures, maker.truth, maker.regimes, _track(rng, owner))


def _track(rng: np.random.Generator, owner: Life) -> NDArray[np.float64]:
    """A logger's points on all journeys, by day: (utc, latitude, longitude)."""
    rows, step = [], rng.uniform(5, 60)
    flights = [s for s in owner.walker.spans if s.situation == "on the plane"]
    for start, end in owner.journeys:
        for t in np.arange(start, end, step):
            at = position(owner.walker, t)
            asleep = (t + zone_offset(at, t)) % _DAY < 8 * _HOUR
            if not asleep and not any(f.start <= t <= f.end for f in flights):
                rows.append((t, *_noisy(rng, at, 6)))
    return np.array(rows).reshape(-1, 3)


def _noisy(rng: np.random.Generator, at: Point, metres: float) -> Point:
    return moved(at, abs(rng.normal(0, metres)), rng.uniform(0, 2 * math.pi))


class _Maker:
    """Takes the photos."""

    def __init__(self, rng: np.random.Generator, owner: Life) -> None:
        self.rng, self.owner = rng, owner
        self.captures: list[Sighting] = []
        self.truth: dict[str, Truth] = {}
        self.regimes: dict[str, str] = {}
        self.scenes: dict[Span, NDArray[np.float64]] = {}

    def phone(self, device: str, who: Walker) -> None:
        """A phone: its clock follows the zone; most photos have a position, few of them an old
        one."""
        rng, habits = self.rng, who.habits
        for utc, situation in self._photos(who, self._of_phone):
            at = position(who, utc)
            ahead = zone_offset(zone_place(who, utc, situation), utc)
            measured = rng.random() < habits.gps and situation != "on the plane"
            seen = position(who, utc - rng.uniform(300, 3600)) if rng.random() < 0.003 else at
            fix = _noisy(rng, seen, 400.0 if rng.random() < 0.01 else 12.0)
            self._add(
                Sighting(
                    "", device, Kind.PHONE, math.floor(utc + ahead),
                    ahead if habits.recorded else None,
                    math.floor(utc) if habits.stamp and measured else None,
                    Location(*fix) if measured else None,
                ),
                Truth(Location(*at), utc, f"phone, {situation}"),
            )  # fmt: skip

    def camera(self, device: str, who: Walker) -> None:
        """A camera: no position, and a clock that somebody set, or did not."""
        self.regimes[device] = str(self.rng.choice(REGIMES))
        photos = list(self._photos(who, self._of_camera))
        ahead = self._clock(self.regimes[device], who, photos)
        for utc, situation in photos:
            self._add(
                Sighting("", device, Kind.CAMERA, math.floor(utc + ahead(utc, situation))),
                Truth(Location(*position(who, utc)), utc, f"camera, {situation}"),
            )

    def _clock(
        self, regime: str, who: Walker, photos: list[tuple[float, str]]
    ) -> Callable[[float, str], float]:
        """How far a clock is ahead of UTC at a moment in some situation."""
        rng, home = self.rng, self.owner.home
        minutes = float(rng.uniform(-900, 900)) if "minutes" in regime else 0.0
        minutes += float(rng.normal(0, 20)) if rng.random() < 0.5 else 0.0
        middle = photos[int(len(photos) * rng.uniform(0.3, 0.7))][0] if photos else 0.0
        other = float(rng.choice([-3600.0, 3600.0, 43200.0, 1234.0, -517.0, 7200.0]))
        drift = float(rng.uniform(-2, 2)) / _DAY
        winter = datetime(2021, 1, 10, tzinfo=UTC).timestamp()

        def ahead(utc: float, situation: str) -> float:
            local = zone_offset(zone_place(who, utc, situation), utc)
            at_home = zone_offset(home, utc)
            match regime:
                case "home zone" | "home zone and minutes" | "drift":
                    found = at_home
                case "no dst":
                    found = zone_offset(home, winter)
                case "changed":
                    found = local + other * (utc >= middle)
                case "zone set late":
                    found = local if utc >= middle else at_home
                case "twelve hours":
                    found = local + 43200.0
                case _:
                    found = local
            if regime == "drift":
                found += drift * (utc - middle)
            return found + minutes

        return ahead

    def friend(self, start: float) -> None:
        """Photos with positions that somebody else sent as they were, from elsewhere."""
        life = live(self.rng, start, True)
        walker = life.walker
        few = walker.habits._replace(phone_rate=0.3, shared=0.0)
        walker.habits = few
        self.phone("friend's phone", walker)

    def stranger(self, rng: np.random.Generator, start: float) -> None:
        """Photos by the camera of somebody else, who was elsewhere and whose phone is not here."""
        walker = live(rng, start, True).walker
        offset = float(rng.choice([0.0, 0.0, 3600.0, rng.uniform(-900, 900)]))
        for utc, _ in self._photos(walker, self._of_phone):
            at = position(walker, utc)
            clock = math.floor(utc + zone_offset(at, utc) + offset)
            self._add(
                Sighting("", "stranger's camera", Kind.CAMERA, clock),
                Truth(Location(*at), utc, "stranger's camera", placeable=False),
            )

    def not_to_place(self) -> None:
        """Screenshots, scans, received pictures, downloads, and default dates."""
        kinds = (Kind.SCREENSHOT, Kind.SCAN, Kind.RECEIVED, Kind.DOWNLOAD, Kind.DEFAULT_DATE)
        spans = self.owner.walker.spans
        for kind in kinds:
            for _ in range(20):
                span = spans[int(self.rng.integers(len(spans)))]
                utc = float(self.rng.uniform(span.start, span.end))
                at = position(self.owner.walker, utc)
                device = {Kind.SCREENSHOT: "phone", Kind.DEFAULT_DATE: "camera"}.get(kind, "")
                clock = utc + zone_offset(at, utc)
                self._add(
                    Sighting("", device, kind, math.floor(clock)),
                    Truth(Location(*at), utc, kind.value, placeable=False),
                )

    def _of_phone(self, who: Walker, span: Span, interest: float) -> NDArray[np.float64]:
        own = self._moments(span, who.habits.phone_rate * interest)
        common = self.scenes.get(span, np.zeros(0))
        seen = common[self.rng.random(len(common)) < who.habits.shared]
        return np.concatenate((own, seen + self.rng.laplace(0, who.habits.delay, len(seen))))

    def _of_camera(self, who: Walker, span: Span, interest: float) -> NDArray[np.float64]:
        return self.scenes.get(span, np.zeros(0))

    def _moments(self, span: Span, rate: float) -> NDArray[np.float64]:
        count = self.rng.poisson(rate * (span.end - span.start) / _HOUR)
        found = self.rng.uniform(span.start, span.end, count)
        if span.situation not in _ASLEEP:
            return found
        place = position(self.owner.walker, span.start)
        local = (found + zone_offset(place, span.start)) % _DAY / _HOUR
        return found[(local > _WAKES) | (self.rng.random(count) < _AWAKE)]

    def _photos(
        self, who: Walker, scenes: Callable[[Walker, Span, float], NDArray[np.float64]]
    ) -> Iterator[tuple[float, str]]:
        """Moments at which a device takes a photo, with the situation: bursts at scenes."""
        rng, habits = self.rng, who.habits
        for span in who.spans:
            if not span.sight:
                continue
            interest = float(rng.gamma(habits.clumping, 1 / habits.clumping))
            interest *= _QUIET.get(span.situation, 1.0)
            interest *= _DRIVING if "driving" in span.situation else 1.0
            if span not in self.scenes:
                day = np.random.default_rng([int(span.start // _DAY), len(who.spans)])
                rate = habits.camera_rate * interest * (day.random() < habits.carried)
                self.scenes[span] = self._moments(span, rate)
            for utc in np.sort(np.clip(scenes(who, span, interest), span.start, span.end)):
                shots = 1 + int(rng.geometric(0.6) if rng.random() < 0.5 else 0)
                for _ in range(shots):
                    yield float(min(utc, span.end)), span.situation
                    utc += rng.exponential(6) + 1

    def _add(self, capture: Sighting, truth: Truth) -> None:
        name = f"{len(self.captures):06d}.jpg"
        self.captures.append(capture._replace(photo=name))
        self.truth[name] = truth


def libraries(first: int, count: int) -> Iterator[Library]:
    """Libraries of consecutive seeds."""
    for seed in range(first, first + count):
        yield make_library(seed)
