"""A cheap key of a photo's content, so that a renamed photo is known again."""

from __future__ import annotations

import hashlib

from geotag.containers import HEADER_SIZE, ReadRange
from geotag.sources.base import RAW_EXTENSIONS, extension

_SAMPLE_SIZE = 4096
_SAMPLES = 8


def content_key(name: str, size: int, read: ReadRange) -> str:
    """A key of a photo's size, first 64 KiB, eight spread samples and end.

    Compressed pictures that differ anywhere differ in all that follows; the samples tell apart
    uncompressed ones. The extension counts where it decides how a file is decoded.
    """
    digest = hashlib.blake2b(digest_size=16)
    suffix = extension(name)
    digest.update(b"%d %b " % (size, suffix.encode() if suffix in RAW_EXTENSIONS else b""))
    digest.update(read(0, HEADER_SIZE))
    step = (size - HEADER_SIZE - _SAMPLE_SIZE) // _SAMPLES
    if step > 0:
        for number in range(1, _SAMPLES + 1):
            digest.update(read(HEADER_SIZE + number * step, _SAMPLE_SIZE))
    elif size > HEADER_SIZE:
        digest.update(read(HEADER_SIZE, size - HEADER_SIZE))
    return digest.hexdigest()
