"""Wires the stages of a scan: sources, catalog, runner, decision, table."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from geotag.catalog import Catalog, open_catalog
from geotag.categories import CategoryTable, load_categories
from geotag.checkpoint import ModelHeader, read_header
from geotag.decision import Decider
from geotag.engines.base import EngineOptions
from geotag.errors import CategoryTableError, CheckpointError, UsageError
from geotag.paths import format_path
from geotag.records import Category, Outcome, Photo, Reading, Status
from geotag.runners import RUNNERS
from geotag.runners.base import Job
from geotag.sources import Library
from geotag.sources.base import Filters
from geotag.writers import STDOUT, table_format, write_table

CATALOG_SUFFIX = ".geotag"
_COMMIT_READINGS = 512
_COMMIT_SECONDS = 2.0


class ScanOptions(NamedTuple):
    """All that a scan can be told; the defaults are the command line's."""

    filters: Filters = Filters()
    catalog: Path | None = None
    model: Path | None = None
    engine: str = "auto"
    engine_options: EngineOptions = EngineOptions()
    workers: int | None = None
    runner: str = "local"
    classify_all: bool = False
    min_precision: float = 0.99
    threshold: float | None = None
    top_k: int = 5
    limit: int | None = None


class Summary(NamedTuple):
    """What a scan did; `remaining` photos were not read, for it was stopped or had a limit."""

    statuses: dict[Status, int]
    read: int
    unchanged: int
    skipped: dict[str, int]
    seconds: float
    remaining: int = 0

    @property
    def total(self) -> int:
        """How many rows the table has."""
        return sum(self.statuses.values())


class Progress:
    """Hears of a scan's progress; the command line shows it. All methods may be overridden."""

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
    table_format(out)
    with open_catalog(catalog_path(out, options)) as catalog:
        scan = Scan(texts, catalog, options, progress)
        summary = scan.read()
        statuses: Counter[Status] = Counter()
        write_table(out, _counted(scan.outcomes(), statuses))
        return summary._replace(statuses=dict(statuses))


def catalog_path(out: str, options: ScanOptions) -> Path | None:
    """Beside the table unless told otherwise; a private one when there is no table file."""
    if options.catalog is not None or out == STDOUT:
        return options.catalog
    return Path(out + CATALOG_SUFFIX)


def _counted(rows: Iterable[Outcome], statuses: Counter[Status]) -> Iterator[Outcome]:
    for row in rows:
        statuses[row.status] += 1
        yield row


class Scan:
    """One scan of a library with an open catalog."""

    def __init__(
        self, sources: tuple[str, ...], catalog: Catalog, options: ScanOptions, progress: Progress
    ) -> None:
        self.catalog = catalog
        self.options = options
        self.progress = progress
        self.library = Library(sources, options.filters)
        self.header = read_header(options.model)
        self.decider = build_decider(self.header, options)

    def read(self) -> Summary:
        """List the library, and read what the catalog does not know yet."""
        started = time.monotonic()
        catalog, options, model = self.catalog, self.options, self.header.sha256
        listed = catalog.note_listed(self.library.photos())
        pending = catalog.count_pending(model, options.classify_all)
        limit = pending if options.limit is None else min(pending, options.limit)
        self.progress.started(limit)
        photos = islice(catalog.pending(model, options.classify_all), limit)
        stoppable = _until(photos, self.progress.stop_requested)
        count = 0
        for group in _groups(RUNNERS[options.runner](self.library, self._job()).run(stoppable)):
            catalog.record(group, model)
            count += len(group)
            self.progress.advanced(len(group))
        return Summary(
            {},
            read=count,
            unchanged=listed - pending,
            skipped=dict(self.library.skipped),
            seconds=time.monotonic() - started,
            remaining=pending - count,
        )

    def outcomes(self) -> Iterator[Outcome]:
        """The table's rows: one for each photo that was read, now or before."""
        for reading in self.catalog.readings():
            yield self.decider.outcome(reading, format_path(reading.photo.uri))

    def _job(self) -> Job:
        options = self.options
        return Job(
            options.model,
            options.engine,
            options.engine_options,
            options.workers or available_cores(),
            options.classify_all,
        )


def build_decider(header: ModelHeader, options: ScanOptions) -> Decider:
    """The decision of a model at the threshold that the options ask for."""
    threshold = options.threshold
    if threshold is None:
        threshold = header.spec.threshold_for(options.min_precision)
    table = load_categories()
    return Decider(threshold, options.top_k, header.name, lambda slug: known(table, slug))


def known(table: CategoryTable, slug: str) -> Category:
    """The category of a model's slug. Raises CheckpointError when the table lacks it."""
    try:
        return table.by_slug(slug)
    except CategoryTableError as error:
        raise CheckpointError(f"model and landmark table do not fit: {error}") from None


def available_cores() -> int:
    """The processors that this process may use."""
    with suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _until(photos: Iterable[Photo], stop_requested: Callable[[], bool]) -> Iterator[Photo]:
    for photo in photos:
        if stop_requested():
            return
        yield photo


def _groups(readings: Iterable[Reading]) -> Iterator[list[Reading]]:
    """Readings in groups that are worth a transaction, none held back for long."""
    group: list[Reading] = []
    due = time.monotonic() + _COMMIT_SECONDS
    for reading in readings:
        group.append(reading)
        if len(group) >= _COMMIT_READINGS or time.monotonic() > due:
            yield group
            group, due = [], time.monotonic() + _COMMIT_SECONDS
    if group:
        yield group
