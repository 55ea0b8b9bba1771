"""Photos placed by measured ones of the same picture or scene: how many, and how many wrongly.

Pictures and network are real; where the photos were taken is simulated, but that those of one
landmark are near it.
"""

from __future__ import annotations

import csv
import io
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks import options
from benchmarks.leash import World
from geotag.categories import load_categories
from geotag.decoding.transforms import preprocess
from geotag.engines.base import EngineOptions
from geotag.places.distance import distance_m
from geotag.places.scenes import SHOWN, Gallery, Witness, place_by
from geotag.places.sighting import Method
from geotag.recognition.model import Model
from geotag.records import Category, Location
from geotag.state.embeddings import picture_data

_SENT = 5  # every fifth photo is sent by a simulated messenger, too
_SCALE, _QUALITY = (0.7, 1.0), (45, 76)
_FAR_M = 5000.0
_UNSEEN = 5  # of a fifth of the landmarks the library holds no measured photo
_RADIUS_M = 300.0
_DAY_S = 86_400.0
_ASKED = 512  # photos whose search is timed


class Photo(NamedTuple):
    """A photo of a landmark, or of none (""); photos of one `group` are the same picture."""

    name: str
    label: str
    group: str
    data: bytes
    is_scene: bool


def sent(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """A picture as messengers send it: smaller, compressed once more."""
    scale = random.uniform(*_SCALE)
    size = [max(32, round(side * scale)) for side in image.size]
    file = io.BytesIO()
    smaller = image.convert("RGB").resize((size[0], size[1]), Image.Resampling.LANCZOS)
    smaller.save(file, "JPEG", quality=int(random.integers(*_QUALITY)))
    return Image.open(file)


def read(photos: Path, rows: Sequence[dict[str, str]], path: Path | None) -> Iterator[Photo]:
    """All photos, each copy behind its original, as the network sees them."""
    model = Model.open(path, EngineOptions(embeds=True))
    random, spec = np.random.default_rng(0), model.spec
    named: list[tuple[str, str, str]] = []

    def pixels() -> Iterator[NDArray[np.uint8]]:
        for number, row in enumerate(rows):
            group = row.get("group") or row["file"]
            with Image.open(photos / row["file"]) as image:
                views = {f"sent/{row['file']}": sent(image, random)} if not number % _SENT else {}
                for name, view in (views | {row["file"]: image}).items():
                    named.append((name, row["label"], group))
                    yield preprocess(view, spec.input_size, spec.fit)

    for texts, prediction in zip(named, model.predictions(pixels()), strict=True):
        yield Photo(*texts, picture_data(prediction), prediction.landmark_probability >= SHOWN)


def kept(photos: Path, table: Path, model: Path | None, cache: Path) -> list[Photo]:
    """The same, kept in a file, for it takes minutes."""
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        found = list(read(photos, rows, model))
        np.savez(
            cache,
            texts=np.array([each[:3] for each in found]),
            scenes=np.array([each.is_scene for each in found]),
            data=np.frombuffer(b"".join(p.data for p in found), np.uint8).reshape(len(found), -1),
        )
    with np.load(cache) as arrays:
        columns = zip(arrays["texts"].tolist(), arrays["data"], arrays["scenes"], strict=True)
        return [
            Photo(name, label, group, row.tobytes(), bool(shown))
            for (name, label, group), row, shown in columns
        ]


def copies(photos: Sequence[Photo]) -> str:
    """How many copies are known as such, and how many pairs of other photos are taken for some."""
    originals = {each.name: each for each in photos if not each.name.startswith("sent/")}
    measured = {name: Witness(Location(1, 1), None) for name in originals}
    gallery = Gallery((each.name, each.data) for each in originals.values())
    counts: Counter[str] = Counter()
    by_name = {each.name: each for each in photos}
    for name, alike in gallery.search((each.name, each.data) for each in photos):
        for other in alike:
            placement = place_by(name, [other], measured)
            if placement is None or placement.method is not Method.COPY:
                continue
            one, two = by_name[name], by_name[other.uri]
            if name.startswith("sent/"):
                counts["known"] += other.uri == name.removeprefix("sent/")
            elif one.group != two.group:
                counts["false"] += 1
                counts["elsewhere"] += one.label != two.label
    pairs = len(originals) * (len(originals) - 1)
    made = len(photos) - len(originals)
    return (
        f"copies: {counts['known']} of {made} known ({counts['known'] / made:.1%}); of "
        f"{pairs // 2} pairs of other photos {counts['false'] // 2} taken for copies, "
        f"{counts['elsewhere'] // 2} of them of different places"
    )


class Library:
    """Photos with simulated positions, half of them measured."""

    def __init__(self, photos: Sequence[Photo], seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self._world = World(seed)
        self._homes = {c.slug: c for c in load_categories()}
        labels = sorted({each.label for each in photos} - {""})
        unseen = set(self.random.permutation(labels)[: len(labels) // _UNSEEN].tolist())
        self.places = {each.name: self._place(each.label) for each in photos}
        is_measured = self.random.random(len(photos)) < 0.5
        self.measured = [
            each
            for each, is_one in zip(photos, is_measured, strict=True)
            if is_one and each.label not in unseen
        ]
        self.asked = [p for p, is_one in zip(photos, is_measured, strict=True) if not is_one]

    def _place(self, label: str) -> Location:
        """Somewhere at the landmark; that of no landmark may be anywhere."""
        home = self._homes.get(label) if label else None
        if home is None:
            elsewhere = Location(self.random.uniform(-60, 70), self.random.uniform(-180, 180))
            home = Category(0, label, label, *elsewhere[:2], _RADIUS_M, "", "", "", "")
            if label:
                self._homes[label] = home
        away = home.radius_m * np.sqrt(self.random.uniform())
        return self._world.off(Location(home.latitude, home.longitude), float(away))

    def score(self, known: frozenset[str]) -> Counter[str]:
        """What comes of the photos that are not measured, by whether the model knows them."""
        witnesses = {
            each.name: Witness(self.places[each.name], number * _DAY_S, each.is_scene)
            for number, each in enumerate(self.measured)
        }
        gallery = Gallery((each.name, each.data) for each in self.measured)
        labels = {each.label for each in self.measured} - {""}
        counts: Counter[str] = Counter()
        by_name = {each.name: each for each in self.asked}
        for name, alike in gallery.search((each.name, each.data) for each in self.asked):
            label = by_name[name].label
            kind = "known" if label in known else "unknown" if label else "none"
            counts[f"{kind} able"] += label in labels
            placement = place_by(name, alike, witnesses, by_name[name].is_scene)
            if placement is None or placement.method is not Method.MATCH:
                continue
            away = distance_m(placement.location, self.places[name])
            counts[f"{kind} placed"] += 1
            counts[f"{kind} inside"] += away <= placement.radius_m
            counts[f"{kind} far"] += away > max(_FAR_M, placement.radius_m)
        return counts


def at_home(photos: Sequence[Photo]) -> str:
    """How many photos of no landmark are taken for photos of the place at which half of them were
    taken: faces and forests are alike wherever they are."""
    others = [each for each in photos if not each.label]
    measured, asked = others[::2], others[1::2]
    home = {
        each.name: Witness(Location(1, 1), number * _DAY_S, each.is_scene)
        for number, each in enumerate(measured)
    }
    by_name = {each.name: each for each in asked}
    gallery = Gallery((each.name, each.data) for each in measured)
    found = [
        place_by(name, alike, home, by_name[name].is_scene)
        for name, alike in gallery.search((each.name, each.data) for each in asked)
    ]
    wrong = sum(each is not None and each.method is Method.MATCH for each in found)
    return f"of nothing known, half of them at one place: {wrong} of {len(asked)} placed there"


def mixed(photos: Sequence[Photo], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """So many photos that do not exist: each number is one of two real ones', by chance."""
    random = np.random.default_rng(seed)
    rows = np.array([np.frombuffer(each.data, np.int8) for each in photos])
    for number in range(count):
        one, other = rows[random.integers(len(rows), size=2)]
        yield str(number), np.where(random.random(len(one)) < 0.5, one, other).tobytes()


def search_time(photos: Sequence[Photo], measured: int) -> str:
    """The processor's time for one photo among so many measured ones."""
    began = time.process_time()
    gallery = Gallery(mixed(photos, measured, 0))
    built, asked = time.process_time(), list(mixed(photos, _ASKED, 1))
    searched = time.process_time()
    found = sum(len(alike) for _, alike in gallery.search(asked))
    each = (time.process_time() - searched) / _ASKED
    return (
        f"{measured} measured photos: read in {built - began:.1f} s, {each * 1000:.2f} ms for each "
        f"photo without a position, {found / _ASKED:.1f} alike"
    )


@click.command("match")
@click.option("--photos", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--table", type=click.Path(path_type=Path, exists=True), required=True,
              help="CSV with the columns file, label and group.")  # fmt: skip
@click.option("--seeds", default=5, show_default=True)
@click.option("--measured", default=0, help="Measure the time among so many photos, and only that.")
@options.MODEL
@options.LIBRARY
def command(
    photos: Path, table: Path, seeds: int, measured: int, model: Path | None, library: Path
) -> None:
    """Copies and scenes found among measured photos."""
    from geotag.model.checkpoint import read_header

    found = kept(photos, table, model, library / f"match-{table.stem}.npz")
    if measured:
        click.echo(search_time(found, measured))
        return
    click.echo(copies(found))
    known = frozenset(read_header(model).spec.categories)
    originals = [each for each in found if not each.name.startswith("sent/")]
    counts: Counter[str] = Counter()
    for seed in range(seeds):
        counts += Library(originals, seed).score(known)
    click.echo("landmarks  could be placed  placed  far off  inside the radius")
    for kind in ("known", "unknown", "none"):
        able, placed = counts[f"{kind} able"], counts[f"{kind} placed"]
        share = placed / able if able else 0.0
        inside = counts[f"{kind} inside"] / placed if placed else 0.0
        far = counts[f"{kind} far"]
        click.echo(f"{kind:9} {able:16} {placed:7} ({share:.1%}) {far:8} {inside:18.1%}")
    placed = sum(counts[f"{kind} placed"] for kind in ("known", "unknown", "none"))
    far = sum(counts[f"{kind} far"] for kind in ("known", "unknown", "none"))
    click.echo(f"far off: {far} of {placed} ({far / max(placed, 1):.2%})")
    click.echo(at_home(originals))
