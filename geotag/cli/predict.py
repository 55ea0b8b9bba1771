"""geotag predict: the most likely landmarks of single photos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from geotag.cli.lines import complain, one_line
from geotag.cli.options import MODEL, SOME_FAILED, TOP_K_HELP, engine_options
from geotag.engines.base import EngineOptions
from geotag.errors import PhotoError
from geotag.records import TopCategory


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("-k", type=click.IntRange(1, 1000), default=5, show_default=True, help=TOP_K_HELP)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of a table.")
@engine_options
@MODEL
def predict(
    images: tuple[str, ...], k: int, as_json: bool, model: Path | None, **settings: Any
) -> int:
    """Show the most likely landmarks of each IMAGE with their confidences.

    There is always a most likely one, also when the photo shows no landmark at all: its
    confidence is low then. `geotag scan` decides.
    """
    from geotag.recognition.predictor import Predictor

    predictor = Predictor(model, EngineOptions(**settings))
    failed = 0
    for image in images:
        try:
            top = predictor.top(image, k)
        except PhotoError as error:
            failed += 1
            complain(str(error))
            if as_json:
                click.echo(json.dumps({"path": image, "error": str(error)}))
            continue
        click.echo(_format_json(image, top) if as_json else _format_table(image, top))
    return SOME_FAILED if failed else 0


def _format_json(image: str, top: tuple[TopCategory, ...]) -> str:
    return json.dumps({"path": image, "top_k": [entry._asdict() for entry in top]})


def _format_table(image: str, top: tuple[TopCategory, ...]) -> str:
    lines = [one_line(image)]
    lines += [f"  {entry.confidence:7.2%}  {entry.landmark}" for entry in top]
    return "\n".join(lines)
