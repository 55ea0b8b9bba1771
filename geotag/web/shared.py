"""What the served pages share with the report: its map, the world, and its style."""

from __future__ import annotations

import io
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask, Response

_FILES = {
    "map.js": "text/javascript",
    "world.json": "application/json",
    "page.css": "text/css",
}


def share_files(app: Flask) -> None:
    """Answer `/shared/NAME`."""
    from flask import abort, send_file

    @app.get("/shared/<name>")
    def shared(name: str) -> Response:
        if name not in _FILES:
            abort(404)
        data = (files("geotag.report") / "static" / name).read_bytes()
        return send_file(io.BytesIO(data), _FILES[name])
