"""Where photos come from: folders, buckets and web servers, one or several at once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import chain, groupby
from typing import assert_never

from geotag.errors import SourceError
from geotag.files.paths import parse_path
from geotag.metadata.ranges import ReadRange
from geotag.records import READ_LIMIT, Photo
from geotag.sources.base import Filters, Lister, SingleSource
from geotag.sources.bucket import BucketSource
from geotag.sources.inventory import PREFIX as INVENTORY
from geotag.sources.inventory import InventorySource
from geotag.sources.listing import Listing, is_below
from geotag.sources.local import LocalSource
from geotag.sources.named import PREFIX as LIST
from geotag.sources.named import NamedSource
from geotag.sources.shards import Shard
from geotag.sources.web import WebSource
from geotag.stores import SCHEMES, Kind, Scheme, known_schemes, scheme_of


def _open_lister(text: str, filters: Filters, shard: Shard | None) -> SingleSource | NamedSource:
    if not text.startswith(LIST):
        return open_source(text, filters)
    return NamedSource(text, filters, shard.holds if shard is not None else None)


def open_source(text: str, filters: Filters) -> SingleSource:
    """The source that a path or URI names.

    Raises SourceError for an unknown scheme, MissingDependencyError for one that needs an extra.
    """
    if text.startswith(INVENTORY):
        return InventorySource(text, filters)
    name = scheme_of(text)
    if name not in SCHEMES:
        known = known_schemes(*Kind)
        raise SourceError(
            f"{text}: {name}:// is not supported; photos can be in folders and {known}"
        )
    kind = SCHEMES[name].kind
    match kind:
        case Kind.FILES:
            return LocalSource(parse_path(text), filters)
        case Kind.BUCKET:
            return BucketSource(text, filters)
        case Kind.WEB:
            return WebSource(text, filters)
        case _:
            assert_never(kind)


class Library:
    """Several sources as one, or a share of their photos; each is read by the source of its
    scheme."""

    def __init__(self, texts: Sequence[str], filters: Filters, shard: Shard | None = None) -> None:
        self.shard = shard
        self.sources = [_open_lister(text, filters, shard) for text in texts]
        self.texts = tuple(texts)
        self.bytes_elsewhere = 0
        self.filters = filters
        self._by_scheme: dict[Scheme, SingleSource] = {}
        for source in self.sources:
            if not isinstance(source, NamedSource):
                scheme = SCHEMES[scheme_of(os.fsdecode(source.listing.root))]
                self._by_scheme[scheme] = source

    @property
    def listings(self) -> list[Listing]:
        """What came of listing each source."""
        return [source.listing for source in self.sources]

    @property
    def skipped(self) -> Counter[str]:
        """What all sources passed over, by reason."""
        return sum((listing.skipped for listing in self.listings), Counter())

    @property
    def listed(self) -> dict[str, int]:
        """How many photos each source has, by its folder, file or address."""
        return {os.fsdecode(listing.root): listing.photos for listing in self.listings}

    @property
    def unseen(self) -> list[bytes]:
        """Folders and files that could not be listed: nothing is known to be gone there."""
        return [path for listing in self.listings for path in listing.incomplete]

    def is_gone(self, uri: str, allow_empty: bool = False) -> bool:
        """Whether a photo that was not listed is known to be no longer there.

        Each source above it speaks for itself: not one that lists it only in part, nor one that has
        no photos at all (an unmounted drive), unless those are allowed. What the filters pass over
        is still there, and so is what is in another shard.
        """
        if self.shard is not None and not self.shard.holds(uri):
            return False
        above, name = self.above(uri), os.fsencode(uri)
        seen = all(
            (allow_empty or source.listing.photos) and source.listing.covers(name)
            for source in above
        )
        return seen and any(source.is_gone(uri) for source in above)

    def above(self, uri: str) -> list[Lister]:
        """The sources in whose folder or bucket a photo lies."""
        name = os.fsencode(uri)
        return [source for source in self.sources if is_below(name, source.listing.root)]

    @property
    def bytes_fetched(self) -> int:
        """How much was read over a network, here and by workers elsewhere."""
        here = sum(source.bytes_fetched for source in self._by_scheme.values())
        return here + self.bytes_elsewhere

    @property
    def requests(self) -> int:
        return sum(source.requests for source in self._by_scheme.values())

    def ahead(self, photos: Iterable[Photo]) -> Iterator[Photo]:
        """The same photos, with the headers of far ones on their way."""
        for source, group in groupby(photos, lambda photo: self._source_of(photo.uri)):
            yield from source.ahead(group)

    def expect(self, photo: Photo) -> None:
        self._source_of(photo.uri).expect(photo)

    def read_photo(self, photo: Photo) -> bytes:
        """All bytes of a photo, of the version that was listed."""
        return self._source_of(photo.uri).read_photo(photo)

    def photos(self) -> Iterator[Photo]:
        """The photos of each source in turn; one that lies in two of them comes twice."""
        photos = chain.from_iterable(source.photos() for source in self.sources)
        shard = self.shard
        return photos if shard is None else (p for p in photos if shard.holds(p.uri))

    def open(self, photo: Photo) -> AbstractContextManager[ReadRange]:
        return self._source_of(photo.uri).open(photo)

    def content_key(self, photo: Photo, data: bytes | None = None) -> str:
        """The same for photos of the same content, also under other names; empty when unknown."""
        return self._source_of(photo.uri).content_key(photo, data)

    def read(self, uri: str, limit: int = READ_LIMIT) -> bytes:
        return self._source_of(uri).read(uri, limit)

    def _source_of(self, uri: str) -> SingleSource:
        """The source of its scheme; of a photo that only a list names, one of all there is."""
        name = scheme_of(uri)
        scheme = SCHEMES[name]
        if scheme not in self._by_scheme:
            self._by_scheme[scheme] = open_source(f"{name}://" if name else "/", self.filters)
        return self._by_scheme[scheme]
