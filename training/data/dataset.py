"""Training sets on disk: read either layout, split without leaks, fingerprint."""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeVar

import numpy as np

from geotag.categories import CategoryTable, load_categories, slugify
from geotag.errors import DataError

SPLITS = ("train", "val", "test")
SCHEMES: dict[str, tuple[int, int, int]] = {"60/20/20": (60, 20, 20), "80/20": (80, 20, 0)}
MANIFEST = "manifest.csv"
CELL_LENGTH = 100_000
MANIFEST_BYTES = 256 * 2**20
_Item = TypeVar("_Item")
_COLUMNS = ("file", "label", "split")
_EXTENSIONS = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"))
_NUMBERED = re.compile(r"(?:(\d{1,6})[.\- _]+)?(.+)")


class Sample(NamedTuple):
    """One labelled photo. The label is a category's slug; "" is a negative: no landmark.

    `path` is relative to the set's root, with slashes. Near-duplicates share a `group`.
    """

    path: str
    label: str
    split: str
    source: str = ""
    group: str = ""


class Dataset(NamedTuple):
    """Photos in the order of their paths and the classes in alphabetical order, negatives apart.

    `fingerprint` is the SHA-256 over each photo's path, size, label and split.
    """

    root: Path
    samples: tuple[Sample, ...]
    classes: tuple[str, ...]
    fingerprint: str

    def of(self, split: str) -> tuple[Sample, ...]:
        return tuple(sample for sample in self.samples if sample.split == split)

    def validation(self) -> tuple[Sample, ...]:
        """The samples by which choices are made. Raises DataError when there are none."""
        if not (samples := self.of("val")):
            raise DataError(f"{self.root}: no validation photos")
        return samples

    def file(self, sample: Sample) -> Path:
        return self.root / sample.path


def draw(items: Sequence[_Item], count: int, rng: np.random.Generator) -> list[_Item]:
    """At most `count` of them at random, in their order."""
    return [items[at] for at in sorted(rng.permutation(len(items))[:count])]


def load_dataset(folder: Path, exclusions: Path | None = None) -> Dataset:
    """Read a training set in either layout: manifest.csv, or train/NN.Name/*.jpg and test/….

    Labels and folder names become slugs of the landmark table where the name or the number
    matches, and slugs of their own where not. `exclusions` is a CSV file as `load_exclusions`
    reads. Raises DataError, naming file and row, for what is missing, malformed or outside the
    folder.
    """
    namer = _Namer(load_categories())
    if (folder / MANIFEST).is_file():
        samples = _read_manifest(folder, namer)
    elif (folder / "train").is_dir():
        samples = _read_folders(folder, namer)
    else:
        raise DataError(f"{folder}: neither {MANIFEST} nor a folder train/ is there")
    if exclusions is not None:
        excluded = load_exclusions(exclusions)
        samples = [sample for sample in samples if sample.path not in excluded]
    if not samples:
        raise DataError(f"{folder}: no photos")
    return build_dataset(folder, samples)


def load_labels(path: Path, root: Path) -> tuple[list[Sample], int]:
    """Labels that stand in a file of their own, as `geotag review --labels` writes them.

    Its files are relative to its own folder. Returns samples below `root` (all for train), and how
    many lie elsewhere or are gone. Raises DataError, naming file and row.
    """
    namer = _Namer(load_categories())
    folder, inside = path.parent.resolve(), root.resolve()
    samples: dict[str, Sample] = {}
    left = 0
    for number, row in _rows(path, _COLUMNS):
        try:
            sample = _parse_row(row, namer)
        except ValueError as problem:
            raise DataError(f"{path}, line {number}: {problem}") from None
        file = (folder / sample.path).resolve()
        if not file.is_file() or not file.is_relative_to(inside):
            left += 1
            continue
        place = file.relative_to(inside).as_posix()
        samples[place] = sample._replace(path=place, split="train", group=place)
    return list(samples.values()), left


def build_dataset(root: Path, samples: Iterable[Sample]) -> Dataset:
    """A dataset of these samples, in stable order. Raises DataError when a photo is not there."""
    ordered = tuple(sorted(samples))
    classes = tuple(sorted({sample.label for sample in ordered} - {""}))
    return Dataset(root, ordered, classes, _fingerprint(root, ordered))


def _fingerprint(root: Path, samples: Iterable[Sample]) -> str:
    digest = hashlib.sha256()
    for sample in samples:
        try:
            size = (root / sample.path).stat().st_size
        except OSError as error:
            raise DataError(f"{root / sample.path}: {error.strerror or error}") from error
        digest.update(f"{sample.path}\0{size}\0{sample.label}\0{sample.split}\n".encode())
    return digest.hexdigest()


class _Namer:
    """Labels and folder names to slugs, the landmark table's where one fits."""

    def __init__(self, categories: CategoryTable) -> None:
        self.by_name = {slugify(category.name): category.slug for category in categories}
        self.by_name |= {category.slug: category.slug for category in categories}
        self.by_id = {category.id: category.slug for category in categories}
        self._known: dict[str, str] = {"": ""}

    def slug(self, label: str) -> str:
        """The slug of a label. Raises ValueError when there is nothing to make one of."""
        if label not in self._known:
            self._known[label] = self._find(label)
        return self._known[label]

    def _find(self, label: str) -> str:
        if slugify(label) in self.by_name:
            return self.by_name[slugify(label)]
        match = _NUMBERED.fullmatch(label)
        number, name = match.groups() if match else (None, label)
        slug = slugify(name)
        if not slug:
            raise ValueError(f"no slug can be made of the label {label!r}: use Latin letters")
        if slug in self.by_name:
            return self.by_name[slug]
        numbered = self.by_id.get(int(number), "") if number else ""
        # A number alone may count something else: the names must share a word too.
        return numbered if set(numbered.split("_")) & set(slug.split("_")) else slug


def _read_manifest(folder: Path, namer: _Namer) -> list[Sample]:
    path = folder / MANIFEST
    inside = _Inside(folder)
    samples: dict[str, Sample] = {}
    for number, row in _rows(path, _COLUMNS):
        try:
            sample = _parse_row(row, namer)
            inside.check(sample.path)
            if sample.path in samples:
                raise ValueError(f"{sample.path} stands there twice")
        except ValueError as problem:
            raise DataError(f"{path}, line {number}: {problem}") from None
        samples[sample.path] = sample
    return list(samples.values())


def _rows(path: Path, columns: Iterable[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with their line numbers; DataError when a column is missing."""
    try:
        if path.stat().st_size > MANIFEST_BYTES:
            raise DataError(f"{path}: larger than {MANIFEST_BYTES >> 20} MiB, not read")
        with path.open(encoding="utf-8-sig", newline="") as file:
            csv.field_size_limit(CELL_LENGTH)
            reader = csv.DictReader(file)
            if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
                raise DataError(f"{path}: no column {', '.join(missing)}")
            for row in reader:
                if None in row or None in row.values():
                    raise DataError(f"{path}, line {reader.line_num}: too many or too few cells")
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def _parse_row(row: Mapping[str, str], namer: _Namer) -> Sample:
    path, split = row["file"], row["split"]
    pure = PurePosixPath(path)
    if not path.isprintable() or pure.is_absolute() or ".." in pure.parts or "\\" in path:
        raise ValueError(f"{path!r} is not a plain path below the folder")
    if not pure.parts:
        raise ValueError("no file is named")
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is not one of {', '.join(SPLITS)}")
    path = str(pure)
    return Sample(
        path, namer.slug(row["label"]), split, row.get("source", ""), row.get("group") or path
    )


class _Inside:
    """Refuses photos that are not there or that a link leads out of the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = os.path.realpath(folder)
        self._parents: dict[str, str] = {}

    def check(self, relative: str) -> None:
        path = self.folder / relative
        parent = str(path.parent)
        if parent not in self._parents:
            self._parents[parent] = os.path.realpath(parent)
        real = os.path.realpath(path) if path.is_symlink() else self._parents[parent]
        if os.path.commonpath((self.root, real)) != self.root:
            raise ValueError(f"{relative} leads out of the folder")
        if not path.is_file():
            raise ValueError(f"{relative}: no such photo")


def _read_folders(folder: Path, namer: _Namer) -> list[Sample]:
    """train/NN.Name/*, test/NN.Name/* and, where there is one, val/NN.Name/*."""
    samples = []
    inside = _Inside(folder)
    for split in SPLITS:
        for path in sorted((folder / split).glob("*/*")):
            relative = path.relative_to(folder).as_posix()
            if path.suffix.lower() not in _EXTENSIONS or path.name.startswith("."):
                continue
            try:
                inside.check(relative)
                label = namer.slug(path.parent.name)
            except ValueError as problem:
                raise DataError(f"{folder}: {problem}") from None
            samples.append(Sample(relative, label, split, folder.name, relative))
    return samples


def load_exclusions(path: Path) -> dict[str, str]:
    """The photos to leave out, each with the reason: a CSV file with the columns file, reason.

    Raises DataError when it cannot be read.
    """
    return {row["file"]: row["reason"] for _, row in _rows(path, ("file", "reason"))}


def split(dataset: Dataset, scheme: str = "given", by: str = "group", seed: int = 0) -> Dataset:
    """Deal the photos to train, val and test anew, every class in the same shares.

    `given` keeps the splits as they are, and takes a fifth of train for val where there is none.
    `60/20/20` deals all photos; `80/20` deals train and val and leaves a given test alone. `by`
    group keeps near-duplicates together; by file does not, as in the studies, and flatters the
    result. Raises DataError for another scheme.
    """
    if by not in ("group", "file"):
        raise DataError(f"unknown split by {by!r}: it is by group or by file")
    if scheme == "given":
        if any(sample.split == "val" for sample in dataset.samples):
            return dataset
        shares = SCHEMES["80/20"]
    elif scheme in SCHEMES:
        shares = SCHEMES[scheme]
    else:
        raise DataError(f"unknown split {scheme!r}; known: given, {', '.join(SCHEMES)}")
    kept = [s for s in dataset.samples if s.split == "test" and not shares[2]]
    dealt = [s for s in dataset.samples if s.split != "test" or shares[2]]
    splits = _deal(dealt, shares, by, seed)
    return build_dataset(dataset.root, [*kept, *(s._replace(split=splits[s.path]) for s in dealt)])


def _deal(
    samples: Iterable[Sample], shares: tuple[int, int, int], by: str, seed: int
) -> dict[str, str]:
    """The split of each path: whole units, in an order that the seed fixes, to who lacks most."""
    units: dict[str, list[Sample]] = {}
    for sample in sorted(samples):
        units.setdefault(sample.path if by == "file" else sample.group, []).append(sample)
    counts: dict[str, Counter[str]] = {}
    splits: dict[str, str] = {}
    for _, unit in sorted(units.items(), key=lambda item: _shuffled(item[0], seed)):
        count = counts.setdefault(unit[0].label, Counter())
        total = sum(count.values()) + len(unit)
        wanted = dict(zip(SPLITS, shares, strict=True))
        lacking = max(SPLITS, key=lambda name: wanted[name] * total / 100 - count[name])
        count[lacking] += len(unit)
        splits |= {sample.path: lacking for sample in unit}
    return splits


def _shuffled(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()
