"""geotag report: a table as one HTML file."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import click

from geotag.cli.lines import counted
from geotag.cli.options import private_option, quiet_option
from geotag.cli.streams import tell
from geotag.errors import UsageError
from geotag.places.private import Zone
from geotag.records import Status
from geotag.tables import check_writable, read_table, write_text
from geotag.tables.private import without_private

_SUFFIXES = (".html", ".htm")


@click.command()
@click.argument("table", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", required=True, metavar="FILE", help="HTML file to write.")
@click.option(
    "--no-thumbnails", is_flag=True, help="Leave out the photos' thumbnails; no photo is read."
)
@private_option
@quiet_option
def report(
    table: Path, out: str, no_thumbnails: bool, private: tuple[Zone, ...], quiet: bool
) -> None:
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
        thumbnails = list(_with_bar(previews, len(rows), quiet))
    page = build_page(table.name, rows, thumbnails)
    write_text(out, page)
    if not quiet:
        shown = sum(map(bool, thumbnails))
        size = len(page.encode()) / 1e6
        photos = counted(len(rows), "photo")
        tell(f"{out}: {photos}, {shown} with a thumbnail, {size:.1f} MB")


def _with_bar(previews: Iterable[bytes], count: int, quiet: bool) -> Iterable[bytes]:
    if quiet or not sys.stderr.isatty():
        return previews
    from tqdm import tqdm

    bar: Iterable[bytes] = tqdm(previews, total=count, unit="photo", dynamic_ncols=True)
    return bar
