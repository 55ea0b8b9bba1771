"""geotag convert: a table in another format."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import partial

import click

from geotag.cli.lines import counted
from geotag.cli.options import PLACE, private_option, quiet_option
from geotag.cli.streams import tell
from geotag.errors import UsageError
from geotag.places.private import Zone
from geotag.records import Outcome
from geotag.stores import is_remote
from geotag.tables import (
    STDOUT,
    SUFFIXES,
    check_table,
    files_of_table,
    is_for_maps,
    read_table,
    table_format,
    table_state,
    write_table,
)
from geotag.tables.base import degrees
from geotag.tables.dataset import is_dataset
from geotag.tables.private import without_private


@click.command()
@click.argument("table", type=PLACE)
@click.option(
    "--out",
    required=True,
    type=PLACE,
    metavar="FILE",
    help=f"File to write: {SUFFIXES}.",
)
@click.option("--replace", is_flag=True, help="Overwrite a file that exists.")
@private_option
@quiet_option
def convert(table: str, out: str, replace: bool, private: tuple[Zone, ...], quiet: bool) -> None:
    """Write the rows of TABLE into a file of another format; TABLE stays as it is.

    A KML or GPX file holds the rows with a position only, so geotag does not read it.
    """
    table_format(table)
    check_table(out)
    check_target(out, (table,), replace)
    counts = Counts()
    write_table(out, counts.counted(without_private(partial(read_table, table), private)))
    if not quiet:
        left_out = counts.rows - counts.positions if is_for_maps(out) else 0
        more = f", {left_out} without a position left out" if left_out else ""
        tell(f"{out}: {counted(counts.rows - left_out, 'row')}{more}")


def check_target(out: str, tables: Iterable[str], replace: bool) -> None:
    """Raise UsageError where a table would be written over one that it is made of or, unless that
    is asked for, over what is there."""
    if out == STDOUT:
        return
    files = {_whole_name(file) for file in (out, *files_of_table(out))}
    for table in tables:
        if _whole_name(table) in files:
            raise UsageError(f"{out}: is the table that is converted; give another --out")
    if not replace and _is_there(out):
        raise UsageError(f"{out} is there: give another --out, or --replace to lose what it holds")


def _whole_name(path: str) -> str:
    return path.rstrip("/") if is_remote(path) else os.path.realpath(path)


def _is_there(path: str) -> bool:
    """Whether a file, an object or a folder of a table would be written over."""
    if is_remote(path) or is_dataset(path):
        return bool(table_state(path))
    return os.path.isfile(path)


class Counts:
    """How many rows went by, and how many of them with a position."""

    rows = positions = 0

    def counted(self, rows: Iterable[Outcome]) -> Iterator[Outcome]:
        """The same rows, counted as they go by."""
        for row in rows:
            self.rows += 1
            self.positions += degrees(row) is not None
            yield row
