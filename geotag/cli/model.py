"""geotag model: what a model file holds."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import shorten

import click

from geotag.cli.options import json_option, model_option
from geotag.model.checkpoint import built_in_path, load_checkpoint
from geotag.model.spec import format_spec


@click.group()
def model() -> None:
    """Show what a model file holds."""


@model.command()
@model_option
@json_option
def info(model: Path | None, as_json: bool) -> None:
    """Describe a model: architecture, input, categories, calibration, provenance."""
    path = model or built_in_path()
    checkpoint = load_checkpoint(path)
    if as_json:
        click.echo(format_spec(checkpoint.spec))
        return
    spec, header = checkpoint.spec, checkpoint.header
    parameters = sum(tensor.size for tensor in checkpoint.weights.values())
    facts = {
        "file": f"{path} ({path.stat().st_size / 1e6:.1f} MB)",
        "name": header.name,
        "SHA-256": f"{header.sha256} (verified)",
        "architecture": f"{spec.architecture}, {parameters / 1e6:.1f} million parameters",
        "input": f"{spec.input_size} x {spec.input_size} pixels, {spec.fit}",
        "categories": f"{len(spec.categories)} landmarks and the background",
        "temperature": f"{spec.temperature:.4g}",
        "thresholds": ", ".join(
            f"{t.confidence:.4g} for a precision of {t.precision:g}" for t in spec.thresholds
        ),
    }
    for name, fact in facts.items():
        click.echo(f"{name + ':':14} {fact}")
    for name, value in sorted(spec.provenance.items()):
        text = value if isinstance(value, str) else json.dumps(value)
        click.echo(f"{name + ':':14} {shorten(text, 90, placeholder=' ... (--json shows all)')}")
