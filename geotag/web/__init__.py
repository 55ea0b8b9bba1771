"""A web page that shows what geotag makes of photos, on Flask (extra `app`)."""

from __future__ import annotations

import io
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from geotag.errors import MissingDependencyError, PhotoError, TransientPhotoError, UsageError
from geotag.files.paths import format_path
from geotag.records import Outcome, Status
from geotag.web.answers import Namer, about, tell_explanation, tell_row
from geotag.web.example import draw_example
from geotag.web.guard import guard
from geotag.web.shared import share_files

if TYPE_CHECKING:
    from flask import Flask, Response

    from geotag.decision import Decider
    from geotag.decoding.isolated import IsolatedDecoder
    from geotag.recognition.predictor import Predictor, Upload

SIZE_LIMIT = 128 * 2**20
MOST_AT_ONCE = 8  # photos that are looked at or wait for it
_NAME_LIMIT = 255
_UPLOAD = "application/octet-stream"
_PREVIEW = 640  # pixels, the longer side
_SAMPLES = 200


def create_app(
    predictor: Predictor, decider: Decider, hosts: Collection[str], decoder: IsolatedDecoder
) -> Flask:
    """The page and what it asks: `POST /api/scan` and `/api/explain`, each with a photo as body.

    Photos are classified and not kept. Only requests to an address or one of `hosts` are answered,
    so that no other site can lead a browser here under a name of its own (DNS rebinding); a photo
    must come as application/octet-stream, which other sites' pages cannot send without being asked
    (CORS). `decoder` makes previews of what a browser cannot show. Raises MissingDependencyError
    without Flask.
    """
    try:
        from flask import Flask, abort, request, send_file
    except ImportError:
        raise MissingDependencyError("the web page", "app") from None

    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = SIZE_LIMIT
    guard(app, hosts, "see geotag serve --host")
    share_files(app)
    looking = threading.Lock()  # one photo takes all cores, and the memory of its bytes
    places = threading.BoundedSemaphore(MOST_AT_ONCE)
    namer, drawn = Namer(), cache(draw_example)
    threading.Thread(target=namer.prepare, daemon=True).start()

    @contextmanager
    def turn() -> Iterator[Upload]:
        """The photo of a request, once it is its turn; the page is answered meanwhile."""
        if not places.acquire(blocking=False):
            abort(503, "too many photos at once: send it again when others are done")
        try:
            with looking:
                yield _upload()
        finally:
            places.release()

    @app.get("/")
    def page() -> Response:
        return app.send_static_file("index.html")

    @app.get("/api/about")
    def told() -> dict[str, Any]:
        return about(predictor, decider, SIZE_LIMIT)

    @app.get("/api/alive")
    def alive() -> dict[str, Any]:
        return {}

    @app.get("/api/example")
    def example() -> Response:
        return send_file(io.BytesIO(drawn()), "image/jpeg")

    @app.post("/api/scan")
    def scan() -> tuple[dict[str, Any], int]:
        with turn() as upload:
            try:
                reading = predictor.read(upload)
            except (PhotoError, MissingDependencyError) as error:
                row = Outcome(format_path(upload.name), Status.UNREADABLE, error=str(error))
                return tell_row(row) | {"again": isinstance(error, TransientPhotoError)}, 422
        row = namer.named(decider.outcome(reading))
        prediction = reading.prediction
        seen = prediction.landmark_probability if prediction is not None else 0.0
        return tell_row(row) | {"seen": seen, "towns": namer.towns(row)}, 200

    @app.post("/api/preview")
    def preview() -> Response:
        from geotag.decoding.previews import picture_of

        with turn() as upload:
            picture = picture_of(decoder, upload.data, upload.name, _PREVIEW)
        return send_file(io.BytesIO(picture), "image/jpeg")

    @app.post("/api/explain")
    def explain() -> dict[str, Any]:
        with turn() as upload:
            landmark = request.args.get("landmark", "")
            return tell_explanation(predictor.explain(upload, landmark, _SAMPLES))

    return app


def _upload() -> Upload:
    """The photo in a request's body. Raises UsageError."""
    from flask import request

    from geotag.recognition.predictor import Upload

    if request.mimetype != _UPLOAD:
        raise UsageError(f"send the photo's bytes as {_UPLOAD}")
    return Upload(request.args.get("name", "")[-_NAME_LIMIT:], request.get_data())
