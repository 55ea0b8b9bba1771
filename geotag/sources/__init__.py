"""Where photos come from: one dict of schemes to sources."""

from __future__ import annotations

from collections.abc import Callable

from geotag.errors import SourceError
from geotag.sources.base import Filters, Source
from geotag.sources.local import LocalSource

SOURCES: dict[str, Callable[[str, Filters], Source]] = {
    "file": LocalSource,
}


def open_source(text: str, filters: Filters) -> Source:
    """The source that a path or URI names. Raises SourceError for an unknown scheme."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        return SOURCES["file"](text, filters)
    if scheme not in SOURCES:
        raise SourceError(f"{text}: no source for {scheme}://; known: {', '.join(sorted(SOURCES))}")
    return SOURCES[scheme](rest if scheme == "file" else text, filters)
