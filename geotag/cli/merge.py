"""geotag merge: the parts that scans of shards wrote as one table."""

from __future__ import annotations

from collections import deque

import click

from geotag.cli.convert import Counts, check_target
from geotag.cli.lines import counted
from geotag.cli.options import PLACE, quiet_option
from geotag.cli.streams import tell
from geotag.tables import STDOUT, check_table, write_table
from geotag.tables.dataset import member, shares_in
from geotag.tables.parts import opened_parts


@click.command()
@click.argument("parts", nargs=-1, required=True, type=PLACE, metavar="PARTS...")
@click.option(
    "--out",
    type=PLACE,
    metavar="TABLE",
    help="Table to write, as by geotag scan; without it the parts are only checked.",
)
@click.option("--replace", is_flag=True, help="Overwrite a file that exists.")
@quiet_option
def merge(parts: tuple[str, ...], out: str | None, replace: bool, quiet: bool) -> None:
    """Merge the tables of all shards into one, with the bytes that one scan of all would write.

    PARTS are the .parquet files of scans with --shard, or a folder of them. A shard that is
    missing, there twice, or made with another model or other options than the others is refused.
    """
    parts = tuple(file for part in parts for file in _files(part))
    if out is not None:
        check_table(out)
        check_target(out, parts, replace)
    counts = Counts()
    with opened_parts(parts) as rows:
        if out is not None:
            write_table(out, counts.counted(rows))
        else:
            deque(counts.counted(rows), maxlen=0)
    if not quiet and out != STDOUT:
        told = f"{counted(counts.rows, 'row')} of {counted(len(parts), 'part')}"
        tell(f"{out}: {told}" if out is not None else f"{told} make up one table")


def _files(part: str) -> list[str]:
    """The file itself or, of a folder that shards were written into, those in it."""
    return [member(part, name) for name in shares_in(part)] or [part]
