"""Works out which files a claim changes, and how; writes nothing itself."""

from __future__ import annotations

from typing import NamedTuple

from geotag.metadata.containers import sniff_format
from geotag.metadata.header import read_header
from geotag.writing.claim import Change, Claim, Surroundings
from geotag.writing.edits import CannotEmbedError, Edit, apply_edits
from geotag.writing.embedded import EMBEDDABLE, NAMED_BY_USER, draft_embedded
from geotag.writing.files import Files, files_of
from geotag.writing.replace import CannotWriteError, Original
from geotag.writing.sidecar import (
    draft_sidecar,
    find_sidecar,
    has_claim,
    read_surroundings,
    sidecars_of,
)
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
    def is_outweighed(self) -> bool:
        """Whether nothing is written because the photo's owner knows better."""
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

    def plan(self, path: str, claim: Claim | None) -> Plan:
        """What a claim changes, or (None) what takes an earlier one back.

        A sidecar that an earlier run wrote follows its photo. Raises PhotoError for what cannot
        or must not be written.
        """
        files = files_of(path)
        measured = self.position and _is_measured(path, files)
        if _format(path, files) not in EMBEDDABLE or self.sidecar or files.is_remote:
            return self._in_sidecar(path, claim, measured)
        try:
            inside = self._inside(path, claim, measured)
        except CannotEmbedError as error:
            beside = self._in_sidecar(path, claim, measured)
            note = f"into a sidecar: {error}"
            return beside._replace(notes=(note, *beside.notes)) if claim else beside
        if inside.is_outweighed or not _is_tagged_before(path):
            return inside
        beside = self._in_sidecar(path, claim, measured)
        return Plan(inside.files + beside.files, inside.notes + beside.notes)

    def _inside(self, path: str, claim: Claim | None, measured: bool) -> Plan:
        original = files_of(path).read(path, self.force)
        draft = draft_embedded(original.data, claim, measured)
        if not draft.edits:
            return Plan(notes=draft.notes)
        new = verified(original.data, draft.edits)
        return Plan((FilePlan(original, draft.edits, new, draft.changes, False),), draft.notes)

    def _in_sidecar(self, path: str, claim: Claim | None, measured: bool) -> Plan:
        files = files_of(path)
        sidecar = find_sidecar(path, files)
        if not sidecar.exists and claim is None:
            return Plan()
        around = Surroundings()
        if claim is not None:
            with files.source.open(files.photo(path)) as read:
                around = read_surroundings(read)
        if sidecar.exists:
            original = files.read(sidecar.path, self.force)
            # Keywords that are no longer in the sidecar were taken out of it.
            around = around._replace(keywords=())
        else:
            original = Original(sidecar.path, b"")
        data = original.data if sidecar.exists else None
        draft = draft_sidecar(data, claim, around, measured)
        if not draft.edits:
            return Plan(notes=draft.notes)
        new = apply_edits(original.data, draft.edits)
        return Plan((FilePlan(original, draft.edits, new, draft.changes, True),), draft.notes)


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
        return sidecar.exists and has_claim(files.read(sidecar.path).data)
    except CannotWriteError:
        return False
