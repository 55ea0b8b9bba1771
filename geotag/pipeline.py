"""Wires the stages of a scan: sources, catalog, runner, decision, table."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from itertools import chain, count, islice, takewhile

from geotag.categories import format_categories, load_categories
from geotag.decision import DECISION_VERSION, Thresholds
from geotag.engines import check_installed
from geotag.errors import DamagedCatalogError, PhotoError, StoppedError, UsageError
from geotag.evidence import LibraryEvidence, build_decider, rules_of
from geotag.metadata.header import READER_VERSION
from geotag.metadata.header import read_header as read_photo_header
from geotag.model.checkpoint import read_header
from geotag.options import ScanOptions, check_options
from geotag.recognition.thresholds import estimate_thresholds, threshold_at
from geotag.records import Failure, FailureKind, Outcome, Photo, Reading
from geotag.runners import RUNNERS, check_runner
from geotag.runners.base import Job, MustStop, Runner, available_cores, grouped
from geotag.sources import Library
from geotag.sources.content import picture_key, thumbnail_key
from geotag.state.absence import Guard, gone_photos
from geotag.state.catalog import Catalog, Criteria, open_catalog
from geotag.state.database import SUFFIX
from geotag.state.embeddings import Embeddings, opened_embeddings
from geotag.state.exports import Export
from geotag.state.intake import Intake
from geotag.state.queries import commonest_failures
from geotag.state.summary import Counts, Summary, format_summary_json
from geotag.stores import is_remote
from geotag.tables import STDOUT, check_table, table_state, write_table
from geotag.tables.base import SCHEMA_VERSION as TABLE_VERSION
from geotag.tables.embeddings import check_embeddings
from geotag.tables.parts import Part, beside, check_part, format_part, part_path

_log = logging.getLogger(__name__)
_LEAST_READING = 0.1
_REASONS = 5  # for which photos could not be read, that a summary tells


class Progress:
    """Is told of a scan's progress; the command line shows it. All methods may be overridden."""

    def started(self, pending: int) -> None:
        """Listing is done; so many photos must be read."""

    def advanced(self, readings: int) -> None:
        """So many more photos were read."""

    def stop_requested(self) -> bool:
        """Whether to stop after what is in flight."""
        return False


def scan_library(
    sources: Iterable[str],
    out: str,
    options: ScanOptions | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Scan and write the table `out`; raises GeotagError for what stops the whole scan."""
    options, progress = options or ScanOptions(), progress or Progress()
    texts = tuple(sources)
    if not texts:
        raise UsageError("nothing to scan: name at least one folder or file")
    check_options(options)
    check_table(out, options.shard.total if options.shard is not None else 0)
    if options.shard is not None:
        out = part_path(out, options.shard)
        check_part(out)
    if options.embeddings is not None:
        check_embeddings(options.embeddings)
    place = catalog_path(out, options)
    try:
        return _scan_library(texts, out, place, options, progress)
    except DamagedCatalogError:  # it was set aside: begin anew
        return _scan_library(texts, out, place, options, progress)


def _scan_library(
    texts: tuple[str, ...], out: str, place: str | None, options: ScanOptions, progress: Progress
) -> Summary:
    started = time.monotonic()
    with ExitStack() as stack:
        catalog = stack.enter_context(open_catalog(place))
        scan = Scan(texts, catalog, options, progress, out)
        scan.embed_into(stack)
        summary = scan.read()
        counts, exported = scan.export()
        if options.places:
            catalog.note_clock_offsets(dict(options.clock_offsets))
        summary = summary._replace(
            statuses=counts.statuses,
            failures=counts.failures,
            failed=commonest_failures(catalog.connection, _REASONS) if counts.failures else (),
            exported=exported,
            seconds=time.monotonic() - started,
        )
        catalog.note_finished(format_summary_json(summary))
    return summary


def catalog_path(out: str, options: ScanOptions) -> str | None:
    """Beside the table unless told otherwise; a private one when there is no table file."""
    if options.catalog is not None:
        return os.fspath(options.catalog)
    if out == STDOUT:
        return None
    return beside(part_path(out, options.shard), options.shard) + SUFFIX


class Scan:
    """One scan of a library with an open catalog, for the table `out`."""

    def __init__(
        self,
        sources: tuple[str, ...],
        catalog: Catalog,
        options: ScanOptions,
        progress: Progress,
        out: str = STDOUT,
    ) -> None:
        self.out = out
        self.catalog = catalog
        self.options = options
        self.progress = progress
        self.evidence = LibraryEvidence(options)
        check_runner(options.runner)
        check_installed(options.engine_options)
        self.library = Library(sources, options.filters, options.shard)
        self.header = read_header(options.model)
        self.decider = build_decider(self.header, options)
        self._slugs = frozenset(self.header.spec.categories)
        self.counts = Counts(Counter(), Counter())
        self._guard = Guard(catalog, out, self.library, options.allow_empty, options.replace)
        self._intake = Intake(catalog, self._listing(), self._guard.check_library)
        self._closing = ExitStack()
        self._runner: Runner | None = None
        self._remaining = 0
        self.embeddings = Embeddings()
        prefilter, reads_all = self._prefilter(), options.classify_all or options.match
        self.criteria = Criteria(
            self.header.sha256, reads_all, options.rescan, prefilter, READER_VERSION
        )
        self.job = Job(
            options.model,
            options.engine_options._replace(embeds=options.embeds),
            options.workers or available_cores(),
            reads_all,
            options.address,
            prefilter,
        )
        self._deadline = time.monotonic() + (
            float("inf") if options.max_time is None else options.max_time
        )

    def embed_into(self, stack: ExitStack) -> None:
        """Keep embeddings where they are asked for, until the stack is closed."""
        out, place = self.options.embeddings, None
        if self.options.match:
            place = catalog_path(self.out, self.options)
            if place is None or is_remote(place):
                raise UsageError("--match needs a --catalog on this machine, not in a bucket")
        opened = opened_embeddings(self.catalog, self.header.sha256, out, place)
        self.embeddings = stack.enter_context(opened)
        self.evidence.pictures = self.embeddings.pictures

    def _prefilter(self) -> float:
        """The least probability of a landmark at which a photo goes on from the prefilter; 0 for
        no prefilter, where all landmarks or embeddings are asked for or any photo could be
        tagged."""
        options = self.options
        if not options.cascade or options.classify_all or options.embeds:
            return 0.0
        return self.header.spec.prefilter_for(self.decider.threshold)

    def read(self) -> Summary:
        """List the library, and read what the catalog does not know yet."""
        with self._closing:
            return self._read()

    def _read(self) -> Summary:
        started, catalog = time.monotonic(), self.catalog
        began = time.time()
        early = self._record(self._early())
        self._intake.finish()
        self._guard.keep_unseen()
        listed = catalog.count_listed()
        self._guard.check_listing(listed)
        self._follow_pictures()
        forgotten = self._prune() if self.options.prune else 0
        pending = catalog.find_pending(self.criteria)
        _log.info("%d photos listed, %d to read", listed, pending)
        limit = self.options.limit
        limit = pending if limit is None else min(pending, limit - early)
        self.progress.started(limit)
        moved = self._record(self._moved(limit)) if pending and not self.criteria.rescan else 0
        read = self._record(self._pending(limit - moved)) if limit > moved else 0
        self._remaining = pending - read - moved
        return Summary(
            {},
            read=early + read,
            unchanged=listed - pending - early,
            skipped=dict(self.library.skipped),
            seconds=time.monotonic() - started,
            remaining=self._remaining,
            moved=moved,
            waiting=catalog.count_waiting(),
            forgotten=forgotten,
            bytes_fetched=self.library.bytes_fetched,
            model=self.decider.model,
            threshold=self.decider.threshold,
            started=began,
        )

    def outcomes(self) -> Iterator[Outcome]:
        """The table's rows, counted in `counts`: one for each photo that was read, now or before.

        Here alone is decided what a reading amounts to.
        """
        self.counts = Counts(Counter(), Counter())
        self.decider = self.decider._replace(here=self._thresholds())
        for reading, outcome in self.evidence.decided(self.decider, self._readings, self.catalog):
            self.counts.statuses[outcome.status] += 1
            if reading.failure is not None:
                self.counts.failures[reading.failure.kind.value] += 1
            yield outcome

    def _thresholds(self) -> Thresholds:
        """What a tag takes in this library, of which a shard does not see enough to tell.

        How sure the model is of the user's own landmarks was measured when they were added: their
        threshold is the usual one.
        """
        options, shares, least = self.options, self.header.spec.shares, self.decider.threshold
        if shares is None or options.threshold is not None:
            return Thresholds(least)
        own = {category.slug: least for category in self.header.spec.own_categories}
        if options.prevalence is not None:
            at = threshold_at(options.prevalence, shares, least, options.min_precision)
            return Thresholds(at, own)
        if options.shard is not None:
            return Thresholds(least)
        sha256, first = self.header.sha256, shares.confidences[0]
        photos, best = self.catalog.count_classified(sha256), self.catalog.best(sha256, first)
        built_in = (photo for photo in best if photo.slug not in own)
        here = estimate_thresholds(built_in, photos, shares, least, options.min_precision)
        return here._replace(landmarks={**here.landmarks, **own})

    def _readings(self) -> Iterator[Reading]:
        """What is known of the photos, less the predictions of landmarks that this model lacks:
        another one made these."""
        unclassified = Failure(FailureKind.TRANSIENT, "not classified by this model yet")
        for reading in self.catalog.readings():
            top = reading.prediction.top if reading.prediction is not None else ()
            if not self._slugs.issuperset(score.slug for score in top):
                reading = reading._replace(prediction=None, failure=unclassified)
            yield reading

    def export(self) -> tuple[Counts, bool]:
        """Write the table unless it is there and would be the same; returns what it holds, and
        whether it was written."""
        self.embeddings.export(self.decider.model)
        out, signature, note = self.out, self._signature(), self._note()
        if out == STDOUT:
            write_table(out, self.outcomes())
            return self.counts, True
        last = self.catalog.exported(out)
        if last is not None and (last.signature, last.state) == (signature, table_state(out)):
            return last.counts, False
        self._guard.check_rows(self.catalog.count_rows())
        write_table(out, self.outcomes(), note)
        made = self.counts, self.library.listed, self.header.sha256, *self.decider.takes
        self.catalog.note_exported(out, Export(signature, table_state(out), *made))
        return self.counts, True

    def _signature(self) -> str:
        """What the table's bytes hang on, in short."""
        decider = self.decider
        parts = [self.catalog.fingerprint, self.catalog.revision, decider.threshold, decider.top_k]
        parts += [
            self.options.prevalence,
            self.options.threshold is None and self.options.min_precision,
            decider.model,
            format_categories(load_categories()),
            TABLE_VERSION,
            DECISION_VERSION,
        ]
        parts += self.evidence.signature
        parts += map(os.fsdecode, self.library.unseen)
        parts += [self._note()] if self.options.shard is not None else []
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def _note(self) -> str:
        """What the table of a shard says of itself; empty for a whole one."""
        if self.options.shard is None:
            return ""
        rules = rules_of(self.options, self.decider)
        made_by = {"model": self.header.sha256, **rules, "prefilter": self.job.prefilter}
        sources = sorted(self.library.listed)
        rows = self.catalog.count_rows()
        return format_part(Part(self.options.shard, made_by, sources, self._remaining, rows))

    def _listing(self) -> Iterator[Photo]:
        """A library that is listed in part only would lose the rest of its rows: all or none."""
        for photo in self.library.photos():
            if self.progress.stop_requested():
                kept = ", and what was read is kept" if self._intake.has_begun else ""
                raise StoppedError(f"stopped while listing; no table was changed{kept}")
            yield photo

    def _follow_pictures(self) -> None:
        """A landmark stays cleared for the picture for which it was."""
        cleared = self.catalog.cleared
        for photo in cleared.perhaps_moved():
            with suppress(PhotoError):  # one that cannot be read gets no tag either
                cleared.follow(photo.uri, picture_key(self.library, photo))

    def _prune(self) -> int:
        is_gone = gone_photos(self.catalog, self.out, self.library, self.options.allow_empty)
        forgotten = self.catalog.prune(is_gone)
        self.embeddings.prune()
        return forgotten

    def _moved(self, limit: int) -> Iterator[Reading]:
        """Photos whose content the model has seen, under another name or time or before geotag
        learned to read more of their metadata: little more than their headers is read, and of no
        others than the runner would read instead, so that none go before those never tried."""
        photos = takewhile(lambda photo: not self._must_stop(), self.catalog.perhaps_moved(limit))
        known = map(self._known_content, self.library.ahead(photos))
        return (reading for reading in known if reading is not None)

    def _known_content(self, photo: Photo) -> Reading | None:
        """The reading of a photo whose content has a prediction already."""
        try:
            metadata, thumbnail = read_photo_header(self.library, photo)[1:3]
            if metadata.location is not None and not self.criteria.classify_all:
                return None
            found = self.catalog.reading_of(photo, "", self.criteria)
            if found is None and thumbnail is not None:
                key = thumbnail_key(photo, thumbnail, metadata.orientation)
                found = self.catalog.reading_of(photo, key, self.criteria)
            if found is None and (key := self.library.content_key(photo)):
                found = self.catalog.reading_of(photo, key, self.criteria)
        except PhotoError as error:  # the runner meets it again, and reports it
            _log.debug("%s: %s", photo.uri, error)
            return None
        if found is None or not self.embeddings.carry(found.photo, photo):
            return None
        return found._replace(photo=photo, metadata=metadata)

    def _pending(self, limit: int) -> Iterator[Reading]:
        """At least one photo is read, and for a tenth of the time, however long the listing took:
        so each run makes progress."""
        if self.options.max_time is not None:
            least = time.monotonic() + self.options.max_time * _LEAST_READING
            self._deadline = max(self._deadline, least)
        asked = count()
        yield from self._run(
            islice(self.catalog.pending(), limit), lambda: next(asked) > 0 and self._must_stop()
        )

    def _early(self) -> Iterator[Reading]:
        """What is read while the library is being listed, where that takes long."""
        if self.criteria.rescan:
            return
        photos = self._intake.early(self.options.limit)
        first = next(photos, None)
        if first is not None:
            yield from self._run(chain([first], photos), self._must_stop)

    def _run(self, photos: Iterable[Photo], must_stop: MustStop) -> Iterator[Reading]:
        if self._runner is None:
            self._runner = RUNNERS[self.options.runner](self.library, self.job)
            self._closing.enter_context(closing(self._runner))
        yield from self._runner.run(photos, must_stop)

    def _record(self, readings: Iterator[Reading]) -> int:
        recorded = 0
        for group in grouped(readings):
            self.embeddings.keep(group)
            self.catalog.record(group, self.criteria.model)
            recorded += len(group)
            self.progress.advanced(len(group))
        return recorded

    def _must_stop(self) -> bool:
        return self.progress.stop_requested() or time.monotonic() > self._deadline
