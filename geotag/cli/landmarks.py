"""geotag landmarks: adds landmarks of your own to a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geotag.categories import ModelCategories
from geotag.cli.lines import counted
from geotag.cli.options import PLACE, json_option, model_option, quiet_option
from geotag.cli.progress import with_bar
from geotag.cli.streams import complain, complaints, tell
from geotag.errors import CheckpointError
from geotag.model.checkpoint import load_checkpoint, read_header, save_checkpoint
from geotag.tables import check_writable

if TYPE_CHECKING:
    from geotag.recognition.landmarks import Added


def _new_or_model(context: click.Context, parameter: click.Parameter, out: Path) -> Path:
    """Replace nothing but a model: `--out *.jpg` would name one of the photos."""
    if out.exists():
        try:
            read_header(out)
        except CheckpointError:
            raise click.BadParameter(f"{out} exists and is not a model") from None
    check_writable(str(out))
    return out


_ONE_PHOTO = (
    "one photo cannot tell how many of its photos will be tagged: of other landmarks it was one in "
    "ten, and more with each photo that you add"
)

_OUT = click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_new_or_model,
    help="Model file to write; may be the one that --model names.",
)


@click.group()
def landmarks() -> None:
    """Add landmarks of your own to a model, from a few photos of each."""


@landmarks.command()
@click.argument("name")
@click.argument("photos", nargs=-1, required=True, type=PLACE, metavar="PHOTOS...")
@_OUT
@click.option("--latitude", type=float, help="Its position, in decimal degrees, WGS-84.")
@click.option("--longitude", type=float, help="Its position, in decimal degrees, WGS-84.")
@click.option(
    "--radius", "radius_m", type=float, help="How far from it, in metres, it is photographed."
)
@click.option("--city", default="", help="Its city, for the table and the keywords of photos.")
@click.option(
    "--country", default="", help="Its country, for the table and the keywords of photos."
)
@click.option(
    "--force",
    is_flag=True,
    help="Also where the model has a landmark of this name: an added one is learned anew, a "
    "built-in one stays beside it.",
)
@quiet_option
@model_option
def add(
    name: str, photos: tuple[str, ...], out: Path, force: bool, quiet: bool, model: Path | None,
    **place: Any,
) -> None:  # fmt: skip
    """Add the landmark NAME from 1 to 50 example PHOTOS (files or folders).

    Takes seconds: the network stays as it is and gets one more output, fitted to the examples.
    Use the new model with `geotag scan --model OUT`.
    """
    from geotag.recognition.landmarks import Place, add_landmark, read_examples

    checkpoint = load_checkpoint(model)
    spec = checkpoint.spec
    pixels, left_out = read_examples(
        photos, spec.input_size, spec.fit, lambda found: with_bar(found, len(found), quiet)
    )
    with complaints() as add_complaint:
        for path, reason in left_out.items():
            add_complaint(path, f"not used as an example: {reason}")
    added = add_landmark(checkpoint, name, pixels, Place(**place), force)
    save_checkpoint(out, added.spec, added.tensors)
    known = ModelCategories(added.spec.own_categories)
    click.echo(f"{name}: learned from {counted(len(pixels), 'photo')}; {_format_recall(added)}")
    if added.taken_for:
        click.echo(_format_held_out(added, known))
    if added.resembles:
        other = known.by_slug(added.resembles).name
        complain(f"the model took most of these photos for {other} before, and may still do so")
    click.echo(f"use it with: geotag scan --model {out} ...")


def _format_recall(added: Added) -> str:
    """How many of the landmark's photos will be tagged."""
    if added.recall is None or added.interval is None:
        return _ONE_PHOTO
    low, high = added.interval
    return f"about {added.recall:.0%} of its photos will be tagged (likely {low:.0%} to {high:.0%})"


def _format_held_out(added: Added, known: ModelCategories) -> str:
    """How examples are named by fits that did not see them."""
    counts = dict(added.taken_for)
    right = counts.pop(added.category.slug, 0)
    wrong = [
        f"{count} for {known.by_slug(slug).name if slug else 'no landmark'}"
        for slug, count in counts.items()
    ]
    total = right + sum(counts.values())
    line = f"each held out in turn, {right} of {counted(total, 'photo')} are recognised"
    return f"{line}; mistaken are {', '.join(wrong)}" if wrong else line


@landmarks.command("list")
@model_option
@json_option
def list_(model: Path | None, as_json: bool) -> None:
    """List the landmarks that were added to a model."""
    added = read_header(model).spec.own_categories
    if not added:
        tell("this model has no added landmarks")
    for category in added:
        if as_json:
            click.echo(json.dumps(category._asdict(), ensure_ascii=False))
            continue
        known = category.latitude is not None and category.longitude is not None
        position = f"{category.latitude:.5f}, {category.longitude:.5f}" if known else ""
        place = ", ".join(part for part in (category.city, category.country) if part)
        click.echo("  ".join(part for part in (category.name, position, place) if part))


@landmarks.command()
@click.argument("name")
@_OUT
@model_option
def remove(name: str, out: Path, model: Path | None) -> None:
    """Remove the landmark NAME from a model; the others stay as they are."""
    from geotag.recognition.landmarks import remove_landmark

    spec, tensors = remove_landmark(load_checkpoint(model), name)
    save_checkpoint(out, spec, tensors)
    click.echo(f"{name}: removed; {counted(len(spec.own_categories), 'added landmark')} left")
