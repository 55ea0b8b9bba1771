"""How XMP sidecars are named after their photos, on disks and in buckets alike."""

from __future__ import annotations

import os
from typing import AnyStr

_SUFFIXES = (".xmp", ".XMP", ".Xmp")


def is_sidecar(name: AnyStr) -> bool:
    """Whether a file's name is that of an XMP sidecar."""
    suffix = name[-4:].lower()
    return suffix == (b".xmp" if isinstance(suffix, bytes) else ".xmp")


def sidecar_names(photo: AnyStr) -> tuple[AnyStr, ...]:
    """All names of a photo's sidecars: its own (darktable, digiKam), then shared ones (Adobe)."""
    return own_sidecars(photo) + other_case_sidecars(photo) + shared_sidecars(photo)


def own_sidecars(photo: AnyStr) -> tuple[AnyStr, ...]:
    """IMG.jpg.xmp, which can serve IMG.jpg alone; the first is the name for a new sidecar."""
    if isinstance(photo, bytes):
        return tuple(photo + os.fsencode(suffix) for suffix in _SUFFIXES)
    return tuple(photo + suffix for suffix in _SUFFIXES)


def other_case_sidecars(photo: AnyStr) -> tuple[AnyStr, ...]:
    """IMG.JPG.xmp beside IMG.jpg: its own where there is no IMG.JPG, for somebody renamed one of
    the two, or they come from a file system to which both names are one."""
    stem, suffix = os.path.splitext(photo)
    others = dict.fromkeys(
        (suffix.lower(), suffix.upper(), suffix[:2].upper() + suffix[2:].lower())
    )
    return tuple(name for other in others if other != suffix for name in own_sidecars(stem + other))


def shared_sidecars(photo: AnyStr) -> tuple[AnyStr, ...]:
    """IMG.xmp, which serves all files of that stem: IMG.jpg as well as IMG.nef."""
    return own_sidecars(os.path.splitext(photo)[0])
