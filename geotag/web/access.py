"""Who may open a served page: those who know its token; and the addresses it is opened at."""

from __future__ import annotations

import hmac
import secrets
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from flask import Flask, Response

_OPEN = "/static/"  # the files of the page that asks for the token
_ASK = "ask.html"
# Reserved for documentation (RFC 5737): asking for the way there sends nothing.
_ELSEWHERE = ("192.0.2.1", 9)
_ANY = ("0.0.0.0", "::")


def new_token() -> str:
    """64 random bits, short enough to type on a phone."""
    return secrets.token_hex(8)


def require_token(app: Flask, token: str) -> None:
    """Let a page's app answer those alone who once came with `?token=`; a cookie remembers them.

    The cookie is of this port alone, is kept from scripts, and goes with no other site's requests.
    Others are asked for the token.
    """
    from flask import make_response, redirect, request

    def is_right(given: str) -> bool:
        return hmac.compare_digest(given.encode(), token.encode())

    @app.before_request
    def check_token() -> Response | None:
        name = f"geotag-{request.host.rpartition(':')[2]}"
        if request.path.startswith(_OPEN) or is_right(request.cookies.get(name, "")):
            return None
        if request.method == "GET" and is_right(request.args.get("token", "").strip()):
            entered = make_response(redirect(quote(request.path), 303))
            entered.set_cookie(name, token, httponly=True, samesite="Lax")
            return entered
        if request.method == "GET" and request.path == "/":
            asked = app.make_response(app.send_static_file(_ASK))
        else:
            message = "open the address with the token that geotag printed"
            asked = app.make_response({"error": message})
        asked.status_code = 401
        return asked


def addresses(host: str, port: int, token: str = "") -> list[str]:
    """The addresses at which a page is opened: for all of a machine's, this one's own and the one
    that others in its network reach, where there is one."""
    hosts = ["127.0.0.1", *filter(None, [_own_address()])] if host in _ANY else [host]
    query = f"?token={token}" if token else ""
    return [f"http://{f'[{name}]' if ':' in name else name}:{port}/{query}" for name in hosts]


def is_local(host: str) -> bool:
    """Whether only this machine reaches a name or address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _own_address() -> str:
    """This machine's address in its network; empty where it has none."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
            way.connect(_ELSEWHERE)
            address: str = way.getsockname()[0]
    except OSError:
        return ""
    return "" if is_local(address) else address
