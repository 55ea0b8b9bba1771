"""File names as tables hold them: plain text, or a file:// URI where a name is not UTF-8."""

from __future__ import annotations

import os
from urllib.parse import quote_from_bytes, unquote_to_bytes

_URI = "file://"


def format_path(path: str) -> str:
    """An absolute path as text, whatever the locale.

    A name that is not UTF-8 becomes a percent-encoded URI (RFC 8089).
    """
    name = os.fsencode(path)
    try:
        return name.decode()
    except UnicodeDecodeError:
        return _URI + quote_from_bytes(name)


def parse_path(text: str) -> str:
    if text.startswith(_URI):
        return os.fsdecode(unquote_to_bytes(text[len(_URI) :]))
    try:
        return os.fsdecode(text.encode())
    except UnicodeEncodeError:  # no name of any file
        return text
