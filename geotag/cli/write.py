"""geotag write: a table's tags into the photos."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any, assert_never

import click

from geotag.cli.lines import counted
from geotag.cli.logs import start_logging
from geotag.cli.options import (
    SOME_FAILED,
    catalog_option,
    choice,
    number,
    private_option,
    quiet_option,
    writing_options,
)
from geotag.cli.progress import with_bar
from geotag.cli.signals import Stop, stop_on_signals
from geotag.cli.streams import complaints, one_line, tell
from geotag.files.paths import format_path
from geotag.records import Outcome
from geotag.tables.csv import unmangled
from geotag.writing.result import Action, WriteResult
from geotag.writing.runs import Survey, write_table_tags
from geotag.writing.writeback import WriteOptions


@click.command()
@click.argument("table", type=click.Path(exists=True, path_type=Path))
@writing_options
@number("--min-confidence", default=0.0, help="Write only tags of at least this confidence.")
@click.option("--dry-run", is_flag=True, help="Show field by field what would change.")
@click.option(
    "--include", "--only", "only", multiple=True, metavar="GLOB", help="Only photos that match."
)
@click.option("--force", is_flag=True, help="Also write photos that are symbolic or hard links.")
@click.option(
    "--times",
    is_flag=True,
    help="Write only the time's offset from UTC (OffsetTimeOriginal), where that was found.",
)
@private_option
@choice(
    "--clear",
    multiple=True,
    help="Write nothing; take out of all photos what this method inferred. Repeatable.",
)
@catalog_option("The catalog that keeps the journal")
@quiet_option
def write(table: Path, catalog: Path | None, quiet: bool, gps: bool, **settings: Any) -> int:
    """Write the tags of TABLE into the photos' own metadata.

    TABLE is what `geotag scan` wrote. You may edit it first: a landmark that you change is written
    as yours; one that you clear is taken out of the photo again, and later scans with the same
    catalog leave that photo without a landmark until you give it one.

    A tag says where the subject is. The position of the camera is written with --gps alone,
    marked as inferred, and never over a measured one. `geotag revert` brings back the very same
    bytes.
    """
    start_logging(quiet=quiet)
    with stop_on_signals() as stop:
        code = write_tags(table, catalog, WriteOptions(position=gps, **settings), quiet, stop)
    return code if stop.signal is None else 128 + stop.signal


def write_tags(
    table: Path, catalog: Path | str | None, options: WriteOptions, quiet: bool, stop: Stop
) -> int:
    """Write a table's tags and report; returns the exit code.

    Between two photos it may be asked to stop.
    """

    def paced(rows: Iterable[Outcome], survey: Survey) -> Iterable[Outcome]:
        if not (quiet or options.unattended or options.clear or options.times):
            _tell_edits(survey)
        return takewhile(lambda row: stop.signal is None, with_bar(rows, survey.rows, quiet))

    results = write_table_tags(table, Path(catalog) if catalog else None, options, paced)
    return _report(_shown(results) if options.dry_run else results, quiet, options.dry_run)


def _tell_edits(survey: Survey) -> None:
    """List what is taken as the user's word, before it is written."""
    if survey.edits:
        landmarks = counted(survey.edit_count, "landmark")
        tell(f"{landmarks} that the scan did not find, to be written as named by you:")
        for path, name in survey.edits:
            tell(f"  {one_line(path)}: {one_line(name)}")
        if more := survey.edit_count - len(survey.edits):
            tell(f"  and {more} more")
    if survey.cleared:
        landmarks = counted(survey.cleared_count, "landmark")
        tell(f"{landmarks} that you cleared, to be taken out and not to be given again:")
        for path in survey.cleared:
            tell(f"  {one_line(path)}")
        if more := survey.cleared_count - len(survey.cleared):
            tell(f"  and {more} more")


def _shown(results: Iterable[WriteResult]) -> Iterator[WriteResult]:
    """Print each photo's changes as they come."""
    for result in results:
        if result.changes:
            click.echo(format_changes(result))
        yield result


def format_changes(result: WriteResult) -> str:
    """A photo's changes, field by field."""
    lines = [one_line(format_path(result.path))]
    others = [file for file in result.files if file != result.path]
    lines += [f"  into {one_line(format_path(file))}" for file in others]
    for field, old, new in result.changes:
        lines += [f"  - {field}: {one_line(old)}"] if old else []
        lines += [f"  + {field}: {one_line(new)}"] if new else []
    return "\n".join(lines)


def _report(results: Iterable[WriteResult], quiet: bool, dry_run: bool) -> int:
    """Print what failed and what went elsewhere, then the summary; returns the exit code."""
    counts: Counter[Action] = Counter()
    reasons: Counter[str] = Counter()
    sidecars = 0
    with complaints() as add:
        for result in results:
            counts[result.action] += 1
            sidecars += result.into_sidecar and result.action is Action.WRITTEN
            match result.action:
                case Action.LEFT_ALONE:
                    reasons[result.reason] += 1
                case Action.FAILED:
                    add(format_path(result.path), result.reason + _hint(result.path))
                case Action.WRITTEN | Action.UNCHANGED | Action.REVERTED:
                    if result.reason and not quiet:
                        add(format_path(result.path), result.reason)
                case _:
                    assert_never(result.action)
    if not quiet:
        tell(format_write_summary(counts, reasons, sidecars, dry_run))
    return SOME_FAILED if counts[Action.FAILED] else 0


def _hint(path: str) -> str:
    """What is wrong with a table whose names went through another encoding."""
    meant = unmangled(path)
    if meant == path or os.path.exists(path) or not os.path.exists(meant):
        return ""
    return (
        f"; {format_path(meant)} is there: the table was opened in the wrong encoding and saved, "
        "so scan again for a new one"
    )


def format_write_summary(
    counts: Counter[Action], reasons: Counter[str], sidecars: int, dry_run: bool
) -> str:
    """The closing line: "12 photos written (3 into sidecars), 1 left alone: 1 uncertain"."""
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
