"""The journal of writes: what each run changed in which file, and how to take it back."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum
from typing import Any, NamedTuple

from geotag.state.database import sqlite_errors


class State(str, Enum):
    """How far one write has come. A crash leaves PREPARED or REVERTING, which is settled by the
    file's own hash when the journal is next opened."""

    PREPARED = "prepared"
    WRITTEN = "written"
    ABANDONED = "abandoned"
    REVERTING = "reverting"
    REVERTED = "reverted"


_UNSETTLED = (State.PREPARED.value, State.REVERTING.value)
_STATES = frozenset(state.value for state in State)


class Write(NamedTuple):
    """One file that a run writes. `old_sha256` is empty when the file did not exist before.

    `new_blocks` and `old_blocks` are packed edits: of the old bytes, and of the new ones back.
    """

    path: str
    temporary: str
    old_sha256: str
    old_mtime_ns: int | None
    new_sha256: str
    new_blocks: bytes
    old_blocks: bytes
    run_id: str = ""
    state: State = State.PREPARED
    id: int = 0


_INSERT = (
    f"INSERT INTO writes ({', '.join(Write._fields[:-1])}) "
    f"VALUES ({', '.join(f':{name}' for name in Write._fields[:-1])})"
)
_SELECT = f"SELECT {', '.join(Write._fields)} FROM writes WHERE id = ?"


class Run(NamedTuple):
    """One run of `geotag write`; `files` counts what it wrote, by state."""

    id: str
    started_at: str
    finished_at: str
    description: str
    files: dict[State, int]


class Journal:
    """The journal's tables in an open catalog."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def begin(self, run_id: str, description: str) -> None:
        """Note the start of a run. Raises CatalogError, as all of these do.

        Of the runs that wrote nothing the newest alone is remembered.
        """
        self._execute(
            "DELETE FROM write_runs "
            "WHERE NOT EXISTS (SELECT 1 FROM writes WHERE run_id = write_runs.id)"
        )
        self._execute(
            "INSERT INTO write_runs VALUES (?, ?, NULL, ?)", (run_id, _now(), description)
        )

    def finish(self, run_id: str) -> None:
        self._execute("UPDATE write_runs SET finished_at = ? WHERE id = ?", (_now(), run_id))

    def prepare(self, run_id: str, write: Write) -> int:
        """Keep what is about to be done; returns the write's number.

        It is on the disk before the file changes, also after a power cut. What is noted later
        need not be: a file's own hash tells what came of its write.
        """
        cells = write._asdict() | {
            "path": os.fsencode(write.path),
            "temporary": os.fsencode(write.temporary),
            "run_id": run_id,
            "state": State.PREPARED.value,
        }
        with sqlite_errors():
            self._connection.execute("PRAGMA synchronous = FULL")
            try:
                return self._execute(_INSERT, cells)
            finally:
                self._connection.execute("PRAGMA synchronous = NORMAL")

    def mark(self, number: int, state: State, temporary: str | None = None) -> None:
        """Note how far a write has come, and the temporary file of a step that begins."""
        path = os.fsencode(temporary) if temporary is not None else None
        self._execute(
            "UPDATE writes SET state = ?, temporary = ifnull(?, temporary) WHERE id = ?",
            (state.value, path, number),
        )

    def runs(self) -> list[Run]:
        """All runs, the oldest first."""
        with sqlite_errors():
            rows = self._connection.execute(
                "SELECT id, started_at, finished_at, description FROM write_runs "
                "ORDER BY started_at, id"
            ).fetchall()
            return [
                Run(number, _time(at), _time(end) if end else "", str(what), self._files(number))
                for number, at, end, what in rows
                if isinstance(number, str)
            ]

    def _files(self, run_id: str) -> dict[State, int]:
        rows = self._connection.execute(
            "SELECT state, count(*) FROM writes WHERE run_id = ? GROUP BY state", (run_id,)
        )
        return {State(state): count for state, count in rows if state in _STATES}

    def folder(self, run_id: str) -> str:
        """The innermost folder of all that a run wrote; empty where there is none."""
        with sqlite_errors():
            ends = self._connection.execute(
                "SELECT min(path), max(path) FROM writes WHERE run_id = ?", (run_id,)
            ).fetchone()
        if not all(isinstance(path, bytes) for path in ends):
            return ""
        # As text: an address keeps its two slashes.
        common = os.fsdecode(os.path.commonprefix(ends))  # noqa: RUF071
        end = max(common.rfind("/"), common.rfind(os.sep))
        return common[: max(end, 1)] if end >= 0 else ""

    def writes(self, run_id: str) -> Iterator[Write]:
        """What a run wrote, the last first: the order to take it back in."""
        return self._select("run_id = ?", (run_id,))

    def unsettled(self) -> Iterator[Write]:
        """What a crash left in between."""
        return self._select("state IN (?, ?)", _UNSETTLED)

    def later_run(self, write: Write) -> str | None:
        """The run that last wrote the same file after this write, if any."""
        with sqlite_errors():
            row = self._connection.execute(
                "SELECT run_id FROM writes WHERE path = ? AND id > ? AND state = ? "
                "ORDER BY id DESC LIMIT 1",
                (os.fsencode(write.path), write.id, State.WRITTEN.value),
            ).fetchone()
        return str(row[0]) if row else None

    def _select(self, condition: str, arguments: tuple[Any, ...]) -> Iterator[Write]:
        """One at a time, for a run may hold many and each carries its blocks; writes may be
        marked meanwhile."""
        with sqlite_errors():
            numbers = self._connection.execute(
                f"SELECT id FROM writes WHERE {condition} ORDER BY id DESC", arguments
            ).fetchall()
        for number in numbers:
            with sqlite_errors():
                row = self._connection.execute(_SELECT, number).fetchone()
            yield _parse_write(row)

    def _execute(self, statement: str, arguments: tuple[Any, ...] | dict[str, Any] = ()) -> int:
        with sqlite_errors(), self._connection:
            return self._connection.execute(statement, arguments).lastrowid or 0


def _parse_write(row: tuple[Any, ...]) -> Write:
    """A row, which may hold anything: one that is damaged has no new hash, which no file has."""
    path, temporary, old, mtime, new, new_blocks, old_blocks, run_id, state, number = row
    texts, blobs = (old, new, run_id, state), (path, temporary, new_blocks, old_blocks)
    is_sound = (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(blob, bytes) for blob in blobs)
        and (mtime is None or isinstance(mtime, int))
        and state in _STATES
    )
    if not is_sound:
        shown = os.fsdecode(path) if isinstance(path, bytes) else str(path)
        return Write(shown, "", "", None, "", b"", b"", state=State.WRITTEN, id=number)
    names = os.fsdecode(path), os.fsdecode(temporary)
    return Write(*names, old, mtime, new, new_blocks, old_blocks, run_id, State(state), number)


def _time(text: Any) -> str:
    """A time as it was noted; the beginning of all for what is none."""
    try:
        datetime.fromisoformat(text).astimezone()
    except (TypeError, ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC).isoformat()
    return str(text)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
