"""geotag categories: what a model can recognise."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import click

from geotag.categories import OWN_PREFIX, ModelCategories
from geotag.cli.lines import counted
from geotag.cli.options import json_option, model_option
from geotag.model.checkpoint import Checkpoint, load_checkpoint


@click.command()
@model_option
@json_option
def categories(model: Path | None, as_json: bool) -> None:
    """List the landmarks that the model can recognise, with place and country.

    And from how many photos it knows each, where the model tells.
    """
    checkpoint = load_checkpoint(model)
    spec = checkpoint.spec
    landmarks = ModelCategories(spec.own_categories)
    known = [landmarks.by_slug(slug) for slug in spec.categories]
    photos = _photos(checkpoint)
    if as_json:
        for category in known:
            fields = category._asdict() | {"photos": photos.get(category.slug)}
            click.echo(json.dumps(fields, ensure_ascii=False))
        return
    width = max(len(category.name) for category in known)
    for category in sorted(known, key=lambda c: (c.country, c.name)):
        place = ", ".join(part for part in (category.city, category.country) if part)
        count = photos.get(category.slug)
        learned = f"  ({counted(count, 'photo')})" if count is not None else ""
        click.echo(f"{category.name:{width}}  {place}{learned}")


def _photos(checkpoint: Checkpoint) -> dict[str, int]:
    """How many photos of each landmark the model remembers; nothing where it has no memory."""
    if "categories" not in checkpoint.memory:
        return {}
    counts = Counter(checkpoint.memory["categories"].tolist())
    built_in = [s for s in checkpoint.spec.categories if not s.startswith(OWN_PREFIX)]
    return {slug: counts[at] for at, slug in enumerate(built_in)}
