"""The server of the web page: waitress, with an end to the patience for slow or large requests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import BaseWSGIServer, create_server
from waitress.utilities import BadRequest, RequestEntityTooLarge

from geotag.web import MOST_AT_ONCE, SIZE_LIMIT

if TYPE_CHECKING:
    from flask import Flask

_THREADS = MOST_AT_ONCE + 4
_CONNECTIONS = 500  # below the files that a process may have open
_PATIENCE = 15.0  # seconds for a request's headers
_LEAST_RATE = 2**17  # bytes of its body a second


def build_server(app: Flask, host: str, port: int, patience: float = _PATIENCE) -> Any:
    """A server that answers at a host and port once it is `run`.

    A connection that does not send its request in time is closed, so that slow ones cannot keep
    others out. Raises OSError and ValueError where it cannot answer there.
    """
    server = create_server(
        app,
        host=host,
        port=port,
        threads=_THREADS,
        connection_limit=_CONNECTIONS,
        asyncore_use_poll=True,
        max_request_body_size=SIZE_LIMIT,
    )
    channel = type("Channel", (_Channel,), {"patience": patience})
    # A name with several addresses has a server for each.
    for part in getattr(server, "map", {0: server}).values():
        if isinstance(part, BaseWSGIServer):
            part.channel_class = channel
    return server


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    """Refuses by the headers alone what is too large, before any of it is sent; of several requests
    at once it takes the first."""

    error: Any = None

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        if self.chunked and self.error is None:
            self.error = BadRequest("send the photo with its Content-Length")
        if isinstance(self.error, RequestEntityTooLarge):
            self.error.body = f"the photo is larger than {SIZE_LIMIT >> 20} MiB"
        if self.error is not None:
            self.completed, self.expect_continue = True, False
        if self.completed and consumed < len(data):  # requests that wait for no answer: one alone
            self.headers["CONNECTION"], consumed = "close", len(data)
        return consumed


class _Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that is closed when its next request does not come in time."""

    parser_class = _Parser
    patience = _PATIENCE
    _waiting_since = 0.0

    def received(self, data: bytes) -> bool:
        result: bool = super().received(data)
        if self.request is None:
            self._waiting_since = time.time()
        return result

    def readable(self) -> bool:
        size = self.request.content_length if self.request is not None else 0
        since = max(self.creation_time, self._waiting_since)
        if not self.requests and time.time() > since + self.patience + size / _LEAST_RATE:
            self.will_close = True
        result: bool = super().readable()
        return result
