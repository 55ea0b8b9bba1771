"""The extensions of photos' file names; what a file is, its content tells."""

from __future__ import annotations

RAW_EXTENSIONS = frozenset("dng cr2 cr3 nef nrw arw sr2 orf rw2 raf pef srw".split())
PHOTO_EXTENSIONS = RAW_EXTENSIONS | frozenset(
    "jpg jpeg jpe jfif mpo png webp tif tiff gif heic heif hif avif".split()
)


def extension(name: str) -> str:
    """The lower-case extension without its dot; empty for none and for dot files."""
    stem, dot, suffix = name.rpartition(".")
    return suffix.lower() if dot and stem else ""
