"""Simulated movement of people: at home, at work, in cities, on roads and rails, in the air."""

from __future__ import annotations

import bisect
import functools
import math
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import tzfpy

from geotag.places.distance import distance_m
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
    (53.35, -6.26), (43.65, -79.38), (-12.46, 130.84), (-34.93, 138.6), (47.56, -52.71),
    (35.69, 51.39), (16.84, 96.17), (-43.95, -176.56), (50.08, 14.44), (43.77, 11.25),
    (47.8, 13.04), (55.95, -3.19), (37.77, -122.42), (-22.9, -43.2), (-33.92, 18.42),
]  # fmt: skip


Point = tuple[float, float]


class Habits(NamedTuple):
    """What differs from one person to the next."""

    phone_rate: float  # scenes of a phone at a sight, an hour
    camera_rate: float
    clumping: float  # the shape of the gamma distribution by which sights differ
    shared: float  # how many of the camera's scenes have a photo by the phone, too
    delay: float  # seconds between the two, at the median
    carried: float  # on how many days the camera comes along
    gps: float  # share of a phone's photos with a position
    stamp: bool  # whether the phone records UTC from GPS
    recorded: bool  # whether the phone records the offset of its zone
    detour: float
    pace: float


def draw_habits(rng: np.random.Generator) -> Habits:
    return Habits(
        phone_rate=float(np.exp(rng.uniform(np.log(0.5), np.log(6)))),
        camera_rate=float(np.exp(rng.uniform(np.log(1.5), np.log(12)))),
        clumping=float(rng.uniform(0.4, 3)),
        shared=float(rng.choice([0.0, 0.05, 0.15, 0.3, 0.5])),
        delay=float(rng.uniform(8, 45)),
        carried=float(rng.uniform(0.4, 1.0)),
        gps=float(rng.uniform(0.6, 1.0)),
        stamp=bool(rng.random() < 0.5),
        recorded=bool(rng.random() < 0.5),
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

    def train(self, to: Point) -> None:
        """By rail, with photos out of the window."""
        self.go(self.near(300, 3000), 4, "by train", True)
        self.stay(self.rng.uniform(300, 1200), "by train", True, 40)
        self.go(to, self.rng.uniform(22, 55), "by train", True)

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
    return distance_m(Location(*a), Location(*b))


def part(a: tuple[float, float], b: tuple[float, float], fraction: float) -> tuple[float, float]:
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


def _weeks_at_home(w: Walker, home: Point, work: Point, days: int) -> None:
    for day in range(days):
        w.until_local(8, "at home", sight=True, stroll=15)
        if day % 7 < 5:
            w.go(work, w.rng.uniform(6, 14), "commute")
            w.until_local(17, "at work", sight=True, stroll=60)
            if w.rng.random() < 0.3:
                w.go(w.near(500, 6000), 6, "evening out")
                w.stay(w.rng.uniform(3600, 9000), "evening out", True, 80)
            w.go(home, w.rng.uniform(6, 14), "commute")
        elif w.rng.random() < 0.6:
            _day_out(w, home)
        w.until_local(23, "at home", sight=True, stroll=15)


def _day_out(w: Walker, home: Point) -> None:
    """A walk in town, or a day trip by train or car."""
    kind = w.rng.choice(["walk", "walk", "train", "road"])
    if kind == "walk":
        w.go(w.near(1000, 8000), 7, "commute")
        w.city_walk(w.rng.uniform(2, 6), "weekend walk")
        w.go(home, 8, "commute")
    elif kind == "train":
        w.train(w.near(30_000, 200_000))
        w.city_walk(w.rng.uniform(2, 5), "weekend walk")
        w.train(home)
    else:
        w.road_trip(w.rng.uniform(3, 6), "road trip")
        w.go(home, 24, "road trip, driving", True)


def _journey(w: Walker, home: Point, days: int) -> None:
    """To another city by air, rail or road, days there, and back."""
    by_air = w.rng.random() < 0.7
    city = CITIES[int(w.rng.integers(len(CITIES)))] if by_air else w.near(80_000, 600_000)
    w.until_local(9, "at home")
    if by_air:
        _fly(w, city)
    elif w.rng.random() < 0.5:
        w.train(city)
    else:
        w.road_trip(w.rng.uniform(3, 6), "road trip")
        city = w.at
    hotel = w.near(200, 3000, city)
    w.go(hotel, 12, "to the airport" if by_air else "evening out", by_air)
    for _ in range(days):
        _day_abroad(w, hotel)
    if by_air:
        _fly(w, home)
    w.go(home, 12 if by_air else 24, "to the airport" if by_air else "road trip, driving", True)


def _fly(w: Walker, to: Point) -> None:
    w.go(w.near(8000, 25_000), 14, "to the airport", True)
    w.stay(w.rng.uniform(4000, 9000), "airport", True, 200)
    w.fly(w.near(8000, 20_000, to))
    w.stay(w.rng.uniform(1200, 3000), "airport", True, 150)


def _day_abroad(w: Walker, hotel: Point) -> None:
    w.until_local(w.rng.uniform(8, 10), "hotel", stroll=15)
    kind = w.rng.choice(["walk", "walk", "road", "hike"])
    if kind == "walk":
        w.city_walk(w.rng.uniform(4, 10), "city abroad")
    elif kind == "road":
        w.road_trip(w.rng.uniform(4, 9), "road trip")
    else:
        w.go(w.near(5000, 40_000), 18, "road trip, driving")
        w.hike(w.rng.uniform(2, 5), "hike")
    w.go(hotel, 18 if kind != "walk" else 5, "evening out", w.rng.random() < 0.5)


class Life(NamedTuple):
    """Somebody's way, their home, and when they were on journeys (UTC)."""

    walker: Walker
    home: Point
    journeys: list[tuple[float, float]]


def live(rng: np.random.Generator, start: float, short: bool) -> Life:
    """Days at home and journeys; a short life has one of them."""
    city = CITIES[int(rng.integers(len(CITIES)))]
    home = moved(city, float(rng.uniform(0, 25_000)), float(rng.uniform(0, 2 * math.pi)))
    walker = Walker(rng, draw_habits(rng), home, start)
    work = walker.near(2000, 25_000, home)
    journeys = []
    for _ in range(1 if short else int(rng.integers(1, 4))):
        _weeks_at_home(walker, home, work, int(rng.integers(1, 5 if short else 15)))
        begin = walker.t
        _journey(walker, home, int(rng.integers(2, 4 if short else 8)))
        journeys.append((begin, walker.t))
    return Life(walker, home, journeys)


def live_with(rng: np.random.Generator, other: Life) -> Walker:
    """Somebody who lives with another, works elsewhere, comes along on most journeys, and goes
    some ways of their own on these."""
    partner = Walker(rng, draw_habits(rng), other.home, other.walker.times[0])
    work = partner.near(2000, 25_000, other.home)
    for leave, back in other.journeys:
        days = int((leave - partner.t) / _DAY)
        if days > 0:
            _weeks_at_home(partner, other.home, work, days)
        if rng.random() < 0.75:
            _follow(partner, other.walker, max(leave, partner.t), back)
            if rng.random() < 0.5:
                _stray(partner, leave, back)
        elif partner.t < back:
            partner.stay(back - partner.t, "at home", True, 15)
    return partner


def _follow(partner: Walker, other: Walker, start: float, end: float) -> None:
    here = position(other, start)
    if distance(partner.at, here) > 1:
        partner.go(here, 14, "commute")
        start = max(start, partner.t)
    partner.times.append(max(start, partner.t + 1))  # somehow they meet
    partner.ways.append(position(other, partner.times[-1]))
    for t, at in zip(other.times, other.ways, strict=True):
        if partner.times[-1] < t <= end:
            partner.times.append(t)
            partner.ways.append(at)
    partner.spans += [s for s in other.spans if s.start >= start and s.end <= end]
    partner.t, partner.at = partner.times[-1], partner.ways[-1]


def _stray(partner: Walker, start: float, end: float) -> None:
    """A few hours apart in the middle of a journey, in the same town."""
    rng, begin = partner.rng, 0.5 * (start + end)
    walks = [s for s in partner.spans if s.start > begin and s.situation == "city abroad"]
    if not walks:
        return
    begin, until = walks[0].start, min(walks[0].start + 3 * _HOUR, end)
    alone = Walker(rng, partner.habits, position(partner, begin), begin)
    alone.city_walk((until - begin) / _HOUR * 0.7, "city abroad")
    back = max(until, alone.t + 600)
    rest = [(t, at) for t, at in zip(partner.times, partner.ways, strict=True) if t > back]
    kept = [(t, at) for t, at in zip(partner.times, partner.ways, strict=True) if t < begin]
    way = kept + list(zip(alone.times, alone.ways, strict=True)) + rest
    partner.times, partner.ways = [t for t, _ in way], [at for _, at in way]
    apart = [s for s in partner.spans if s.end <= begin or s.start >= back]
    partner.spans = sorted(apart + alone.spans)
