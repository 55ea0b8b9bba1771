"""How the tables were written that were made from a catalog."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from typing import Any, NamedTuple

from geotag.decision import Thresholds
from geotag.files.paths import format_path
from geotag.records import FailureKind, Status
from geotag.state.database import sqlite_errors
from geotag.state.decided import format_here, parse_here
from geotag.state.summary import Counts


class Export(NamedTuple):
    """How a table was written: from what (in short), how the file was left, and what it holds.

    `sources` says how many photos each source had. The tags are by `model` (its SHA-256) at
    `threshold`, or what the library took `here`. Of a table that an older version wrote,
    `signature` and `sources` are empty.
    """

    signature: str
    state: str
    counts: Counts
    sources: dict[str, int]
    model: str
    threshold: float
    here: Thresholds = Thresholds(0.0)


def read_export(connection: sqlite3.Connection, out: str) -> Export | None:
    """How a table was written last; None for one never written. Raises CatalogError."""
    with sqlite_errors():
        row = connection.execute(
            "SELECT signature, state, counts, sources, model, threshold, here FROM tables "
            "WHERE out = ?",
            (format_path(out),),
        ).fetchone()
    if row is None:
        return None
    signature, state, counts, sources, model, threshold, here = row
    try:
        known = _parse_counts(counts), _parse_numbers(sources)
        return Export(signature, state, *known, model, threshold, parse_here(here))
    except ValueError:
        return Export("", state, Counts(Counter(), Counter()), {}, model, threshold)


def write_export(connection: sqlite3.Connection, out: str, export: Export) -> None:
    """Remember how a table was written. Raises CatalogError."""
    signature, state, counts, sources, model, threshold, here = export
    cells: tuple[Any, ...] = (signature, state, json.dumps(counts.statuses | counts.failures))
    cells += (json.dumps(sources), model, threshold, format_here(here))
    with sqlite_errors(), connection:
        connection.execute(
            "INSERT OR REPLACE INTO tables VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (format_path(out), *cells),
        )


def _parse_counts(text: Any) -> Counts:
    numbers = _parse_numbers(text)
    statuses = Counter({status: numbers.get(status.value, 0) for status in Status})
    failures = Counter({kind.value: numbers.get(kind.value, 0) for kind in FailureKind})
    return Counts(+statuses, +failures)


def _parse_numbers(text: Any) -> dict[str, int]:
    """A JSON object of whole numbers. Raises ValueError."""
    try:
        numbers = json.loads(text or "")
    except (TypeError, RecursionError) as error:
        raise ValueError("not JSON") from error
    if not isinstance(numbers, dict) or not all(isinstance(n, int) for n in numbers.values()):
        raise ValueError("not an object of whole numbers")
    return numbers
