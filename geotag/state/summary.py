"""What a scan did, in numbers, for people and for monitoring."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any, NamedTuple

from geotag.records import Status

SCHEMA_VERSION = 1


class Counts(NamedTuple):
    """How many rows of a table have which status, and which kind of failure."""

    statuses: Counter[Status]
    failures: Counter[str]


class Failed(NamedTuple):
    """Photos that could not be read for the same reason: how many, and the first one's path."""

    reason: str
    photos: int
    first: str


class Summary(NamedTuple):
    """What a scan did.

    `read` photos were read in this run; `moved` ones were known by their content, under another
    name or an older time; `unchanged` ones were known; `waiting` ones failed for the time being
    and are not due yet; `remaining` ones were not read, for the run was stopped or had a limit.
    `exported` says whether the table was written: it is not when it would be the same.
    `failed` are the commonest reasons for which photos could not be read.
    """

    statuses: dict[Status, int]
    read: int
    unchanged: int
    skipped: dict[str, int]
    seconds: float
    remaining: int = 0
    moved: int = 0
    waiting: int = 0
    forgotten: int = 0
    bytes_fetched: int = 0
    exported: bool = True
    started: float = 0.0
    model: str = ""
    threshold: float | None = None
    failures: dict[str, int] | None = None
    failed: tuple[Failed, ...] = ()

    @property
    def total(self) -> int:
        """How many rows the table has."""
        return sum(self.statuses.values())

    @property
    def rate(self) -> float:
        """Photos read a second."""
        return self.read / self.seconds if self.seconds > 0 else 0.0


def format_summary_json(summary: Summary, **more: Any) -> str:
    """One JSON object; `more` are fields that the caller knows, such as the table's place."""
    fields: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "started_at": _format_time(summary.started),
        "seconds": round(summary.seconds, 3),
        "photos": summary.total,
        "read": summary.read,
        "unchanged": summary.unchanged,
        "moved": summary.moved,
        "waiting": summary.waiting,
        "remaining": summary.remaining,
        "forgotten": summary.forgotten,
        "statuses": {status.value: summary.statuses.get(status, 0) for status in Status},
        "failures": summary.failures or {},
        "failed": [failed._asdict() for failed in summary.failed],
        "skipped": summary.skipped,
        "bytes_fetched": summary.bytes_fetched,
        "photos_per_second": round(summary.rate, 2),
        "exported": summary.exported,
        "model": summary.model,
        "threshold": summary.threshold,
    }
    return json.dumps(fields | more, ensure_ascii=False)


def _format_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
