"""Works out which files a row's tags change, and how; writes nothing itself."""

from __future__ import annotations

import os
from typing import NamedTuple

from geotag.errors import PhotoError, TransientPhotoError
from geotag.metadata.containers import sniff_format
from geotag.metadata.header import read_header, read_on
from geotag.metadata.xmp import PACKET_LIMIT
from geotag.writing.container import CONTAINERS, Container, XmpFile
from geotag.writing.draft import HAS_OFFSET, HAS_POSITION, NAMED_BY_USER, NO_TIME, draft_edits
from geotag.writing.edits import CannotEmbedError, Edit
from geotag.writing.files import Files, files_of
from geotag.writing.replace import CannotWriteError, Original
from geotag.writing.sidecar import (
    SharedSidecarError,
    SidecarFinder,
    has_tags,
    read_surroundings,
    sidecars_of,
)
from geotag.writing.tags import NO_SURROUNDINGS, Change, Surroundings, Tags, TimeTags
from geotag.writing.verify import verified

NOT_INSIDE = "whose Exif is not written: offsets from UTC go into no sidecar"
_WHY_NONE = frozenset((NAMED_BY_USER, HAS_POSITION, HAS_OFFSET, NO_TIME, NOT_INSIDE))


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
    def why_none(self) -> str:
        """Why nothing is written, where that is no failure; empty otherwise."""
        kept = (note for note in self.notes if note in _WHY_NONE)
        return "" if self.files else next(kept, "")


class Planner:
    """Plans one photo after the other.

    `position` says that positions are asked for, `sidecar` that photos themselves are never
    written, `force` that links are. Where `methods` are given, only what these inferred is taken
    out.
    """

    def __init__(
        self, position: bool, sidecar: bool, force: bool, methods: frozenset[str] = frozenset()
    ) -> None:
        self.position = position
        self.sidecar = sidecar
        self.force = force
        self.methods = methods
        self._sidecars = SidecarFinder()

    def plan(self, path: str, tags: Tags | TimeTags | None) -> Plan:
        """What tags change, or (None) what takes those of an earlier run out.

        A sidecar that an earlier run wrote follows its photo; offsets from UTC go inside of the
        photo, or not at all. Raises PhotoError for what cannot or must not be written.
        """
        files = files_of(path)
        if isinstance(tags, TimeTags):
            return self._plan_time(path, files, tags)
        measured, unclear = _position(path, files) if self.position else (False, "")
        plan = self._plan(path, files, tags, measured)
        return plan._replace(notes=(*plan.notes, unclear)) if tags and unclear else plan

    def _plan_time(self, path: str, files: Files, tags: TimeTags) -> Plan:
        kind = self._kind(path, files)
        if kind is None:
            return Plan(notes=(NOT_INSIDE,))
        try:
            return self._planned(files, files.look_at(path, self.force), kind, tags)
        except CannotEmbedError as error:
            raise CannotWriteError(str(error)) from error

    def _kind(self, path: str, files: Files) -> type[Container] | None:
        """How to write into a photo; None for one whose tags go into a sidecar."""
        with files.source.open(files.photo(path)) as read:
            found = sniff_format(read(0, 64))
        if found is None:
            raise CannotWriteError("not a photo: its first bytes fit no known format")
        return None if self.sidecar or files.is_remote else CONTAINERS.get(found)

    def _plan(self, path: str, files: Files, tags: Tags | None, measured: bool) -> Plan:
        kind = self._kind(path, files)
        if kind is None:
            return self._in_sidecar(path, files, tags, measured)
        try:
            inside = self._planned(files, files.look_at(path, self.force), kind, tags, measured)
        except CannotEmbedError as error:
            beside = self._in_sidecar(path, files, tags, measured)
            note = f"into a sidecar: {error}"
            return beside._replace(notes=(note, *beside.notes)) if tags else beside
        if inside.why_none or not self._is_tagged_before(path, files):
            return inside
        beside = self._in_sidecar(path, files, tags, measured)
        return Plan(inside.files + beside.files, inside.notes + beside.notes)

    def _in_sidecar(self, path: str, files: Files, tags: Tags | None, measured: bool) -> Plan:
        sidecar = self._sidecars.find(path, files)
        if not sidecar.exists and tags is None:
            return Plan()
        around = NO_SURROUNDINGS
        if tags is not None:
            with files.source.open(files.photo(path)) as read:
                around = read_surroundings(read)
        if sidecar.exists:
            original = files.look_at(sidecar.path, self.force)
            if not original.data:
                raise CannotWriteError("its sidecar cannot be edited: it is empty")
            # Keywords that are no longer in the sidecar were taken out of it.
            around = around._replace(keywords=())
        else:
            original = Original(sidecar.path, b"")
        try:
            return self._planned(files, original, XmpFile, tags, measured, around)
        except CannotEmbedError as error:
            raise CannotWriteError(f"its sidecar cannot be edited: {error}") from error

    def _planned(
        self,
        files: Files,
        original: Original,
        kind: type[Container],
        tags: Tags | TimeTags | None,
        measured: bool = True,
        around: Surroundings = NO_SURROUNDINGS,
    ) -> Plan:
        container = kind.parse(original.data)
        draft = draft_edits(container, tags, around, measured, self.methods)
        if not draft.edits:
            return Plan(notes=draft.notes)
        files.check_replaceable(original, self.force)
        new = verified(container, draft.edits)
        file = FilePlan(original, draft.edits, new, draft.changes, not container.is_photo)
        return Plan((file,), draft.notes)

    def _is_tagged_before(self, photo: str, files: Files) -> bool:
        """Whether the photo's own sidecar holds tags of geotag's; one that it shares never does."""
        try:
            sidecar = self._sidecars.find(photo, files)
        except SharedSidecarError:
            return False
        if not sidecar.exists:
            return False
        try:
            return has_tags(files.source.read(sidecar.path, PACKET_LIMIT))
        except TransientPhotoError as error:
            name = os.path.basename(sidecar.path)
            raise CannotWriteError(f"its sidecar {name} cannot be read now: {error}") from error
        except PhotoError:  # larger than any that geotag wrote
            return False


def _position(path: str, files: Files) -> tuple[bool, str]:
    """Whether a photo has a position of its own, clear or not, and what is unclear about it."""
    photo = files.photo(path, sidecars_of(path, files))
    header = read_header(files.source, photo)
    if header.metadata.location is None:
        header = read_on(header, files.source.read_photo(photo))
    unclear = header.metadata.position_unclear
    return header.metadata.location is not None or bool(unclear), unclear
