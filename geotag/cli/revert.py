"""geotag revert: brings back the bytes that a write replaced."""

from __future__ import annotations

from pathlib import Path

import click

from geotag.cli.lines import complain, counted
from geotag.cli.options import SOME_FAILED
from geotag.errors import CatalogError, GeotagError, LockedError, UsageError
from geotag.files.paths import format_path
from geotag.state.catalog import open_catalog
from geotag.state.journal import Journal, Run, State
from geotag.state.known_catalogs import known_catalogs
from geotag.writing.writeback import Action, revert_run, settle


@click.command()
@click.argument("run_id", required=False)
@click.option("--last", is_flag=True, help="The last run that wrote anything.")
@click.option(
    "--catalog",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The catalog that keeps the journal [default: those you wrote from].",
)
def revert(run_id: str | None, last: bool, catalog: Path | None) -> int:
    """Bring back the bytes and times of all files that a run of `geotag write` changed.

    RUN_ID is as `geotag runs` lists it. A file that was changed since is reported and left alone.
    """
    if (run_id is None) == (not last):
        raise UsageError("give a RUN_ID (see geotag runs), or --last")
    path, run_id = find_run(catalog, run_id)
    reverted = failed = 0
    with open_catalog(path) as opened:
        journal = Journal(opened.connection)
        settle(journal)
        opened.answers.undo(run_id)
        for result in revert_run(journal, run_id):
            if result.action is Action.FAILED:
                failed += 1
                complain(f"{format_path(result.path)}: {result.reason}")
            else:
                reverted += 1
    left = f", {failed} left alone (see above)" if failed else ""
    were = "it was" if reverted == 1 else "they were"
    click.echo(f"run {run_id}: {counted(reverted, 'file')} as {were}{left}", err=True)
    return SOME_FAILED if failed else 0


def find_run(catalog: Path | None, run_id: str | None) -> tuple[Path, str]:
    """The catalog of a run (None: the last one that still has something to revert).

    Raises UsageError when there is none, LockedError when it may be in a catalog that is in use.
    """
    runs, shut = list_runs(catalog)
    found = [
        (path, run.id)
        for path, run in runs
        if run.id == run_id or (run_id is None and _is_revertible(run))
    ]
    in_use = [error for error in shut if isinstance(error, LockedError)]
    if in_use and not (found and run_id):
        raise in_use[0]
    report(shut)
    if not found:
        what = f"no run {run_id}" if run_id else "no run that could be reverted"
        raise UsageError(f"{what} is known here; name its catalog with --catalog TABLE.geotag")
    return found[-1]


def _is_revertible(run: Run) -> bool:
    return any(run.files.get(state) for state in (State.WRITTEN, State.PREPARED, State.REVERTING))


def list_runs(catalog: Path | None) -> tuple[list[tuple[Path, Run]], list[GeotagError]]:
    """All runs of a catalog, the oldest first; without one, of those that are known, and why some
    of these could not be opened.

    Raises CatalogError or LockedError for a catalog that is named.
    """
    runs: list[tuple[Path, Run]] = []
    shut: list[GeotagError] = []
    for path in [catalog] if catalog else known_catalogs():
        try:
            with open_catalog(path) as opened:
                runs += [(path, run) for run in Journal(opened.connection).runs()]
        except (CatalogError, LockedError) as error:
            if catalog:
                raise
            shut.append(error)
    return sorted(runs, key=lambda item: (item[1].started_at, item[1].id)), shut


def report(shut: list[GeotagError]) -> None:
    """Say which catalogs were passed by."""
    for error in shut:
        click.echo(f"geotag: {error}", err=True)
