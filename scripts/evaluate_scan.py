"""How right a scan was: compares its table with a manifest of labels.

python scripts/evaluate_scan.py tags.csv manifest.csv --split test
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from geotag.categories import load_categories, slugify
from geotag.errors import DataError, GeotagError
from geotag.model.checkpoint import read_header
from geotag.records import Outcome, Status
from geotag.tables import read_table


class Judged(NamedTuple):
    """A row beside its label; the label of a photo without a landmark is empty."""

    row: Outcome
    label: str
    file: str


def read_manifest(path: Path, split: str | None, folders: Sequence[str]) -> list[dict[str, str]]:
    """The manifest's rows of a split below the folders, labels as slugs where they are names.

    Raises DataError when it cannot be read or lacks a column.
    """
    slugs = {slugify(category.name): category.slug for category in load_categories()}
    below = tuple(f"{folder.rstrip('/')}/" for folder in folders)
    needed = ("file", "label") if split is None else ("file", "label", "split")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if missing := [name for name in needed if name not in (rows.fieldnames or ())]:
                raise DataError(f"{path}: no column {', '.join(missing)}")
            return [
                row | {"label": slugs.get(slugify(row["label"]), row["label"])}
                for row in rows
                if (split is None or row["split"] == split)
                and (not below or row["file"].startswith(below))
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def judge(rows: Sequence[Outcome], manifest: Sequence[dict[str, str]]) -> list[Judged]:
    """The rows that the manifest knows, found by the end of their path."""
    labels = {entry["file"]: entry["label"] for entry in manifest}
    depths = sorted({file.count("/") + 1 for file in labels})
    judged = []
    for row in rows:
        parts = row.path.split("/")
        ends = ("/".join(parts[-depth:]) for depth in depths)
        file = next((end for end in ends if end in labels), None)
        if file is not None:
            judged.append(Judged(row, labels[file], file))
    return judged


def measure(judged: Sequence[Judged], known: frozenset[str]) -> dict[str, float | int]:
    """Top-1 over the photos of known categories; how tags fare over all photos.

    `precision` is the share of the tags that are right, `recall` the share of the photos of known
    categories with the right tag, `negatives_tagged` and `other_landmarks_tagged` the shares of
    photos without a landmark, and of landmarks that the model does not know, that bear one.
    """
    slugs = {category.id: category.slug for category in load_categories()}
    inside = [j for j in judged if j.label in known and j.row.top_k]
    negatives = [j for j in judged if not j.label]
    others = [j for j in judged if j.label and j.label not in known]
    tagged = [j for j in judged if j.row.landmark]
    right = [j for j in tagged if slugs.get(j.row.category_id or 0) == j.label]
    return {
        "photos": len(judged),
        "unreadable": sum(j.row.status is Status.UNREADABLE for j in judged),
        "known_category_photos": len(inside),
        "top1": _share([j for j in inside if j.row.top_k[0].slug == j.label], inside),
        "top5": _share([j for j in inside if j.label in [e.slug for e in j.row.top_k[:5]]], inside),
        "tags": len(tagged),
        "precision": _share(right, tagged),
        "recall": _share(right, inside),
        "negatives": len(negatives),
        "negatives_tagged": _share([j for j in negatives if j.row.landmark], negatives),
        "other_landmarks": len(others),
        "other_landmarks_tagged": _share([j for j in others if j.row.landmark], others),
    }


def _share(part: Sequence[Judged], whole: Sequence[Judged]) -> float:
    return round(len(part) / len(whole), 4) if whole else 0.0


@click.command()
@click.argument("table", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--split", help="Only the manifest's photos of this split.")
@click.option("--folder", multiple=True, help="Only the manifest's photos below it; repeatable.")
@click.option("--model", type=click.Path(dir_okay=False, path_type=Path), help="The scan's model.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def main(
    table: Path,
    manifest: Path,
    split: str | None,
    folder: tuple[str, ...],
    model: Path | None,
    as_json: bool,
) -> None:
    """Compare the TABLE of a scan with the labels in MANIFEST (columns file, label, split)."""
    try:
        entries = read_manifest(manifest, split, folder)
        judged = judge(list(read_table(table)), entries)
        known = frozenset(read_header(model).spec.categories)
    except GeotagError as error:
        raise click.ClickException(str(error)) from error
    if not judged:
        raise click.ClickException(f"no row of {table} is in {manifest}")
    figures = measure(judged, known)
    missing = len(entries) - len({j.file for j in judged})
    if as_json:
        click.echo(json.dumps(figures | {"not_scanned": missing}, indent=1))
        return
    for name, value in figures.items():
        shown = f"{value:.2%}" if isinstance(value, float) else str(value)
        click.echo(f"{name.replace('_', ' '):24} {shown:>8}")
    if missing:
        click.echo(f"{missing} photos of the manifest are not in the table", err=True)


if __name__ == "__main__":
    main()
