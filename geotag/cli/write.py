"""geotag write: a table's tags into the photos."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import click

from geotag.cli.lines import complain, counted, one_line
from geotag.cli.options import SOME_FAILED
from geotag.files.paths import format_path
from geotag.records import Outcome
from geotag.state.catalog import open_catalog
from geotag.state.database import SUFFIX
from geotag.state.known_catalogs import remember_catalog
from geotag.state.queries import decided_with
from geotag.tables import read_table
from geotag.writing.writeback import (
    Action,
    WriteOptions,
    WriteResult,
    new_run_id,
    write_back,
    write_run,
)


@click.command()
@click.argument("table", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--gps", is_flag=True, help="Also give the landmark's position as the photo's own.")
@click.option("--sidecar", is_flag=True, help="Write XMP sidecars, never the photos themselves.")
@click.option(
    "--min-confidence",
    type=click.FloatRange(0, 1),
    default=0.0,
    help="Write only tags of at least this confidence.",
)
@click.option("--dry-run", is_flag=True, help="Show field by field what would change.")
@click.option("--only", multiple=True, metavar="GLOB", help="Only photos that match; repeatable.")
@click.option("--force", is_flag=True, help="Also write photos that are links.")
@click.option(
    "--catalog",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The catalog that keeps the journal [default: TABLE.geotag].",
)
@click.option("--quiet", "-q", is_flag=True, help="No progress, notes and summary.")
def write(table: Path, catalog: Path | None, quiet: bool, gps: bool, **settings: Any) -> int:
    """Write the tags of TABLE into the photos' own metadata.

    TABLE is what `geotag scan` wrote. Edit it first if you like: a landmark that you changed is
    taken as your word, one that you cleared takes back what was written before, and later scans
    with the same catalog leave that photo without one until you give it one. A landmark is
    where the subject is; the camera's position is claimed with --gps alone, under geotag's mark,
    and never over a measured one. `geotag revert` brings back the very same bytes.
    """
    return write_tags(table, catalog, WriteOptions(position=gps, **settings), quiet)


def write_tags(
    table: Path,
    catalog: Path | None,
    options: WriteOptions,
    quiet: bool,
    stop_requested: Callable[[], bool] = lambda: False,
) -> int:
    """Write a table's tags and report; returns the exit code.

    Between two photos it may be asked to stop.
    """
    rows = tuple(read_table(table))
    catalog = catalog or table.with_name(table.name + SUFFIX)
    options = _with_decision(options, rows, catalog)
    if options.dry_run:
        return _report(_shown(write_back(rows, None, options, new_run_id())), quiet, dry_run=True)
    with open_catalog(catalog) as opened:
        remember_catalog(catalog)
        title = f"write {format_path(str(table.absolute()))}" + (
            " --gps" if options.position else ""
        )
        going_on = takewhile(lambda row: not stop_requested(), _with_bar(rows, quiet))
        results = write_run(going_on, opened, options, title)
        code = _report(results, quiet)
        if opened.answers.unheard and not quiet:
            click.echo(_unheard(opened.answers.unheard, catalog), err=True)
        return code


def _unheard(count: int, catalog: Path) -> str:
    """That a cleared landmark is remembered where no scan will look."""
    which = "1 photo whose landmark" if count == 1 else f"{count} photos whose landmarks"
    return (
        f"geotag: {format_path(str(catalog))} knows of no scan of {which} you cleared; "
        "a scan that keeps another catalog will tag again: name that one with --catalog"
    )


def _with_decision(options: WriteOptions, rows: tuple[Outcome, ...], catalog: Path) -> WriteOptions:
    """With the model's SHA-256 and the threshold, where the catalog of the scan knows them."""
    models = {row.model for row in rows if row.landmark and row.model}
    known = decided_with(catalog, models.pop()) if len(models) == 1 else None
    if options.model_sha256 or known is None:
        return options
    return options._replace(model_sha256=known[0], threshold=known[1])


def _with_bar(rows: tuple[Outcome, ...], quiet: bool) -> Iterable[Outcome]:
    if quiet or not sys.stderr.isatty():
        return rows
    from tqdm import tqdm

    bar: Iterable[Outcome] = tqdm(rows, unit="photo", dynamic_ncols=True)
    return bar


def _shown(results: Iterable[WriteResult]) -> Iterator[WriteResult]:
    """Print each photo's diff as it comes."""
    for result in results:
        if result.changes:
            click.echo(format_diff(result))
        yield result


def format_diff(result: WriteResult) -> str:
    """A photo's changes, field by field."""
    lines = [one_line(format_path(result.path))]
    others = [file for file in result.files if file != result.path]
    lines += [f"  into {one_line(format_path(file))}" for file in others]
    for field, old, new in result.changes:
        lines += [f"  - {field}: {one_line(old)}"] if old else []
        lines += [f"  + {field}: {one_line(new)}"] if new else []
    return "\n".join(lines)


def _report(results: Iterable[WriteResult], quiet: bool, dry_run: bool = False) -> int:
    """Say what failed and what went elsewhere, then the summary; returns the exit code."""
    counts: Counter[Action] = Counter()
    reasons: Counter[str] = Counter()
    sidecars = 0
    for result in results:
        counts[result.action] += 1
        sidecars += result.into_sidecar and result.action is Action.WRITTEN
        if result.action is Action.LEFT_ALONE:
            reasons[result.reason] += 1
        elif result.action is Action.FAILED or (result.reason and not quiet):
            complain(f"{format_path(result.path)}: {result.reason}")
    if not quiet:
        click.echo(format_summary(counts, reasons, sidecars, dry_run), err=True)
    return SOME_FAILED if counts[Action.FAILED] else 0


def format_summary(
    counts: Counter[Action], reasons: Counter[str], sidecars: int, dry_run: bool
) -> str:
    """The closing line: "12 photos written (3 into sidecars), 1 left alone: no landmark"."""
    verb = "would be written" if dry_run else "written"
    parts = [f"{counted(counts[Action.WRITTEN], 'photo')} {verb}"]
    if sidecars:
        parts[0] += f" ({sidecars} into sidecars)"
    if counts[Action.UNCHANGED]:
        parts.append(f"{counts[Action.UNCHANGED]} already up to date")
    if counts[Action.FAILED]:
        parts.append(f"{counts[Action.FAILED]} failed (see above)")
    if reasons:
        why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common(5))
        parts.append(f"{reasons.total()} left alone: {why}")
    return ", ".join(parts)
