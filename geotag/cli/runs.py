"""geotag runs: lists what was written when."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import assert_never

import click

from geotag.cli.lines import counted
from geotag.cli.options import journal_option
from geotag.cli.streams import complain, one_line, tell
from geotag.state.journal import Run, State
from geotag.writing.chosen import format_minute, list_runs


@click.command()
@journal_option
def runs(catalog: Path | None) -> None:
    """List the runs of `geotag write`, the oldest first, with what each did."""
    listed, unopened = list_runs(catalog)
    for error in unopened:
        complain(str(error))
    for _, run in listed:
        click.echo(format_run(run))
    if not (listed or unopened):
        tell("no run of `geotag write` yet")


def format_run(run: Run) -> str:
    """One line: id, time, what was written and what of it was reverted, the command."""
    counts = Counter[str]()
    for state, count in run.files.items():
        counts[_words(state)] += count
    reverted, interrupted = counts["reverted"], counts["interrupted"]
    files = f"{counted(counts['written'] + reverted, 'file')} written"
    files += f", {reverted} of them reverted" if reverted else ""
    if interrupted:
        files += f", {interrupted} interrupted (the next write or revert finishes them)"
    files += "" if run.finished_at else ", not finished"
    return one_line(f"{run.id}  {format_minute(run.started_at)}  {files}  ({run.description})")


def _words(state: State) -> str:
    match state:
        case State.WRITTEN:
            return "written"
        case State.REVERTED:
            return "reverted"
        case State.PREPARED | State.REVERTING:
            return "interrupted"
        case State.ABANDONED:
            return "not written"
        case _:
            assert_never(state)
