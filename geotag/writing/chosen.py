"""Which run a revert takes back, and what makes that doubtful."""

from __future__ import annotations

import logging
import os
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from geotag.errors import CatalogError, GeotagError, LockedError, UsageError
from geotag.files.paths import format_path
from geotag.state.catalog import open_catalog
from geotag.state.journal import Journal, Run, State
from geotag.state.known_catalogs import known_catalogs

_log = logging.getLogger(__name__)
_LEFT = (State.WRITTEN, State.PREPARED, State.REVERTING)


class Chosen(NamedTuple):
    """A run to take back, its catalog, and the folder of what it wrote.

    `doubt` leads to its title and says why it may not be the one that is meant; it is empty where
    it surely is.
    """

    catalog: Path
    run: Run
    folder: str
    doubt: str = ""

    @property
    def title(self) -> str:
        """The run, when it was, how many files it has left to take back and where, and what ran."""
        count = sum(self.run.files.get(state, 0) for state in _LEFT)
        files = "1 file" if count == 1 else f"{count} files"
        where = f" in {format_path(self.folder)}" if self.folder else ""
        when = format_minute(self.run.started_at)
        return f"run {self.run.id}, {when}, {files}{where} ({self.run.description})"


def choose_run(run_id: str | None, catalog: Path | None) -> Chosen:
    """The run of this name, or the last one of which something is left to take back.

    Without a catalog it is looked for in all that this user wrote from. Raises UsageError when no
    such run is known, CatalogError and LockedError.
    """
    runs, unopened = list_runs(catalog)
    found = [
        (path, run)
        for path, run in runs
        if run.id == run_id or (run_id is None and any(run.files.get(s) for s in _LEFT))
    ]
    in_use = [error for error in unopened if isinstance(error, LockedError)]
    if in_use and not (found and run_id):
        raise in_use[0]
    for error in unopened:
        _log.warning("%s", error)
    if not found:
        what = f"no run {run_id}" if run_id else "no run that can be reverted"
        raise UsageError(f"{what} is known; name its catalog with --catalog TABLE.geotag")
    path, run = found[-1]
    with open_catalog(path) as opened:
        folder = Journal(opened.connection).folder(run.id)
    chosen = Chosen(path, run, folder)
    if run_id is not None:
        return chosen
    return chosen._replace(doubt=_doubt(chosen, runs[-1][1], is_named=catalog is not None))


def choose_surely(run_id: str | None, catalog: Path | None) -> Chosen:
    """`choose_run`, which raises UsageError where the last run may not be the one that is meant."""
    chosen = choose_run(run_id, catalog)
    if chosen.doubt:
        again = f"to take it back, give `geotag revert {chosen.run.id}`"
        raise UsageError(f"{chosen.doubt} {chosen.title}; {again}")
    return chosen


def _doubt(chosen: Chosen, newest: Run, is_named: bool) -> str:
    """Why the last run that changed files may not be the last that the user thinks of."""
    if not any(newest.files.get(state) for state in State if state is not State.ABANDONED):
        when = format_minute(newest.started_at)
        tried = f"the newest write changed no file ({when}, {newest.description})"
        return f"{tried}; the last that did was"
    if not is_named and not _is_here(str(chosen.catalog.parent), chosen.folder):
        return "the last run that changed files was in another folder than this:"
    return ""


def _is_here(table: str, photos: str) -> bool:
    """Whether the table lies in the current folder, or the photos in it or around it."""
    here = os.path.realpath(".")
    folder = os.path.realpath(photos) if photos else ""
    return _is_in(os.path.realpath(table), here) or (
        bool(folder) and (_is_in(folder, here) or _is_in(here, folder))
    )


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))


def list_runs(catalog: Path | None) -> tuple[list[tuple[Path, Run]], list[GeotagError]]:
    """All runs of a catalog, the oldest first; without one, of those that this user wrote from,
    and why some of these could not be opened.

    Raises CatalogError or LockedError for a catalog that is named.
    """
    runs: list[tuple[Path, Run]] = []
    unopened: list[GeotagError] = []
    for path in [catalog] if catalog else known_catalogs():
        try:
            with open_catalog(path) as opened:
                runs += [(path, run) for run in Journal(opened.connection).runs()]
        except (CatalogError, LockedError) as error:
            if catalog:
                raise
            unopened.append(error)
    return sorted(runs, key=lambda item: (item[1].started_at, item[1].id)), unopened


def format_minute(timestamp: str) -> str:
    """In the time zone of this machine."""
    return f"{datetime.fromisoformat(timestamp).astimezone():%Y-%m-%d %H:%M}"
