"""geotag revert: brings back the bytes that a write replaced."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from geotag.cli.lines import counted
from geotag.cli.options import SOME_FAILED, journal_option
from geotag.cli.signals import Stop, stop_on_signals
from geotag.cli.streams import complaints, is_terminal, one_line, tell
from geotag.errors import UsageError
from geotag.files.paths import format_path
from geotag.writing.chosen import Chosen, choose_run, choose_surely
from geotag.writing.result import Action, WriteResult
from geotag.writing.runs import revert_writes


@click.command()
@click.argument("run_id", required=False)
@click.option("--last", is_flag=True, help="Take back the last run that changed anything.")
@journal_option
def revert(run_id: str | None, last: bool, catalog: Path | None) -> int:
    """Bring back the bytes and times of all files that a run of `geotag write` changed.

    RUN_ID is as `geotag runs` lists it. A file that was changed since is named and left alone.

    Before --last takes back a run of another folder, or one before a write that changed nothing,
    it asks; in a script it ends with exit code 2.
    """
    if (run_id is None) == (not last):
        raise UsageError("give a RUN_ID (`geotag runs` lists them), or --last")
    chosen = choose_run(run_id, catalog) if is_terminal() else choose_surely(run_id, catalog)
    if chosen.doubt and not _is_meant(chosen):
        tell("nothing was taken back")
        return 1
    tell(one_line(chosen.title))
    with stop_on_signals() as stop:
        code = _report(_until(stop, revert_writes(chosen)))
    return code if stop.signal is None else 128 + stop.signal


def _until(stop: Stop, results: Iterator[WriteResult]) -> Iterator[WriteResult]:
    """The files that are taken back before a signal asks to stop."""
    while stop.signal is None and (result := next(results, None)) is not None:
        yield result


def _is_meant(chosen: Chosen) -> bool:
    tell(one_line(f"{chosen.doubt} {chosen.title}"))
    return click.confirm("Take it back?", err=True)


def _report(results: Iterable[WriteResult]) -> int:
    reverted = failed = 0
    with complaints() as add:
        for result in results:
            reverted += result.action is Action.REVERTED
            if result.action is Action.FAILED:
                failed += 1
                add(format_path(result.path), result.reason)
    left = f", {failed} left alone (see above)" if failed else ""
    were = "it was" if reverted == 1 else "they were"
    tell(f"{counted(reverted, 'file')} as {were}{left}")
    return SOME_FAILED if failed else 0
