"""geotag predict: the most likely landmarks of single photos."""

from __future__ import annotations

import json
from pathlib import Path

import click

from geotag.cli.options import SOME_FAILED, engine_options, json_option, model_option, number
from geotag.cli.streams import complain, one_line
from geotag.engines.base import EngineOptions
from geotag.errors import PhotoError
from geotag.records import TopCategory


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@number(
    "--top-k",
    "-k",
    "k",
    default=5,
    show_default=True,
    help="How many of the most likely landmarks to list.",
)
@json_option
@engine_options
@model_option
def predict(
    images: tuple[str, ...], k: int, as_json: bool, model: Path | None, engine: EngineOptions
) -> int:
    """Show the most likely landmarks of each IMAGE with their confidences.

    There is always a most likely one, also when the photo shows no landmark at all: its
    confidence is low then. `geotag scan` decides.
    """
    from geotag.recognition.predictor import Predictor

    predictor = Predictor(model, engine)
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
