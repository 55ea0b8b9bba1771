"""geotag serve: a web page for single photos."""

from __future__ import annotations

from pathlib import Path

import click

from geotag.cli.options import engine_options, min_precision_option, model_option
from geotag.engines.base import EngineOptions
from geotag.errors import MissingDependencyError, UsageError

_BATCH_SIZE = 8


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Name or address to answer at: by default only this machine reaches the page, with "
    "0.0.0.0 others do too.",
)
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8321, show_default=True, help="Port."
)
@click.option(
    "--token",
    metavar="TEXT",
    envvar="GEOTAG_TOKEN",
    help="Ask visitors for this [default: a new one where other machines reach the page].",
)
@min_precision_option
@engine_options
@model_option
def serve(
    host: str, port: int, token: str | None, min_precision: float, model: Path | None,
    engine: EngineOptions,
) -> None:  # fmt: skip
    """Serve a web page that shows what geotag makes of photos, and why.

    Photos are classified and not kept. Where other machines reach the page, it asks for the token
    in the address that is printed. There is no encryption: for more than a network that you trust,
    put a server before it that has it.
    """
    try:
        from geotag.web.server import build_server
    except ImportError:
        raise MissingDependencyError("the web page", "app") from None

    from geotag.decoding.isolated import IsolatedDecoder
    from geotag.evidence import build_decider
    from geotag.model.checkpoint import read_header
    from geotag.options import ScanOptions
    from geotag.recognition.predictor import Predictor
    from geotag.web import create_app
    from geotag.web.access import addresses, is_local, new_token, require_token

    decider = build_decider(read_header(model), ScanOptions(min_precision=min_precision))
    engine = engine._replace(batch_size=engine.batch_size or _BATCH_SIZE)
    # A photo that someone sends must not end the server.
    decoder = IsolatedDecoder()
    predictor = Predictor(model, engine, decoder)
    app = create_app(predictor, decider, {host, "localhost"}, decoder)
    if token is None and not is_local(host):
        token = new_token()
    if token:
        require_token(app, token)
    try:
        server = build_server(app, host, port)
    except (OSError, ValueError) as error:  # ValueError: no machine has this name
        reason = getattr(error, "strerror", None) or "no such name"
        raise UsageError(
            f"cannot answer at {host}:{port} ({reason}): choose another --port or --host"
        ) from error
    here, *elsewhere = addresses(host, port, token or "")
    phones = "".join(f", {address} from a phone in the same network" for address in elsewhere)
    click.echo(f"{here}{' here' if phones else ''}{phones} (Ctrl-C ends it)")
    server.run()
