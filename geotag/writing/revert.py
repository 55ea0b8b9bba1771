"""Takes back what a run wrote, by a journal that is not trusted: it may be anyone's.

Whatever the journal says, only the metadata of photos and XMP sidecars change.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import assert_never

from geotag.errors import PhotoError
from geotag.files.sidecars import is_sidecar
from geotag.metadata.containers import sniff_format
from geotag.metadata.header import read_header
from geotag.records import Metadata, Photo
from geotag.state.journal import Journal, State, Write
from geotag.stores import is_remote
from geotag.writing.container import CONTAINERS, Container, XmpFile
from geotag.writing.edits import CannotEmbedError, apply_edits, parse_edits
from geotag.writing.files import files_of, listed
from geotag.writing.replace import (
    CannotWriteError,
    Original,
    remove_temporary,
    sha256_of,
    temporary_beside,
)
from geotag.writing.result import Action, WriteResult
from geotag.writing.sidecar import has_tags, packet_in

_DAMAGED = "the journal's record of it is damaged"


def settle(journal: Journal) -> int:
    """Find out what came of the writes that a crash interrupted; returns how many were settled.

    A file that cannot be read now (a drive that is not there) is left for the next time.
    """
    settled = 0
    for write in journal.unsettled():
        try:
            _check_path(write.path)
            remove_temporary(write.temporary, write.path)
            now = files_of(write.path).hash_now(write.path)
        except (OSError, PhotoError):
            continue
        journal.mark(write.id, _settled(write, now))
        settled += 1
    return settled


def _settled(write: Write, now: str) -> State:
    """How far a write came, by the hash that its file has now."""
    match write.state:
        case State.PREPARED:
            return State.ABANDONED if now == write.old_sha256 else State.WRITTEN
        case State.REVERTING:
            return State.REVERTED if now == write.old_sha256 else State.WRITTEN
        case State.WRITTEN | State.ABANDONED | State.REVERTED:
            return write.state
        case _:
            assert_never(write.state)


def revert_run(
    journal: Journal, run_id: str, follow: Callable[[Photo, Photo], None] | None = None
) -> Iterator[WriteResult]:
    """Bring back the bytes and times of all files that a run wrote, the last one first.

    A file that was changed since is reported and left alone. `follow` is told of each photo as it
    was listed before and after, where what a scan reads of it is the same.
    """
    for write in journal.writes(run_id):
        if write.state is State.WRITTEN:
            yield _revert(journal, write, follow)


def _revert(
    journal: Journal, write: Write, follow: Callable[[Photo, Photo], None] | None
) -> WriteResult:
    try:
        _check_path(write.path)
        before = _known(write.path) if follow is not None else None
        _restore(journal, write)
    except PhotoError as error:
        return WriteResult(write.path, Action.FAILED, str(error))
    after = _known(write.path) if before is not None else None
    if follow is not None and before is not None and after is not None and before[1] == after[1]:
        follow(before[0], after[0])
    return WriteResult(write.path, Action.REVERTED, files=(write.path,))


def _known(path: str) -> tuple[Photo, Metadata] | None:
    """A photo as a scan lists it, and what that reads of it; None of what is no photo here. For a
    sidecar that serves one photo alone it is that."""
    path = path[:-4] if is_sidecar(path) else path
    photo = listed(path)
    if photo is None:
        return None
    try:
        return photo, read_header(files_of(path).source, photo).metadata
    except PhotoError:
        return None


def _check_path(path: str) -> None:
    """A journal holds paths as `write` made them: one that is not would be another file's."""
    if not is_remote(path) and (os.path.abspath(path) != path or "\0" in path):
        raise CannotWriteError(f"{_DAMAGED} (its path is not absolute)")


def _restore(journal: Journal, write: Write) -> None:
    if not write.new_sha256:
        raise CannotWriteError(_DAMAGED)
    files = files_of(write.path)
    if not write.old_sha256 and not files.exists(write.path):
        journal.mark(write.id, State.REVERTED)
        return
    current = files.read(write.path)
    if current.sha256 == write.old_sha256:
        journal.mark(write.id, State.REVERTED)
        return
    if current.sha256 != write.new_sha256:
        later = journal.later_run(write)
        hint = f": run {later} wrote it again, revert that first" if later else ""
        raise CannotWriteError(f"changed since, left alone{hint}")
    old = _old_bytes(current, write)
    temporary = temporary_beside(current.path)
    journal.mark(write.id, State.REVERTING, temporary)
    try:
        if old is None:
            files.remove(current)
        else:
            files.replace(current, old, temporary, write.old_mtime_ns)
    except CannotWriteError:
        journal.mark(write.id, State.WRITTEN)
        raise
    journal.mark(write.id, State.REVERTED)


def _old_bytes(current: Original, write: Write) -> bytes | None:
    """The bytes to bring back; None for a sidecar that the run made, which is to be removed."""
    try:
        if not write.old_sha256:
            _check_made(current, write)
            return None
        edits = parse_edits(write.old_blocks, len(current.data))
        old = apply_edits(current.data, edits)
    except ValueError as error:
        raise CannotWriteError(f"{_DAMAGED} ({error})") from error
    if sha256_of(old) != write.old_sha256:
        raise CannotWriteError(_DAMAGED)
    _check_kept(current, old)
    return old


def _check_made(current: Original, write: Write) -> None:
    """Only a sidecar with geotag's tags, of which the journal has every byte, may be removed."""
    made = apply_edits(b"", parse_edits(write.new_blocks, len(current.data)))
    if made != current.data or not is_sidecar(current.path) or not has_tags(current.data):
        raise CannotWriteError(f"{_DAMAGED} (it would remove what is not a sidecar of geotag's)")


def _check_kept(current: Original, old: bytes) -> None:
    """Only the metadata of photos, and XMP sidecars, may change."""
    before, after = _container(current.path, current.data), _container(current.path, old)
    if type(before) is not type(after) or before.other_parts() != after.other_parts():
        raise CannotWriteError(f"{_DAMAGED} (it would change more than metadata)")


def _container(path: str, data: bytes) -> Container:
    kind = CONTAINERS.get(sniff_format(data) or "", XmpFile)
    try:
        found = kind.parse(data)
    except CannotEmbedError as error:
        raise CannotWriteError(f"left alone: {error}") from error
    if not found.is_photo and not (is_sidecar(path) and packet_in(data) is not None):
        raise CannotWriteError(f"{_DAMAGED} (it is neither a photo with tags nor an XMP sidecar)")
    return found
