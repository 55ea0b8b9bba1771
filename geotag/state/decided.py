"""What a tag took in the tables that were made from a catalog."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from geotag.decision import Thresholds
from geotag.files.paths import format_path
from geotag.state.database import opened_to_read

_DECIDED = "SELECT model, threshold, out, here FROM tables"
_OLDER = (
    "SELECT model, threshold, out, NULL FROM tables",
    # Of version 2.
    "SELECT DISTINCT model, threshold, '', NULL FROM photos WHERE status = 'tagged'",
)


class Decided(NamedTuple):
    """By which model (its SHA-256) a table's tags are, and the confidence that they took: the
    model's `threshold`, and what the library took `here`."""

    model: str
    threshold: float
    here: Thresholds

    def least(self, slug: str) -> float:
        """What a tag of a landmark took that the picture alone speaks for."""
        return max(self.threshold, self.here.of(slug))


def format_here(here: Thresholds) -> str:
    """As a cell of the catalog."""
    return json.dumps([here.others, dict(here.landmarks)])


def parse_here(text: object) -> Thresholds:
    """The reverse of `format_here`; of what is none, thresholds that all pass."""
    try:
        others, landmarks = json.loads(str(text))
        return Thresholds(float(others), {str(s): float(t) for s, t in landmarks.items()})
    except (ValueError, TypeError, AttributeError, RecursionError):
        return Thresholds(0.0)


def decided_with(path: Path, table: Path, model: str) -> Decided | None:
    """What is behind a table's tags by `model` (its name in the table).

    None when there is no such catalog, or it does not tell for sure. Nothing is locked or written.
    """
    for query in (_DECIDED, *_OLDER):
        try:
            with opened_to_read(path) as reader:
                rows = list(_decided(reader, query))
        except sqlite3.Error:
            continue
        found = [row for row in rows if model.endswith(f"-{row[1].model[:12]}")]
        name = os.path.normpath(format_path(str(table)))
        own = [one for out, one in found if out and os.path.normpath(out) == name]
        known = {one[:2]: one for one in own or [one for _, one in found]}
        if len(known) != 1:
            return None
        (one,) = known.values()
        return one if own else one._replace(here=Thresholds(0.0))
    return None


def decided_in(reader: sqlite3.Connection) -> Iterator[Decided]:
    """What is behind all tables of an open catalog. Raises sqlite3.Error."""
    return (one for _, one in _decided(reader, _DECIDED))


def _decided(reader: sqlite3.Connection, query: str) -> Iterator[tuple[str, Decided]]:
    for sha256, threshold, out, here in reader.execute(query):
        if isinstance(sha256, str) and isinstance(threshold, float):
            yield str(out), Decided(sha256, threshold, parse_here(here))
