"""geotag report: a table as one HTML file, or as a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from geotag.cli.lines import counted
from geotag.cli.options import PLACE, catalog_of, catalog_option, private_option, quiet_option
from geotag.cli.progress import with_bar
from geotag.cli.streams import complain, tell
from geotag.errors import CatalogError, LockedError, MissingDependencyError, UsageError
from geotag.places.private import Zone
from geotag.records import Outcome, Status
from geotag.tables import check_writable, read_table, write_text
from geotag.tables.private import without_private

if TYPE_CHECKING:
    from geotag.report.surroundings import Surroundings

_SUFFIXES = (".html", ".htm")


@click.command()
@click.argument("table", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out", required=True, type=PLACE, metavar="FILE|FOLDER/",
    help="HTML file to write, or for large libraries a folder, with / at its end.",
)  # fmt: skip
@click.option(
    "--no-thumbnails", is_flag=True, help="Leave out the photos' thumbnails; no photo is read."
)
@click.option(
    "--track", "tracks", multiple=True, type=click.Path(exists=True), metavar="FILE|FOLDER",
    help="Draw a recorded track (GPX, KML, TCX, FIT, NMEA, Google's JSON) on the map; repeatable.",
)  # fmt: skip
@catalog_option("The catalog of the scan, for the devices' clocks")
@private_option
@quiet_option
def report(
    table: Path, out: str, no_thumbnails: bool, tracks: tuple[str, ...], catalog: Path | None,
    private: tuple[Zone, ...], quiet: bool,
) -> None:  # fmt: skip
    """Show TABLE as one HTML file: a map, a gallery, a timeline, failures and conflicts.

    The file opens in any browser, also without a network, and asks no server for anything. Of more
    than 10,000 photos make a folder: open the index.html in it. Both hold the paths, times and
    positions of your photos: give them only to those who may have them.
    """
    from geotag.report.folder import is_folder

    rows = list(without_private(partial(read_table, table), private))
    catalog = catalog_of(table, catalog)
    around = partial(_surroundings, rows, tracks, catalog, private)
    content = _Content(table.name, rows, around, not no_thumbnails, quiet)
    shown, size = content.to_folder(out) if is_folder(out) else content.to_file(out)
    if not quiet:
        photos = counted(len(rows), "photo")
        tell(f"{out}: {photos}, {shown} with a thumbnail, {size / 1e6:.1f} MB")


class _Content(NamedTuple):
    """What a report shows. Either form tells how many thumbnails it has, and its bytes."""

    name: str
    rows: Sequence[Outcome]
    around: Callable[[], Surroundings]  # takes its time: asked for once `out` may be written
    has_thumbnails: bool
    quiet: bool

    def to_file(self, out: str) -> tuple[int, int]:
        from geotag.report.page import build_page, thumbnail_bytes

        if not out.lower().endswith(_SUFFIXES):
            suffixes = " or ".join(_SUFFIXES)
            raise UsageError(
                f"{out}: must end with {suffixes} for one file, or with / for a folder"
            )
        check_writable(out)
        most = thumbnail_bytes(len(self.rows)) if self.has_thumbnails else 0
        pictures = list(self._thumbnails(most))
        page = build_page(self.name, self.rows, pictures, self.around())
        write_text(out, page)
        return sum(map(bool, pictures)), len(page.encode())

    def to_folder(self, out: str) -> tuple[int, int]:
        from geotag.report.folder import THUMBNAIL_BYTES, check_folder, write_folder
        from geotag.report.page import build_page

        check_folder(out)
        page = lambda chunks: build_page(self.name, self.rows, [], self.around(), chunks)  # noqa: E731
        written = write_folder(out, self.rows, self._thumbnails(THUMBNAIL_BYTES), page)
        return written.shown, written.size

    def _thumbnails(self, most_bytes: int) -> Iterable[bytes]:
        from geotag.decoding.previews import make_previews

        # A picture of what is private may tell more than its place.
        paths = ["" if row.status is Status.PRIVATE else row.path for row in self.rows]
        previews = make_previews(paths, most_bytes)
        return with_bar(previews, len(self.rows), self.quiet) if self.has_thumbnails else ()


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
    from geotag.places.library import tell_clocks
    from geotag.state.unopened import known_clock_offsets, known_library

    if not catalog.is_file():
        return []
    try:
        with known_library(catalog) as library:
            return tell_clocks(library, known_clock_offsets(catalog))
    except LockedError as error:
        complain(f"{error}: the report lacks the cameras' clocks")
        return []
    except (CatalogError, MissingDependencyError):
        return []
