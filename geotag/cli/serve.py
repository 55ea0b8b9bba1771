"""geotag serve: a web page for single photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from geotag.cli.options import MODEL, engine_options
from geotag.engines.base import EngineOptions
from geotag.errors import MissingDependencyError, UsageError
from geotag.model.spec import PRECISION

_BATCH_SIZE = 8
_THREADS = 8


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Name or address to answer at, 0.0.0.0 for all of this machine's; only this machine "
    "reaches the default.",
)
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8321, show_default=True, help="Port."
)
@click.option(
    "--min-precision",
    type=click.FloatRange(0, 1),
    default=PRECISION,
    show_default=True,
    help="Name a landmark where at least this share of such answers is right.",
)
@engine_options
@MODEL
def serve(host: str, port: int, min_precision: float, model: Path | None, **settings: Any) -> None:
    """Serve a web page that shows what geotag makes of photos, and why.

    Photos are looked at and not kept. There are no accounts and no encryption: show the
    page to others only behind a server that has both.
    """
    try:
        import waitress
    except ImportError:
        raise MissingDependencyError("the web page", "app") from None

    from geotag.model.checkpoint import read_header
    from geotag.pipeline import ScanOptions, build_decider
    from geotag.recognition.predictor import Predictor
    from geotag.web import SIZE_LIMIT, create_app

    decider = build_decider(read_header(model), ScanOptions(min_precision=min_precision))
    options = EngineOptions(**settings)
    predictor = Predictor(model, options._replace(batch_size=options.batch_size or _BATCH_SIZE))
    app = create_app(predictor, decider, {host, "localhost"})
    try:
        server = waitress.create_server(
            app, host=host, port=port, threads=_THREADS, max_request_body_size=SIZE_LIMIT
        )
    except (OSError, ValueError) as error:  # ValueError: no machine has this name
        reason = error.strerror if isinstance(error, OSError) else "no such name"
        raise UsageError(
            f"cannot answer at {host}:{port} ({reason}): choose another --port or --host"
        ) from error
    click.echo(f"http://{f'[{host}]' if ':' in host else host}:{port}/ (Ctrl-C ends it)")
    server.run()
