"""A table's rows with what the user decided in a review, as if the table had been edited. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from geotag.records import Outcome, Status
from geotag.state.decisions import Decision, Verdict
from geotag.writing.writeback import photo_path


def with_decisions(rows: Iterable[Outcome], decisions: Mapping[str, Decision]) -> Iterator[Outcome]:
    """The rows, those of photos that were decided upon (by their URIs) as the user wants them."""
    for row in rows:
        decision = decisions.get(photo_path(row)) if decisions else None
        yield row if decision is None else with_decision(row, decision)


def with_decision(row: Outcome, decision: Decision) -> Outcome:
    """A row as the user would have edited it: a landmark of theirs, or one that is cleared.

    A place by time that was accepted stays what it is: worked out, and not the user's measurement.
    Of private photos nothing is said, whatever was decided.
    """
    if row.status is Status.PRIVATE:
        return row
    if decision.verdict is Verdict.REJECTED:
        return _cleared(row)._replace(status=Status.TAGGED)
    if not decision.landmark:
        return row
    status = Status.HAS_GPS if row.status is Status.HAS_GPS else Status.TAGGED
    # No confidence: the landmark is not the scan's, also where the scan found the same.
    return _cleared(row)._replace(
        status=status,
        latitude=decision.latitude,
        longitude=decision.longitude,
        radius_m=decision.radius_m,
        landmark=decision.landmark,
        city=decision.city,
        country=decision.country,
    )


def _cleared(row: Outcome) -> Outcome:
    return row._replace(
        latitude=None, longitude=None, altitude=None, position_source="", radius_m=None,
        landmark="", category_id=None, confidence=None, city="", country="",
        method="", evidence="", place="", region="",
    )  # fmt: skip
