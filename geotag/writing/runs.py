"""Writes and reverts as runs in a catalog: what the commands and Python share."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from geotag.categories import load_categories
from geotag.errors import UsageError
from geotag.files.paths import format_path
from geotag.places.offsets import Offset, find_offset
from geotag.places.private import Zone
from geotag.places.readings import sighting_of
from geotag.places.sighting import Clocks
from geotag.records import Outcome
from geotag.state.catalog import open_catalog
from geotag.state.database import SUFFIX
from geotag.state.decided import decided_with
from geotag.state.decisions import Decision, decisions_in
from geotag.state.journal import Journal
from geotag.state.known_catalogs import remember_catalog
from geotag.state.placed import PlacedPhotos
from geotag.state.queries import Recognised, recognised, recognised_in
from geotag.state.unopened import known_clock_offsets, known_library
from geotag.tables import read_table
from geotag.tables.private import without_private
from geotag.writing.chosen import Chosen
from geotag.writing.decided import with_decisions
from geotag.writing.intent import (
    Guess,
    Landmarks,
    is_cleared,
    is_of_another_photo,
    named_by_user,
    with_guess,
)
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
_AT_ODDS = "several rows of the table say different things of it: keep one"


class Survey(NamedTuple):
    """What a table holds, before anything of it is written.

    `edits` are the first of the photos and landmarks that are taken as the user's word, of
    `edit_count` in all; `cleared` the first of the photos whose landmark the user took out, of
    `cleared_count`; `models` are those whose tags it has.
    """

    rows: int
    edits: tuple[tuple[str, str], ...]
    edit_count: int
    models: frozenset[str]
    cleared: tuple[str, ...] = ()
    cleared_count: int = 0


class _Repeats:
    """Which photos have several rows, and whether these are the same.

    A table in the order of its paths, as geotag writes it, takes no memory; `is_sure` says whether
    it was that, or all was kept.
    """

    def __init__(self, keep_all: bool = False) -> None:
        self.is_sure = True
        self.found: dict[str, bool] = {}
        self._keep_all = keep_all
        self._last = b""
        self._seen: dict[int, int] = {}

    def take(self, row: Outcome) -> None:
        """Note a row."""
        path = photo_path(row)
        encoded, key = path.encode("utf-8", "surrogatepass"), hash(path)
        if not self._keep_all:
            self.is_sure = self.is_sure and encoded >= self._last
            if encoded != self._last:
                self._seen.clear()
        self._last = encoded
        if (said := self._seen.get(key)) is None:
            self._seen[key] = hash(row)
        else:
            self.found[path] = self.found.get(path, True) and said == hash(row)


class _Rows:
    """A table's rows beside what the catalog knows, read anew each time: memory stays flat.

    They are completed with what the scan found where they lack it. Of several rows of a photo that
    are the same one counts; photos whose rows contradict it or each other are `misplaced`, with the
    reason, and left out.
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
        self.misplaced: dict[str, str] = {}
        self._repeats: Mapping[str, bool] = {}

    def _decided(self) -> Iterator[Outcome]:
        """What the user decided in a review goes before what the table says."""
        return with_decisions(read_table(self._table), self.decisions)

    def __iter__(self) -> Iterator[Outcome]:
        self.misplaced = {path: _AT_ODDS for path, same in self._repeats.items() if not same}
        remaining = self._without_repeats()
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
                    self.misplaced[photo_path(row)] = _MISPLACED
                else:
                    yield with_guess(row, Guess(*found), self.landmarks) if found else row

    def _without_repeats(self) -> Iterator[Outcome]:
        taken: set[str] = set()
        for row in self.read():
            path = photo_path(row) if self._repeats else ""
            if path in self._repeats:
                if path in taken or not self._repeats[path]:
                    continue
                taken.add(path)
            yield row

    def survey(self, only: tuple[str, ...]) -> Survey:
        """Go through the table; `edits` and `cleared` are of the photos that match the globs."""
        repeats = _Repeats()
        survey = self._surveyed(only, repeats)
        if not repeats.is_sure:
            repeats = _Repeats(keep_all=True)
            for row in self.read():
                repeats.take(row)
        self._repeats = repeats.found
        return self._surveyed(only, _Repeats()) if repeats.found else survey

    def _surveyed(self, only: tuple[str, ...], repeats: _Repeats) -> Survey:
        models: set[str] = set()
        edits: list[tuple[str, str]] = []
        cleared: list[str] = []
        rows = edit_count = cleared_count = 0
        for row in self:
            rows += 1
            repeats.take(row)
            if row.landmark and row.model:
                models.add(row.model)
            if (name := named_by_user(row, self.landmarks)) and is_wanted(photo_path(row), only):
                edit_count += 1
                edits += [(row.path, name)] if edit_count <= _EDITS_SHOWN else []
            elif is_cleared(row, self.landmarks) and is_wanted(photo_path(row), only):
                cleared_count += 1
                cleared += [row.path] if cleared_count <= _EDITS_SHOWN else []
        found = tuple(edits), edit_count, frozenset(models), tuple(cleared), cleared_count
        return Survey(rows, *found)


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
    clocks = _clocks(catalog, options) if options.times else {}
    decisions = decisions_in(catalog)
    rows = _Rows(table, options.private, partial(recognised_in, catalog), decisions)
    survey = rows.survey(options.only)
    options = _with_decision(options, survey.models, table, catalog)
    if options.dry_run:
        with known_library(catalog) if options.times else nullcontext() as library:
            options = _with_offsets(options, library, clocks)
            yield from write_back(paced(rows, survey), None, options, new_run_id())
            yield from _failed(rows.misplaced, options.only)
        return
    title = f"write {format_path(str(table.absolute()))}" + (" --gps" if options.position else "")
    title += " --times" if options.times else ""
    title += "".join(f" --clear {method}" for method in options.clear)
    with open_catalog(catalog) as opened:
        remember_catalog(catalog)
        rows.look_up = partial(recognised, opened.connection)
        options = _with_offsets(options, opened.placed, clocks)
        yield from write_run(paced(rows, survey), opened, options, title)
        yield from _failed(rows.misplaced, options.only)
        if opened.cleared.unknown:
            _log.warning("%s", _unknown_to_scans(opened.cleared.unknown, catalog))


def _clocks(catalog: Path, options: WriteOptions) -> Clocks:
    """What is known of the clocks that photos' times are of, from the catalog of the scan.

    Raises UsageError where there is none, MissingDependencyError without the extra `places`.
    """
    if options.clear or options.position:
        raise UsageError("--times writes nothing but offsets from UTC: leave out --gps and --clear")
    if not catalog.is_file():
        raise UsageError(
            f"{catalog}: no such catalog; scan the library first, or name its --catalog"
        )
    from geotag.places.library import find_clocks  # only now: numpy is heavy

    with known_library(catalog) as library:
        return find_clocks(library, known_clock_offsets(catalog))


def _with_offsets(
    options: WriteOptions, library: PlacedPhotos | None, clocks: Clocks
) -> WriteOptions:
    """With the offset of each photo of a catalog, where these are to be written."""
    if not options.times or library is None:
        return options

    def offset_of(uri: str) -> Offset:
        reading = library.reading(uri)
        if reading is None:
            return Offset(why_none="not in the catalog")
        return find_offset(sighting_of(reading), clocks)

    return options._replace(offset_of=offset_of)


def _failed(misplaced: Mapping[str, str], only: tuple[str, ...]) -> Iterator[WriteResult]:
    for path, reason in misplaced.items():
        if is_wanted(path, only):
            yield WriteResult(path, Action.FAILED, reason)


def _with_decision(
    options: WriteOptions, models: frozenset[str], table: Path, catalog: Path
) -> WriteOptions:
    """With what is behind the tags, where the catalog of the scan knows it."""
    if options.decided is not None or len(models) != 1:
        return options
    return options._replace(decided=decided_with(catalog, table, min(models)))


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
        yield from revert_run(journal, chosen.run.id, opened.follow)
