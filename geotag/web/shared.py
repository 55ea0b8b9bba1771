"""What the served pages share: the map, world and style of the report, and explanations."""

from __future__ import annotations

import io
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask, Response

_FILES = {
    "text.js": ("geotag.report", "text/javascript"),
    "map.js": ("geotag.report", "text/javascript"),
    "world.json": ("geotag.report", "application/json"),
    "page.css": ("geotag.report", "text/css"),
    "explanation.js": ("geotag.web", "text/javascript"),
    "served.css": ("geotag.web", "text/css"),
    "icon.svg": ("geotag.web", "image/svg+xml"),
}


def share_files(app: Flask) -> None:
    """Answer `/shared/NAME`."""
    from flask import abort, send_file

    @app.get("/shared/<name>")
    def shared(name: str) -> Response:
        if name not in _FILES:
            abort(404)
        package, kind = _FILES[name]
        data = (files(package) / "static" / name).read_bytes()
        return send_file(io.BytesIO(data), kind)
