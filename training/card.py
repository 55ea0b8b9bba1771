"""Writes figures into the model card, from the reports of `training.evaluate`.

python -m training.card report/landmarks report/lowres
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from geotag.errors import DataError
from geotag.files.atomic import atomic_file
from geotag.model.checkpoint import built_in_path
from training.reports import commands
from training.reports.card import CARD, TABLES, mark, with_tables


def read_report(folder: Path) -> dict[str, Any]:
    """What `training.evaluate --out FOLDER` wrote. Raises DataError for anything else."""
    path = folder / "report.json"
    try:
        report = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError(f"{path}: no JSON: {error}") from error
    if not isinstance(report, dict) or not {"split", "include", "libraries"} <= report.keys():
        raise DataError(f"{path}: no report of training.evaluate")
    return report


def _title(report: dict[str, Any]) -> str:
    globs = (glob.removesuffix("*") for glob in report["include"])
    return " and ".join(f"`{glob}`" for glob in globs) or "all photos"


@click.command("training.card")
@click.argument(
    "folders", nargs=-1, required=True, metavar="REPORT...",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)  # fmt: skip
@click.option(
    "--card", "path", type=click.Path(dir_okay=False, path_type=Path),
    help="Model card to write into. [default: the one beside the built-in model]",
)  # fmt: skip
def main(folders: tuple[Path, ...], path: Path | None) -> None:
    """Write the figures of REPORTs, folders of training.evaluate, into the model card.

    Of one split and one model, a column each; they go between the marks for that split.
    """
    reports = [read_report(folder) for folder in folders]
    for name in ("split", "model"):
        if len({report[name] for report in reports}) > 1:
            raise DataError(f"the reports are not of one {name}")
    split = reports[0]["split"]
    path = path or built_in_path().with_name(CARD)
    try:
        card = path.read_text("utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not any(mark(name, split)[0] in card for name in TABLES):
        raise DataError(f"{path}: has no marks for figures of split {split}")
    written = with_tables(card, {_title(report): report for report in reports}, split)
    with atomic_file(path) as file:
        file.write(written.encode())
    click.echo(f"{path}: figures of {reports[0]['model']}, split {split}")


if __name__ == "__main__":
    commands.run(main)
