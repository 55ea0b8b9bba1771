"""A web page that shows what geotag makes of a photo, on Flask (extra `app`)."""

from __future__ import annotations

import io
import threading
from collections.abc import Collection
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from geotag.errors import GeotagError, MissingDependencyError, PhotoError, UsageError

if TYPE_CHECKING:
    from flask import Flask, Response
    from werkzeug.exceptions import HTTPException

    from geotag.decision import Decider
    from geotag.recognition.predictor import Predictor, Upload

SIZE_LIMIT = 128 * 2**20
_NAME_LIMIT = 255
_UPLOAD = "application/octet-stream"
# Nothing but the page's own files: not even a picture from elsewhere, nor a frame around it.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_CODES = {PhotoError: 422, UsageError: 400, MissingDependencyError: 501}


def create_app(predictor: Predictor, decider: Decider, hosts: Collection[str]) -> Flask:
    """The page and what it asks: `POST /api/scan` and `/api/explain`, each with a photo as body.

    Photos are classified and not kept. Only requests to an address or one of `hosts` are answered,
    so that no other site can lead a browser here under a name of its own (DNS rebinding); a photo
    must come as application/octet-stream, which other sites' pages cannot send without being asked
    (CORS). Raises MissingDependencyError without Flask.
    """
    try:
        from flask import Flask, request, send_file
    except ImportError:
        raise MissingDependencyError("the web page", "app") from None

    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = SIZE_LIMIT
    _guard(app, hosts)
    looking = threading.Lock()  # one photo takes all cores

    @app.get("/")
    def page() -> Response:
        return app.send_static_file("index.html")

    @app.post("/api/scan")
    def scan() -> dict[str, Any]:
        upload = _upload()
        with looking:
            reading = predictor.read(upload)
        row = decider.outcome(reading)
        return {**row._asdict(), "top_k": [entry._asdict() for entry in row.top_k]}

    @app.post("/api/explain")
    def explain() -> Response:
        from geotag.recognition.drawing import draw_explanation

        drawing = io.BytesIO()
        with looking:
            explained = predictor.explain(_upload(), request.args.get("landmark", ""))
            draw_explanation(explained, drawing)
        drawing.seek(0)
        return send_file(drawing, "image/png")

    return app


def _guard(app: Flask, hosts: Collection[str]) -> None:
    """Whom the app answers, with which headers, and its errors as JSON."""
    from flask import abort, request
    from werkzeug.exceptions import HTTPException

    names = {host.lower() for host in hosts}

    @app.before_request
    def check_host() -> None:
        name = urlsplit("//" + request.host).hostname or ""
        if not _is_address(name) and name not in names:
            abort(403, f"this page does not answer to the name “{name}”: see geotag serve --host")

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.update(_HEADERS)
        return response

    @app.errorhandler(GeotagError)
    def tell(error: GeotagError) -> tuple[dict[str, str], int]:
        codes = [code for kind, code in _CODES.items() if isinstance(error, kind)]
        return {"error": str(error)}, codes[0] if codes else 500

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> tuple[dict[str, str], int]:
        return {"error": error.description or error.name}, error.code or 500


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _upload() -> Upload:
    """The photo in a request's body. Raises UsageError."""
    from flask import request

    from geotag.recognition.predictor import Upload

    if request.mimetype != _UPLOAD:
        raise UsageError(f"send the photo's bytes as {_UPLOAD}")
    return Upload(request.args.get("name", "")[:_NAME_LIMIT], request.get_data())
