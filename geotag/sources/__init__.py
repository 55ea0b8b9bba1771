"""Where photos come from: one dict of schemes to sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import groupby

from geotag.errors import SourceError
from geotag.files.paths import parse_path
from geotag.metadata.containers import ReadRange
from geotag.records import Photo
from geotag.sources.base import Filters, Source
from geotag.sources.bucket import BucketSource
from geotag.sources.local import LocalSource
from geotag.sources.web import WebSource
from geotag.stores import scheme_of

SOURCES: dict[str, Callable[[str, Filters], Source]] = {
    "": LocalSource,
    "file": lambda text, filters: LocalSource(parse_path(text), filters),
    "s3": BucketSource,
    "gs": BucketSource,
    "az": BucketSource,
    "http": WebSource,
    "https": WebSource,
    "memory": BucketSource,
}


def open_source(text: str, filters: Filters) -> Source:
    """The source that a path or URI names.

    Raises SourceError for an unknown scheme, MissingDependencyError for one that needs an extra.
    """
    scheme = scheme_of(text)
    if scheme not in SOURCES:
        known = ", ".join(sorted(name for name in SOURCES if name not in ("", "memory")))
        raise SourceError(f"{text}: no source for {scheme}://; known: {known}")
    return SOURCES[scheme](text, filters)


class Library:
    """Several sources as one; a photo is read by the source of its scheme."""

    def __init__(self, texts: Sequence[str], filters: Filters) -> None:
        self.sources = [open_source(text, filters) for text in texts]
        self.texts = tuple(texts)
        self.bytes_elsewhere = 0
        self.filters = filters
        self.by_scheme = {
            _scheme(text): source for text, source in zip(texts, self.sources, strict=True)
        }

    @property
    def skipped(self) -> Counter[str]:
        """What all sources passed over, by reason."""
        return sum((source.skipped for source in self.sources), Counter())

    @property
    def incomplete(self) -> bool:
        """Whether the listing left out what it could not read."""
        return any(reason.startswith("unreadable") for reason in self.skipped)

    @property
    def roots(self) -> list[bytes]:
        """Folders or files, one of which the URI of each photo is or lies below."""
        return [root for source in self.sources for root in source.roots]

    @property
    def bytes_fetched(self) -> int:
        """How much was read over a network, here and by workers elsewhere."""
        here = sum(source.bytes_fetched for source in self.by_scheme.values())
        return here + self.bytes_elsewhere

    def ahead(self, photos: Iterable[Photo]) -> Iterator[Photo]:
        """The same photos, with the headers of far ones on their way."""
        for scheme, group in groupby(photos, lambda photo: _scheme(photo.uri)):
            yield from self.by_scheme[scheme].ahead(group)

    def expect(self, photo: Photo) -> None:
        """Hear that this photo will be read whole, soon."""
        self.by_scheme[_scheme(photo.uri)].expect(photo)

    def read_photo(self, photo: Photo) -> bytes:
        """All bytes of a photo, of the version that was listed."""
        return self.by_scheme[_scheme(photo.uri)].read_photo(photo)

    def photos(self) -> Iterator[Photo]:
        """The photos of each source in turn; one that lies in two of them comes twice."""
        for source in self.sources:
            yield from source.photos()

    def open(self, photo: Photo) -> AbstractContextManager[ReadRange]:
        """Open a photo for ranged reads."""
        return self.by_scheme[_scheme(photo.uri)].open(photo)

    def content_key(self, photo: Photo, data: bytes | None = None) -> str:
        """The same for photos of the same content, also under other names; empty when unknown."""
        return self.by_scheme[_scheme(photo.uri)].content_key(photo, data)

    def read(self, uri: str) -> bytes:
        """All bytes of a sidecar."""
        return self.by_scheme[_scheme(uri)].read(uri)


def _scheme(text: str) -> str:
    """As photos' URIs have it: none for files, and one for all web servers."""
    return {"file": "", "https": "http"}.get(scheme_of(text), scheme_of(text))
