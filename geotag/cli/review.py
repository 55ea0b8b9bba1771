"""geotag review: a page to decide on the doubtful guesses of a table."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geotag.cli.lines import counted
from geotag.cli.options import catalog_of, catalog_option, model_option
from geotag.cli.streams import complain, tell
from geotag.errors import MissingDependencyError, UsageError

if TYPE_CHECKING:
    from geotag.recognition.predictor import Predictor

_HOST = "127.0.0.1"


@click.command()
@click.argument("table", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8322, show_default=True,
    help="Port; 0 for any that is free.",
)  # fmt: skip
@click.option(
    "--all",
    "with_tagged",
    is_flag=True,
    help="Also show the tags and places that are not doubtful.",
)
@click.option(
    "--labels",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what was decided as labels for training into this CSV file, and serve no page.",
)
@catalog_option("The catalog that keeps the decisions")
@model_option
def review(
    table: Path, port: int, with_tagged: bool, labels: Path | None, catalog: Path | None,
    model: Path | None,
) -> None:  # fmt: skip
    """Decide on the doubtful guesses of TABLE on a web page, by one key each.

    Shown are conflicts, uncertain guesses, places with a radius of a kilometre and more, and
    landmarks of your own. A decision is kept in the catalog at once, and is your word for
    `geotag write`. Only this machine reaches the page, at the address that is printed.
    """
    catalog = catalog_of(table, catalog)
    if labels is not None:
        _write_labels(catalog, labels)
    else:
        _serve(table, catalog, port, with_tagged, model)


def _write_labels(catalog: Path, labels: Path) -> None:
    from geotag.review.labels import format_labels
    from geotag.state.decisions import decisions_in
    from geotag.tables import check_writable, write_text

    check_writable(str(labels))
    if labels.suffix.lower() != ".csv":  # no photo can be meant by mistake
        raise UsageError(f"{labels}: the suffix must be .csv")
    if not catalog.is_file():
        raise UsageError(f"{catalog}: no such catalog; review the table first, or name --catalog")
    decisions = decisions_in(catalog)
    text, count = format_labels(decisions, labels.parent)
    write_text(str(labels), text)
    tell(f"{labels}: {counted(count, 'label')}")
    if left := len(decisions) - count:
        complain(
            f"{counted(left, 'decision')} left out: places that are no landmarks, and photos that "
            f"are not below {labels.parent}"
        )


def _serve(table: Path, catalog: Path, port: int, with_tagged: bool, model: Path | None) -> None:
    try:
        from geotag.web.server import build_server
    except ImportError:
        raise MissingDependencyError("the review page", "app") from None
    from geotag.engines.base import EngineOptions
    from geotag.model.checkpoint import read_header
    from geotag.recognition.predictor import Predictor
    from geotag.review.app import Access, create_review_app
    from geotag.review.search import Places
    from geotag.review.session import Review
    from geotag.state.catalog import open_catalog
    from geotag.state.decisions import Decisions
    from geotag.tables import read_table

    @cache
    def predictor() -> Predictor:
        return Predictor(model, EngineOptions(batch_size=8))

    places = Places(read_header(model).spec.own_categories)
    with open_catalog(catalog) as opened:
        session = Review(read_table(table), Decisions(opened.connection), places, with_tagged)
        if not session.items:
            tell("nothing in this table is in doubt; --all shows all tags and places")
            return
        access = Access()
        app = create_review_app(session, access, predictor)
        try:
            server = build_server(app, _HOST, port)
        except OSError as error:
            raise UsageError(
                f"cannot answer at {_HOST}:{port} ({error.strerror}): choose another --port"
            ) from error
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        tell(f"{counted(len(session.items), 'photo')} to look at. Open this in a browser here:")
        click.echo(f"http://{_HOST}:{server.effective_port}/#{access.token}")
        tell("What you decide is kept at once. Ctrl-C ends the review.")
        server.run()
