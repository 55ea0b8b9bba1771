"""geotag.scan: a scan from Python."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from geotag.errors import UsageError
from geotag.pipeline import Progress, Scan, ScanOptions, scan_library
from geotag.records import Outcome
from geotag.state.catalog import open_catalog
from geotag.tables import read_table

Sources = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def scan(
    sources: Sources, out: str | os.PathLike[str] | None = None, **settings: Any
) -> list[Outcome]:
    """Scan folders and files; one row for each photo, ordered by path.

    With `out`, the table is written too, and what was read is remembered beside it, as by the
    command. `settings` are the fields of geotag.pipeline.ScanOptions, such as min_precision or
    classify_all. Raises GeotagError for what stops the whole scan.
    """
    unknown = set(settings) - set(ScanOptions._fields)
    if unknown:
        raise UsageError(f"scan has no setting {', '.join(sorted(unknown))}")
    options = ScanOptions(**settings)
    texts = [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)
    names = tuple(os.fspath(text) for text in texts)
    if out is not None:
        scan_library(names, os.fspath(out), options)
        return list(read_table(os.fspath(out)))
    with open_catalog(options.catalog) as catalog:
        running = Scan(names, catalog, options, Progress())
        running.read()
        return list(running.outcomes())
