"""How well the clocks of simulated cameras are found."""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Mapping, Sequence
from operator import attrgetter

import numpy as np

from benchmarks.photographers import Library
from geotag.places.coincidence import thinned, to_nearest
from geotag.places.distance import distance_m
from geotag.places.sighting import TAKEN_HERE, ClockPiece, Kind, Sighting

_NEAR_M = 1000.0
_CLOCK_S = 30.0
# A camera was beside a phone on so many visits, with breaks of an hour between them.
_VISITS, _VISIT_S, _BESIDE_S = 3, 3600.0, 1800.0
# Photos of one moment; clocks up to so many minutes off are compared.
_MOMENT_S, _MINUTES = 45.0, 15


class ClockScore:
    """Cameras with three visits or more beside a phone: whose clocks were found, and how well."""

    def __init__(self) -> None:
        self.photos = self.right = self.wrong = 0
        self.cameras = self.found = self.misled = self.half = 0
        self.telling = self.half_of_telling = 0

    def add(self, library: Library, clocks: Mapping[str, Sequence[ClockPiece]]) -> None:
        """Compare a library's clocks with the truth, photo by photo."""
        for device in library.regimes:
            if _visits_beside_phones(library, device) < _VISITS:
                continue
            right = wrong = photos = 0
            for evidence in _photos_of(library, device):
                photos += 1
                clock = evidence.clock or 0
                truth = clock - library.truth[evidence.photo].utc
                for piece in clocks.get(device, ()):
                    if piece.offset is not None and piece.start <= clock <= piece.end:
                        error = abs(piece.offset - truth)
                        right += error <= _CLOCK_S
                        wrong += error > max(_CLOCK_S, piece.uncertainty)
                        break
            self.photos += photos
            self.right += right
            self.wrong += wrong
            self.cameras += 1
            self.found += right > 0.9 * photos
            self.misled += wrong > 0.02 * photos
            is_told = _shares_moments(library, device)
            self.half += 2 * right >= photos
            self.telling += is_told
            self.half_of_telling += is_told and 2 * right >= photos

    def line(self) -> str:
        """In words."""
        return (
            f"clocks: right within 30 s for {self.right / max(1, self.photos):.1%} of the photos,"
            f" wrong for {self.wrong / max(1, self.photos):.2%}; of {self.cameras} cameras with"
            f" three visits beside a phone {self.found} right, {self.half} for half of the photos,"
            f" {self.misled} wrong; of {self.telling} that share more moments with a phone than by"
            f" any clock up to {_MINUTES} minutes off {self.half_of_telling} right for half"
        )


def _photos_of(library: Library, device: str) -> list[Sighting]:
    return [e for e in library.captures if e.device == device and e.kind in TAKEN_HERE]


def _shares_moments(library: Library, device: str) -> bool:
    """Whether more of a camera's photos were taken at a phone's moments than seem to be by clocks
    some minutes off: else no moments tell its seconds."""
    truth_of = library.truth
    events = thinned(np.sort([truth_of[e.photo].utc for e in _photos_of(library, device)]), 20.0)
    phones = defaultdict[str, list[float]](list)
    for each in library.captures:
        if each.kind is Kind.PHONE:
            phones[each.device].append(truth_of[each.photo].utc)
    wrong = [sign * s for sign in (-1, 1) for s in range(210, 60 * _MINUTES + 1, 30)]
    for taken in map(np.sort, phones.values()):
        true, *others = (
            int(np.sum(to_nearest(events - off, taken) <= _MOMENT_S)) for off in (0, *wrong)
        )
        if true > max(others):
            return True
    return False


def _visits_beside_phones(library: Library, device: str) -> int:
    """How often somebody with a phone photographed within half an hour and a kilometre."""
    by_time, truth_of = attrgetter("utc"), library.truth
    fixes = (e for e in library.captures if e.kind is Kind.PHONE and e.position is not None)
    phones = sorted((truth_of[e.photo] for e in fixes), key=by_time)
    times = [truth.utc for truth in phones]
    visits, last = 0, -np.inf
    for truth in sorted((truth_of[e.photo] for e in _photos_of(library, device)), key=by_time):
        low = bisect.bisect_left(times, truth.utc - _BESIDE_S)
        high = bisect.bisect_right(times, truth.utc + _BESIDE_S)
        if any(distance_m(truth.location, p.location) < _NEAR_M for p in phones[low:high]):
            visits += truth.utc - last > _VISIT_S
            last = truth.utc
    return visits
