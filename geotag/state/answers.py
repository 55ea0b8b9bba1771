"""What the user said of photos: which landmarks were cleared, so that no model brings them back."""

from __future__ import annotations

import os
import sqlite3
from typing import Any, NamedTuple

from geotag.records import Photo
from geotag.state.database import sqlite_errors
from geotag.state.queries import LATEST_ANSWERS, PERHAPS_ANSWERED

# Every answer is kept and the last one for a photo counts, so that a run can be reverted.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    id INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL,
    uri BLOB NOT NULL,
    picture TEXT NOT NULL,
    is_refusal INTEGER NOT NULL,
    is_done INTEGER NOT NULL
)
"""
_INSERT = (
    "INSERT INTO answers (uri, run_id, picture, is_refusal, is_done) "
    "VALUES (:uri, :run_id, :picture, :is_refusal, :is_done)"
)
_DELETE = "DELETE FROM answers WHERE uri = :uri"
_CLOSE = "UPDATE answers SET is_done = 1 WHERE uri = :uri AND is_refusal"
# The next scan decides such a photo again, as it does after a change of the threshold.
_DECIDE_ANEW = "UPDATE photos SET threshold = NULL WHERE uri = :uri"


class Answer(NamedTuple):
    """A landmark refused, or given again, in a run; `picture` is the picture's key.

    A refusal is done when what geotag wrote was taken back as well.
    """

    run_id: str
    picture: str = ""
    is_refusal: bool = True
    is_done: bool = False


class Answers:
    """The answers in an open catalog; all methods raise CatalogError.

    They are the user's, who is not to be asked twice: `scan --prune` leaves them.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.unheard = 0  # refusals of photos that no scan with this catalog has read
        with sqlite_errors(), connection:
            connection.execute(_SCHEMA)
        self._load()

    def _load(self) -> None:
        with sqlite_errors():
            rows = self._connection.execute(LATEST_ANSWERS).fetchall()
        self._latest = {
            os.fsdecode(uri): Answer(run_id, picture, bool(is_refusal), bool(is_done))
            for uri, run_id, picture, is_refusal, is_done, _ in rows
        }

    def is_refused(self, uri: str) -> bool:
        """Whether the user cleared the photo's landmark, and gave it none since."""
        answer = self._latest.get(uri)
        return answer is not None and answer.is_refusal

    def is_open(self, uri: str) -> bool:
        """Whether a landmark that was refused may still stand in the photo."""
        return self.is_refused(uri) and not self._latest[uri].is_done

    def refuse(self, run_id: str, uri: str, picture: str) -> None:
        """Remember that the user cleared the landmark of a photo of this picture."""
        self._add(uri, Answer(run_id, picture))
        with sqlite_errors():
            known = self._connection.execute(
                "SELECT 1 FROM photos WHERE uri = ?", (os.fsencode(uri),)
            ).fetchone()
        self.unheard += known is None

    def withdraw(self, run_id: str, uri: str) -> None:
        """Remember that the user gave the photo a landmark again."""
        self._add(uri, Answer(run_id, is_refusal=False, is_done=True))

    def close(self, uri: str) -> None:
        """Note that what geotag wrote into the photo was taken back."""
        if self.is_open(uri):
            self._execute(uri, _CLOSE)
            self._latest[uri] = self._latest[uri]._replace(is_done=True)

    def undo(self, run_id: str) -> None:
        """Forget what was said in a run that is reverted; what was said before counts again."""
        said = "SELECT uri FROM answers WHERE run_id = ?"
        with sqlite_errors(), self._connection as connection:
            connection.execute(
                f"UPDATE photos SET threshold = NULL WHERE uri IN ({said})", (run_id,)
            )
            connection.execute("DELETE FROM answers WHERE run_id = ?", (run_id,))
        self._load()

    def doubtful(self) -> list[Photo]:
        """New or changed photos that by their name or size may be one with an answer."""
        if not self._latest:
            return []
        with sqlite_errors():
            rows = self._connection.execute(PERHAPS_ANSWERED).fetchall()
        return [Photo(os.fsdecode(uri), size, version) for uri, size, version in rows]

    def settle(self, uri: str, picture: str) -> None:
        """Bring the answer for a photo in line with the picture that it holds now.

        A picture that was refused is refused under a new name as well; a name that another
        picture took begins without an answer.
        """
        if self.is_refused(uri) and self._latest[uri].picture != picture:
            self._execute(uri, _DELETE, _DECIDE_ANEW)
            del self._latest[uri]
        same = (a for a in self._latest.values() if a.is_refusal and a.picture == picture)
        if uri not in self._latest and (answer := next(same, None)) is not None:
            self._add(uri, answer)

    def _add(self, uri: str, answer: Answer) -> None:
        self._execute(uri, _INSERT, _DECIDE_ANEW, **answer._asdict())
        self._latest[uri] = answer

    def _execute(self, uri: str, *statements: str, **cells: Any) -> None:
        """All of the statements or none."""
        with sqlite_errors(), self._connection:
            for statement in statements:
                self._connection.execute(statement, {"uri": os.fsencode(uri), **cells})
