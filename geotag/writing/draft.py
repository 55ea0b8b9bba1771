"""Works out how a file changes to hold tags, or to lose them. Pure: bytes in, edits out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from geotag.metadata.exif import parse_metadata
from geotag.writing.blocks import exif_tags, xmp_tags
from geotag.writing.blocks.exif_tags import format_word
from geotag.writing.blocks.iim import Iim, IimError, can_hold, edit_keywords, parse_iim
from geotag.writing.blocks.maker_note import points_outside
from geotag.writing.blocks.tiff import ASCII, Tag, Tiff, TiffError, Value, edit_tiff, parse_tiff
from geotag.writing.blocks.xmp import XmpError, XmpPacket, new_packet, parse_packet
from geotag.writing.blocks.xmp_tags import EarlierTags
from geotag.writing.container import Container
from geotag.writing.edits import BlockChange, CannotEmbedError, Edit, apply_edits, trimmed
from geotag.writing.tags import (
    NO_SURROUNDINGS,
    Change,
    PlacedTags,
    Surroundings,
    Tags,
    TimeTags,
    changes_between,
    plain_keywords,
    union,
)

NAMED_BY_USER = "with a landmark that you named"
HAS_POSITION = "with a position of its own"
HAS_OFFSET = "with an offset from UTC of its own"
NO_TIME = "without DateTimeOriginal in its Exif, to which an offset could belong"
_WROTE_IIM = "IPTC:Keywords"
_SECONDS = len("2023-06-01T12:00:00")
_TARGETS_IN_EXTENDED = re.compile(
    rb"[:<\s](subject|hierarchicalSubject|TagsList|LocationShown|City|State|Country|CountryCode"
    rb"|Location|GPS\w+)[\s=>/]"
)


class Draft(NamedTuple):
    """What a write would do to a file: nothing, when there are no edits.

    `notes` tell what was left out, and why.
    """

    edits: tuple[Edit, ...] = ()
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()


class Blocks(NamedTuple):
    """The metadata blocks of a file, parsed; a damaged one cannot be edited."""

    xmp: XmpPacket | None = None
    tiff: Tiff | None = None
    iim: Iim | None = None

    def surroundings(self, earlier: EarlierTags | None) -> Surroundings:
        """What the blocks other than XMP say, without what geotag wrote there before."""
        wrote = earlier.wrote if earlier else frozenset()
        own = earlier.landmark if earlier else ""
        words: list[str] = []
        for keywords, mark in (
            (self.iim.keywords if self.iim else (), _WROTE_IIM),
            (exif_tags.keywords(self.tiff), exif_tags.WROTE_KEYWORDS),
        ):
            words += (w for w in keywords if mark not in wrote or w not in (own, format_word(own)))
        return Surroundings(plain_keywords(words), self.iim.places if self.iim else {})


def parse_blocks(container: Container) -> Blocks:
    """Parse a file's blocks. Raises CannotEmbedError for what is damaged."""
    exif, xmp, iim = (container.block(name) for name in ("exif", "xmp", "iim"))
    try:
        return Blocks(
            parse_packet(xmp) if xmp is not None else None,
            parse_tiff(exif) if exif is not None else None,
            parse_iim(iim) if iim is not None else None,
        )
    except TiffError as error:
        raise CannotEmbedError(f"its Exif block is damaged: {error}") from error
    except (XmpError, IimError) as error:
        raise CannotEmbedError(str(error)) from error


def draft_edits(
    container: Container,
    tags: Tags | TimeTags | None,
    around: Surroundings = NO_SURROUNDINGS,
    measured: bool = False,
    only: frozenset[str] = frozenset(),
) -> Draft:
    """The edits that put tags into a file, or (None) take those of an earlier run out.

    `around` is what other files say of the photo: of a sidecar the photo itself. `measured` says
    that the photo's position is known. With `only` what other methods inferred, or the user named,
    is not taken out. Raises CannotEmbedError with the reason when the file
    cannot take the tags without a loss.
    """
    blocks = parse_blocks(container)
    if blocks.xmp is not None and container.is_photo:
        _check_packet(blocks.xmp, container.block("extended xmp") or b"")
    packet = blocks.xmp or new_packet()
    earlier = xmp_tags.read_earlier(packet)
    if isinstance(tags, TimeTags):
        return _time_draft(container, blocks, packet, tags)
    if tags is None and (earlier is None or (only and not earlier.is_by(only))):
        return Draft()
    if tags and earlier and earlier.outranks(tags):
        return Draft(notes=(NAMED_BY_USER,))
    if isinstance(tags, PlacedTags) and (measured or not _may_place(container, blocks, earlier)):
        return Draft(notes=(HAS_POSITION,))
    around = around.beside(blocks.surroundings(earlier))
    drafter = _PhotoDrafter if container.is_photo else _Drafter
    return drafter(container, blocks, packet, earlier, tags).draft(around, measured)


def _time_draft(container: Container, blocks: Blocks, packet: XmpPacket, tags: TimeTags) -> Draft:
    tiff = blocks.tiff
    if tiff is None or exif_tags.is_blank(tiff, exif_tags.TIME):
        return Draft(notes=(NO_TIME,))
    if not exif_tags.is_blank(tiff, exif_tags.OFFSET):
        return Draft(notes=(HAS_OFFSET,))
    if parse_metadata(tiff.block).capture.time[:_SECONDS] != tags.time[:_SECONDS]:
        raise CannotEmbedError("its DateTimeOriginal is not what the scan read: scan again")
    return _TimeDrafter(container, blocks, packet, tags).draft(NO_SURROUNDINGS, True)


def _may_place(container: Container, blocks: Blocks, earlier: EarlierTags | None) -> bool:
    """Whether the position that stands there, if there is one, is geotag's own."""
    if not container.is_photo:
        return blocks.xmp is None or xmp_tags.may_place(blocks.xmp, earlier)
    return exif_tags.may_place(blocks.tiff, earlier) and not _is_measured_in(blocks.xmp)


def _is_measured_in(packet: XmpPacket | None) -> bool:
    """A position in a photo's packet is never ours: embedded ones stand in the Exif block."""
    names = ("exif:GPSLatitude", "exif:GPSLongitude")
    return packet is not None and any(packet.has(name) for name in names)


def _check_packet(packet: XmpPacket, extended: bytes) -> None:
    if packet.has("dcterms:provenance"):
        raise CannotEmbedError("its XMP packet refers to a signed manifest of its provenance")
    if _TARGETS_IN_EXTENDED.search(extended):
        raise CannotEmbedError("its extended XMP packet has fields that geotag would add to")


class _Drafter:
    """Works out one file's edits: of an XMP packet alone, which holds positions too."""

    def __init__(
        self,
        container: Container,
        blocks: Blocks,
        packet: XmpPacket,
        earlier: EarlierTags | None,
        tags: Tags | None,
    ) -> None:
        self.container = container
        self.blocks = blocks
        self.packet = packet
        self.earlier = earlier
        self.tags = tags
        self.notes: list[str] = []

    def draft(self, around: Surroundings, measured: bool) -> Draft:
        """The edits, given what other blocks and files say of the photo."""
        fields = xmp_tags.snapshot(self.packet)
        inner, changes = self._edit_blocks(around, measured)
        changes += changes_between(fields, xmp_tags.snapshot(self.packet))
        if not inner and all(change.field in xmp_tags.VOLATILE for change in changes):
            return Draft(notes=tuple(self.notes))
        inner["xmp"] = self._packet_change()
        order = [name for name in ("exif", "xmp", "iim") if name in inner]
        edits = self.container.edits({name: inner[name] for name in order})
        return Draft(edits, changes, tuple(self.notes))

    def _edit_blocks(
        self, around: Surroundings, measured: bool
    ) -> tuple[dict[str, BlockChange], tuple[Change, ...]]:
        """Edit the packet in place; returns what changes in the other blocks."""
        self._edit_packet(around, positions=True, measured=measured)
        return {}, ()

    def _edit_packet(self, around: Surroundings, *, positions: bool, measured: bool) -> None:
        if self.tags is not None:
            xmp_tags.add_tags(
                self.packet, self.tags, around, positions=positions, measured=measured
            )
        elif self.earlier is not None:
            xmp_tags.remove_tags(self.packet, self.earlier)

    def _packet_change(self) -> BlockChange:
        old = self.container.block("xmp")
        if old is None:
            return self.packet.serialize()
        return (trimmed(old, Edit(0, len(old), self.packet.serialize(len(old)))),)


class _PhotoDrafter(_Drafter):
    """Works out the edits of a photo, whose positions stand in its Exif block."""

    def _edit_blocks(
        self, around: Surroundings, measured: bool
    ) -> tuple[dict[str, BlockChange], tuple[Change, ...]]:
        measured = measured or _is_measured_in(self.packet)
        flat = union((*self._foreign_subjects(), *around.keywords))
        exif_changes = exif_tags.plan_exif(
            self.blocks.tiff, self.tags, self.earlier, flat, measured
        )
        iim_edits = self._iim_edits()
        self._edit_packet(around, positions=False, measured=True)
        if self.tags is not None:
            xmp_tags.note_written(self.packet, _wrote_elsewhere(exif_changes, iim_edits))
        inner: dict[str, BlockChange] = {}
        changes: tuple[Change, ...] = ()
        if exif_changes:
            inner["exif"] = self._exif_change(exif_changes)
            changes += self._exif_diff(inner["exif"])
        if iim_edits:
            inner["iim"] = iim_edits
            changes += self._iim_diff(iim_edits)
        return inner, changes

    def _foreign_subjects(self) -> list[str]:
        earlier = self.earlier
        own = earlier.landmark if earlier and "dc:subject" in earlier.wrote else ""
        return [word for word in self.packet.items("dc:subject") if word != own]

    def _exif_change(self, changes: Mapping[Tag, Value | None]) -> BlockChange:
        tiff = self.blocks.tiff
        if tiff is None:
            return exif_tags.build_exif(changes)
        try:
            edits = edit_tiff(tiff, changes)
        except TiffError as error:
            raise CannotEmbedError(f"its Exif block cannot be extended: {error}") from error
        if points_outside(tiff, sum(edit.growth for edit in edits)):
            raise CannotEmbedError("its MakerNote points behind the end of the Exif block")
        return edits

    def _iim_edits(self) -> tuple[Edit, ...]:
        iim = self.blocks.iim
        if iim is None:
            return ()
        add = self.tags.name if self.tags else ""
        remove = ""
        if self.earlier and _WROTE_IIM in self.earlier.wrote and self.earlier.landmark != add:
            remove = self.earlier.landmark
        if add and not can_hold(iim, add):
            self.notes.append("the IPTC keywords are unchanged: they cannot hold the name")
            add = ""
        return edit_keywords(iim, add, remove)

    def _exif_diff(self, change: BlockChange) -> tuple[Change, ...]:
        tiff = self.blocks.tiff
        old = tiff.block if tiff else b""
        new = change if isinstance(change, bytes) else apply_edits(old, change)
        try:
            after = exif_tags.snapshot(parse_tiff(new))
        except TiffError as error:  # such as by a pointer that led behind the end before
            raise CannotEmbedError(f"its Exif block cannot be extended: {error}") from error
        return changes_between(exif_tags.snapshot(tiff), after)

    def _iim_diff(self, edits: tuple[Edit, ...]) -> tuple[Change, ...]:
        old = self.blocks.iim
        new = parse_iim(apply_edits(old.payload, edits)) if old else None
        texts = [{"IPTC Keywords": "; ".join(iim.keywords if iim else ())} for iim in (old, new)]
        return changes_between(*texts)


class _TimeDrafter(_PhotoDrafter):
    """Works out the edits that give a photo's time its offset from UTC, and change nothing else."""

    def __init__(
        self, container: Container, blocks: Blocks, packet: XmpPacket, time: TimeTags
    ) -> None:
        super().__init__(container, blocks, packet, None, None)
        self.time = time

    def _edit_blocks(
        self, around: Surroundings, measured: bool
    ) -> tuple[dict[str, BlockChange], tuple[Change, ...]]:
        value = Value(ASCII, self.time.offset.encode("ascii") + b"\0")
        change = self._exif_change({exif_tags.OFFSET: value})
        self.packet.set_text(xmp_tags.OFFSET, self.time.offset)
        self.packet.set_text(xmp_tags.OFFSET_EVIDENCE, self.time.evidence)
        return {"exif": change}, self._exif_diff(change)


def _wrote_elsewhere(changes: Mapping[Tag, Value | None], iim_edits: tuple[Edit, ...]) -> set[str]:
    """What geotag:Wrote says of the blocks other than XMP."""
    names = {
        exif_tags.XP_KEYWORDS: exif_tags.WROTE_KEYWORDS,
        exif_tags.DEST_LATITUDE: exif_tags.WROTE_DESTINATION,
        exif_tags.LATITUDE: exif_tags.WROTE_POSITION,
    }
    wrote = {names[tag] for tag, value in changes.items() if value is not None and tag in names}
    return wrote | ({_WROTE_IIM} if iim_edits else set())
