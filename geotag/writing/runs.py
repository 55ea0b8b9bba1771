"""Writes and reverts as runs in a catalog: what the commands and Python share."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from geotag.categories import load_categories
from geotag.errors import CatalogError, GeotagError, LockedError, UsageError
from geotag.files.paths import format_path
from geotag.records import Outcome
from geotag.state.catalog import open_catalog
from geotag.state.database import SUFFIX
from geotag.state.journal import Journal, Run, State
from geotag.state.known_catalogs import known_catalogs, remember_catalog
from geotag.state.queries import decided_with, recognised
from geotag.tables import read_table
from geotag.writing.intent import Guess, Landmarks, is_of_another_photo, with_guess
from geotag.writing.result import Action, WriteResult
from geotag.writing.revert import revert_run, settle
from geotag.writing.writeback import (
    WriteOptions,
    is_path,
    is_wanted,
    new_run_id,
    photo_path,
    write_back,
    write_run,
)

_log = logging.getLogger(__name__)
_MISPLACED = (
    "the scan found another landmark in it than its row says: were some columns sorted without the "
    "others? Scan again for a new table"
)


def write_table_tags(
    table: Path,
    catalog: Path | None,
    options: WriteOptions,
    paced: Callable[[Sequence[Outcome]], Iterable[Outcome]] = iter,
) -> Iterator[WriteResult]:
    """Write a table's tags into its photos, one result for each; a dry run writes nothing.

    The catalog, beside the table unless named, keeps the journal. `paced` is given the table's
    rows and yields them as the caller wants them written: it may count them, or stop early.
    Raises TableError, CatalogError and LockedError.
    """
    catalog = catalog or table.with_name(table.name + SUFFIX)
    rows, misplaced = _compared(tuple(read_table(table)), catalog)
    for path in misplaced:
        if is_wanted(path, options.only):
            yield WriteResult(path, Action.FAILED, _MISPLACED)
    options = _with_decision(options, rows, table, catalog)
    if options.dry_run:
        yield from write_back(paced(rows), None, options, new_run_id())
        return
    title = f"write {format_path(str(table.absolute()))}" + (" --gps" if options.position else "")
    with open_catalog(catalog) as opened:
        remember_catalog(catalog)
        yield from write_run(paced(rows), opened, options, title)
        if opened.cleared.unknown:
            _log.warning("%s", _unknown_to_scans(opened.cleared.unknown, catalog))


def _compared(rows: tuple[Outcome, ...], catalog: Path) -> tuple[list[Outcome], list[str]]:
    """The rows beside what the catalog knows: completed with what the scan found where they lack
    it, and, apart from them, the photos of those that contradict it."""
    paths = [photo_path(row) for row in rows]
    named = [p for p, row in zip(paths, rows, strict=True) if row.landmark and is_path(p)]
    known = recognised(catalog, map(os.fsencode, named))
    landmarks = Landmarks(load_categories())
    kept, misplaced = [], []
    for row, path in zip(rows, paths, strict=True):
        found = known.get(os.fsencode(path)) if row.landmark and is_path(path) else None
        if found is None:
            kept.append(row)
        elif is_of_another_photo(row, Guess(*found)):
            misplaced.append(path)
        else:
            kept.append(with_guess(row, Guess(*found), landmarks))
    return kept, misplaced


def _with_decision(
    options: WriteOptions, rows: Sequence[Outcome], table: Path, catalog: Path
) -> WriteOptions:
    """With the model's SHA-256 and the threshold, where the catalog of the scan knows them."""
    models = {row.model for row in rows if row.landmark and row.model}
    if options.model_sha256 or len(models) != 1:
        return options
    known = decided_with(catalog, table, models.pop())
    return options._replace(model_sha256=known[0], threshold=known[1]) if known else options


def _unknown_to_scans(count: int, catalog: Path) -> str:
    """That a cleared landmark is remembered in a catalog that no scan has used."""
    photos = "1 photo whose landmark" if count == 1 else f"{count} photos whose landmarks"
    return (
        f"{format_path(str(catalog))} has no scan of {photos} you cleared. A scan that uses "
        "another catalog will tag again: give that catalog to --catalog"
    )


def revert_writes(run_id: str | None, catalog: Path | None) -> tuple[str, Iterator[WriteResult]]:
    """The run (None: the last one that can be reverted), and one result for each file of it.

    Without a catalog it is looked for in all that this user wrote from. Raises UsageError when no
    such run is known, CatalogError and LockedError.
    """
    place, run_id = _find_run(catalog, run_id)
    return run_id, _reverted(place, run_id)


def _reverted(catalog: Path, run_id: str) -> Iterator[WriteResult]:
    with open_catalog(catalog) as opened:
        journal = Journal(opened.connection)
        settle(journal)
        opened.cleared.undo(run_id)
        yield from revert_run(journal, run_id)


def _find_run(catalog: Path | None, run_id: str | None) -> tuple[Path, str]:
    runs, unopened = list_runs(catalog)
    found = [
        (path, run.id)
        for path, run in runs
        if run.id == run_id or (run_id is None and _is_revertible(run))
    ]
    in_use = [error for error in unopened if isinstance(error, LockedError)]
    if in_use and not (found and run_id):
        raise in_use[0]
    for error in unopened:
        _log.warning("%s", error)
    if not found:
        what = f"no run {run_id}" if run_id else "no run that can be reverted"
        raise UsageError(f"{what} is known; name its catalog with --catalog TABLE.geotag")
    return found[-1]


def _is_revertible(run: Run) -> bool:
    return any(run.files.get(state) for state in (State.WRITTEN, State.PREPARED, State.REVERTING))


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
