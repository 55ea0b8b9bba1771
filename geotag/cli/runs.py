"""geotag runs: lists what was written when."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from geotag.cli.lines import complain, counted
from geotag.cli.options import journal_option
from geotag.state.journal import Run, State
from geotag.writing.runs import list_runs


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
        click.echo("no run of `geotag write` yet", err=True)


def format_run(run: Run) -> str:
    """One line: id, time, what was written and what of it was reverted, the command."""
    written, reverted = run.files.get(State.WRITTEN, 0), run.files.get(State.REVERTED, 0)
    unclear = run.files.get(State.PREPARED, 0) + run.files.get(State.REVERTING, 0)
    files = f"{counted(written + reverted, 'file')} written"
    files += f", {reverted} of them reverted" if reverted else ""
    files += f", {unclear} interrupted (the next write or revert finishes them)" if unclear else ""
    files += "" if run.finished_at else ", not finished"
    return f"{run.id}  {_minute(run.started_at)}  {files}  ({run.description})"


def _minute(timestamp: str) -> str:
    """In the time zone of this machine."""
    return f"{datetime.fromisoformat(timestamp).astimezone():%Y-%m-%d %H:%M}"
