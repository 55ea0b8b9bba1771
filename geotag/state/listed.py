"""What this run's sources hold, noted in batches as it is listed."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from geotag.records import Photo
from geotag.state.database import sqlite_errors
from geotag.state.queries import IS_KNOWN

BATCH = 1000


class ListedPhotos:
    """The table of listed photos of one connection.

    `fingerprint` is the same for the same photos in any order, once all are noted: the sum of their
    digests (Bellare and Micciancio, "A New Paradigm for Collision-free Hashing", 1997; here against
    chance, not against forgers).
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.fingerprint = ""

    def note(self, photos: Iterable[Photo]) -> Iterator[list[Photo]]:
        """Note photos; each batch of them comes back when it has been."""
        total = 0
        remaining = iter(photos)
        while batch := list(islice(remaining, BATCH)):
            with sqlite_errors(), self.connection:
                self.connection.executemany(
                    "INSERT OR REPLACE INTO listed VALUES (?, ?, ?, ?, 1)", map(_row, batch)
                )
            total += sum(map(_digest, batch))
            yield batch
        self.fingerprint = f"{total % 2**128:032x}"

    def unknown(self, photos: Iterable[Photo], scan: int | None) -> Iterator[Photo]:
        """Those of which nothing is known: no name, and no content of this size but from this very
        scan."""
        for photo in photos:
            cells = {"uri": os.fsencode(photo.uri), "size": photo.size, "scan": scan}
            with sqlite_errors():
                is_known = self.connection.execute(IS_KNOWN, cells).fetchone()
            if is_known is None:
                yield photo


def _row(photo: Photo) -> tuple[Any, ...]:
    uri, size, version, sidecars = photo
    return os.fsencode(uri), size, version, json.dumps(sidecars) if sidecars else None


def _digest(photo: Photo) -> int:
    text = b"%b\0%d\0%b" % (os.fsencode(photo.uri), photo.size, photo.version.encode())
    return int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "big")
