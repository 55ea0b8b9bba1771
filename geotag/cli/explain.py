"""geotag explain: which parts of a photo speak for a landmark."""

from __future__ import annotations

import os
from pathlib import Path

import click

from geotag.cli.options import PLACE, engine_options, model_option, number
from geotag.cli.streams import complain, one_line
from geotag.engines.base import EngineOptions

_BATCH_SIZE = 8
_LEAST = 0.01  # confidence that can be explained
_LEAST_FIT = 0.5


@click.command()
@click.argument("image", type=PLACE)
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="PNG file to draw into.",
)
@click.option(
    "--landmark", default="", metavar="NAME", help="Explain this one [default: the most likely]."
)
@number(
    "--samples",
    default=500,
    show_default=True,
    help="How often to hide some parts and classify again: more is more exact and slower.",
)
@engine_options
@model_option
def explain(
    image: str, out: Path, landmark: str, samples: int, model: Path | None, engine: EngineOptions
) -> None:
    """Draw which parts of IMAGE speak for its landmark, and which against (LIME).

    The photo is divided into parts, and classified again and again with some of them hidden.
    """
    from geotag.errors import TableError
    from geotag.files.atomic import atomic_file
    from geotag.recognition.drawing import draw_explanation
    from geotag.recognition.predictor import Predictor, load_photo
    from geotag.tables import check_writable

    if out.suffix.lower() != ".png":  # most photos cannot be meant by mistake
        raise click.UsageError(f"--out must name a PNG file: {out} does not end in .png")
    if out.exists() and os.path.exists(image) and out.samefile(image):
        raise click.UsageError(f"--out is the photo itself: {out}")
    check_writable(str(out))
    load_photo(image)  # what cannot be read is told before the network is loaded
    predictor = Predictor(model, engine._replace(batch_size=engine.batch_size or _BATCH_SIZE))
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
        complain("the photo more likely shows no landmark at all")
    if found.confidence >= _LEAST:
        click.echo(
            f"{int(found.marked.sum())} of {len(found.marked)} parts suffice: confidence "
            f"{found.alone:.1%} with these parts alone, {found.without:.1%} with all others"
        )
        if found.fit < _LEAST_FIT:
            complain(
                f"the parts explain the confidence only in part (R squared "
                f"{found.fit:.2f}): take the drawing as a hint"
            )
    click.echo(out)
