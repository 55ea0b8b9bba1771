"""The report's page: HTML that holds all it needs and may load nothing but its thumbnails."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import NamedTuple

from geotag.errors import UsageError
from geotag.records import Outcome
from geotag.report.data import report_data, script_json, surroundings_data
from geotag.report.surroundings import Surroundings

MOST_THUMBNAILS = 30_000
_BUDGET = 14_000_000  # bytes of all thumbnails together, in base64
_LARGEST = 4_000
_NOTHING = Surroundings()
# What the page's own script loads may run, and no other: 'self' is not the same for files in all
# browsers.
_LOADED = " 'strict-dynamic'"
_SCRIPTS = ("text.js", "map.js", "page.js")
GENERATOR = '<meta name="generator" content="geotag report">'


class Chunks(NamedTuple):
    """Where a page finds its thumbnails: in files of so many each in a folder beside it."""

    folder: str
    size: int = 0


def thumbnail_bytes(photos: int) -> int:
    """How many bytes each thumbnail may take. Raises UsageError for more photos than fit."""
    if photos > MOST_THUMBNAILS:
        raise UsageError(
            f"thumbnails of {photos} photos are too many for one file (the most is "
            f"{MOST_THUMBNAILS}): name a folder, as --out report/, or give --no-thumbnails"
        )
    return min(_LARGEST, _BUDGET * 3 // 4 // max(photos, 1))


def build_page(
    name: str,
    rows: Sequence[Outcome],
    thumbnails: Sequence[bytes],
    around: Surroundings = _NOTHING,
    chunks: Chunks | None = None,
) -> str:
    """The page of a table; the same rows, thumbnails and surroundings give the same text.

    There are as many thumbnails as rows, some of them perhaps empty, or none at all; with `chunks`
    they are loaded.
    """
    style = _static("page.css")
    script = "\n".join(map(_static, _SCRIPTS))
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'{_LOADED if chunks else ''}; "
        f"style-src '{_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return Template(_static("page.html")).substitute(
        name=escape(name),
        policy=escape(policy, quote=False),
        generator=GENERATOR,
        style=style,
        script=script,
        world=_static("world.json"),
        rows=script_json(report_data(rows)),
        around=script_json(surroundings_data(around)),
        thumbnails=script_json(
            chunks._asdict() if chunks else [base64.b64encode(webp).decode() for webp in thumbnails]
        ),
    )


def _static(name: str) -> str:
    return (files("geotag.report") / "static" / name).read_text("utf-8")


def _hash(text: str) -> str:
    """A hash as a content security policy names what it permits."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
