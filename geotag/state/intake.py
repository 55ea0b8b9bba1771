"""Lists a library into the catalog, and hands on what is surely new while the rest is listed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator

from geotag.metadata.header import READER_VERSION
from geotag.records import Photo
from geotag.state.catalog import Catalog

# A listing that takes longer than this is read from before it ends.
PATIENCE_SECONDS = 5.0
_log = logging.getLogger(__name__)


class Intake:
    """One listing of a library; `check` raises an error where nothing of it must be read."""

    def __init__(
        self, catalog: Catalog, photos: Iterable[Photo], check: Callable[[], None]
    ) -> None:
        self.catalog = catalog
        self.has_begun = False
        self._batches = catalog.noting(photos)
        self._check = check

    def early(self, limit: int | None) -> Iterator[Photo]:
        """Up to this many photos of which nothing is known, as they are listed. None come where the
        listing is short."""
        due = time.monotonic() + PATIENCE_SECONDS
        given = 0
        for batch in self._batches:
            if time.monotonic() < due:
                continue
            for photo in self.catalog.unknown(batch):
                if limit is not None and given >= limit:
                    return
                if not self.has_begun:
                    self._begin()
                given += 1
                yield photo

    def _begin(self) -> None:
        self._check()
        self.catalog.begin_scan(READER_VERSION)
        self.has_begun = True
        _log.info("reading begins while the rest is listed")

    def finish(self) -> None:
        """List the rest."""
        for _ in self._batches:
            pass
