"""geotag scan: a library into a table."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geotag.cli.lines import format_forecast, format_scan_summary
from geotag.cli.logs import FORMATS, start_logging
from geotag.cli.options import (
    PLACE,
    SOME_FAILED,
    bundle,
    choice,
    engine_options,
    min_precision_option,
    model_option,
    number,
    parse_clock_offset,
    parse_duration,
    private_option,
    quiet_option,
    top_k_option,
    writing_options,
)
from geotag.cli.progress import Bar
from geotag.cli.signals import Stop, stop_on_signals
from geotag.cli.streams import tell
from geotag.engines.base import EngineOptions
from geotag.errors import GeotagError, LockedError, TableError, UsageError
from geotag.files.credentials import redacted
from geotag.options import ScanOptions, parse_since
from geotag.pipeline import catalog_path, scan_library
from geotag.records import Status
from geotag.runners.base import available_cores
from geotag.sources.base import Filters
from geotag.sources.listing import EMPTIED, MISSED
from geotag.sources.shards import parse_shard
from geotag.state.summary import Summary, format_summary_json
from geotag.stores import is_remote
from geotag.tables import STDOUT, SUFFIXES, check_writable, table_format, write_text
from geotag.tables.parts import part_path

if TYPE_CHECKING:
    from geotag.writing.writeback import WriteOptions

_log = logging.getLogger(__name__)

_table_options = bundle(
    click.option(
        "--out",
        required=True,
        type=PLACE,
        metavar="TABLE",
        help=f"Table to write: {SUFFIXES}; FOLDER/ for many Parquet files; - writes CSV to "
        "standard output.",
    ),
    click.option(
        "--catalog",
        type=PLACE,
        metavar="PLACE",
        help="File that remembers what was read, here or in a bucket [default: TABLE.geotag].",
    ),
    click.option(
        "--embeddings",
        type=PLACE,
        metavar="FILE",
        help="Write the embeddings of classified photos, too: .parquet or .npy.",
    ),
)
_filter_options = bundle(
    click.option("--include", multiple=True, metavar="GLOB", help="Only photos that match."),
    click.option("--exclude", multiple=True, metavar="GLOB", help="No photos that match."),
    click.option(
        "--since",
        type=parse_since,
        metavar="DATE",
        help="Only photos that changed since a day or time, such as 2026-11-01.",
    ),
    click.option("--follow-symlinks", is_flag=True, help="Follow symbolic links."),
)
_tagging_options = bundle(
    click.option(
        "--all", "classify_all", is_flag=True, help="Classify photos with a position too."
    ),
    min_precision_option,
    number("--threshold", help="Least confidence of a tag, in place of --min-precision."),
    number(
        "--prevalence",
        help="Share of the photos that show a known landmark, 0 to 1 [default: the library's own "
        "scores tell, for each landmark]. The fewer do, the more confidence a tag takes.",
    ),
    top_k_option,
    click.option(
        "--cascade/--no-cascade",
        default=True,
        show_default=True,
        help="Classify the thumbnail first; do not read photos that surely show no landmark.",
    ),
)
_places_options = bundle(
    click.option(
        "--places/--no-places",
        default=False,
        show_default=True,
        help="Place photos without a position by photos and tracks of the same time.",
    ),
    click.option(
        "--track",
        "tracks",
        multiple=True,
        type=click.Path(exists=True),
        metavar="FILE|FOLDER",
        help="A recorded track (GPX, KML, TCX, FIT, NMEA, Google's JSON); needs --places.",
    ),
    click.option(
        "--clock-offset",
        "clock_offsets",
        multiple=True,
        type=parse_clock_offset,
        metavar="CAMERA=OFFSET",
        help="How far a camera's clock was ahead of local time, such as 'Canon EOS 80D=-1h02m'.",
    ),
    click.option(
        "--match",
        is_flag=True,
        help="Also place photos by those with a position that show the same scene; classifies all.",
    ),
    private_option,
    click.option(
        "--language",
        metavar="CODE",
        help="Name countries in this language, such as de or pt-BR [default: in English].",
    ),
)
_reading_options = bundle(
    click.option(
        "--shard",
        type=parse_shard,
        metavar="K/N",
        help="Scan the K-th of N shares of the library alone, into a .parquet file for "
        "geotag merge or, for all shares, the same FOLDER/.",
    ),
    number("--limit", help="Read at most this many photos."),
    click.option(
        "--max-time", type=parse_duration, metavar="TIME", help="Stop reading after 90s, 30m, 6h."
    ),
    click.option("--rescan", is_flag=True, help="Read all photos again."),
    click.option("--prune", is_flag=True, help="Forget photos that are no longer there."),
    click.option(
        "--allow-empty",
        is_flag=True,
        help="Go on although a source has no photos any more, or the table would lose most rows.",
    ),
    click.option("--replace", is_flag=True, help="Write over the table of another library."),
    number("--workers", help="Decoding threads [default: one for each core]."),
    choice(
        "--runner",
        default="local",
        help="What reads and classifies: this machine, or a Ray cluster.",
    ),
    click.option("--address", help="Ray cluster to use, such as auto [default: start one here]."),
)
_report_options = bundle(
    click.option(
        "--summary", "summary_path", type=PLACE, metavar="FILE", help="Write a summary as JSON."
    ),
    click.option(
        "--log-format",
        type=click.Choice(FORMATS),
        default="text",
        show_default=True,
        help="Lines for people, or one JSON object on a line.",
    ),
    quiet_option,
    click.option("--verbose", "-v", is_flag=True, help="Say what is being done."),
)


@click.command()
@click.argument("sources", nargs=-1, required=True, type=PLACE, metavar="SOURCE...")
@_table_options
@_filter_options
@_tagging_options
@_places_options
@_reading_options
@engine_options
@model_option
@click.option(
    "--estimate",
    is_flag=True,
    help="Read a sample of 1,000 photos, say what the scan would take, and write nothing.",
)
@click.option("--write", "write_too", is_flag=True, help="Then write the tags into the photos.")
@writing_options
@_report_options
def scan(
    sources: tuple[str, ...],
    out: str,
    engine: EngineOptions,
    estimate: bool,
    write_too: bool,
    gps: bool,
    sidecar: bool,
    summary_path: str | None,
    log_format: str,
    quiet: bool,
    verbose: bool,
    **settings: Any,
) -> int:
    """Scan folders, files and buckets; write one row for each photo to a table.

    A photo's own position is kept. The other photos are classified: a landmark that is recognised
    with enough confidence becomes a tag, marked as inferred. Run the same command again to go on
    after an interruption, or to take in new photos.
    """
    start_logging(verbose, quiet, log_format)
    options = _scan_options(engine, settings)
    if estimate:
        return _estimate(sources, out, options, quiet)
    writing = _writing_options(out, options, gps, sidecar) if write_too else None
    if (gps or sidecar) and not write_too:
        raise UsageError("--gps and --sidecar say how to write: give --write as well")
    if summary_path is not None:
        check_writable(summary_path)
    as_json = log_format == "json"
    with stop_on_signals() as stop, _reported(summary_path, out) as report:
        with Bar(stop, visible=sys.stderr.isatty() and not quiet and not as_json) as progress:
            summary = scan_library(sources, out, options, progress)
        code = _exit_code(summary, stop)
        if writing is not None and stop.signal is None:
            code = _write(out, options, writing, quiet or as_json, stop) or code
        report.summary, report.exit_code = summary, code
    if as_json:
        fields = json.loads(format_summary_json(summary, table=out, exit_code=code))
        _log.info("done", extra={"summary": fields})
    elif not quiet:
        tell(
            format_scan_summary(summary, part_path(out, options.shard), catalog_path(out, options))
        )
    return code


def _estimate(sources: tuple[str, ...], out: str, options: ScanOptions, quiet: bool) -> int:
    from geotag.cli.forecast import forecast

    with stop_on_signals() as stop:
        with Bar(stop, visible=sys.stderr.isatty() and not quiet) as progress:
            found = forecast(sources, out, options, progress)
        if stop.signal is not None:
            return 128 + stop.signal
    click.echo(format_forecast(found, options.workers or available_cores()))
    return 0


def _scan_options(engine: EngineOptions, settings: dict[str, Any]) -> ScanOptions:
    filters = Filters(*(settings.pop(name) for name in Filters._fields))
    return ScanOptions(filters=filters, engine_options=engine, **settings)


def _writing_options(out: str, options: ScanOptions, gps: bool, sidecar: bool) -> WriteOptions:
    """What `--write` asks for. Raises UsageError for what cannot be written back."""
    if out == STDOUT or is_remote(out) or is_remote(str(options.catalog or "")):
        raise UsageError("--write needs the table and the catalog in files on this machine")
    table_format(out)
    from geotag.writing.writeback import WriteOptions  # only now: a scan alone starts faster

    return WriteOptions(position=gps, sidecar=sidecar)


def _write(out: str, options: ScanOptions, writing: WriteOptions, quiet: bool, stop: Stop) -> int:
    from geotag.cli.write import write_tags

    writing = writing._replace(unattended=True)
    table, catalog = part_path(out, options.shard), catalog_path(out, options)
    return write_tags(Path(table), catalog, writing, quiet, stop)


def _exit_code(summary: Summary, stop: Stop) -> int:
    if stop.signal is not None and summary.remaining:
        return 128 + stop.signal
    if EMPTIED in summary.skipped:
        return GeotagError.exit_code
    failed = summary.statuses.get(Status.UNREADABLE) or (summary.failures or {}).get("transient")
    missed = any(reason.startswith(MISSED) for reason in summary.skipped)
    return SOME_FAILED if failed or missed else 0


class _Report:
    """What a run came to; nothing when it failed."""

    summary: Summary | None = None
    exit_code = 0


@contextmanager
def _reported(path: str | None, out: str) -> Iterator[_Report]:
    """Write the run's summary for whoever watches, also that of a run that failed."""
    report = _Report()
    try:
        yield report
    except LockedError:  # the run that holds the lock has its own summary
        raise
    except GeotagError as error:
        if path is not None:
            fields = {"table": redacted(out), "error": str(error), "exit_code": error.exit_code}
            try:
                write_text(path, json.dumps(fields, ensure_ascii=False) + "\n")
            except TableError as unwritten:  # what went wrong first matters more
                _log.error("%s", unwritten)
        raise
    if path is not None and report.summary is not None:
        text = format_summary_json(report.summary, table=out, exit_code=report.exit_code)
        write_text(path, text + "\n")
