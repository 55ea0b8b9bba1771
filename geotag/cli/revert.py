"""geotag revert: brings back the bytes that a write replaced."""

from __future__ import annotations

from pathlib import Path

import click

from geotag.cli.lines import counted
from geotag.cli.options import SOME_FAILED, journal_option
from geotag.cli.streams import complain, tell
from geotag.errors import UsageError
from geotag.files.paths import format_path
from geotag.writing.result import Action
from geotag.writing.runs import revert_writes


@click.command()
@click.argument("run_id", required=False)
@click.option("--last", is_flag=True, help="The last run that wrote anything.")
@journal_option
def revert(run_id: str | None, last: bool, catalog: Path | None) -> int:
    """Bring back the bytes and times of all files that a run of `geotag write` changed.

    RUN_ID is as `geotag runs` lists it. A file that was changed since is named and left alone.
    """
    if (run_id is None) == (not last):
        raise UsageError("give a RUN_ID (`geotag runs` lists them), or --last")
    run_id, results = revert_writes(run_id, catalog)
    reverted = failed = 0
    for result in results:
        reverted += result.action is Action.REVERTED
        if result.action is Action.FAILED:
            failed += 1
            complain(f"{format_path(result.path)}: {result.reason}")
    left = f", {failed} left alone (see above)" if failed else ""
    were = "it was" if reverted == 1 else "they were"
    tell(f"run {run_id}: {counted(reverted, 'file')} as {were}{left}")
    return SOME_FAILED if failed else 0
