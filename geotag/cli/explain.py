"""geotag explain: which parts of a photo speak for a landmark."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from geotag.cli.lines import one_line
from geotag.cli.options import MODEL, engine_options
from geotag.engines.base import EngineOptions

_BATCH_SIZE = 8
_LEAST = 0.01  # confidence that can be explained
_LEAST_FIT = 0.5


@click.command()
@click.argument("image")
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="PNG file to draw into.",
)
@click.option(
    "--landmark", default="", metavar="NAME", help="Explain this one [default: the most likely]."
)
@click.option(
    "--samples",
    type=click.IntRange(50, 100_000),
    default=500,
    show_default=True,
    help="How often to hide some parts and look again: more is surer and slower.",
)
@engine_options
@MODEL
def explain(
    image: str, out: Path, landmark: str, samples: int, model: Path | None, **settings: Any
) -> None:
    """Draw which parts of IMAGE speak for its landmark, and which against (LIME).

    The photo is split into parts, and the network looks at it with different ones hidden.
    """
    from geotag.errors import TableError
    from geotag.files.atomic import atomic_file
    from geotag.recognition.drawing import draw_explanation
    from geotag.recognition.predictor import Predictor

    if out.suffix.lower() != ".png":  # most photos cannot be meant by mistake
        raise click.UsageError(f"--out is a PNG file: {out} does not end in .png")
    if out.exists() and os.path.exists(image) and out.samefile(image):
        raise click.UsageError(f"--out is the photo itself: {out}")
    options = EngineOptions(**settings)
    predictor = Predictor(model, options._replace(batch_size=options.batch_size or _BATCH_SIZE))
    explained = predictor.explain(image, landmark, samples)
    found = explained.explanation
    try:
        with atomic_file(out) as file:
            draw_explanation(explained, file)
    except OSError as error:
        raise TableError(f"{out}: cannot be written ({error.strerror or error})") from error
    name = explained.landmark
    click.echo(f"{one_line(image)}: {name}, {found.confidence:.1%}")
    if explained.landmark_probability < 0.5:
        click.echo("geotag: more likely than not it shows no landmark at all", err=True)
    if found.confidence >= _LEAST:
        click.echo(
            f"{int(found.marked.sum())} of {len(found.marked)} parts suffice: {found.alone:.1%} "
            f"when they alone are seen, {found.without:.1%} when all others are"
        )
        if found.fit < _LEAST_FIT:
            click.echo(
                f"geotag: the parts do not just add up here (R squared {found.fit:.2f}): take "
                "their weights for a hint",
                err=True,
            )
    click.echo(out)
