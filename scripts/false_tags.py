"""How often a scan tags what shows no landmark: counts the tags of photos known to show none.

geotag scan PHOTOS --out tags.csv && python scripts/false_tags.py tags.csv
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from geotag.errors import GeotagError
from geotag.recognition.few_shot import wilson_interval
from geotag.records import Outcome, Status
from geotag.tables import read_table

ALL = "all"


class Kind(NamedTuple):
    """Photos of one kind, and which rows of them have a tag."""

    name: str
    photos: int
    tagged: tuple[Outcome, ...]

    @property
    def interval(self) -> tuple[float, float]:
        """Where the share of false tags lies, 19 times in 20."""
        return wilson_interval(len(self.tagged) / self.photos, self.photos)


def count(rows: Iterable[Outcome]) -> list[Kind]:
    """The readable photos by the folder that they lie in, all together last."""
    by_folder: dict[str, list[Outcome]] = {}
    for row in rows:
        if row.status is not Status.UNREADABLE:
            by_folder.setdefault(row.path.rpartition("/")[0].rpartition("/")[2], []).append(row)
    kinds = [_kind(name, by_folder[name]) for name in sorted(by_folder)]
    together = [row for name in sorted(by_folder) for row in by_folder[name]]
    return [*kinds, _kind(ALL, together)] if together else []


def _kind(name: str, rows: Sequence[Outcome]) -> Kind:
    tagged = [row for row in rows if row.landmark]
    tagged.sort(key=lambda row: (-(row.confidence or 0), row.path))
    return Kind(name, len(rows), tuple(tagged))


def describe(kind: Kind) -> dict[str, Any]:
    """A kind as JSON has it."""
    return {
        "kind": kind.name,
        "photos": kind.photos,
        "tagged": len(kind.tagged),
        "share": round(len(kind.tagged) / kind.photos, 5),
        "interval": [round(end, 5) for end in kind.interval],
        "tags": [
            {"path": row.path, "landmark": row.landmark, "confidence": row.confidence}
            for row in kind.tagged
        ],
    }


def format_kinds(kinds: Sequence[Kind]) -> str:
    """One line a kind, then one a false tag, the surest first."""
    width = max(len(kind.name) for kind in kinds)
    lines = []
    for kind in kinds:
        low, high = kind.interval
        share = len(kind.tagged) / kind.photos
        lines.append(
            f"{kind.name:{width}}  {len(kind.tagged):4} of {kind.photos:5} tagged: {share:.2%} "
            f"(likely {low:.2%} to {high:.2%})"
        )
    for row in kinds[-1].tagged:
        lines.append(f"{row.confidence or 0:.3f}  {row.landmark}  {row.path}")
    return "\n".join(lines)


@click.command()
@click.argument("table", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a kind instead of text.")
def main(table: Path, as_json: bool) -> None:
    """Count the tags in the TABLE of a scan of photos that show no landmark the model knows.

    Photos count by the folder that they lie in: put look-alikes, everyday scenes and other kinds
    into a folder each. Look at what is tagged: it may show a landmark after all.
    """
    try:
        kinds = count(read_table(table))
    except GeotagError as error:
        raise click.ClickException(str(error)) from error
    if not kinds:
        raise click.ClickException(f"{table}: no readable photo in it")
    if as_json:
        for kind in kinds:
            click.echo(json.dumps(describe(kind), ensure_ascii=False))
        return
    click.echo(format_kinds(kinds))


if __name__ == "__main__":
    main()
