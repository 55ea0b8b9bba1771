"""What the user decided in a review, photo by photo, and how it is taken back."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from geotag.errors import CatalogError
from geotag.state.database import opened_to_read, sqlite_errors
from geotag.state.schema import has_table


class Verdict(str, Enum):
    """What the user said of a guess."""

    ACCEPTED = "accepted"
    CHANGED = "changed"
    REJECTED = "rejected"


class Decision(NamedTuple):
    """The user's word for a photo: a landmark or a place, or (rejected) that there is none.

    `slug` is that of a landmark that geotag or the model knows; it is empty for other places.
    WGS-84 degrees, metres.
    """

    verdict: Verdict
    landmark: str = ""
    slug: str = ""
    latitude: float | None = None
    longitude: float | None = None
    radius_m: float | None = None
    city: str = ""
    country: str = ""


_FIELDS = ", ".join(Decision._fields)
_INSERT = (
    f"INSERT INTO decisions (step, uri, {_FIELDS}, decided_at) "
    f"VALUES ({', '.join('?' * (len(Decision._fields) + 3))})"
)
_ALL = f"SELECT uri, {_FIELDS} FROM decisions ORDER BY id"
_LAST_STEP = "SELECT max(step) FROM decisions"


class Decisions:
    """The decisions in an open catalog; all methods raise CatalogError.

    Each is on the disk when its method returns. They are the user's: no scan changes them.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        with sqlite_errors():
            # Nobody is to decide twice, also where the power fails.
            connection.execute("PRAGMA synchronous = FULL")

    def all(self) -> dict[str, Decision]:
        """The decision that counts for each photo, by its URI."""
        with sqlite_errors():
            return _decisions(self._connection)

    def add(self, decided: Mapping[str, Decision]) -> None:
        """Keep the decisions of one step, all or none."""
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        with sqlite_errors(), self._connection as connection:
            (last,) = connection.execute(_LAST_STEP).fetchone()
            step = (last or 0) + 1
            connection.executemany(
                _INSERT,
                ((step, os.fsencode(uri), *one, now) for uri, one in decided.items()),
            )

    def undo(self) -> list[str]:
        """Take back the last step; returns its photos, by their URIs."""
        with sqlite_errors(), self._connection as connection:
            (last,) = connection.execute(_LAST_STEP).fetchone()
            rows = connection.execute(
                "SELECT uri FROM decisions WHERE step = ? ORDER BY id", (last,)
            ).fetchall()
            connection.execute("DELETE FROM decisions WHERE step = ?", (last,))
        return [os.fsdecode(uri) for (uri,) in rows]


def decisions_in(catalog: Path) -> dict[str, Decision]:
    """The decisions in a catalog that is not open; none where there is none, or an old one.

    Raises LockedError while another process has it open, and CatalogError.
    """
    if not catalog.is_file():
        return {}
    try:
        with opened_to_read(catalog) as reader:
            return _decisions(reader) if has_table(reader, "decisions") else {}
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (
            sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT,
        ):  # fmt: skip
            return {}  # whoever opens it sets it aside, and says so
        raise CatalogError(f"{catalog}: cannot be read ({error})") from error


def _decisions(reader: sqlite3.Connection) -> dict[str, Decision]:
    found: dict[str, Decision] = {}
    for uri, *cells in reader.execute(_ALL):
        with suppress(TypeError, ValueError):  # of a catalog that somebody else filled
            found[os.fsdecode(uri)] = _parsed(cells)
    return found


def _parsed(cells: list[Any]) -> Decision:
    verdict, landmark, slug, latitude, longitude, radius_m, city, country = cells
    if not all(isinstance(text, str) for text in (landmark, slug, city, country)):
        raise ValueError("not a text")
    at, on, around = (None if c is None else float(c) for c in (latitude, longitude, radius_m))
    return Decision(Verdict(verdict), landmark, slug, at, on, around, city, country)
