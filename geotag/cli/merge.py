"""geotag merge: the parts that scans of shards wrote as one table."""

from __future__ import annotations

import click

from geotag.cli.convert import Counts, check_target
from geotag.cli.lines import counted
from geotag.cli.options import quiet_option
from geotag.cli.streams import tell
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
    check_target(out, parts, replace)
    counts = Counts()
    with opened_parts(parts) as rows:
        write_table(out, counts.counted(rows))
    if not quiet and out != STDOUT:
        tell(f"{out}: {counted(counts.rows, 'row')} of {counted(len(parts), 'part')}")
