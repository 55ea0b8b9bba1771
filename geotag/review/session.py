"""One review: the rows, what is to be looked at, and the decisions, which go to the catalog."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from geotag.errors import UsageError
from geotag.records import Location, Outcome, Status
from geotag.review.queue import Item, Timeline, alike, build_queue
from geotag.review.search import Found, Places
from geotag.state.decisions import Decision, Decisions, Verdict
from geotag.writing.intent import IntentError, check_text
from geotag.writing.writeback import is_path, photo_path

_CLICK_RADIUS_M = 100.0


class Review:
    """A table's doubtful rows and the user's decisions on them; its methods may be called from any
    thread. They raise UsageError for what makes no sense, and CatalogError."""

    def __init__(
        self, rows: Iterable[Outcome], decisions: Decisions, places: Places, with_tagged: bool
    ) -> None:
        self.rows: Sequence[Outcome] = [row for row in rows if is_path(photo_path(row))]
        self.places = places
        self.items = build_queue(self.rows, with_tagged)
        self._timeline = Timeline(self.rows)
        self._by_row = {item.row: item for item in self.items}
        self._number = {photo_path(row): at for at, row in enumerate(self.rows)}
        self._decisions = decisions
        self._lock = threading.Lock()
        self._decided = decisions.all()

    def overview(self) -> list[dict[str, Any]]:
        """What is to be looked at, in order, and what was decided before."""
        with self._lock:
            return [
                {
                    "row": item.row,
                    "doubt": item.doubt.name.lower(),
                    "name": self.rows[item.row].path.rpartition("/")[2],
                    "decision": self._told(item.row),
                }
                for item in self.items
            ]

    def details(self, number: int) -> dict[str, Any]:
        """All that speaks for and against the guesses of one photo."""
        item, row = self._item(number), self.rows[number]
        with self._lock:
            burst, day = (
                sum(self._is_open(other) for other in alike(self.items, item, by_day))
                for by_day in (False, True)
            )
            decision = self._told(number)
        folder, _, name = row.path.rpartition("/")
        return {
            "row": number, "doubt": item.doubt.name.lower(), "name": name, "folder": folder,
            "status": row.status.value, "taken": row.taken_at, "camera": row.camera,
            "evidence": row.evidence, "position": _position(row), "radius": row.radius_m,
            "place": ", ".join(dict.fromkeys(filter(None, (row.place, row.region, row.country)))),
            "candidates": [
                {"landmark": entry.landmark, "slug": entry.slug, "confidence": entry.confidence}
                | self._where(entry.slug)
                for entry in row.top_k
            ],
            "neighbours": self._neighbours(number),
            "burst": burst, "day": day, "decision": decision,
        }  # fmt: skip

    def accept(self, number: int, candidate: int | None) -> list[int]:
        """Take the guess of a photo (None), or one of its candidates, as the user's word."""
        row = self.rows[self._item(number).row]
        if candidate is None and row.status is Status.PLACED:
            return self._keep({number: Decision(Verdict.ACCEPTED)})
        if not 0 <= (at := candidate or 0) < len(row.top_k):
            raise UsageError("there is no such candidate")
        entry = row.top_k[at]
        found = self.places.by_slug(entry.slug)
        if found is None:
            raise UsageError(
                f"it is not known where “{entry.landmark}” is: click on the map, or search for it"
            )
        is_guess = at == 0 and row.status is not Status.PLACED
        return self._keep(
            {number: _chosen(Verdict.ACCEPTED if is_guess else Verdict.CHANGED, found)}
        )

    def change(self, number: int, place: Found) -> list[int]:
        """Give a photo another landmark or place."""
        self._item(number)
        if place.slug:
            known = self.places.by_slug(place.slug)
            if known is None:
                raise UsageError("there is no such landmark")
            place = known
        return self._keep({number: _chosen(Verdict.CHANGED, checked(place))})

    def reject(self, number: int) -> list[int]:
        """Say that the photo shows no landmark, and that its guess is wrong."""
        self._item(number)
        return self._keep({number: Decision(Verdict.REJECTED)})

    def repeat(self, number: int, by_day: bool) -> list[int]:
        """Decide the same for all photos of a burst or day that are not decided upon yet."""
        item = self._item(number)
        with self._lock:
            decision = self._decided.get(photo_path(self.rows[number]))
            if decision is None:
                raise UsageError("this photo is not decided upon yet")
            is_own = decision.verdict is Verdict.ACCEPTED and not decision.landmark
            others = [
                other.row
                for other in alike(self.items, item, by_day)
                # Each placed photo keeps the place of its own.
                if self._is_open(other)
                and not (is_own and self.rows[other.row].status is not Status.PLACED)
            ]
        return self._keep(dict.fromkeys(others, decision)) if others else []

    def undo(self) -> list[int]:
        """Take back the last step, also of an earlier review; returns the photos of this one."""
        with self._lock:
            undone = self._decisions.undo()
            self._decided = self._decisions.all()
        return [self._number[uri] for uri in undone if uri in self._number]

    def path(self, number: int) -> str:
        """The photo that is to be shown."""
        return photo_path(self.rows[self._item(number).row])

    def _keep(self, decided: dict[int, Decision]) -> list[int]:
        by_uri = {photo_path(self.rows[number]): one for number, one in decided.items()}
        with self._lock:
            self._decisions.add(by_uri)
            self._decided |= by_uri
        return list(decided)

    def _item(self, number: int) -> Item:
        item = self._by_row.get(number)
        if item is None:
            raise UsageError("there is no such photo in this review")
        return item

    def _is_open(self, item: Item) -> bool:
        return photo_path(self.rows[item.row]) not in self._decided

    def _told(self, number: int) -> dict[str, Any] | None:
        decision = self._decided.get(photo_path(self.rows[number]))
        return None if decision is None else {**decision._asdict(), "verdict": decision.verdict}

    def _where(self, slug: str) -> dict[str, Any]:
        found = self.places.by_slug(slug)
        place = None if found is None else [found.latitude, found.longitude]
        return {"position": place, "country": found.country if found else ""}

    def _neighbours(self, number: int) -> list[dict[str, Any]]:
        near = self._timeline.neighbours(number, self.rows[number])
        shown = ((self.rows[one.row], one.seconds) for one in near)
        return [
            {
                "name": row.path.rpartition("/")[2], "seconds": seconds, "position": place,
                "inferred": row.position_source != "measured", "radius": row.radius_m,
                "camera": row.camera,
            }
            for row, seconds in shown if (place := _position(row)) is not None
        ]  # fmt: skip


def checked(place: Found) -> Found:
    """A place that can be written. Raises UsageError."""
    latitude, longitude = place.latitude, place.longitude
    if not (math.isfinite(latitude) and math.isfinite(longitude)):
        raise UsageError("no such position")
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise UsageError("no such position")
    name = place.landmark.strip()
    if not name:
        raise UsageError("give the place a name")
    try:
        for text, field in ((name, "name"), (place.city, "city"), (place.country, "country")):
            check_text(text, field)
    except IntentError as error:
        raise UsageError(f"this place cannot be used: {error}") from None
    radius = place.radius_m if place.radius_m > 0 else _CLICK_RADIUS_M
    return place._replace(landmark=name, radius_m=min(radius, 1e6))


def place_at(places: Places, at: Location) -> Found:
    """A place on the map, named by the nearest town, for the user to name."""
    town = places.of_town(places.nearest_town(at))
    return town._replace(latitude=at.latitude, longitude=at.longitude, radius_m=_CLICK_RADIUS_M)


def _chosen(verdict: Verdict, found: Found) -> Decision:
    landmark, slug, latitude, longitude, radius_m, city, country, _ = found
    return Decision(verdict, landmark, slug, latitude, longitude, radius_m, city, country)


def _position(row: Outcome) -> list[float] | None:
    latitude, longitude = row.latitude, row.longitude
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return None
    return [latitude, longitude]
