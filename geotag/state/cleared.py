"""The landmarks that the user cleared, so that no model brings them back."""

from __future__ import annotations

import os
import sqlite3
from typing import Any, NamedTuple

from geotag.records import Photo
from geotag.state.database import sqlite_errors
from geotag.state.queries import LATEST_CLEARED, PERHAPS_CLEARED

_INSERT = (
    "INSERT INTO cleared (uri, run_id, picture, is_cleared, is_done) "
    "VALUES (:uri, :run_id, :picture, :is_cleared, :is_done)"
)
_DELETE = "DELETE FROM cleared WHERE uri = :uri"
_SET_DONE = "UPDATE cleared SET is_done = 1 WHERE uri = :uri AND is_cleared"
# The tables that were written from this catalog are no longer what they would be.
_REVISE = "UPDATE revision SET number = number + 1"


class Entry(NamedTuple):
    """A landmark cleared, or given again, in a run; `picture` is the picture's key.

    One that was cleared is done when what geotag wrote was taken out of the photo as well.
    """

    run_id: str
    picture: str = ""
    is_cleared: bool = True
    is_done: bool = False


class ClearedLandmarks:
    """The entries in an open catalog; all methods raise CatalogError.

    They are the user's, who is not to be asked twice: `scan --prune` leaves them.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.unknown = 0  # landmarks cleared of photos that no scan with this catalog has read
        self._load()

    def _load(self) -> None:
        with sqlite_errors():
            rows = self._connection.execute(LATEST_CLEARED).fetchall()
        self._latest = {
            os.fsdecode(uri): Entry(run_id, picture, bool(is_cleared), bool(is_done))
            for uri, run_id, picture, is_cleared, is_done, _ in rows
            if isinstance(uri, bytes)
        }

    def is_cleared(self, uri: str) -> bool:
        """Whether the user cleared the photo's landmark, and gave it none since."""
        entry = self._latest.get(uri)
        return entry is not None and entry.is_cleared

    def may_be_in_photo(self, uri: str) -> bool:
        """Whether a landmark that was cleared may still stand in the photo."""
        return self.is_cleared(uri) and not self._latest[uri].is_done

    def clear(self, run_id: str, uri: str, picture: str) -> None:
        """Remember that the user cleared the landmark of a photo of this picture."""
        self._add(uri, Entry(run_id, picture))
        with sqlite_errors():
            known = self._connection.execute(
                "SELECT 1 FROM photos WHERE uri = ?", (os.fsencode(uri),)
            ).fetchone()
        self.unknown += known is None

    def restore(self, run_id: str, uri: str) -> None:
        """Remember that the user gave the photo a landmark again."""
        self._add(uri, Entry(run_id, is_cleared=False, is_done=True))

    def note_done(self, uri: str) -> None:
        """Note that what geotag wrote into the photo was taken out."""
        if self.may_be_in_photo(uri):
            self._execute(uri, _SET_DONE)
            self._latest[uri] = self._latest[uri]._replace(is_done=True)

    def undo(self, run_id: str) -> None:
        """Forget the entries of a run that is reverted; those before count again."""
        with sqlite_errors(), self._connection as connection:
            connection.execute("DELETE FROM cleared WHERE run_id = ?", (run_id,))
            connection.execute(_REVISE)
        self._load()

    def perhaps_moved(self) -> list[Photo]:
        """New or changed photos that by their name or size may be one with an entry."""
        if not self._latest:
            return []
        with sqlite_errors():
            rows = self._connection.execute(PERHAPS_CLEARED).fetchall()
        return [Photo(os.fsdecode(uri), size, version) for uri, size, version in rows]

    def follow(self, uri: str, picture: str) -> None:
        """Bring the entry for a photo in line with the picture that it holds now.

        A picture whose landmark was cleared stays so under a new name; a name that another
        picture took begins without an entry.
        """
        if self.is_cleared(uri) and self._latest[uri].picture != picture:
            self._execute(uri, _DELETE, _REVISE)
            del self._latest[uri]
        same = (e for e in self._latest.values() if e.is_cleared and e.picture == picture)
        if uri not in self._latest and (entry := next(same, None)) is not None:
            self._add(uri, entry)

    def _add(self, uri: str, entry: Entry) -> None:
        self._execute(uri, _INSERT, _REVISE, **entry._asdict())
        self._latest[uri] = entry

    def _execute(self, uri: str, *statements: str, **cells: Any) -> None:
        """All of the statements or none."""
        with sqlite_errors(), self._connection:
            for statement in statements:
                self._connection.execute(statement, {"uri": os.fsencode(uri), **cells})
