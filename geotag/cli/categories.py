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
from geotag.model.known import Known, load_known


@click.command()
@model_option
@json_option
def categories(model: Path | None, as_json: bool) -> None:
    """List the landmarks that the model can recognise, with place and country.

    And how well it knows each, where that was measured: from how many photos, and how many of the
    landmark's photos it tags by default, with the interval that so few photos prove.
    """
    checkpoint = load_checkpoint(model)
    spec = checkpoint.spec
    landmarks = ModelCategories(spec.own_categories)
    known = [landmarks.by_slug(slug) for slug in spec.categories]
    photos, measured = _photos(checkpoint), load_known(checkpoint.header)
    if as_json:
        for category in known:
            found = measured.get(category.slug)
            fields = category._asdict() | {"photos": photos.get(category.slug)}
            click.echo(json.dumps(fields | _as_fields(found), ensure_ascii=False))
        return
    width = max(len(category.name) for category in known)
    for category in sorted(known, key=lambda c: (c.country, c.name)):
        place = ", ".join(part for part in (category.city, category.country) if part)
        count, found = photos.get(category.slug), measured.get(category.slug)
        facts = ([counted(count, "photo")] if count is not None else []) + _format(found)
        learned = f"  ({', '.join(facts)})" if facts else ""
        click.echo(f"{category.name:{width}}  {place}{learned}")


def _as_fields(known: Known | None) -> dict[str, object]:
    """How well a landmark is known, as JSON has it; null where nobody measured it."""
    names = ("small_photos", "tried", "named", "tagged", "recall", "recall_interval")
    if known is None or not known.tried:
        return dict.fromkeys(names)
    share, interval = _recall(known)
    values = (*known[1:], round(share, 4), [round(end, 4) for end in interval])
    return dict(zip(names, values, strict=True))


def _format(known: Known | None) -> list[str]:
    if known is None or not known.tried:
        return []
    share, (low, high) = _recall(known)
    count = "all" if known.small == known.photos else str(known.small)
    small = [f"{count} small"] if known.small else []
    return [*small, f"tagged {share:.0%}: likely {low:.0%} to {high:.0%}"]


def _recall(known: Known) -> tuple[float, tuple[float, float]]:
    """The share that is tagged rightly, and where it lies 19 times in 20."""
    from geotag.recognition.few_shot import wilson_interval

    share = known.tagged / known.tried
    return share, wilson_interval(share, known.tried)


def _photos(checkpoint: Checkpoint) -> dict[str, int]:
    """How many photos of each landmark the model remembers; nothing where it has no memory."""
    if "categories" not in checkpoint.memory:
        return {}
    counts = Counter(checkpoint.memory["categories"].tolist())
    built_in = [s for s in checkpoint.spec.categories if not s.startswith(OWN_PREFIX)]
    return {slug: counts[at] for at, slug in enumerate(built_in)}
