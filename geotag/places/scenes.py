"""Finds the measured photos that show the same picture as another, or the same scene. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geotag.places.copies import inherited
from geotag.places.distance import distance_m
from geotag.places.readings import sighting_of
from geotag.places.sighting import Kind, Method, Neighbour, Placement
from geotag.places.sphere import to_degrees, to_vectors
from geotag.records import Location, Reading

# A photo's URI, its embedding as int8 and, in so many bytes behind it, its fingerprint.
Kept = tuple[str, bytes]
_PRINT = 32
# Pictures whose fingerprints differ in so few of 255 bits, and that look so much alike, are one
# picture; one of fog or a wall has few bits to tell it by.
_SAME_BITS, _SAME = 20, 0.85
_LEAST_BITS, _BITS = 80, 255
# So much alike (the cosine of their embeddings) are photos of one scene, and so much more than
# those of any other place.
_ALIKE, _CLEARER = 0.76, 0.06
# Faces, forests and beaches are alike wherever they are: scenes are compared only where a photo
# may show a landmark at all, with this probability.
SHOWN = 0.2
# Photos of one scene were taken this far from the likest one at most; those of one moment are one
# witness.
_TOGETHER_M = 5000.0
_MOMENT_S, _WITNESSES = 600.0, 2
# The radius: the more, the further apart the witnesses stood.
_RADIUS_M, _BY_SPREAD = 500.0, 3.0
# What is searched is a projection of the embeddings; of the likest by it the cosines are taken.
_SKETCH, _POSSIBLE, _CANDIDATES = 256, 0.5, 128
_BLOCK, _ROWS = 256, 4096
Floats = NDArray[np.float32]
Codes = NDArray[np.uint8]
Rows = NDArray[np.int64]


class Witness(NamedTuple):
    """A measured photo; `moment` in seconds by its own clock, None where it tells none.

    `is_scene` says that it may show a landmark.
    """

    location: Location
    moment: float | None
    is_scene: bool = True


class Alike(NamedTuple):
    """A measured photo beside another photo: how much alike the two look (a cosine), and in how
    many bits their fingerprints differ."""

    uri: str
    cosine: float
    bits: int


def find_matches(
    readings: Iterable[Reading], kept: Callable[[], Iterable[Kept]]
) -> dict[str, Placement]:
    """The positions of photos without one that show what measured photos do, by URI: those of the
    same picture as copies, those of the same scene where several of these agree."""
    measured: dict[str, Witness] = {}
    wanted: dict[str, bool] = {}
    for reading in readings:
        sighting, prediction = sighting_of(reading), reading.prediction
        is_scene = prediction is not None and prediction.landmark_probability >= SHOWN
        if sighting.position is not None:
            measured[sighting.photo] = Witness(sighting.position, sighting.clock, is_scene)
        elif sighting.kind is not Kind.SCREENSHOT and not reading.metadata.position_unclear:
            wanted[sighting.photo] = is_scene
    gallery = Gallery(each for each in kept() if each[0] in measured)
    found = {}
    for uri, alike in gallery.search(each for each in kept() if each[0] in wanted):
        placement = place_by(uri, alike, measured, wanted[uri])
        if placement is not None:
            found[uri] = placement
    return found


def place_by(
    uri: str, alike: Sequence[Alike], measured: Mapping[str, Witness], is_scene: bool = True
) -> Placement | None:
    """Where a photo was taken by measured photos, the likest first; `is_scene` says that it may
    show a landmark."""
    same = [a.uri for a in alike if a.bits <= _SAME_BITS and a.cosine >= _SAME]
    if same:
        copied = inherited(uri, [(name, measured[name].location) for name in same])
        return copied._replace(by_picture=True) if copied is not None else None
    if not is_scene or not alike or alike[0].cosine < _ALIKE:
        return None
    centre = measured[alike[0].uri].location
    near = [a for a in alike if distance_m(centre, measured[a.uri].location) <= _TOGETHER_M]
    rival = max((a.cosine for a in alike if a not in near), default=0.0)
    likest = [a for a in near if a.cosine >= _ALIKE and measured[a.uri].is_scene]
    if _nth_witness(likest, measured) - rival < _CLEARER:
        return None
    return _around({a.uri: measured[a.uri].location for a in likest})


def _nth_witness(alike: Sequence[Alike], measured: Mapping[str, Witness]) -> float:
    """How much alike the last of as many witnesses as are needed is; less than nothing where there
    are too few."""
    moments: list[float | None] = []
    for each in alike:
        moment = measured[each.uri].moment
        if not any(_is_one_moment(moment, other) for other in moments):
            moments.append(moment)
        if len(moments) == _WITNESSES:
            return each.cosine
    return -1.0


def _is_one_moment(moment: float | None, other: float | None) -> bool:
    return moment is None or other is None or abs(moment - other) < _MOMENT_S


def _around(places: Mapping[str, Location]) -> Placement:
    vectors = to_vectors(
        [place.latitude for place in places.values()],
        [place.longitude for place in places.values()],
    )
    latitude, longitude = to_degrees(vectors.mean(axis=0))
    centre = Location(round(float(latitude), 6), round(float(longitude), 6))
    away = {name: distance_m(centre, place) for name, place in places.items()}
    radius = round(_RADIUS_M + _BY_SPREAD * max(away.values()), 1)
    beside = tuple(Neighbour(name, 0.0, metres) for name, metres in away.items())
    return Placement(centre, radius, Method.MATCH, None, beside)


class Gallery:
    """The embeddings of photos, to be searched for the likest ones."""

    def __init__(self, photos: Iterable[Kept]) -> None:
        self.names, self._codes = _stacked(photos)
        width = max(self._codes.shape[1] - _PRINT, 0)
        # Of the legacy generator: its numbers stay the same whatever the version of NumPy.
        random = np.random.RandomState(0)
        axes = random.standard_normal((width, _SKETCH)) / np.sqrt(_SKETCH)
        self._axes: Floats = axes.astype(np.float32)
        # Without what all photos have in common, a projection tells cosines more exactly.
        some = _embeddings(self._codes[:_ROWS])
        self._mean: Floats = (some.sum(axis=0) / max(len(some), 1)).astype(np.float32)
        self._sketches: Floats = np.zeros((len(self.names), _SKETCH + 2), np.float32)
        for start in range(0, len(self.names), _ROWS):
            part = _embeddings(self._codes[start : start + _ROWS])
            self._sketches[start : start + _ROWS] = self._sketch(part, is_known=True)

    def _sketch(self, embeddings: Floats, is_known: bool) -> Floats:
        """What multiplies to about the cosines of photos of the gallery (known) and others: that
        of the projections, and what the mean took from it."""
        offset = embeddings @ self._mean - (0 if is_known else self._mean @ self._mean)
        ones = np.ones_like(offset)
        beside = (offset, ones) if is_known else (ones, offset)
        projected = np.matmul(embeddings - self._mean, self._axes)
        sketch: Floats = np.column_stack((projected, *beside)).astype(np.float32)
        return sketch

    def search(self, photos: Iterable[Kept]) -> Iterator[tuple[str, list[Alike]]]:
        """Each photo with those of the gallery that look alike, the likest first."""
        length = self._codes.shape[1]
        comparable = (each for each in photos if self.names and len(each[1]) == length)
        while block := list(islice(comparable, _BLOCK)):
            names, codes = _stacked(block)
            embeddings = _embeddings(codes)
            possible = self._possible(self._sketch(embeddings, is_known=False))
            for row, name in enumerate(names):
                yield name, self._likest(possible[row], embeddings[row], codes[row])

    def _possible(self, sketches: Floats) -> list[Rows]:
        """The rows of the gallery that each photo may be like, by the sketches."""
        found: list[list[Rows]] = [[] for _ in sketches]
        products: list[list[Floats]] = [[] for _ in sketches]
        for start in range(0, len(self.names), _ROWS):  # so many stay in the processor's cache
            part = sketches @ self._sketches[start : start + _ROWS].T
            photo, row = np.nonzero(part > _POSSIBLE)
            ends = np.searchsorted(photo, np.arange(len(sketches) + 1))
            for number in np.unique(photo):
                own = slice(ends[number], ends[number + 1])
                found[number].append(row[own] + start)
                products[number].append(part[number, row[own]])
        return [_best(*each) for each in zip(found, products, strict=True)]

    def _likest(self, rows: Rows, embedding: Floats, code: Codes) -> list[Alike]:
        cosines = _embeddings(self._codes[rows]) @ embedding
        apart = _bits_apart(self._codes[rows, -_PRINT:], code[-_PRINT:])
        found = [
            Alike(self.names[row], float(cosine), int(bits))
            for row, cosine, bits in zip(rows, cosines, apart, strict=True)
            if cosine >= _ALIKE - _CLEARER
        ]
        return sorted(found, key=lambda each: (-each.cosine, each.uri))


def _best(rows: Sequence[Rows], products: Sequence[Floats]) -> Rows:
    """As many rows as are looked at, those of the largest products."""
    if not rows:
        return np.zeros(0, np.int64)
    all_rows, all_products = np.concatenate(rows), np.concatenate(products)
    if len(all_rows) <= _CANDIDATES:
        return all_rows
    return all_rows[np.argpartition(-all_products, _CANDIDATES)[:_CANDIDATES]]


def _stacked(photos: Iterable[Kept]) -> tuple[list[str], Codes]:
    """Names, and a row of bytes for each; those of another length than the first are left out."""
    names: list[str] = []
    data = bytearray()
    width = 0
    for name, row in photos:
        width = width or len(row)
        if len(row) == width > _PRINT:
            names.append(name)
            data += row
    return names, np.frombuffer(data, np.uint8).reshape(len(names), -1 if names else 0)


def _embeddings(codes: Codes) -> Floats:
    """Embeddings of length 1."""
    values = codes[:, :-_PRINT].view(np.int8).astype(np.float32)
    lengths = np.sqrt(np.einsum("nd,nd->n", values, values))
    values /= np.maximum(lengths, np.float32(1))[:, None]
    return values


def _bits_apart(fingerprints: Codes, other: Codes) -> NDArray[np.int64]:
    """In how many bits fingerprints differ from another one: in all where that tells too little."""
    ones = np.unpackbits(other).sum()
    if not _LEAST_BITS <= ones <= _BITS - _LEAST_BITS:
        return np.full(len(fingerprints), _BITS)
    differing: NDArray[np.int64] = np.unpackbits(fingerprints ^ other, axis=1).sum(axis=1)
    return differing
