"""File names as tables hold them: plain text, or a file:// URI where a name is not UTF-8."""

from __future__ import annotations

import os
from urllib.parse import quote_from_bytes, unquote_to_bytes

_URI = "file://"


def format_path(path: str) -> str:
    """An absolute path as text; surrogate escapes become a percent-encoded URI (RFC 8089)."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return _URI + quote_from_bytes(os.fsencode(path))
    return path


def parse_path(text: str) -> str:
    """The reverse of `format_path`."""
    if text.startswith(_URI):
        return os.fsdecode(unquote_to_bytes(text[len(_URI) :]))
    return text
