"""What guards the web pages: whom they answer, what they may load, and how errors are told."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from geotag.errors import GeotagError, MissingDependencyError, PhotoError, UsageError

if TYPE_CHECKING:
    from flask import Flask, Response
    from werkzeug.exceptions import HTTPException

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


def guard(app: Flask, hosts: Collection[str], advice: str) -> None:
    """Whom a page's app answers, with which headers, and its errors as JSON.

    Requests are answered that name an address or one of `hosts`; others are told the `advice`.
    """
    from flask import abort, request
    from werkzeug.exceptions import HTTPException

    names = {host.lower() for host in hosts}

    @app.before_request
    def check_host() -> None:
        name = urlsplit("//" + request.host).hostname or ""
        if not _is_address(name) and name not in names:
            abort(403, f"this page does not answer to the name “{name}”: {advice}")

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
