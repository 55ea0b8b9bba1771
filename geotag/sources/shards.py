"""Which share of a library is one run's: by a hash of each photo's name, the same everywhere."""

from __future__ import annotations

import hashlib
import os
import re
from typing import NamedTuple

from geotag.errors import UsageError

LIMIT = 100_000


class Shard(NamedTuple):
    """One of `total` shares of a library, from 1 on; each photo belongs to exactly one of them."""

    number: int
    total: int

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    def holds(self, uri: str) -> bool:
        """Whether a photo is in this share. A raw photo and its JPEG are in the same one: the name
        counts without its extension, in its folder."""
        stem = os.fsencode(os.path.splitext(uri)[0])
        digest = hashlib.blake2b(stem, digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.total == self.number - 1


def parse_shard(text: str) -> Shard:
    """A share such as 3/64. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    shard = Shard(int(match[1]), int(match[2])) if match else Shard(0, 0)
    if not 1 <= shard.number <= shard.total <= LIMIT:
        raise UsageError(
            f"{text[:60]!r} is not a shard such as 3/64, the third of 64: the first is 1/64, the "
            "last 64/64"
        )
    return shard
