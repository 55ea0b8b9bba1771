"""geotag scan: a library into a table."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click

from geotag.cli.options import MODEL, TOP_K_HELP, engine_options, start_logging
from geotag.engines.base import EngineOptions
from geotag.pipeline import Progress, ScanOptions, Summary, catalog_path, scan_library
from geotag.records import Status
from geotag.sources.base import Filters
from geotag.writers import STDOUT

_FRACTION = click.FloatRange(0, 1)
_STATUS_WORDS = {
    Status.HAS_GPS: "with a position from the camera",
    Status.TAGGED: "tagged with a landmark",
    Status.UNCERTAIN: "uncertain, not tagged",
    Status.NO_LANDMARK: "without a landmark",
    Status.UNREADABLE: "could not be read (see the error column)",
}
INTERRUPTED = 130
SOME_FAILED = 3


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "--out",
    required=True,
    metavar="TABLE",
    help="Table to write: .csv, .jsonl or .parquet; - writes CSV to standard output.",
)
@click.option(
    "--catalog",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to remember what was read [default: TABLE.geotag].",
)
@click.option(
    "--include", multiple=True, metavar="GLOB", help="Only photos that match; repeatable."
)
@click.option("--exclude", multiple=True, metavar="GLOB", help="No matching photos; repeatable.")
@click.option("--follow-symlinks", is_flag=True, help="Follow symbolic links.")
@click.option("--all", "classify_all", is_flag=True, help="Classify photos with a position too.")
@click.option(
    "--min-precision",
    type=_FRACTION,
    default=0.99,
    show_default=True,
    help="Tag so that at least this share of the tags is right.",
)
@click.option("--threshold", type=_FRACTION, help="Least confidence of a tag, set by hand.")
@click.option("--top-k", type=click.IntRange(1, 10), default=5, show_default=True, help=TOP_K_HELP)
@click.option("--limit", type=click.IntRange(0), help="Read at most this many photos.")
@click.option("--workers", type=click.IntRange(1, 256), help="Decoding threads [default: cores].")
@engine_options
@MODEL
@click.option("--quiet", "-q", is_flag=True, help="No progress and no summary.")
@click.option("--verbose", "-v", is_flag=True, help="Say more about what is done.")
def scan(sources: tuple[str, ...], out: str, quiet: bool, verbose: bool, **settings: Any) -> int:
    """Scan folders and files; write one row for each photo to a table.

    A photo's own position is kept. The others are shown to the network: a landmark that it
    recognises surely enough becomes a tag, marked as inferred. Run the same command again to go
    on after an interruption or to take in new photos.
    """
    start_logging(verbose, quiet)
    options = _scan_options(settings)
    with _stop_on_signals() as stop:
        progress = _Bar(stop, visible=sys.stderr.isatty() and not quiet)
        summary = scan_library(sources, out, options, progress)
        progress.close()
    if not quiet:
        click.echo(format_summary(summary, out, catalog_path(out, options)), err=True)
    if stop.requested and summary.remaining:
        return INTERRUPTED
    return SOME_FAILED if summary.statuses.get(Status.UNREADABLE) else 0


def _scan_options(settings: dict[str, Any]) -> ScanOptions:
    filters = Filters(
        settings.pop("include"), settings.pop("exclude"), settings.pop("follow_symlinks")
    )
    names = EngineOptions._fields
    engine = EngineOptions(**{name: settings.pop(name) for name in names})
    return ScanOptions(filters=filters, engine_options=engine, **settings)


class _Stop:
    """Whether the user or the system asked to stop."""

    requested = False


@contextmanager
def _stop_on_signals() -> Iterator[_Stop]:
    """The first Ctrl-C or SIGTERM finishes what is in flight; a second one ends at once."""
    stop = _Stop()

    def request(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.requested = True
        click.echo("\ngeotag: finishing what is in flight; once more to end at once", err=True)

    previous = {
        number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class _Bar(Progress):
    """A tqdm bar on a terminal."""

    def __init__(self, stop: _Stop, visible: bool) -> None:
        self.stop = stop
        self.visible = visible
        self.bar: Any = None

    def started(self, pending: int) -> None:
        if self.visible:
            from tqdm import tqdm

            self.bar = tqdm(total=pending, unit="photo", dynamic_ncols=True, smoothing=0.1)

    def advanced(self, readings: int) -> None:
        if self.bar is not None:
            self.bar.update(readings)

    def stop_requested(self) -> bool:
        return self.stop.requested

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self.bar is not None:
            self.bar.close()


def format_summary(summary: Summary, out: str, catalog: Path | None) -> str:
    """The closing lines of a scan."""
    rate = summary.read / summary.seconds if summary.seconds > 0 else 0
    lines = [
        f"{summary.total} photos: {summary.read} read in {_duration(summary.seconds)} "
        f"({rate:.0f} a second), {summary.unchanged} known from before"
    ]
    lines += [
        f"{summary.statuses[status]:8} {words}"
        for status, words in _STATUS_WORDS.items()
        if summary.statuses.get(status)
    ]
    if summary.skipped:
        reasons = ", ".join(f"{count} {why}" for why, count in sorted(summary.skipped.items()))
        lines.append(f"skipped: {reasons}")
    if summary.remaining:
        lines.append(
            f"{summary.remaining} photos were not read; run the same command again to go on"
            if catalog is not None
            else f"{summary.remaining} photos were not read"
        )
    if out != STDOUT:
        lines.append(f"table: {out}")
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return time.strftime("%H:%M:%S", time.gmtime(seconds))
