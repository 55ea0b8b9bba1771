"""Numbers and summaries in words."""

from __future__ import annotations

import time
from typing import assert_never

import click

from geotag.cli.streams import one_line
from geotag.records import Status
from geotag.state.summary import Failed, Summary
from geotag.tables import STDOUT

_UNREADABLE = "could not be read (see the error column)"
_COLOURS = {_UNREADABLE: "red"}


def counted(count: int, thing: str) -> str:
    """How many there are: 1 photo, 2 photos."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def format_scan_summary(summary: Summary, out: str, catalog: str | None) -> str:
    """The closing lines of a scan."""
    read = "none read"
    if summary.read:
        pace = f"{_duration(summary.seconds)} ({_rate(summary.rate)} a second)"
        read = f"{summary.read} read in {pace}"
    again = "" if catalog is None else "; run the same command again to go on"
    counts = {_words(status): summary.statuses.get(status, 0) for status in Status} | {
        "recognised before, of which only the metadata were read again": summary.moved,
        "failed before, to be tried again later": summary.waiting,
        "no longer there, and forgotten": summary.forgotten,
        f"not read{again}": summary.remaining,
    }
    lines = [f"{counted(summary.total, 'photo')}: {read}, {summary.unchanged} known from before"]
    for words, count in counts.items():
        if count:
            lines.append(click.style(f"{count:8} {words}", fg=_COLOURS.get(words)))
        if words == _UNREADABLE:
            lines += map(_failed, summary.failed)
    if summary.bytes_fetched:
        lines.append(
            f"{summary.bytes_fetched / 1e6:.1f} MB fetched, "
            f"{summary.bytes_fetched / 1e3 / max(summary.read, 1):.1f} KB a photo"
        )
    if summary.skipped:
        reasons = ", ".join(f"{count} {why}" for why, count in sorted(summary.skipped.items()))
        lines.append(f"skipped: {reasons}")
    if out != STDOUT:
        lines.append(f"table: {out}" if summary.exported else f"table: {out} (unchanged)")
    return "\n".join(lines)


def _words(status: Status) -> str:
    match status:
        case Status.HAS_GPS:
            return "with a position from the camera"
        case Status.TAGGED:
            return "tagged with a landmark"
        case Status.UNCERTAIN:
            return "uncertain, not tagged"
        case Status.NO_LANDMARK:
            return "without a landmark"
        case Status.UNREADABLE:
            return _UNREADABLE
        case Status.PLACED:
            return "placed by photos or tracks of the same time"
        case Status.CONFLICT:
            return "whose landmark cannot be seen from where they were taken, not tagged"
        case Status.PRIVATE:
            return "in a private zone: where they are is left out"
        case _:
            assert_never(status)


def _failed(failed: Failed) -> str:
    """A reason, and where to look."""
    others = f" and {failed.photos - 1} more" if failed.photos > 1 else ""
    return one_line(f"{'':8}   {failed.reason}: {failed.first}{others}")


def _rate(rate: float) -> str:
    """Two digits tell enough of a slow one."""
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return time.strftime("%H:%M:%S", time.gmtime(seconds))
