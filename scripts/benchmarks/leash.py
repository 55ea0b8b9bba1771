"""Landmarks beside their neighbours: what the place of a photo adds to its picture, and takes away.

The scores are the real model's on real photos; the neighbours are simulated.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from PIL import Image

from benchmarks import options
from benchmarks.movement import moved
from geotag.categories import CategoryTable, load_categories
from geotag.decoding.transforms import preprocess
from geotag.errors import CategoryTableError
from geotag.places.distance import distance_m
from geotag.places.prior import probability
from geotag.places.sighting import Method, Placement
from geotag.records import Category, Location, Prediction, Score

_RADIUS_M, _RADII_M = 250.0, (50.0, 5000.0)
# Of the positions: so many lie outside of their radius, and so many of all are far off.
_OUTSIDE, _FAR = 0.014, 0.006
_ELSEWHERE_M = 100_000.0
_PRECISIONS = (0.95, 0.98, 0.99)


class Seen(NamedTuple):
    """A photo: what it shows ("" for none of the table), and what the network says of it."""

    label: str
    prediction: Prediction


class World:
    """Landmarks, and positions near them."""

    def __init__(self, seed: int) -> None:
        self.table: CategoryTable = load_categories()
        self.landmarks = list(self.table)
        self.random = np.random.default_rng(seed)

    def home(self, label: str) -> Category:
        """The landmark of a photo, or any one for a photo of none."""
        try:
            return self.table.by_slug(label)
        except CategoryTableError:
            return self.landmarks[int(self.random.integers(len(self.landmarks)))]

    def elsewhere(self, landmark: Category) -> Category:
        """A landmark that is far from this one."""
        while True:
            other = self.home("")
            if distance_m(_of(other), _of(landmark)) > _ELSEWHERE_M + landmark.radius_m:
                return other

    def beside(self, landmark: Category) -> Placement:
        """Where neighbours may place a photo that was taken within the radius of a landmark."""
        taken = self.off(_of(landmark), landmark.radius_m * math.sqrt(self.random.uniform()))
        radius = float(np.clip(self.random.lognormal(math.log(_RADIUS_M)), *_RADII_M))
        share, error = self.random.uniform(), radius * math.sqrt(self.random.uniform())
        if share < _FAR:
            error = radius + math.exp(self.random.uniform(math.log(5000), math.log(1_000_000)))
        elif share < _OUTSIDE:
            error = radius + 5000 * self.random.uniform()
        return Placement(self.off(taken, error), radius, Method.NEIGHBOUR, None, ())

    def beyond(self, landmark: Category, least: float, most: float) -> Placement:
        """Some way beyond a landmark's radius, for sure."""
        away = math.exp(self.random.uniform(math.log(least), math.log(most)))
        place = self.off(_of(landmark), landmark.radius_m + away)
        return Placement(place, _RADIUS_M, Method.NEIGHBOUR, None, ())

    def off(self, place: Location, metres: float) -> Location:
        """A position so far away, in any direction."""
        way = self.random.uniform(0, 2 * math.pi)
        return Location(*moved((place.latitude, place.longitude), metres, way))


def _of(landmark: Category) -> Location:
    return Location(landmark.latitude, landmark.longitude)


def classified(photos: Path, table: Path, model: Path | None, cache: Path) -> list[Seen]:
    """What the model says of the photos of a table; kept in a file, for it takes minutes."""
    if not cache.exists():
        with table.open(newline="", encoding="utf-8") as file:
            rows = [(row["file"], row["label"]) for row in csv.DictReader(file)]
        seen = [[label, *prediction] for label, prediction in _classify(photos, rows, model)]
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_text(json.dumps(seen))
    return [
        Seen(label, Prediction(tuple(Score(*score) for score in top), probability_))
        for label, top, probability_, *_ in json.loads(cache.read_text())
    ]


def _classify(
    photos: Path, rows: Sequence[tuple[str, str]], path: Path | None
) -> Iterator[tuple[str, Prediction]]:
    from geotag.recognition.model import Model

    model = Model.open(path)
    spec, step = model.spec, model.engine.batch_size
    for start in range(0, len(rows), step):
        pictures = []
        for name, _ in rows[start : start + step]:
            with Image.open(photos / name) as image:
                pictures.append(preprocess(image, spec.input_size, spec.fit))
        labels = [label for _, label in rows[start : start + step]]
        yield from zip(labels, model.predictions(pictures), strict=True)


def weighed(seen: Sequence[Seen], world: World, place: Callable[[Seen], Placement]) -> list[float]:
    """The probabilities of the pictures' landmarks with a placement for each."""
    by_slug = world.table.by_slug
    return [probability(each.prediction, place(each), by_slug) for each in seen]


def recall_at(
    scores: Sequence[float], right: Sequence[bool], known: int, precision: float
) -> float:
    """The greatest share of known landmarks that are tagged at a precision."""
    order = sorted(range(len(scores)), key=lambda at: -scores[at])
    best, hits = 0, 0
    for count, at in enumerate(order, 1):
        hits += right[at]
        if hits >= precision * count:
            best = hits
    return best / known


def _impossible(world: World) -> tuple[Callable[[Seen], Placement], ...]:
    """Places from which the landmark of a picture cannot be seen; in the last ones some can."""

    def shown(seen: Seen) -> Category:
        return world.home(seen.prediction.top[0].slug)

    return (
        lambda seen: world.beside(world.elsewhere(shown(seen))),
        lambda seen: world.beyond(shown(seen), 35_000, 100_000),
        lambda seen: world.beyond(shown(seen), 3000, 10_000),
    )


@click.command("leash")
@click.option("--photos", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--table", type=click.Path(path_type=Path, exists=True), required=True,
              help="CSV with the columns file and label.")  # fmt: skip
@click.option("--seed", default=0, show_default=True)
@options.MODEL
@options.LIBRARY
def command(photos: Path, table: Path, seed: int, model: Path | None, library: Path) -> None:
    """Tags with and without simulated neighbours, and impossible ones."""
    from geotag.model.checkpoint import read_header

    spec = read_header(model).spec
    seen = classified(photos, table, model, library / f"leash-{table.stem}.json")
    world = World(seed)
    right = [each.label == each.prediction.top[0].slug for each in seen]
    known = sum(each.label in spec.categories for each in seen)
    alone = [each.prediction.top[0].confidence for each in seen]
    both = weighed(seen, world, lambda each: world.beside(world.home(each.label)))
    click.echo(f"{len(seen)} photos, {known} of landmarks that the model knows")
    click.echo("precision  recall by the picture  with neighbours")
    for precision in _PRECISIONS:
        found = [100 * recall_at(scores, right, known, precision) for scores in (alone, both)]
        click.echo(f"{precision:9} {found[0]:20.1f} {found[1]:16.1f}")
    click.echo("min-precision  true tags lost  elsewhere stopped  35-100 km off  3-10 km off")
    for precision in _PRECISIONS:
        threshold = spec.threshold_for(precision)
        tagged = [at for at, score in enumerate(alone) if score >= threshold]
        true = [at for at in tagged if right[at]]
        lost = sum(both[at] < threshold for at in true) / len(true)
        chosen = [seen[at] for at in tagged]
        stopped = [
            sum(score < threshold for score in weighed(chosen, world, place)) / len(chosen)
            for place in _impossible(world)
        ]
        shares = "".join(f"{100 * share:15.2f}" for share in (lost, *stopped))
        click.echo(f"{precision:13}{shares}")
