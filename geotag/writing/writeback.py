"""Writes a table's tags into the photos, verified and journaled."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import NamedTuple

from geotag.categories import load_categories
from geotag.decision import SUPPORTED
from geotag.errors import CatalogError, GeotagError, PhotoError
from geotag.files.paths import parse_path
from geotag.metadata.marks import SOURCE_INFERRED
from geotag.places.offsets import Offset
from geotag.places.private import WHY, Zone
from geotag.records import Outcome, Status
from geotag.sources.content import picture_key
from geotag.state.catalog import Catalog
from geotag.state.decided import Decided
from geotag.state.journal import Journal, State, Write
from geotag.stores import scheme_of
from geotag.writing.edits import format_edits, invert_edits
from geotag.writing.files import files_of, listed
from geotag.writing.intent import NOT_ASKED, Intent, Landmarks, read_intent
from geotag.writing.plan import FilePlan, Plan, Planner
from geotag.writing.replace import CannotWriteError, sha256_of, temporary_beside
from geotag.writing.result import Action, WriteResult
from geotag.writing.revert import settle
from geotag.writing.tags import LandmarkTags, PlacedTags, Tags, TimeTags

_log = logging.getLogger(__name__)


def _no_offset(uri: str) -> Offset:
    return Offset(why_none="not in the catalog")


class WriteOptions(NamedTuple):
    """What to write, and where.

    `position` gives the landmark's position as the camera's, under geotag's mark; `only` are globs
    on paths or names; `force` also writes links. What is behind the tags goes into the photos
    where it is known: `decided`. `unattended` says that the rows are a scan's own, seen by
    nobody: a landmark in them does not undo that the user cleared the photo's. Of photos in
    `private` zones nothing is written, and what was is taken out. With methods to `clear`
    nothing is written, and what these inferred is taken out of all photos. With `times` nothing is
    written but the offsets from UTC of photos' times, as `offset_of` finds them by URI.
    """

    position: bool = False
    sidecar: bool = False
    min_confidence: float = 0.0
    only: tuple[str, ...] = ()
    force: bool = False
    dry_run: bool = False
    decided: Decided | None = None
    unattended: bool = False
    private: tuple[Zone, ...] = ()
    clear: tuple[str, ...] = ()
    times: bool = False
    offset_of: Callable[[str], Offset] = _no_offset


def _taken(row: Outcome, decided: Decided) -> float:
    """The confidence that a row's tag took; where the place speaks for it too, the model's alone,
    for that is what both together must reach."""
    is_supported = row.evidence.startswith(SUPPORTED)
    return decided.threshold if is_supported or not row.top_k else decided.least(row.top_k[0].slug)


def new_run_id() -> str:
    """A name for a run that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def write_back(
    rows: Iterable[Outcome], catalog: Catalog | None, options: WriteOptions, run_id: str
) -> Iterator[WriteResult]:
    """Write each row's tag into its photo: one result for each row that `only` admits.

    The catalog keeps the journal and what the user cleared, and follows the photos that changed; it
    may be None in a dry run alone. Raises CatalogError when the journal fails; the photo at hand is
    then untouched.
    """
    if catalog is None and not options.dry_run:
        raise CatalogError("nothing is written without a journal")
    writer = _Writer(catalog, options, run_id)
    for row in rows:
        path = photo_path(row)
        if not is_path(path):
            shown = path.encode("utf-8", "backslashreplace").decode()
            yield WriteResult(shown, Action.FAILED, "no file can have this path")
        elif is_wanted(path, options.only):
            yield writer.result(row, path)


def write_run(
    rows: Iterable[Outcome], catalog: Catalog, options: WriteOptions, title: str
) -> Iterator[WriteResult]:
    """`write_back` as one journaled run with an open catalog; `title` is what `runs` lists.

    Raises CatalogError when the journal fails.
    """
    journal, run_id = Journal(catalog.connection), new_run_id()
    settle(journal)
    journal.begin(run_id, title)
    try:
        yield from write_back(rows, catalog, options, run_id)
    finally:
        journal.finish(run_id)


def photo_path(row: Outcome) -> str:
    """A row's photo, absolute: the journal must find it from any folder."""
    path = parse_path(row.path)
    return path if scheme_of(path) else os.path.abspath(path)


def is_path(path: str) -> bool:
    """Whether the system can take the path; a table may hold any text."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def is_wanted(path: str, globs: tuple[str, ...]) -> bool:
    """Whether a path or its name matches one of the globs, where there are any."""
    name = os.path.basename(path)
    return not globs or any(fnmatchcase(path, g) or fnmatchcase(name, g) for g in globs)


class _Writer:
    """Writes one row after the other."""

    def __init__(self, catalog: Catalog | None, options: WriteOptions, run_id: str) -> None:
        self.catalog = None if options.dry_run else catalog
        self.options = options
        self.run_id = run_id
        self.landmarks = Landmarks(load_categories())
        self.methods = frozenset(options.clear)
        self.planner = Planner(options.position, options.sidecar, options.force, self.methods)

    def result(self, row: Outcome, path: str) -> WriteResult:
        try:
            intent = self._intent(row, path)
            tags = intent.tags
            if tags is None and not intent.clear:
                return WriteResult(path, Action.LEFT_ALONE, intent.reason)
            plan = self._plan(path, tags)
            if self.catalog is not None:
                self._commit_all(self.catalog, path, plan)
                if not self.methods and (intent.clear or isinstance(tags, PlacedTags)):
                    self.catalog.cleared.note_done(path)
        except PhotoError as error:
            return WriteResult(path, Action.FAILED, str(error))
        except OSError as error:
            return WriteResult(path, Action.FAILED, error.strerror or str(error))
        if intent.reason and not plan.files:
            return WriteResult(path, Action.LEFT_ALONE, intent.reason)
        return _result_of(path, plan)

    def _plan(self, path: str, tags: Tags | TimeTags | None) -> Plan:
        """What is to be written; whatever a parser stumbles over is this photo's own error."""
        try:
            return self.planner.plan(path, tags)
        except (GeotagError, OSError):
            raise
        except Exception as error:
            _log.debug("a photo's metadata", exc_info=True)
            reason = f"its metadata cannot be edited ({type(error).__name__})"
            raise CannotWriteError(reason) from error

    def _intent(self, row: Outcome, path: str) -> Intent:
        if self.options.times:
            return self._offset(row, path)
        if not self.methods:
            return self._with_cleared(self._wanted(row), row, path)
        if row.status is Status.UNREADABLE:
            return Intent(reason="unreadable")
        return Intent(clear=True, reason=f"without anything by {' or '.join(self.options.clear)}")

    def _offset(self, row: Outcome, path: str) -> Intent:
        """The offset from UTC for a photo's time."""
        found = self.options.offset_of(path)
        why_none = WHY if row.status is Status.PRIVATE else found.why_none
        if why_none:
            return Intent(reason=why_none)
        shown = datetime.fromtimestamp(found.time, UTC).isoformat()
        return Intent(TimeTags(shown, found.text, found.evidence))

    def _wanted(self, row: Outcome) -> Intent:
        intent = read_intent(row, self.landmarks)
        tags = intent.tags
        if isinstance(tags, PlacedTags):
            tags = tags._replace(run_id=self.run_id)
            return Intent(tags) if self.options.position else Intent(reason=NOT_ASKED)
        if not isinstance(tags, LandmarkTags):
            return intent
        least = self.options.min_confidence
        if tags.confidence is not None and tags.confidence < least:
            return Intent(reason=f"with a confidence below {least:g}")
        tags = tags._replace(run_id=self.run_id, position=self.options.position)
        decided = self.options.decided
        if tags.model and decided is not None:
            least = _taken(row, decided)
            tags = tags._replace(model_sha256=decided.model, threshold=least)
        return Intent(tags)

    def _with_cleared(self, intent: Intent, row: Outcome, path: str) -> Intent:
        """Note a landmark that the user cleared or gave, and keep a photo clear that was cleared
        before and got none since."""
        tags = intent.tags
        # What takes the place of a landmark that was cleared is none itself.
        if self.catalog is None or isinstance(tags, PlacedTags | TimeTags):
            return intent
        cleared = self.catalog.cleared
        if not cleared.is_cleared(path):
            picture = _picture(path) if intent.clear and not intent.reason else None
            if picture is not None:
                cleared.clear(self.run_id, path, picture)
            return intent
        is_models = tags is not None and tags.source == SOURCE_INFERRED
        if tags is not None and not (is_models and self.options.unattended):
            cleared.restore(self.run_id, path)
            return intent
        is_due = is_models or (
            cleared.may_be_in_photo(path) and row.status is not Status.UNREADABLE
        )
        return Intent(clear=True) if is_due else intent

    def _commit_all(self, catalog: Catalog, path: str, plan: Plan) -> None:
        if not plan.files:
            return
        before = listed(path)
        for file in plan.files:
            self._commit(Journal(catalog.connection), file)
        after = listed(path)
        if before is not None and after is not None:
            catalog.follow(before, after)

    def _commit(self, journal: Journal, plan: FilePlan) -> None:
        """Journal, replace, mark: a crash in between is settled when the journal next opens."""
        original = plan.original
        temporary = temporary_beside(original.path)
        write = Write(
            original.path,
            temporary,
            original.sha256,
            original.status.st_mtime_ns if original.status else None,
            sha256_of(plan.new),
            format_edits(plan.edits),
            format_edits(invert_edits(original.data, plan.edits)),
        )
        number = journal.prepare(self.run_id, write)
        try:
            # Programs that know sidecars look at their time to see that they have changed.
            time_ns = time.time_ns() if plan.is_sidecar else None
            files_of(original.path).replace(original, plan.new, temporary, time_ns)
        except CannotWriteError:
            journal.mark(number, State.ABANDONED)
            raise
        journal.mark(number, State.WRITTEN)


def _result_of(path: str, plan: Plan) -> WriteResult:
    if plan.why_none:
        return WriteResult(path, Action.LEFT_ALONE, plan.why_none)
    return WriteResult(
        path,
        Action.WRITTEN if plan.files else Action.UNCHANGED,
        "; ".join(plan.notes),
        tuple(file.original.path for file in plan.files),
        tuple(change for file in plan.files for change in file.changes),
        any(file.is_sidecar for file in plan.files),
    )


def _picture(path: str) -> str | None:
    """The key of a photo's picture; None for one that is not there."""
    files = files_of(path)
    photo = files.photo(path) if files.is_remote else listed(path)
    return picture_key(files.source, photo) if photo is not None else None
