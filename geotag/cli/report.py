"""geotag report: a table as one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geotag.cli.lines import counted
from geotag.cli.options import private_option, quiet_option
from geotag.cli.progress import with_bar
from geotag.cli.streams import tell
from geotag.errors import CatalogError, MissingDependencyError, UsageError
from geotag.places.private import Zone
from geotag.records import Outcome, Status
from geotag.state.database import SUFFIX
from geotag.tables import check_writable, read_table, write_text
from geotag.tables.private import without_private

if TYPE_CHECKING:
    from geotag.report.surroundings import Surroundings

_SUFFIXES = (".html", ".htm")


@click.command()
@click.argument("table", type=click.Path(exists=True, path_type=Path))
@click.option("--out", required=True, metavar="FILE", help="HTML file to write.")
@click.option(
    "--no-thumbnails", is_flag=True, help="Leave out the photos' thumbnails; no photo is read."
)
@click.option(
    "--track", "tracks", multiple=True, type=click.Path(exists=True), metavar="FILE|FOLDER",
    help="Draw a recorded track (GPX, KML, TCX, FIT, NMEA, Google's JSON) on the map; repeatable.",
)  # fmt: skip
@click.option(
    "--catalog",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The catalog of the scan, for the devices' clocks [default: TABLE.geotag].",
)
@private_option
@quiet_option
def report(
    table: Path, out: str, no_thumbnails: bool, tracks: tuple[str, ...], catalog: Path | None,
    private: tuple[Zone, ...], quiet: bool,
) -> None:  # fmt: skip
    """Show TABLE as one HTML file: a map, a gallery, a timeline, failures and conflicts.

    The file opens in any browser, also without a network, and asks no server for anything. It
    holds the paths, times and positions of your photos: give it only to those who may have them.
    """
    from geotag.decoding.previews import make_previews
    from geotag.report.page import build_page, thumbnail_bytes

    if not out.lower().endswith(_SUFFIXES):
        raise UsageError(f"{out}: the suffix must be one of {', '.join(_SUFFIXES)}")
    check_writable(out)
    rows = list(without_private(partial(read_table, table), private))
    thumbnails: list[bytes] = []
    if not no_thumbnails:
        # A picture of what is private may tell more than its place.
        paths = ["" if row.status is Status.PRIVATE else row.path for row in rows]
        previews = make_previews(paths, thumbnail_bytes(len(rows)))
        thumbnails = list(with_bar(previews, len(rows), quiet))
    catalog = catalog or table.with_name(table.name + SUFFIX)
    page = build_page(table.name, rows, thumbnails, _surroundings(rows, tracks, catalog, private))
    write_text(out, page)
    if not quiet:
        shown = sum(map(bool, thumbnails))
        size = len(page.encode()) / 1e6
        photos = counted(len(rows), "photo")
        tell(f"{out}: {photos}, {shown} with a thumbnail, {size:.1f} MB")


def _surroundings(
    rows: Sequence[Outcome], tracks: tuple[str, ...], catalog: Path, private: tuple[Zone, ...]
) -> Surroundings:
    from geotag.places.names import load_town_names
    from geotag.places.trackfiles import read_tracks
    from geotag.report.surroundings import Surroundings, towns_near, track_lines

    segments = read_tracks(tracks) if tracks else []
    lines = [list(zip(s.latitudes.tolist(), s.longitudes.tolist(), strict=True)) for s in segments]
    return Surroundings(
        towns_near(rows, load_town_names()), track_lines(lines, private), _clocks(catalog)
    )


def _clocks(catalog: Path) -> list[str]:
    """What was found of the devices' clocks; nothing where no catalog or extra tells."""
    from geotag.places.library import find_clocks
    from geotag.state.known_readings import known_readings

    if not catalog.is_file():
        return []
    try:
        return find_clocks(known_readings(catalog))
    except (CatalogError, MissingDependencyError):
        return []
