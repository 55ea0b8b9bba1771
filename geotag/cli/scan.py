"""geotag scan: a library into a table."""

from __future__ import annotations

import json
import logging
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from geotag.cli.lines import counted
from geotag.cli.logs import FORMATS, start_logging
from geotag.cli.options import MODEL, SOME_FAILED, TOP_K_HELP, engine_options, parse_duration
from geotag.engines.base import EngineOptions
from geotag.errors import GeotagError, LockedError, StoppedError, TableError, UsageError
from geotag.model.checkpoint import read_header
from geotag.model.spec import PRECISION
from geotag.pipeline import Progress, ScanOptions, build_decider, catalog_path, scan_library
from geotag.records import Status
from geotag.runners import RUNNERS
from geotag.sources.base import Filters
from geotag.stores import is_remote
from geotag.summary import Summary, format_summary_json
from geotag.tables import STDOUT, write_text

if TYPE_CHECKING:
    from geotag.writing.writeback import WriteOptions

_log = logging.getLogger(__name__)
_FRACTION = click.FloatRange(0, 1)
_STATUS_WORDS = {
    Status.HAS_GPS: "with a position from the camera",
    Status.TAGGED: "tagged with a landmark",
    Status.UNCERTAIN: "uncertain, not tagged",
    Status.NO_LANDMARK: "without a landmark",
    Status.UNREADABLE: "could not be read (see the error column)",
}


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
    metavar="PLACE",
    help="Where to remember what was read, a file or in a bucket [default: TABLE.geotag].",
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
    default=PRECISION,
    show_default=True,
    help="Tag so that at least this share of the tags is right.",
)
@click.option("--threshold", type=_FRACTION, help="Least confidence of a tag, set by hand.")
@click.option("--top-k", type=click.IntRange(1, 10), default=5, show_default=True, help=TOP_K_HELP)
@click.option(
    "--cascade/--no-cascade",
    default=True,
    show_default=True,
    help="Glance first, at the thumbnail or at a photo that has none, and go no further with what "
    "surely shows no landmark.",
)
@click.option("--limit", type=click.IntRange(0), help="Read at most this many photos.")
@click.option(
    "--max-time", type=parse_duration, metavar="TIME", help="Stop reading after 90s, 30m, 6h ..."
)
@click.option("--rescan", is_flag=True, help="Read all photos again.")
@click.option("--prune", is_flag=True, help="Forget photos that are no longer there.")
@click.option("--workers", type=click.IntRange(1, 256), help="Decoding threads [default: cores].")
@engine_options
@MODEL
@click.option(
    "--runner",
    type=click.Choice(sorted(RUNNERS)),
    default="local",
    show_default=True,
    help="Who reads and classifies: this machine, or a Ray cluster.",
)
@click.option("--address", help="Ray cluster to use, such as auto [default: one on this machine].")
@click.option("--write", "write_too", is_flag=True, help="Then write the tags into the photos.")
@click.option("--gps", is_flag=True, help="With --write: landmarks' positions as the photos' own.")
@click.option("--sidecar", is_flag=True, help="With --write: XMP sidecars alone.")
@click.option("--summary", "summary_path", metavar="FILE", help="Write a summary of the run: JSON.")
@click.option(
    "--log-format",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="Lines for people, or one JSON object a line.",
)
@click.option("--quiet", "-q", is_flag=True, help="No progress and no summary.")
@click.option("--verbose", "-v", is_flag=True, help="Say more about what is done.")
def scan(
    sources: tuple[str, ...],
    out: str,
    summary_path: str | None,
    log_format: str,
    quiet: bool,
    verbose: bool,
    **settings: Any,
) -> int:
    """Scan folders, files and buckets; write one row for each photo to a table.

    A photo's own position is kept. The others are shown to the network: a landmark that it
    recognises surely enough becomes a tag, marked as inferred. Run the same command again to go
    on after an interruption or to take in new photos.
    """
    start_logging(verbose, quiet, log_format)
    writing = _writing(settings, out)
    options = _scan_options(settings)
    as_json = log_format == "json"
    with _stop_on_signals() as stop, _reported(summary_path, out) as report:
        progress = _Bar(stop, visible=sys.stderr.isatty() and not quiet and not as_json)
        summary = scan_library(sources, out, options, progress)
        progress.close()
        code = _exit_code(summary, stop)
        if writing is not None and stop.signal is None:
            code = _write(out, options, writing, quiet or as_json, stop) or code
        report.summary, report.exit_code = summary, code
    if as_json:
        fields = json.loads(format_summary_json(summary, table=out, exit_code=code))
        _log.info("done", extra={"summary": fields})
    elif not quiet:
        click.echo(format_summary(summary, out, catalog_path(out, options)), err=True)
    return code


def _scan_options(settings: dict[str, Any]) -> ScanOptions:
    filters = Filters(
        settings.pop("include"), settings.pop("exclude"), settings.pop("follow_symlinks")
    )
    names = EngineOptions._fields
    engine = EngineOptions(**{name: settings.pop(name) for name in names})
    return ScanOptions(filters=filters, engine_options=engine, **settings)


def _writing(settings: dict[str, Any], out: str) -> WriteOptions | None:
    """What `--write` asks for. Raises UsageError for what cannot be written back."""
    wanted, gps, sidecar = (settings.pop(name) for name in ("write_too", "gps", "sidecar"))
    if not wanted:
        if gps or sidecar:
            raise UsageError("--gps and --sidecar say how to write: give --write as well")
        return None
    if out == STDOUT or is_remote(out) or is_remote(str(settings["catalog"] or "")):
        raise UsageError("--write needs the table and the catalog in files of this machine")
    from geotag.writing.writeback import WriteOptions  # only now: a scan alone starts faster

    return WriteOptions(position=gps, sidecar=sidecar)


def _write(out: str, options: ScanOptions, writing: WriteOptions, quiet: bool, stop: _Stop) -> int:
    from geotag.cli.write import write_tags

    header = read_header(options.model)
    threshold = build_decider(header, options).threshold
    writing = writing._replace(model_sha256=header.sha256, threshold=threshold, unattended=True)
    catalog = Path(catalog_path(out, options) or "")
    return write_tags(Path(out), catalog, writing, quiet, lambda: stop.signal is not None)


def _exit_code(summary: Summary, stop: _Stop) -> int:
    if stop.signal is not None and summary.remaining:
        return 128 + stop.signal
    return SOME_FAILED if summary.statuses.get(Status.UNREADABLE) else 0


class _Report:
    """What a run came to; nothing when it failed."""

    summary: Summary | None = None
    exit_code = 0


@contextmanager
def _reported(path: str | None, out: str) -> Iterator[_Report]:
    """Write the run's summary, also of a run that failed, for whoever watches."""
    report = _Report()
    try:
        yield report
    except LockedError:  # the run that holds the lock has its own summary
        raise
    except GeotagError as error:
        if path is not None:
            fields = {"table": out, "error": str(error), "exit_code": error.exit_code}
            try:
                write_text(path, json.dumps(fields, ensure_ascii=False) + "\n")
            except TableError as unwritten:  # what went wrong first matters more
                _log.error("%s", unwritten)
        raise
    if path is not None and report.summary is not None:
        text = format_summary_json(report.summary, table=out, exit_code=report.exit_code)
        write_text(path, text + "\n")


class _Stop:
    """Which signal asked to stop, if any."""

    signal: int | None = None


@contextmanager
def _stop_on_signals() -> Iterator[_Stop]:
    """The first Ctrl-C or SIGTERM finishes what is in flight; a second one ends at once."""
    stop = _Stop()

    def request(number: int, frame: FrameType | None) -> None:
        if stop.signal is not None:
            raise KeyboardInterrupt
        stop.signal = number
        _log.warning("finishing what is in flight; once more to end at once")

    previous = {
        number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    except StoppedError as error:
        if stop.signal is not None:
            error.exit_code = 128 + stop.signal
        raise
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
        return self.stop.signal is not None

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self.bar is not None:
            self.bar.close()


def format_summary(summary: Summary, out: str, catalog: str | None) -> str:
    """The closing lines of a scan."""
    read = "none read"
    if summary.read:
        pace = f"{_duration(summary.seconds)} ({_rate(summary.rate)} a second)"
        read = f"{summary.read} read in {pace}"
    again = "" if catalog is None else "; run the same command again to go on"
    counts = {words: summary.statuses.get(status, 0) for status, words in _STATUS_WORDS.items()} | {
        "with a new name, time or sidecar, known by their content": summary.moved,
        "failed before, to be tried again later": summary.waiting,
        "gone, and forgotten": summary.forgotten,
        f"not read{again}": summary.remaining,
    }
    lines = [f"{counted(summary.total, 'photo')}: {read}, {summary.unchanged} known from before"]
    lines += [f"{count:8} {words}" for words, count in counts.items() if count]
    if summary.bytes_fetched:
        lines.append(
            f"{summary.bytes_fetched / 1e6:.1f} MB fetched, "
            f"{summary.bytes_fetched / 1e3 / max(summary.read, 1):.1f} KB a photo"
        )
    if summary.skipped:
        reasons = ", ".join(f"{count} {why}" for why, count in sorted(summary.skipped.items()))
        lines.append(f"skipped: {reasons}")
    if out != STDOUT:
        lines.append(f"table: {out}" if summary.exported else f"table: {out} (as it was)")
    return "\n".join(lines)


def _rate(rate: float) -> str:
    """Two digits tell enough of a slow one."""
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return time.strftime("%H:%M:%S", time.gmtime(seconds))
