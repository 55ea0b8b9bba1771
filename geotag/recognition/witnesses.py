"""What the photos of a landmark count for: copies and shots of one minute for less. Pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from geotag.records import Likeliest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

_KEY = 8  # bytes
_UNKNOWN = bytes(_KEY)
# Fingerprints that differ in so few of 64 bits are of one picture. Of validation photos, compressed
# again at half the size, 299 of 300 differ in 4 or fewer; of 24,709 pairs of photos of one landmark
# all in 10 or more.
_SAME_BITS, _BITS = 5, 64
# Where one of so many parts of two fingerprints is the same, they stand side by side once they are
# sorted by it; of 6 parts 5 bits cannot spoil all.
_PARTS = _SAME_BITS + 1


# Shots of one minute are right or wrong together, but each has its own confidence: every further
# one counts for so much. For nothing would leave many more landmarks untagged where they are rare.
_FURTHER = 0.25


class Witnesses:
    """The photos of which one landmark is the likeliest, and how sure they are of it."""

    def __init__(self) -> None:
        self._steps = bytearray()
        self._moments, self._prints = bytearray(), bytearray()

    def add(self, step: int, photo: Likeliest) -> None:
        """Take a photo at a step of confidence."""
        self._steps += step.to_bytes(2, "big")
        self._moments += _key(photo.moment) if photo.moment else _UNKNOWN
        # The lowest 8 by 8 frequencies of 16 by 16.
        self._prints += photo.fingerprint[: 2 * _KEY : 2] or _UNKNOWN

    def count(self, steps: int) -> NDArray[np.float64]:
        """What the photos at each of the steps (S,) count for, whatever their order."""
        at = np.frombuffer(self._steps, ">u2").astype(np.intp)
        moments = np.frombuffer(self._moments, np.uint8).reshape(-1, _KEY)
        prints = np.frombuffer(self._prints, np.uint8).reshape(-1, _KEY)
        copies = _copies(prints)
        parts = _of_moments(moments, 1 / np.bincount(copies)[copies])
        order = np.lexsort((parts, at))
        return np.bincount(at[order], parts[order], steps).astype(np.float64)


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=_KEY).digest()


def _of_moments(moments: Bytes, parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """What photos count for (N,), less where several are of one moment."""
    keys = np.ascontiguousarray(moments).view(">u8")[:, 0]
    _, which = np.unique(keys, return_inverse=True)
    order = np.lexsort((parts, which))
    shots = np.maximum(np.bincount(which[order], parts[order]), 1)[which]
    return parts * np.where(keys == 0, 1, (1 + _FURTHER * (shots - 1)) / shots)


def _copies(prints: Bytes) -> NDArray[np.intp]:
    """The number (N,) of the picture of each of N photos: nearly equal ones are one."""
    groups = list(range(len(prints)))

    def group(at: int) -> int:
        while groups[at] != at:
            groups[at] = at = groups[groups[at]]
        return at

    for one, other in np.concatenate(_alike(prints)):
        groups[group(int(one))] = group(int(other))
    return np.array([group(at) for at in range(len(groups))], np.intp)


def _alike(prints: Bytes) -> list[NDArray[np.intp]]:
    bits = np.unpackbits(prints, axis=1)
    turns = (np.roll(bits, -(part * _BITS // _PARTS), axis=1) for part in range(_PARTS))
    return [_beside(np.packbits(turned, axis=1), prints) for turned in turns]


def _beside(keys: Bytes, codes: Bytes) -> NDArray[np.intp]:
    """The pairs (P, 2) of neighbours by their keys whose known codes are of one picture."""
    order = np.argsort(np.ascontiguousarray(keys).view(">u8")[:, 0], kind="stable")
    pairs = np.stack([order[:-1], order[1:]], axis=1)
    one, other = codes[pairs[:, 0]], codes[pairs[:, 1]]
    apart = np.unpackbits(one ^ other, axis=1).sum(axis=1, dtype=np.intp)
    found: NDArray[np.intp] = pairs[(apart <= _SAME_BITS) & one.any(axis=1) & other.any(axis=1)]
    return found
