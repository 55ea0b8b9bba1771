"""geotag clocks: what is known of the clocks of a library's cameras."""

from __future__ import annotations

from pathlib import Path

import click

from geotag.cli.options import catalog_of, catalog_option
from geotag.cli.streams import one_line, tell
from geotag.errors import UsageError
from geotag.state.unopened import known_clock_offsets, known_library


@click.command()
@click.argument("table", type=click.Path())
@catalog_option("The catalog of the scan")
def clocks(table: str, catalog: Path | None) -> None:
    """List how far the clocks of the cameras of a scanned library were from UTC, and how that is
    known. No photo is read, and nothing is changed."""
    from geotag.places.library import tell_clocks  # only now: numpy is heavy

    place = catalog_of(table, catalog)
    if not place.is_file():
        raise UsageError(f"{place}: no such catalog; scan the library first, or name its --catalog")
    with known_library(place) as library:
        lines = tell_clocks(library, known_clock_offsets(place))
    for line in lines:
        click.echo(one_line(line))
    if not lines:
        tell("no photo of this library tells both when and with which camera it was taken")
