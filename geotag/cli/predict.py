"""geotag predict: the most likely landmarks of single photos."""

from __future__ import annotations

import json
from pathlib import Path

import click

from geotag.cli.options import PLACE, SOME_FAILED, engine_options, json_option, model_option, number
from geotag.cli.streams import complain, one_line
from geotag.engines.base import EngineOptions
from geotag.errors import PhotoError
from geotag.files.paths import format_path
from geotag.records import TopCategory


@click.command()
@click.argument("images", nargs=-1, required=True, type=PLACE, metavar="IMAGE...")
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

    Most photos have a most likely one, also where they show no landmark at all: its confidence is
    low then. `geotag scan` decides. A blank or tiny picture, or a page of text, has none.
    """
    from geotag.decoding.isolated import IsolatedDecoder
    from geotag.recognition.predictor import Predictor

    decoder = IsolatedDecoder() if len(images) > 1 else None  # no photo keeps the others waiting
    predictor = Predictor(model, engine, decoder)
    failed = 0
    for image in images:
        try:
            found = predictor.predict(image, k)
        except PhotoError as error:
            failed += 1
            complain(str(error))
            if as_json:
                click.echo(json.dumps({"path": format_path(image), "error": str(error)}))
            continue
        top = predictor.top(found)
        form = _format_json if as_json else _format_table
        click.echo(form(image, top, found.unclassified))
    if decoder is not None:
        decoder.close()
    return SOME_FAILED if failed else 0


def _format_json(image: str, top: tuple[TopCategory, ...], unclassified: str) -> str:
    fields = {"path": format_path(image), "top_k": [entry._asdict() for entry in top]}
    return json.dumps(fields | ({"unclassified": unclassified} if unclassified else {}))


def _format_table(image: str, top: tuple[TopCategory, ...], unclassified: str) -> str:
    lines = [one_line(format_path(image))]
    lines += [f"  no landmark: {unclassified}"] if unclassified else []
    lines += [f"  {entry.confidence:7.2%}  {entry.landmark}" for entry in top]
    return "\n".join(lines)
