"""Writes and reverts as runs in a catalog: what the commands and Python share."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from geotag.categories import load_categories
from geotag.errors import UsageError
from geotag.files.paths import format_path
from geotag.places.offsets import Offset
from geotag.places.private import Zone
from geotag.records import Outcome
from geotag.state.catalog import open_catalog
from geotag.state.database import SUFFIX
from geotag.state.decisions import Decision, decisions_in
from geotag.state.journal import Journal
from geotag.state.known_catalogs import remember_catalog
from geotag.state.known_readings import known_readings
from geotag.state.queries import Recognised, decided_with, recognised, recognised_in
from geotag.tables import read_table
from geotag.tables.private import without_private
from geotag.writing.chosen import Chosen
from geotag.writing.decided import with_decisions
from geotag.writing.intent import Guess, Landmarks, is_of_another_photo, named_by_user, with_guess
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
_CHUNK = 1000
_EDITS_SHOWN = 20
_MISPLACED = (
    "the scan found another landmark in it than its row says: were some columns sorted without the "
    "others? Scan again for a new table"
)


class Survey(NamedTuple):
    """What a table holds, before anything of it is written.

    `edits` are the first of the photos and landmarks that are taken as the user's word, of
    `edit_count` in all; `models` are those whose tags it has.
    """

    rows: int
    edits: tuple[tuple[str, str], ...]
    edit_count: int
    models: frozenset[str]


class _Rows:
    """A table's rows beside what the catalog knows, read anew each time: memory stays flat.

    They are completed with what the scan found where they lack it; the photos of those that
    contradict it are `misplaced`, and left out.
    """

    def __init__(
        self,
        table: Path,
        private: tuple[Zone, ...],
        look_up: Callable[[Iterable[bytes]], Recognised],
        decisions: Mapping[str, Decision],
    ) -> None:
        self._table = table
        self.decisions = decisions
        self.read = partial(without_private, self._decided, private)
        self.look_up = look_up
        self.landmarks = Landmarks(load_categories())
        self.misplaced: list[str] = []

    def _decided(self) -> Iterator[Outcome]:
        """What the user decided in a review goes before what the table says."""
        return with_decisions(read_table(self._table), self.decisions)

    def __iter__(self) -> Iterator[Outcome]:
        self.misplaced = []
        remaining = self.read()
        while chunk := list(islice(remaining, _CHUNK)):
            paths = ((row, _named_path(row)) for row in chunk)
            named = {
                row.path: os.fsencode(path)
                for row, path in paths
                if path and path not in self.decisions
            }
            known = self.look_up(named.values())
            for row in chunk:
                found = known.get(named.get(row.path, b""))
                if found is not None and is_of_another_photo(row, Guess(*found)):
                    self.misplaced.append(photo_path(row))
                else:
                    yield with_guess(row, Guess(*found), self.landmarks) if found else row

    def survey(self, only: tuple[str, ...]) -> Survey:
        """Go through the table once; `edits` are of the photos that match the globs."""
        models: set[str] = set()
        edits: list[tuple[str, str]] = []
        rows = count = 0
        for row in self:
            rows += 1
            if row.landmark and row.model:
                models.add(row.model)
            name = named_by_user(row, self.landmarks)
            if name and is_wanted(photo_path(row), only):
                count += 1
                edits += [(row.path, name)] if count <= _EDITS_SHOWN else []
        return Survey(rows, tuple(edits), count, frozenset(models))


def _named_path(row: Outcome) -> str:
    """The photo of a row with a landmark; empty for others."""
    path = photo_path(row) if row.landmark else ""
    return path if is_path(path) else ""


def write_table_tags(
    table: Path,
    catalog: Path | None,
    options: WriteOptions,
    paced: Callable[[Iterable[Outcome], Survey], Iterable[Outcome]] = lambda rows, survey: rows,
) -> Iterator[WriteResult]:
    """Write a table's tags into its photos, one result for each; a dry run writes nothing.

    The catalog, beside the table unless named, keeps the journal. `paced` is given the table's
    rows and what it holds, and yields the rows as the caller wants them written: it may count
    them, or stop early. Raises UsageError, TableError, CatalogError and LockedError.
    """
    if options.clear and options.position:
        raise UsageError("--clear only takes back what was written: leave out --gps")
    catalog = catalog or table.with_name(table.name + SUFFIX)
    if options.times:
        options = options._replace(offsets=_offsets(catalog, options))
    decisions = decisions_in(catalog)
    rows = _Rows(table, options.private, partial(recognised_in, catalog), decisions)
    survey = rows.survey(options.only)
    options = _with_decision(options, survey.models, table, catalog)
    if options.dry_run:
        yield from write_back(paced(rows, survey), None, options, new_run_id())
        yield from _failed(rows.misplaced, options.only)
        return
    title = f"write {format_path(str(table.absolute()))}" + (" --gps" if options.position else "")
    title += " --times" if options.times else ""
    title += "".join(f" --clear {method}" for method in options.clear)
    with open_catalog(catalog) as opened:
        remember_catalog(catalog)
        rows.look_up = partial(recognised, opened.connection)
        yield from write_run(paced(rows, survey), opened, options, title)
        yield from _failed(rows.misplaced, options.only)
        if opened.cleared.unknown:
            _log.warning("%s", _unknown_to_scans(opened.cleared.unknown, catalog))


def _offsets(catalog: Path, options: WriteOptions) -> Mapping[str, Offset]:
    """What is known of the offsets of photos' times, from the catalog of the scan.

    Raises UsageError where there is none, MissingDependencyError without the extra `places`.
    """
    if options.clear or options.position:
        raise UsageError("--times writes nothing but offsets from UTC: leave out --gps and --clear")
    if not catalog.is_file():
        raise UsageError(
            f"{catalog}: no such catalog; scan the library first, or name its --catalog"
        )
    from geotag.places.library import find_offsets_of  # only now: numpy is heavy

    return find_offsets_of(known_readings(catalog))


def _failed(misplaced: list[str], only: tuple[str, ...]) -> Iterator[WriteResult]:
    for path in misplaced:
        if is_wanted(path, only):
            yield WriteResult(path, Action.FAILED, _MISPLACED)


def _with_decision(
    options: WriteOptions, models: frozenset[str], table: Path, catalog: Path
) -> WriteOptions:
    """With the model's SHA-256 and the threshold, where the catalog of the scan knows them."""
    if options.model_sha256 or len(models) != 1:
        return options
    known = decided_with(catalog, table, min(models))
    return options._replace(model_sha256=known[0], threshold=known[1]) if known else options


def _unknown_to_scans(count: int, catalog: Path) -> str:
    """That a cleared landmark is remembered in a catalog that no scan has used."""
    photos = "1 photo whose landmark" if count == 1 else f"{count} photos whose landmarks"
    return (
        f"{format_path(str(catalog))} has no scan of {photos} you cleared. A scan that uses "
        "another catalog will tag again: give that catalog to --catalog"
    )


def revert_writes(chosen: Chosen) -> Iterator[WriteResult]:
    """Take back a run: one result for each file of it. Raises CatalogError and LockedError."""
    with open_catalog(chosen.catalog) as opened:
        journal = Journal(opened.connection)
        settle(journal)
        opened.cleared.undo(chosen.run.id)
        yield from revert_run(journal, chosen.run.id)
