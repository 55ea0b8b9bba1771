"""geotag merge: the parts that scans of shards wrote as one table."""

from __future__ import annotations

import os

import click

from geotag.cli.convert import Counts, is_there
from geotag.cli.lines import counted
from geotag.cli.options import quiet_option
from geotag.cli.streams import tell
from geotag.errors import UsageError
from geotag.tables import STDOUT, check_table, write_table
from geotag.tables.parts import opened_parts


@click.command()
@click.argument("parts", nargs=-1, required=True, metavar="PARTS...")
@click.option("--out", required=True, metavar="TABLE", help="Table to write, as by geotag scan.")
@click.option("--replace", is_flag=True, help="Write over a file that is there.")
@quiet_option
def merge(parts: tuple[str, ...], out: str, replace: bool, quiet: bool) -> None:
    """Merge the tables of all shards into one, with the bytes that one scan of all would write.

    PARTS are the .parquet files of scans with --shard. A shard that is missing, there twice, or
    made with another model or other options than the others is refused.
    """
    check_table(out)
    if out != STDOUT:
        if os.path.realpath(out) in map(os.path.realpath, parts):
            raise UsageError(f"{out}: --out is one of the parts")
        if not replace and is_there(out):
            raise UsageError(
                f"{out} is there: give another --out, or --replace to lose what it holds"
            )
    counts = Counts()
    with opened_parts(parts) as rows:
        write_table(out, counts.counted(rows))
    if not quiet and out != STDOUT:
        tell(f"{out}: {counted(counts.rows, 'row')} of {counted(len(parts), 'part')}")
