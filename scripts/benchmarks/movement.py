"""Makes libraries of photos from simulated movement of people, with the truth beside.

People stay at home, go to work, walk in cities, drive, fly to other time zones, alone and
together; they carry phones that know their position and cameras that do not, whose clocks are
right, or off by a zone, by minutes, by DST, or changed on the way. Everything that no real person
would tell us is drawn anew for each seed: how often a phone takes a photo, whether it is taken at
the camera's moments or at its own, how long people stay, how fast they go.
"""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import tzfpy
from numpy.typing import NDArray

from geotag.places.sighting import Kind, Sighting
from geotag.records import Location

_METRES = 111_195.0  # of a degree of latitude
_HOUR, _DAY = 3600.0, 86400.0
CITIES = [
    (48.857, 2.352), (52.52, 13.405), (40.713, -74.006), (34.052, -118.244), (35.68, 139.76),
    (-33.87, 151.21), (-36.85, 174.76), (-18.14, 178.44), (51.507, -0.128), (41.9, 12.5),
    (59.33, 18.07), (64.15, -21.94), (78.22, 15.65), (61.22, -149.9), (19.43, -99.13),
    (-23.55, -46.63), (-1.29, 36.82), (30.04, 31.24), (28.61, 77.21), (27.72, 85.32),
    (1.35, 103.82), (55.75, 37.62), (22.3, 114.17), (39.9, 116.4), (-13.83, -171.77),
    (64.73, 177.5), (25.2, 55.27), (45.46, 9.19), (47.38, 8.54), (41.39, 2.17), (38.72, -9.14),
    (53.35, -6.26), (43.65, -79.38),
]  # fmt: skip


class Truth(NamedTuple):
    """Where and when a photo really was taken, and in which situation."""

    location: Location
    utc: float
    situation: str
    placeable: bool = True


class ClockTruth(NamedTuple):
    """How far a clock was ahead of UTC between two moments (UTC)."""

    start: float
    end: float
    offset: float


Point = tuple[float, float]


class Library(NamedTuple):
    """Photos in no order, their truth by name, the clocks of cameras, and tracks (UTC)."""

    captures: list[Sighting]
    truth: dict[str, Truth]
    clocks: dict[str, list[ClockTruth]]
    track: NDArray[np.float64]


class Habits(NamedTuple):
    """What differs from one library to the next."""

    phone_rate: float  # photos of a phone at a sight, an hour
    camera_rate: float
    shared: float  # how many of the camera's moments have a photo by the phone, too
    delay: float  # seconds between the two, at the median
    gps: float  # share of a phone's photos with a position
    stamp: float  # share of phones that record UTC from GPS
    recorded: float  # share of phones that record the offset of their zone
    detour: float
    pace: float


def draw_habits(rng: np.random.Generator) -> Habits:
    """Somebody's habits."""
    return Habits(
        phone_rate=float(rng.uniform(2, 12)),
        camera_rate=float(rng.uniform(6, 40)),
        shared=float(rng.choice([0.0, 0.05, 0.15, 0.3, 0.5])),
        delay=float(rng.uniform(8, 45)),
        gps=float(rng.uniform(0.7, 1.0)),
        stamp=float(rng.choice([0.0, 1.0])),
        recorded=float(rng.choice([0.0, 1.0])),
        detour=float(rng.uniform(0.05, 0.3)),
        pace=float(rng.uniform(0.9, 1.4)),
    )


class Span(NamedTuple):
    """A stretch of somebody's time, and what kind of photos it brings."""

    start: float
    end: float
    situation: str
    sight: bool


class Walker:
    """Builds one person's way through the world."""

    def __init__(
        self, rng: np.random.Generator, habits: Habits, at: tuple[float, float], t: float
    ) -> None:
        self.rng, self.habits, self.t, self.at = rng, habits, t, at
        self.times, self.ways, self.spans = [t], [at], list[Span]()

    def near(self, low: float, high: float, of: Point | None = None) -> Point:
        """A point so many metres away."""
        return moved(of or self.at, self.rng.uniform(low, high), self.rng.uniform(0, 2 * math.pi))

    def go(
        self, to: tuple[float, float], speed: float, situation: str, sight: bool = False
    ) -> None:
        """Travel with a bend or two."""
        start, origin = self.t, self.at
        way = distance(origin, to)
        bends = 0 if way > 400_000 else int(self.rng.integers(1, 5))
        for fraction in np.sort(self.rng.uniform(0.1, 0.9, bends)):
            straight = part(origin, to, float(fraction))
            self._step(self.near(0, way * self.habits.detour, straight), speed)
        self._step(to, speed)
        self.spans.append(Span(start, self.t, situation, sight))

    def _step(self, to: tuple[float, float], speed: float) -> None:
        pace = speed * self.rng.uniform(0.7, 1.2)
        self._until(self.t + max(1.0, distance(self.at, to) / pace), to)

    def _until(self, t: float, at: tuple[float, float]) -> None:
        self.t, self.at = t, at
        self.times.append(t)
        self.ways.append(at)

    def stay(self, seconds: float, situation: str, sight: bool, stroll: float) -> None:
        """Stay about a place, strolling up to so many metres around it."""
        start, centre, end = self.t, self.at, self.t + seconds
        while stroll and self.t + 240 < end:
            pause = min(self.rng.exponential(400), end - self.t - 120)
            self._until(self.t + max(pause, 1), self.at)
            to = self.near(0, stroll, centre)
            self._until(min(end, self.t + distance(self.at, to) / self.habits.pace + 1), to)
        if end > self.t:
            self._until(end, self.at)
        self.spans.append(Span(start, self.t, situation, sight))

    def city_walk(self, hours: float, situation: str) -> None:
        """From sight to sight on foot, with a tram now and then."""
        end, centre = self.t + hours * _HOUR, self.at
        while self.t < end:
            speed = self.habits.pace if self.rng.random() < 0.75 else 6.0
            self.go(self.near(200, 1800, centre), speed, situation, True)
            self.stay(self.rng.uniform(300, 3000), situation, True, self.rng.uniform(20, 150))

    def road_trip(self, hours: float, situation: str) -> None:
        """Drive across the country, with stops."""
        end, bearing = self.t + hours * _HOUR, self.rng.uniform(0, 2 * math.pi)
        while self.t < end:
            way = self.rng.uniform(8_000, 90_000)
            to = moved(self.at, way, bearing + self.rng.normal(0, 0.5))
            self.go(to, self.rng.uniform(13, 30), situation + ", driving", self.rng.random() < 0.5)
            self.stay(self.rng.uniform(600, 6000), situation, True, self.rng.uniform(30, 500))

    def hike(self, hours: float, situation: str) -> None:
        """Up and away on foot, and back."""
        end, bearing = self.t + hours * _HOUR, self.rng.uniform(0, 2 * math.pi)
        while self.t < end:
            to = moved(self.at, self.rng.uniform(300, 1500), bearing + self.rng.normal(0, 0.6))
            self.go(to, self.rng.uniform(0.6, 1.3), situation, True)
            self.stay(self.rng.uniform(60, 900), situation, True, 20)

    def fly(self, to: tuple[float, float]) -> None:
        """Board, roll, fly and roll again."""
        start = self.t
        self._until(self.t + self.rng.uniform(900, 2400), self.near(0, 800))
        self._until(self.t + 900, moved(part(self.at, to, 0.001), 30_000, 1.0))
        self._step(to, 235)
        self._until(self.t + 600, self.near(0, 800))
        self.spans.append(Span(start, self.t, "on the plane", True))

    def until_local(
        self, hour: float, situation: str, sight: bool = False, stroll: float = 0.0
    ) -> None:
        """Stay here until the local clock shows an hour."""
        local = self.t + zone_offset(self.at, self.t)
        wait = (hour * _HOUR - local % _DAY) % _DAY
        if wait > 0:
            self.stay(wait, situation, sight, stroll)


def moved(at: tuple[float, float], metres: float, bearing: float) -> tuple[float, float]:
    """A point some way off."""
    latitude = at[0] + metres / _METRES * math.cos(bearing)
    latitude = min(89.5, max(-89.5, latitude))
    across = max(0.01, math.cos(math.radians(at[0])))
    longitude = at[1] + metres / _METRES * math.sin(bearing) / across
    return latitude, (longitude + 180) % 360 - 180


def distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle metres."""
    phi, psi = math.radians(a[0]), math.radians(b[0])
    lam = math.radians(b[1] - a[1])
    chord = math.sin((psi - phi) / 2) ** 2 + math.cos(phi) * math.cos(psi) * math.sin(lam / 2) ** 2
    return 2 * 6_371_008.8 * math.asin(min(1.0, math.sqrt(chord)))


def part(a: tuple[float, float], b: tuple[float, float], fraction: float) -> tuple[float, float]:
    """Between two points, the short way around."""
    east = (b[1] - a[1] + 180) % 360 - 180
    longitude = (a[1] + fraction * east + 180) % 360 - 180
    return a[0] + fraction * (b[0] - a[0]), longitude


def zone_offset(at: tuple[float, float], utc: float) -> float:
    """Seconds that local clocks are ahead of UTC."""
    zone = _zone(round(at[0], 1), round(at[1], 1))
    found = datetime.fromtimestamp(utc, UTC).astimezone(zone).utcoffset()
    return found.total_seconds() if found else 0.0


def zone_at(place: Location, clock: float) -> float:
    """How far the local time of a place is ahead of UTC, by a reading of local time."""
    at = (place.latitude, place.longitude)
    return zone_offset(at, clock - zone_offset(at, clock))


@functools.cache
def _zone(latitude: float, longitude: float) -> ZoneInfo:
    return ZoneInfo(tzfpy.get_tz(longitude, latitude) or "UTC")


def position(walker: Walker, t: float) -> tuple[float, float]:
    """Where somebody is at a moment."""
    after = bisect.bisect_left(walker.times, t)
    after = min(max(after, 1), len(walker.times) - 1)
    start, end = walker.times[after - 1], walker.times[after]
    fraction = min(1.0, max(0.0, (t - start) / max(end - start, 1e-6)))
    return part(walker.ways[after - 1], walker.ways[after], fraction)


def zone_place(walker: Walker, t: float, situation: str) -> tuple[float, float]:
    """Where the zone is that devices show: on a plane, that of the departure."""
    if situation != "on the plane":
        return position(walker, t)
    return position(walker, max(s.start for s in walker.spans if s.start <= t))


def _weeks_at_home(w: Walker, home: Point, work: Point, weeks: int) -> None:
    for day in range(7 * weeks):
        w.until_local(8, "at home", sight=True, stroll=15)
        if day % 7 < 5:
            w.go(work, w.rng.uniform(6, 14), "commute")
            w.until_local(17, "at work", sight=True, stroll=60)
            if w.rng.random() < 0.4:
                w.go(w.near(500, 6000), 6, "evening out")
                w.stay(w.rng.uniform(3600, 9000), "evening out", True, 80)
            w.go(home, w.rng.uniform(6, 14), "commute")
        elif w.rng.random() < 0.7:
            w.go(w.near(1000, 8000), 7, "commute")
            w.city_walk(w.rng.uniform(2, 6), "weekend walk")
            w.go(home, 8, "commute")
        w.until_local(23, "at home", sight=True, stroll=15)


def _journey(w: Walker, home: Point, days: int) -> tuple[float, float]:
    """A flight to another city, days there, and back; the time abroad."""
    city = CITIES[int(w.rng.integers(len(CITIES)))]
    w.until_local(9, "at home")
    w.go(w.near(10_000, 25_000), 14, "to the airport", True)
    w.stay(w.rng.uniform(5000, 9000), "airport", True, 200)
    w.fly(w.near(5000, 20_000, city))
    start = w.t
    w.stay(2400, "airport", True, 150)
    hotel = w.near(200, 3000, city)
    w.go(hotel, 12, "to the airport", True)
    for _ in range(days):
        w.until_local(9, "hotel", stroll=15)
        kind = w.rng.choice(["walk", "walk", "road", "hike"])
        if kind == "walk":
            w.city_walk(w.rng.uniform(5, 10), "city abroad")
        elif kind == "road":
            w.road_trip(w.rng.uniform(4, 9), "road trip")
        else:
            w.go(w.near(5000, 40_000), 18, "road trip, driving")
            w.hike(w.rng.uniform(2, 5), "hike")
        w.go(hotel, 18 if kind != "walk" else 5, "evening out")
    end = w.t
    w.go(w.near(5000, 20_000, city), 12, "to the airport", True)
    w.stay(7200, "airport", True, 200)
    w.fly(w.near(8000, 20_000, home))
    w.stay(1800, "airport", True, 100)
    w.go(home, 12, "to the airport", True)
    return start, end


def make_library(seed: int, weeks: int = 2, journeys: int = 2, days: int = 4) -> Library:
    """One library: its owner, perhaps a partner, their devices, and what must not be placed."""
    rng = np.random.default_rng(seed)
    habits = draw_habits(rng)
    home = CITIES[int(rng.integers(len(CITIES)))]
    start = datetime(2015 + seed % 9, int(rng.integers(1, 12)), 3, tzinfo=UTC).timestamp()
    owner = Walker(rng, habits, home, start)
    work = owner.near(2000, 25_000, home)
    abroad: list[tuple[float, float]] = []
    for _ in range(journeys):
        _weeks_at_home(owner, home, work, weeks)
        abroad.append(_journey(owner, home, days))
    maker = _Maker(rng, habits, owner, home, abroad)
    maker.phone("phone", owner, habits)
    maker.camera("camera", owner, habits)
    if rng.random() < 0.5:
        partner = _partner(rng, habits, owner, home, abroad)
        theirs = draw_habits(rng)
        maker.phone("partner's phone", partner, theirs)
        if rng.random() < 0.6:
            maker.camera("partner's camera", partner, theirs)
    maker.not_to_place()
    order = rng.permutation(len(maker.captures))
    captures = [maker.captures[at] for at in order]
    return Library(captures, maker.truth, maker.clocks, _track(rng, owner, abroad[0]))


def _partner(
    rng: np.random.Generator, habits: Habits, owner: Walker, home: Point, abroad: list[Point]
) -> Walker:
    """Somebody who lives with the owner, works elsewhere, and comes along on most journeys."""
    partner = Walker(rng, habits, home, owner.times[0])
    work = partner.near(2000, 25_000, home)
    edges = [owner.times[0], *(edge for pair in abroad for edge in pair)]
    for at, (leave, back) in enumerate(abroad):
        weeks = max(1, round((leave - edges[2 * at]) / (7 * _DAY)))
        _weeks_at_home(partner, home, work, weeks)
        if rng.random() < 0.7:  # along: from the plane on, wherever the owner goes
            cut = leave - 20 * _HOUR
            _follow(partner, owner, max(cut, edges[2 * at]), back)
        elif partner.t < back:
            partner.stay(back - partner.t, "at home", True, 15)
    return partner


def _follow(partner: Walker, owner: Walker, start: float, end: float) -> None:
    keep = [i for i, t in enumerate(partner.times) if t < start]
    partner.times = [partner.times[i] for i in keep]
    partner.ways = [partner.ways[i] for i in keep]
    partner.spans = [s for s in partner.spans if s.end < start]
    if partner.times and distance(partner.ways[-1], position(owner, start)) > 1:
        partner.times.append(start)  # somehow they meet
        partner.ways.append(position(owner, start))
    for t, at in zip(owner.times, owner.ways, strict=True):
        if start < t <= end:
            partner.times.append(t)
            partner.ways.append(at)
    partner.spans += [s for s in owner.spans if s.start >= start and s.end <= end]
    partner.t, partner.at = partner.times[-1], partner.ways[-1]


def _track(
    rng: np.random.Generator, owner: Walker, span: tuple[float, float]
) -> NDArray[np.float64]:
    """A logger's points on the first journey: (utc, latitude, longitude), in segments by gaps."""
    times = np.arange(span[0], span[1], rng.uniform(5, 60))
    awake = np.array([(t + zone_offset(position(owner, t), t)) % _DAY > 8 * _HOUR for t in times])
    rows = [(t, *_noisy(rng, position(owner, t), 6)) for t in times[awake]]
    return np.array(rows).reshape(-1, 3)


def _noisy(rng: np.random.Generator, at: tuple[float, float], metres: float) -> tuple[float, float]:
    return moved(at, abs(rng.normal(0, metres)), rng.uniform(0, 2 * math.pi))


class _Maker:
    """Takes the photos."""

    def __init__(
        self,
        rng: np.random.Generator,
        habits: Habits,
        owner: Walker,
        home: Point,
        abroad: list[Point],
    ) -> None:
        self.rng, self.habits, self.owner, self.home, self.abroad = rng, habits, owner, home, abroad
        self.captures: list[Sighting] = []
        self.truth: dict[str, Truth] = {}
        self.clocks: dict[str, list[ClockTruth]] = {}
        self.moments: dict[int, NDArray[np.float64]] = {}

    def phone(self, device: str, who: Walker, habits: Habits) -> None:
        """A phone: its clock follows the zone; most photos have a position."""
        rng = self.rng
        stamps, recorded = rng.random() < habits.stamp, rng.random() < habits.recorded
        for utc, situation in self._photos(who, habits.phone_rate, habits, shared=True):
            at = position(who, utc)
            ahead = zone_offset(zone_place(who, utc, situation), utc)
            measured = rng.random() < habits.gps and situation != "on the plane"
            noise = 400.0 if rng.random() < 0.01 else 12.0
            self._add(
                Sighting(
                    "", device, Kind.PHONE, math.floor(utc + ahead),
                    ahead if recorded else None,
                    math.floor(utc) if stamps and measured else None,
                    Location(*_noisy(rng, at, noise)) if measured else None,
                ),
                Truth(Location(*at), utc, f"phone, {situation}"),
            )  # fmt: skip

    def camera(self, device: str, who: Walker, habits: Habits) -> None:
        """A camera: no position, and a clock that somebody set, or did not."""
        regime = self.rng.choice(
            ["right", "home zone", "minutes", "no dst", "changed", "home zone and minutes"]
        )
        photos = list(self._photos(who, habits.camera_rate, habits, shared=False))
        noted: list[tuple[float, float]] = []
        minutes = float(self.rng.uniform(-900, 900)) if "minutes" in regime else 0.0
        changed = photos[len(photos) // 2][0] if photos else 0.0
        other = float(self.rng.choice([-3600.0, 3600.0, 43200.0, 1234.0, -517.0]))
        for utc, situation in photos:
            at = position(who, utc)
            there = zone_place(who, utc, situation)
            local, at_home = zone_offset(there, utc), zone_offset(self.home, utc)
            ahead = at_home if regime.startswith("home") else local
            if regime == "no dst":
                ahead = zone_offset(there, datetime(2021, 1, 10, tzinfo=UTC).timestamp())
            if regime == "changed" and utc >= changed:
                ahead += other
            ahead += minutes
            noted.append((utc, ahead))
            self._add(
                Sighting("", device, Kind.CAMERA, math.floor(utc + ahead)),
                Truth(Location(*at), utc, f"camera, {situation}"),
            )
        self.clocks[device] = _pieces(noted)

    def not_to_place(self) -> None:
        """Screenshots, scans, received pictures, downloads, default dates, and days with nobody."""
        kinds = (Kind.SCREENSHOT, Kind.SCAN, Kind.RECEIVED, Kind.DOWNLOAD, Kind.DEFAULT_DATE)
        for kind in kinds:
            for _ in range(20):
                span = self.owner.spans[int(self.rng.integers(len(self.owner.spans)))]
                utc = float(self.rng.uniform(span.start, span.end))
                at = position(self.owner, utc)
                device = {Kind.SCREENSHOT: "phone", Kind.DEFAULT_DATE: "camera"}.get(kind, "")
                clock = utc + zone_offset(at, utc)
                self._add(
                    Sighting("", device, kind, math.floor(clock)),
                    Truth(Location(*at), utc, kind.value, placeable=False),
                )

    def _photos(
        self, who: Walker, rate: float, habits: Habits, shared: bool
    ) -> Iterator[tuple[float, str]]:
        """Moments at which a device takes a photo, with the situation."""
        rng = self.rng
        for span in who.spans:
            hours = (span.end - span.start) / _HOUR
            if not span.sight:
                continue
            quiet = 0.02 if span.situation in ("at home", "at work") else 1.0
            quiet *= {"on the plane": 0.1}.get(span.situation, 1.0)
            quiet *= 0.3 if "driving" in span.situation else 1.0
            own = rng.uniform(span.start, span.end, rng.poisson(rate * hours * quiet))
            key = hash((round(span.start), round(span.end)))
            if key not in self.moments:
                count = rng.poisson(habits.camera_rate * hours * quiet)
                self.moments[key] = rng.uniform(span.start, span.end, count)
            common = self.moments[key]
            if shared:
                seen = common[rng.random(len(common)) < habits.shared]
                seen = seen + rng.laplace(0, habits.delay, len(seen))
                times = np.concatenate((own, seen))
            else:
                times = common
            for utc in np.sort(np.clip(times, span.start, span.end)):
                for at in range(1 + (rng.random() < 0.3) * int(rng.integers(1, 4))):
                    yield float(min(utc + 3 * at, span.end)), span.situation

    def _add(self, capture: Sighting, truth: Truth) -> None:
        name = f"{len(self.captures):06d}.jpg"
        self.captures.append(capture._replace(photo=name))
        self.truth[name] = truth


def _pieces(noted: list[tuple[float, float]]) -> list[ClockTruth]:
    pieces: list[ClockTruth] = []
    for utc, ahead in sorted(noted):
        if pieces and abs(pieces[-1].offset - ahead) < 1:
            pieces[-1] = pieces[-1]._replace(end=utc)
        else:
            pieces.append(ClockTruth(utc, utc, ahead))
    return pieces


def libraries(first: int, count: int) -> Iterator[Library]:
    """Libraries of consecutive seeds."""
    for seed in range(first, first + count):
        yield make_library(seed)
