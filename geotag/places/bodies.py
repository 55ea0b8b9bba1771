"""Cameras of one model that tell no serial number, told apart by how they number their files. Pure.

Each camera numbers its photos upwards. Where the numbers of what seems to be one camera go to and
fro between two ranges for days, these are two cameras, perhaps of two people.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from geotag.places.sighting import Sighting
from geotag.places.sphere import Floats

# As cameras name files: letters, and up to seven digits of which the last four count on.
_NUMBERED = re.compile(r"([a-z_]{1,5}-?)\d{0,3}(\d{4})(?!\d)", re.IGNORECASE)
_NUMBERS = 10_000
# So many photos may be missing between two of a camera, and so many be numbered out of order;
# mostly no more than a few are.
_AHEAD, _BACK, _STEADY = 500, 5, 50
# A clock that is set back shows some hours twice; two cameras go to and fro for longer than that.
_LONG_S, _FEW, _TURNS = 27 * 3600.0, 8, 6
_COPIES = 0.5
# There may be so many runs at the most, and so many long ones, with most of the photos: else the
# numbers tell nothing.
_RUNS, _BODIES, _MOST = 50, 6, 0.8


def by_body(name: str, photos: Sequence[Sighting]) -> Mapping[str, list[Sighting]]:
    """The photos of a device, sorted by its clock, by the camera that took them, under names of
    their own; all under its own name where nothing tells that there are several."""
    if name.endswith(")"):  # it tells its serial number
        return {name: list(photos)}
    runs = _telling(_runs(photos))
    clock = np.array([each.clock for each in photos], dtype=float)
    if not any(_alternate(clock[one], clock[other]) for one, other in combinations(runs, 2)):
        return {name: list(photos)}
    found: dict[str, list[Sighting]] = {}
    for run in runs:
        body = f"{name} ({_file_of(photos[run[0]])} and on)"
        if body in found:  # new cameras all begin with the same number
            body = f"{name} ({_file_of(photos[run[0]])} and on, {len(found) + 1})"
        found[body] = [photos[at] for at in run]
    known = {at for run in runs for at in run}
    rest = [photo for at, photo in enumerate(photos) if at not in known]
    return found | ({f"{name} (other files)": rest} if rest else {})


class _Run(NamedTuple):
    """Photos (by their place) whose numbers go on from one to the next."""

    prefix: str
    rows: list[int]
    numbers: list[int]

    @property
    def is_steady(self) -> bool:
        """Whether it is that of one camera, of which not too many photos are missing."""
        steps = np.diff(self.numbers) % _NUMBERS
        return len(self.rows) >= _FEW and float(np.median(steps)) <= _STEADY


def _runs(photos: Sequence[Sighting]) -> list[_Run]:
    """The runs in order of their first photos; an empty list where there are too many."""
    runs = list[_Run]()
    for at, photo in enumerate(photos):
        match = _NUMBERED.match(_file_of(photo))
        if match is None:
            continue
        prefix, number = match[1].lower(), int(match[2])
        away = [
            (abs((number - run.numbers[-1] + _BACK) % _NUMBERS - _BACK), row)
            for row, run in enumerate(runs)
            if run.prefix == prefix
        ]
        step, row = min(away, default=(_NUMBERS, -1))
        if step > _AHEAD:
            if len(runs) == _RUNS:
                return []
            runs.append(_Run(prefix, [at], [number]))
        else:
            last = runs[row].numbers[-1]
            runs[row].rows.append(at)
            runs[row].numbers.append(number if (number - last) % _NUMBERS <= _AHEAD else last)
    return runs


def _telling(runs: Sequence[_Run]) -> list[list[int]]:
    """The photos of the long runs, if these are few and hold most of all numbered photos."""
    steady = [run.rows for run in runs if run.is_steady]
    some, numbered = sum(map(len, steady)), sum(len(run.rows) for run in runs)
    return steady if len(steady) <= _BODIES and some >= _MOST * numbered else []


def _alternate(one: Floats, other: Floats) -> bool:
    """Whether two cameras took photos by turns for days: not one after the other, nor one whose
    photos are copies of the other's."""
    low, high = max(one[0], other[0]), min(one[-1], other[-1])
    if high - low <= _LONG_S:
        return False
    fewer, more = sorted((one, other), key=len)
    if np.mean(np.isin(fewer, more)) > _COPIES:
        return False
    whose = np.repeat([0, 1], (len(one), len(other)))[np.argsort(np.concatenate((one, other)))]
    return int(np.sum(np.diff(whose) != 0)) >= _TURNS


def _file_of(photo: Sighting) -> str:
    return photo.photo.rpartition("/")[2]
