"""The server of a review, on Flask (extra `app`): for this machine alone, and with a key."""

from __future__ import annotations

import hmac
import io
import math
import secrets
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from geotag.decoding.isolated import IsolatedDecoder
from geotag.decoding.previews import make_picture
from geotag.errors import MissingDependencyError, UsageError
from geotag.records import Location
from geotag.review.search import QUERY_LIMIT, Found
from geotag.review.session import Review, place_at
from geotag.web.answers import Towns, tell_explanation
from geotag.web.guard import guard
from geotag.web.shared import share_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask, Response

    from geotag.recognition.predictor import Predictor

KEY_HEADER = "X-Geotag-Key"
_LONGEST = 1280  # pixels of a picture
_BODY_LIMIT = 100_000
_SAMPLES = 200


class Access:
    """Who may use a review: whoever was first to show the token of its address gets the key."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(24)
        self._key = secrets.token_urlsafe(32)
        self._lock = threading.Lock()

    def exchange(self, token: str) -> str | None:
        """The key for the token, once; None for another one."""
        with self._lock:
            given = token.encode(errors="replace")
            is_right = bool(self.token) and hmac.compare_digest(given, self.token.encode())
            if is_right:
                self.token = ""
            return self._key if is_right else None

    def is_key(self, key: str) -> bool:
        """Whether this is the key."""
        return hmac.compare_digest(key.encode(), self._key.encode())


def create_review_app(review: Review, access: Access, predictor: Callable[[], Predictor]) -> Flask:
    """The page and what it asks. All but the page's own files is answered to the key alone, which
    comes in a header: another site's page cannot send it, nor lead a browser to do so.

    `predictor` gives the model to explain guesses with, when one is asked for. Raises
    MissingDependencyError without Flask.
    """
    try:
        from flask import Flask, abort, request, send_file
    except ImportError:
        raise MissingDependencyError("the review page", "app") from None

    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = _BODY_LIMIT
    guard(app, {"localhost"}, "open the address that geotag review printed")
    share_files(app)
    decoder = IsolatedDecoder()
    towns = Towns()
    explaining = threading.Lock()  # one explanation takes all cores

    @app.before_request
    def check_key() -> None:
        needs_key = request.path.startswith("/api/") and request.path != "/api/session"
        if needs_key and not access.is_key(request.headers.get(KEY_HEADER, "")):
            abort(403, "open the address that geotag review printed")

    @app.get("/")
    def page() -> Response:
        return app.send_static_file("review.html")

    @app.post("/api/session")
    def session() -> dict[str, str]:
        key = access.exchange(_text(_body(), "token"))
        if key is None:
            abort(403, "this address was opened before: start geotag review again for a new one")
        return {"key": key}

    @app.get("/api/queue")
    def queue() -> dict[str, Any]:
        return {"items": review.overview()}

    @app.get("/api/photo/<int:number>")
    def photo(number: int) -> dict[str, Any]:
        return review.details(number)

    @app.get("/api/picture/<int:number>")
    def picture(number: int) -> Response:
        return send_file(
            io.BytesIO(make_picture(decoder, review.path(number), _LONGEST)), "image/jpeg"
        )

    @app.get("/api/explain/<int:number>")
    def explain(number: int) -> dict[str, Any]:
        with explaining:
            slug = request.args.get("landmark", "")[:QUERY_LIMIT]
            explained = predictor().explain(review.path(number), slug, _SAMPLES)
        return tell_explanation(explained)

    @app.get("/api/search")
    def search() -> dict[str, Any]:
        near = _place(request.args) if "latitude" in request.args else None
        found = review.places.find(request.args.get("q", ""), near)
        return {"places": [one._asdict() for one in found]}

    @app.get("/api/towns")
    def towns_around() -> dict[str, Any]:
        return {"towns": towns.around(_place(request.args))}

    @app.get("/api/place")
    def place() -> dict[str, Any]:
        return place_at(review.places, _place(request.args))._asdict()

    @app.post("/api/decide")
    def decide() -> dict[str, Any]:
        return {"rows": _decide(review, _body())}

    @app.post("/api/undo")
    def undo() -> dict[str, Any]:
        _body()
        return {"rows": review.undo()}

    return app


def _decide(review: Review, body: dict[str, Any]) -> list[int]:
    """What one key does. Raises UsageError."""
    number = body.get("row")
    if type(number) is not int:
        raise UsageError("which photo is meant?")
    match body.get("action"):
        case "accept":
            candidate = body.get("candidate")
            if candidate is not None and type(candidate) is not int:
                raise UsageError("which candidate is meant?")
            return review.accept(number, candidate)
        case "reject":
            return review.reject(number)
        case "change":
            return review.change(number, _found(body.get("place")))
        case "burst" | "day" as scope:
            return review.repeat(number, by_day=scope == "day")
        case _:
            raise UsageError("there is no such decision")


def _found(place: object) -> Found:
    if not isinstance(place, dict):
        raise UsageError("which place is meant?")
    words = (_text(place, name) for name in ("landmark", "slug", "city", "country"))
    landmark, slug, city, country = words
    at = _place(place)
    radius = _number(place, "radius_m")
    return Found(landmark, slug, at.latitude, at.longitude, radius, city, country)


def _place(fields: Any) -> Location:
    place = Location(_number(fields, "latitude"), _number(fields, "longitude"))
    if abs(place.latitude) > 90 or abs(place.longitude) > 180:
        raise UsageError("there is no such position")
    return place


def _number(fields: Any, name: str) -> float:
    try:
        number = float(fields.get(name))
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"{name} is not a number") from None
    if not math.isfinite(number):
        raise UsageError(f"{name} is not a number")
    return number


def _text(fields: dict[str, Any], name: str) -> str:
    text = fields.get(name, "")
    if not isinstance(text, str) or len(text) > 200:
        raise UsageError(f"{name} is not a short text")
    return text


def _body() -> dict[str, Any]:
    """A request's JSON object, which comes as such. Raises UsageError."""
    from flask import request

    body = None
    if request.mimetype == "application/json":
        with suppress(RecursionError):  # nested without end
            body = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise UsageError("send a JSON object")
    return body
