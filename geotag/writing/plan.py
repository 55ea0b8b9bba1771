"""Works out which files a row's tags change, and how; writes nothing itself."""

from __future__ import annotations

from typing import NamedTuple

from geotag.metadata.containers import sniff_format
from geotag.metadata.header import read_header
from geotag.writing.container import CONTAINERS, Container, XmpFile
from geotag.writing.draft import NAMED_BY_USER, draft_edits
from geotag.writing.edits import CannotEmbedError, Edit
from geotag.writing.files import Files, files_of
from geotag.writing.replace import CannotWriteError, Original
from geotag.writing.sidecar import find_sidecar, has_tags, read_surroundings, sidecars_of
from geotag.writing.tags import NO_SURROUNDINGS, Change, LandmarkTags, Surroundings
from geotag.writing.verify import verified


class FilePlan(NamedTuple):
    """One file's part of a write: the verified new bytes, and the edits that lead to them."""

    original: Original
    edits: tuple[Edit, ...]
    new: bytes
    changes: tuple[Change, ...]
    is_sidecar: bool


class Plan(NamedTuple):
    """What one row changes; `notes` say what goes elsewhere or stays out, and why."""

    files: tuple[FilePlan, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_users(self) -> bool:
        """Whether nothing is written because the user named the photo's landmark."""
        return not self.files and NAMED_BY_USER in self.notes


class Planner:
    """Plans one photo after the other.

    `position` says that positions are asked for, `sidecar` that photos themselves are never
    written, `force` that links are.
    """

    def __init__(self, position: bool, sidecar: bool, force: bool) -> None:
        self.position = position
        self.sidecar = sidecar
        self.force = force

    def plan(self, path: str, tags: LandmarkTags | None) -> Plan:
        """What tags change, or (None) what takes those of an earlier run out.

        A sidecar that an earlier run wrote follows its photo. Raises PhotoError for what cannot
        or must not be written.
        """
        files = files_of(path)
        measured = self.position and _is_measured(path, files)
        kind = CONTAINERS.get(_format(path, files))
        if kind is None or self.sidecar or files.is_remote:
            return self._in_sidecar(path, tags, measured)
        try:
            original = files.read(path, self.force)
            inside = _planned(original, kind, tags, NO_SURROUNDINGS, measured)
        except CannotEmbedError as error:
            beside = self._in_sidecar(path, tags, measured)
            note = f"into a sidecar: {error}"
            return beside._replace(notes=(note, *beside.notes)) if tags else beside
        if inside.is_users or not _is_tagged_before(path):
            return inside
        beside = self._in_sidecar(path, tags, measured)
        return Plan(inside.files + beside.files, inside.notes + beside.notes)

    def _in_sidecar(self, path: str, tags: LandmarkTags | None, measured: bool) -> Plan:
        files = files_of(path)
        sidecar = find_sidecar(path, files)
        if not sidecar.exists and tags is None:
            return Plan()
        around = NO_SURROUNDINGS
        if tags is not None:
            with files.source.open(files.photo(path)) as read:
                around = read_surroundings(read)
        if sidecar.exists:
            original = files.read(sidecar.path, self.force)
            if not original.data:
                raise CannotWriteError("its sidecar cannot be edited: it is empty")
            # Keywords that are no longer in the sidecar were taken out of it.
            around = around._replace(keywords=())
        else:
            original = Original(sidecar.path, b"")
        try:
            return _planned(original, XmpFile, tags, around, measured)
        except CannotEmbedError as error:
            raise CannotWriteError(f"its sidecar cannot be edited: {error}") from error


def _planned(
    original: Original,
    kind: type[Container],
    tags: LandmarkTags | None,
    around: Surroundings,
    measured: bool,
) -> Plan:
    container = kind.parse(original.data)
    draft = draft_edits(container, tags, around, measured)
    if not draft.edits:
        return Plan(notes=draft.notes)
    new = verified(container, draft.edits)
    file = FilePlan(original, draft.edits, new, draft.changes, not container.is_photo)
    return Plan((file,), draft.notes)


def _format(path: str, files: Files) -> str:
    with files.source.open(files.photo(path)) as read:
        found = sniff_format(read(0, 64))
    if found is None:
        raise CannotWriteError("not a photo: its first bytes fit no known format")
    return found


def _is_measured(path: str, files: Files) -> bool:
    photo = files.photo(path, sidecars_of(path, files))
    return read_header(files.source, photo).metadata.location is not None


def _is_tagged_before(photo: str) -> bool:
    """Whether the photo's own sidecar holds tags of geotag's; one that it shares never does."""
    files = files_of(photo)
    try:
        sidecar = find_sidecar(photo, files)
        return sidecar.exists and has_tags(files.read(sidecar.path).data)
    except CannotWriteError:
        return False
