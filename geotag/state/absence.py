"""Tells photos that are gone from photos that cannot be seen now, so that no table loses its rows
to a disk that is not mounted or a mistyped name."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import NamedTuple

from geotag.errors import AbsenceError, GeotagError, TableError
from geotag.files.paths import parse_path
from geotag.sources import Library
from geotag.sources.named import PREFIX as LIST
from geotag.state.catalog import Catalog
from geotag.state.unseen import drop_moved, keep_unseen, known_below
from geotag.tables import STDOUT, is_for_maps, read_table, table_state

_log = logging.getLogger(__name__)
# A table that would keep a smaller share of its rows is left as it is.
LEAST_KEPT = 0.5


class Before(NamedTuple):
    """What a table holds before it is written again: its rows, and how many photos each source
    had."""

    rows: int = 0
    sources: Mapping[str, int] = {}


class Guard:
    """Keeps a scan from losing rows of the table `out` to photos that cannot be seen now.

    With `replace` the table may be another library's; with that or `allow_empty` it may lose most
    of its rows. All checks raise AbsenceError.
    """

    def __init__(
        self, catalog: Catalog, out: str, library: Library, allow_empty: bool, replace: bool
    ) -> None:
        self.catalog, self.out, self.library = catalog, out, library
        self.allow_empty, self.replace = allow_empty, replace

    def check_library(self) -> None:
        """What was listed is the library of the table that is there, unless both are lists alone:
        of these their photos say so."""
        before, listed = self._before.sources, self.library.listed
        pairs = ((b, now) for b in before for now in listed)
        is_same = any(_is_below(b, now) or _is_below(now, b) for b, now in pairs)
        if before and not is_same and not self._are_lists:
            raise AbsenceError(
                f"{self.out} holds another library ({_short(before)}), and nothing of "
                f"{_short(listed)}: give another --out, or --replace to lose what it holds"
            )

    def keep_unseen(self) -> None:
        """What lies in folders that could not be looked into, or are empty now, stays as it was in
        the table; but not what was moved elsewhere."""
        catalog, listings = self.catalog.connection, self.library.listings
        folders = self.library.unseen
        if not self.allow_empty:
            empty = (folder for listing in listings for folder in listing.empty)
            folders += [each for each in empty if self.catalog.count_below(os.fsdecode(each))]
        if folders:
            keep_unseen(catalog, self._rows_below(folders))
        for listing in listings:
            for folder in {*folders}.intersection(listing.empty):
                if had := drop_moved(catalog, folder):
                    listing.miss_emptied(folder, had)

    def _rows_below(self, folders: Collection[bytes]) -> list[bytes]:
        """The photos below folders that the table holds; all known ones if it cannot be read."""
        try:
            roots = [os.fsdecode(folder) for folder in folders]
            paths = (parse_path(row.path) for row in read_table(self.out))
            return [os.fsencode(p) for p in paths if any(_is_below(p, root) for root in roots)]
        except GeotagError:
            known = self.catalog.connection
            return [photo for folder in folders for photo in known_below(known, folder)]

    def check_listing(self, listed: int) -> None:
        """No source has lost all its photos, and the table would not lose most of its rows."""
        self.check_library()
        if self._are_lists:
            self._check_lists()
        if not self.allow_empty:
            self._check_sources()
            self.check_rows(listed)
        for listing in self.library.listings:
            if listing.why_empty:
                _log.warning("%s: %s", listing.source, listing.why_empty)

    def check_rows(self, rows: int) -> None:
        """The table would not lose most of its rows."""
        had = self._before.rows
        if not self.allow_empty and rows < had * LEAST_KEPT:
            raise AbsenceError(
                f"{self.out} has {had:,} rows and would keep {rows:,}, so it was left as it is: is "
                "everything mounted, do the names, --include and --exclude fit? If it is right, "
                "run the same command once with --allow-empty"
            )

    @cached_property
    def _before(self) -> Before:
        return Before() if self.replace else _table_before(self.catalog, self.out, self.library)

    @property
    def _are_lists(self) -> bool:
        """Whether lists alone are scanned, now and before."""
        return all(root.startswith(LIST) for root in (*self.library.listed, *self._before.sources))

    def _check_lists(self) -> None:
        """Lists of other names hold most of the table's photos."""
        before, listed = self._before, self.library.listed
        if {*before.sources} & {*listed}:
            return
        if (known := self.catalog.count_known()) < before.rows * LEAST_KEPT:
            raise AbsenceError(
                f"{self.out} holds {before.rows:,} photos of {_short(before.sources)}, of which "
                f"{_short(listed)} names {known:,}: give the old lists, too (list:OLD list:NEW), "
                "or another --out, or --replace to lose what it holds"
            )

    def _check_sources(self) -> None:
        """A source that had photos has some."""
        for root, count in self.library.listed.items():
            had = 0 if count else self._before.sources.get(root, self.catalog.count_below(root))
            if had:
                raise AbsenceError(
                    f"{root}: no photo was found here, where {had:,} were: is it mounted, is the "
                    "name right, do --include and --exclude fit? Table and catalog are as they "
                    "were; if the photos are gone for good, run the same command once with "
                    "--allow-empty"
                )


def _table_before(catalog: Catalog, out: str, library: Library) -> Before:
    """What the table `out` holds: as the catalog knows, or else by its own rows.

    Raises AbsenceError for a file that is no table, or one for maps that no scan wrote.
    """
    last, listed = catalog.exported(out), library.listed
    if last is not None and last.sources:
        return Before(last.counts.statuses.total(), last.sources)
    if out == STDOUT or not table_state(out) or table_state(out).startswith("0-"):
        return Before()
    if is_for_maps(out):
        raise AbsenceError(
            f"{out} is there, and no scan with this catalog wrote it: give another --out, or "
            "--replace to lose what it holds"
        )
    rows, sources = 0, dict.fromkeys(listed, 0)
    try:
        for row in read_table(out):
            path, rows = parse_path(row.path), rows + 1
            root = next((root for root in listed if _may_be_of(path, root)), path)
            if root in sources or len(sources) == len(listed):
                sources[root] = sources.get(root, 0) + 1
    except TableError as error:
        if last is None:
            raise AbsenceError(
                f"{out} is there, and is no table that geotag wrote ({error}): give another --out, "
                "or --replace to lose what it holds"
            ) from error
    return Before(rows, {root: count for root, count in sources.items() if count})


def _is_below(uri: str, root: str) -> bool:
    return uri == root or uri.startswith(root.rstrip("/") + "/")


def _may_be_of(path: str, root: str) -> bool:
    """A list may name photos of anywhere; one on a web server, of any other."""
    of_list = root.startswith(LIST) or (path.startswith("http") and root.startswith("http"))
    return _is_below(path, root) or of_list


def _short(roots: Mapping[str, int]) -> str:
    return ", ".join(list(roots)[:3]) + (" ..." if len(roots) > 3 else "")


def gone_photos(
    catalog: Catalog, out: str, library: Library, allow_empty: bool
) -> Callable[[str], bool]:
    """Tells of a photo that was not listed whether it is gone.

    Its sources speak for themselves. Where only this table was written from the catalog, what lies
    in no source is of one that is given no more.
    """
    only_table = out != STDOUT and not catalog.has_other_tables(out)
    for listing in library.listings:
        if listing.incomplete:
            _log.warning("%s: nothing is pruned where it could not be listed", listing.source)

    def is_gone(uri: str) -> bool:
        return library.is_gone(uri, allow_empty) if library.above(uri) else only_table

    return is_gone
