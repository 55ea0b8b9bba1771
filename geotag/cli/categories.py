"""geotag categories: what a model can recognise."""

from __future__ import annotations

import json
from pathlib import Path

import click

from geotag.categories import ModelCategories
from geotag.cli.options import json_option, model_option
from geotag.model.checkpoint import read_header


@click.command()
@model_option
@json_option
def categories(model: Path | None, as_json: bool) -> None:
    """List the landmarks that the model can recognise, with place and country."""
    spec = read_header(model).spec
    landmarks = ModelCategories(spec.own_categories)
    known = [landmarks.by_slug(slug) for slug in spec.categories]
    if as_json:
        for category in known:
            click.echo(json.dumps(category._asdict(), ensure_ascii=False))
        return
    width = max(len(category.name) for category in known)
    for category in sorted(known, key=lambda c: (c.country, c.name)):
        place = ", ".join(part for part in (category.city, category.country) if part)
        click.echo(f"{category.name:{width}}  {place}")
