"""Adds keywords to the IPTC IIM block inside a Photoshop APP13 segment. Pure.

IPTC-NAA Information Interchange Model 4.2; Adobe Photoshop file format, image resource blocks.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from typing import NamedTuple

from geotag.metadata.photoshop import PREFIX, Resource, resources_in
from geotag.writing.edits import Edit, apply_edits

KEYWORD_LIMIT = 64
_IIM, _DIGEST = 0x0404, 0x0425
_CHARACTER_SET, _KEYWORDS = (1, 90), (2, 25)
_UTF8 = b"\x1b%G"
# The IIM datasets whose XMP twins are these.
_PLACES = {
    (2, 90): "photoshop:City",
    (2, 92): "Iptc4xmpCore:Location",
    (2, 95): "photoshop:State",
    (2, 100): "Iptc4xmpCore:CountryCode",
    (2, 101): "photoshop:Country",
}


class IimError(ValueError):
    """The block is damaged, so that nothing can be added to it safely."""


class DataSet(NamedTuple):
    """One IIM dataset; `start` and `stop` include its header."""

    key: tuple[int, int]
    start: int
    stop: int
    data: bytes


class Iim(NamedTuple):
    """The IIM block of a payload; dataset offsets count from the payload's start.

    `is_utf8` says whether it declares its texts to be UTF-8.
    """

    payload: bytes
    resource: Resource
    digest: Resource | None
    datasets: tuple[DataSet, ...]
    is_utf8: bool

    @property
    def keywords(self) -> tuple[str, ...]:
        """The keywords as text."""
        return tuple(self._text(d.data) for d in self.datasets if d.key == _KEYWORDS)

    @property
    def places(self) -> dict[str, str]:
        """The place fields that are not empty, by their XMP names."""
        texts = {_PLACES[d.key]: self._text(d.data) for d in self.datasets if d.key in _PLACES}
        return {name: text for name, text in texts.items() if text}

    def other_resources(self) -> list[tuple[int, bytes]]:
        """The ids and data of the Photoshop resources that are neither IIM nor its digest."""
        return [
            (resource.id, self.payload[resource.start : resource.stop])
            for resource in _resources(self.payload)
            if resource.id not in (_IIM, _DIGEST)
        ]

    def _text(self, data: bytes) -> str:
        encoding = "utf-8" if self.is_utf8 else "latin-1"
        return data.decode(encoding, "replace").strip("\0 ")


def parse_iim(payload: bytes) -> Iim | None:
    """The IIM block of an APP13 payload; None where there is none. Raises IimError."""
    resources = list(_resources(payload))
    found = [resource for resource in resources if resource.id == _IIM]
    if not found:
        return None
    if len(found) > 1:
        raise IimError("the Photoshop segment holds several IPTC blocks")
    digest = next((r for r in resources if r.id == _DIGEST and r.stop - r.start == 16), None)
    datasets = tuple(_datasets(payload, found[0]))
    is_utf8 = any(d.key == _CHARACTER_SET and d.data == _UTF8 for d in datasets)
    return Iim(payload, found[0], digest, datasets, is_utf8)


def _resources(payload: bytes) -> Iterator[Resource]:
    """The resources of a payload that holds nothing else. Raises IimError."""
    size, end = len(payload), len(PREFIX)
    for resource in resources_in(payload):
        if resource.stop > size:
            raise IimError("the Photoshop segment is cut short")
        end = min(resource.end, size)
        yield resource._replace(end=end)
    if end + 12 <= size and payload[end : end + 4].strip(b"\0"):
        raise IimError("the Photoshop segment is damaged")


def _datasets(payload: bytes, resource: Resource) -> Iterator[DataSet]:
    at, stop = resource.start, resource.stop
    while at < stop and payload[at] == 0x1C:
        if at + 5 > stop:
            raise IimError("the IPTC block is cut short")
        record, number, size = struct.unpack(">BBH", payload[at + 1 : at + 5])
        head = at + 5
        if size & 0x8000:
            size_bytes = size & 0x7FFF
            size = int.from_bytes(payload[head : head + size_bytes], "big")
            head += size_bytes
        if head + size > stop:
            raise IimError("the IPTC block is cut short")
        yield DataSet((record, number), at, head + size, payload[head : head + size])
        at = head + size
    if payload[at:stop].strip(b"\0"):
        raise IimError("the IPTC block holds bytes that are no dataset")


def can_hold(iim: Iim, keyword: str) -> bool:
    """Whether the keyword fits the block: its length, and its letters in the block's encoding."""
    if len(keyword.encode()) > KEYWORD_LIMIT:
        return False
    return keyword.isascii() or iim.is_utf8 or all(d.data.isascii() for d in _texts(iim))


def _texts(iim: Iim) -> Iterator[DataSet]:
    declared = any(d.key == _CHARACTER_SET for d in iim.datasets)
    return (d for d in iim.datasets if declared or (d.key[0] == 2 and d.key[1] != 0))


def edit_keywords(iim: Iim, add: str, remove: str) -> tuple[Edit, ...]:
    """The edits that remove one keyword and add another; empty texts stand for none.

    Where the stored digest fitted the old block it is renewed, so that no reader takes the block
    for newer than the XMP packet (Metadata Working Group guidelines 2.0, section 3.3).
    """
    edits = list(_keyword_edits(iim, add, remove))
    if not edits:
        return ()
    return (*edits, *_bookkeeping(iim, edits))


def _keyword_edits(iim: Iim, add: str, remove: str) -> Iterator[Edit]:
    for dataset, text in zip(_of_keywords(iim), iim.keywords, strict=True):
        if remove and text == remove:
            yield Edit(dataset.start, dataset.stop, b"")
    if not add or add in iim.keywords:
        return
    if not add.isascii() and not iim.is_utf8:
        at = max((d.stop for d in iim.datasets if d.key < _CHARACTER_SET), default=None)
        at = iim.resource.start if at is None else at
        yield Edit(at, at, _dataset(_CHARACTER_SET, _UTF8))
    before = [d for d in iim.datasets if d.key[0] <= 2]
    after_keywords = [d.stop for d in _of_keywords(iim)] or [d.stop for d in before]
    at = max(after_keywords, default=iim.resource.start)
    yield Edit(at, at, _dataset(_KEYWORDS, add.encode()))


def _of_keywords(iim: Iim) -> list[DataSet]:
    return [d for d in iim.datasets if d.key == _KEYWORDS]


def _dataset(key: tuple[int, int], data: bytes) -> bytes:
    return struct.pack(">BBBH", 0x1C, *key, len(data)) + data


def _bookkeeping(iim: Iim, edits: list[Edit]) -> Iterator[Edit]:
    payload, resource = iim.payload, iim.resource
    inner = [edit.moved(-resource.start) for edit in edits]
    block = apply_edits(payload[resource.start : resource.stop], inner)
    yield Edit(resource.size_at, resource.start, struct.pack(">I", len(block)))
    yield Edit(resource.stop, resource.end, bytes(len(block) % 2))
    if iim.digest is not None:
        old = hashlib.md5(payload[resource.start : resource.stop], usedforsecurity=False)
        if payload[iim.digest.start : iim.digest.stop] == old.digest():
            new = hashlib.md5(block, usedforsecurity=False)
            yield Edit(iim.digest.start, iim.digest.stop, new.digest())
