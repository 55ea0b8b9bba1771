"""Other names of the gazetteer's towns, in other languages and scripts."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from importlib import resources

import numpy as np

_FROM = 3  # letters of a name that only begins so: of fewer there are too many


def fold(text: str) -> str:
    """A name as it is compared: without case and accents."""
    if text.isascii():  # as most are
        return text.lower().strip()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c)).strip()


class Aliases:
    """All of them, by the number that a town has in the gazetteer."""

    def __init__(self) -> None:
        path = resources.files("geotag.places").joinpath("aliases.npz")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            self._towns = np.cumsum(stored["step"], dtype=np.int64)
            names: bytes = stored["names"].tobytes()
        # One text, with a line end before and after each name, is searched much faster than many.
        self._text = b"\n" + names + b"\n"
        self._ends = np.flatnonzero(np.frombuffer(self._text, np.uint8) == ord("\n"))

    def find(self, wanted: str) -> Iterator[tuple[int, bool]]:
        """The numbers of the towns with a name that begins with a folded one, and whether it is
        the whole name."""
        is_short = wanted.isascii() and len(wanted) < _FROM
        name = wanted.encode(errors="replace")
        sought = b"\n" + name + (b"\n" if is_short else b"")
        at = self._text.find(sought)
        while at >= 0:
            number = int(self._towns[np.searchsorted(self._ends, at)])
            yield number, self._text.startswith(b"\n", at + 1 + len(name))
            at = self._text.find(sought, at + 1)
