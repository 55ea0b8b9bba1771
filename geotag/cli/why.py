"""geotag why: why a photo's row says what it says, in plain sentences."""

from __future__ import annotations

import os
from pathlib import Path

import click

from geotag.cli.options import PLACE, catalog_of, catalog_option
from geotag.cli.streams import one_line
from geotag.errors import MissingDependencyError, UsageError
from geotag.files.paths import format_path
from geotag.records import Outcome, Status
from geotag.report.why import Known, explain_row
from geotag.state.database import SUFFIX
from geotag.state.decided import decided_with
from geotag.state.unopened import known_clock_offsets, known_library, known_readings
from geotag.tables import read_table, table_format

_MEANT = 5


@click.command()
@click.argument("photo", type=PLACE)
@click.option(
    "--table",
    type=PLACE,
    metavar="TABLE",
    help="The table of the scan [default: the only one with a catalog in this folder].",
)
@catalog_option("The catalog of the scan")
def why(photo: str, table: str | None, catalog: Path | None) -> None:
    """Explain the row of PHOTO: what its metadata say, what its time tells, and what the network
    saw; why it has no position or tag; and what would help.

    PHOTO is a path, or a name that only one photo of the table has. No photo is read, and nothing
    is changed.
    """
    table = table or _only_table()
    row = _row_of(photo, table)
    place = catalog_of(table, catalog)
    if catalog is not None and not place.is_file():
        raise UsageError(f"{place}: no such catalog")
    is_told = row.status is not Status.PRIVATE and place.is_file()
    known = _known(row, Path(table), place) if is_told else Known()
    click.echo(one_line(row.path))
    for sentence in explain_row(row, known):
        click.echo(f"  {one_line(sentence)}")
    if not place.is_file():
        click.echo(f"  More is told with the catalog of the scan: there is no {place}.")


def _only_table() -> str:
    found = [path.name.removesuffix(SUFFIX) for path in Path().glob(f"*{SUFFIX}")]
    tables = sorted(name for name in found if Path(name).exists())
    if len(tables) != 1:
        raise UsageError("name the table that the scan wrote with --table")
    return tables[0]


def _row_of(photo: str, table: str) -> Outcome:
    """The row of a photo. Raises UsageError where there is none, or which one is not clear."""
    table_format(table)
    if not os.path.exists(table):
        raise UsageError(f"{table}: no such table; scan the library first")
    whole, named = {photo, format_path(os.path.abspath(photo))}, []
    for row in read_table(table):
        if row.path in whole:
            return row
        if row.path.endswith("/" + photo.lstrip("/")):
            named.append(row)
    if len(named) == 1:
        return named[0]
    if named:
        meant = ", ".join(row.path for row in named[:_MEANT])
        raise UsageError(f"{photo}: {len(named)} photos in {table} have this name: {meant}")
    raise UsageError(f"{photo}: not in {table}: scan again if it is new")


def _known(row: Outcome, table: Path, catalog: Path) -> Known:
    """What the catalog knows of a row's photo and of those near it."""
    from geotag.places.nearby import surroundings_of
    from geotag.places.readings import sighting_of

    decided = decided_with(catalog, table, row.model) if row.model else None
    threshold = decided.least(row.top_k[0].slug) if decided is not None and row.top_k else None
    reading = next(
        (r for r in known_readings(catalog) if format_path(r.photo.uri) == row.path), None
    )
    if reading is None:
        return Known(threshold=threshold)
    sighting = sighting_of(reading)
    around = surroundings_of(sighting, map(sighting_of, known_readings(catalog)))
    try:
        from geotag.places.library import find_clock_of  # only now: numpy is heavy

        with known_library(catalog) as library:
            clock = find_clock_of(library, sighting, known_clock_offsets(catalog))
    except (ImportError, MissingDependencyError):  # without the extra no clock is looked for
        clock = ""
    return Known(reading, sighting, around, clock, threshold)
