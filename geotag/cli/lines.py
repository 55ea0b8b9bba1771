"""Numbers and summaries in words."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, assert_never

import click

from geotag.cli.streams import one_line
from geotag.records import Status
from geotag.state.summary import Failed, Summary
from geotag.tables import STDOUT

if TYPE_CHECKING:
    from geotag.cli.forecast import Forecast, Range

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
        "known by their content: only their metadata were read": summary.moved,
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


def format_forecast(found: Forecast, workers: int) -> str:
    """An estimate of a scan, with the interval that holds 95 of 100 such estimates."""
    of = f"{found.to_read:,} of {found.photos:,} photos to read"
    lines = [f"{of}, as estimated from {found.sampled:,} of them; nothing was written"]
    if found.listing:
        lines += [
            f"{'requests':>10}  {_spread(found.requests, _count)}, and {found.listing:,} to list",
            f"{'fetched':>10}  {_spread(found.fetched, _size)}",
        ]
    time = _spread(found.seconds, _hours)
    return "\n".join([*lines, f"{'time':>10}  {time}, here with {counted(workers, 'worker')}"])


def _spread(number: Range, shown: Callable[[float], str]) -> str:
    if number.least is None or number.most is None:
        return f"{shown(number.middle)} (too few for an interval)"
    return f"{shown(number.middle)} ({shown(number.least)} to {shown(number.most)})"


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _size(number: float) -> str:
    units = ("MB", "GB", "TB", "PB")
    at = min(3, max(0, int(math.log10(max(number, 1))) // 3 - 2))
    return f"{number / 1000 ** (at + 2):.3g} {units[at]}"


def _hours(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 3600:,.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"


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
            return "placed by other photos, tracks, sidecars, or landmarks of one place"
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
