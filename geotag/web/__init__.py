"""A web page that shows what geotag makes of a photo, on Flask (extra `app`)."""

from __future__ import annotations

import io
import threading
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from geotag.errors import MissingDependencyError, UsageError
from geotag.web.guard import guard

if TYPE_CHECKING:
    from flask import Flask, Response

    from geotag.decision import Decider
    from geotag.recognition.predictor import Predictor, Upload

SIZE_LIMIT = 128 * 2**20
_NAME_LIMIT = 255
_UPLOAD = "application/octet-stream"


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
    guard(app, hosts, "see geotag serve --host")
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


def _upload() -> Upload:
    """The photo in a request's body. Raises UsageError."""
    from flask import request

    from geotag.recognition.predictor import Upload

    if request.mimetype != _UPLOAD:
        raise UsageError(f"send the photo's bytes as {_UPLOAD}")
    return Upload(request.args.get("name", "")[:_NAME_LIMIT], request.get_data())
