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
_POSITION = ("exif:GPSLatitude", "exif:GPSLongitude")
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

    @property
    def earlier(self) -> EarlierTags | None:
        """What an earlier run wrote, as the packet says."""
        return xmp_tags.read_earlier(self.xmp) if self.xmp is not None else None

    def surroundings(self) -> Surroundings:
        """What the blocks other than XMP say, without what geotag wrote there before."""
        earlier = self.earlier
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
    earlier = blocks.earlier
    drafter = _Drafter(container, blocks, blocks.xmp or new_packet(), earlier)
    if isinstance(tags, TimeTags):
        return _why_no_offset(blocks.tiff, tags) or drafter.draft(tags)
    if tags is None and (earlier is None or (only and not earlier.is_by(only))):
        return Draft()
    if tags and earlier and earlier.outranks(tags):
        return Draft(notes=(NAMED_BY_USER,))
    if isinstance(tags, PlacedTags) and (measured or not _may_place(container, blocks)):
        return Draft(notes=(HAS_POSITION,))
    return drafter.draft(tags, around.beside(blocks.surroundings()), measured)


def _why_no_offset(tiff: Tiff | None, tags: TimeTags) -> Draft | None:
    """A draft that says why a photo's time is given no offset; None where it is given one."""
    if tiff is None or exif_tags.is_blank(tiff, exif_tags.TIME):
        return Draft(notes=(NO_TIME,))
    if not exif_tags.is_blank(tiff, exif_tags.OFFSET):
        return Draft(notes=(HAS_OFFSET,))
    if parse_metadata(tiff.block).capture.time[:_SECONDS] != tags.time[:_SECONDS]:
        raise CannotEmbedError("its DateTimeOriginal is not what the scan read: scan again")
    return None


def _may_place(container: Container, blocks: Blocks) -> bool:
    """Whether the position that stands there, if there is one, is geotag's own."""
    if container.is_photo:
        may_set = exif_tags.may_change(blocks.tiff, exif_tags.LATITUDE, blocks.earlier)
        return may_set and not _is_measured_in(blocks.xmp)
    return blocks.xmp is None or xmp_tags.may_set(blocks.xmp, _POSITION[0], blocks.earlier)


def _is_measured_in(packet: XmpPacket | None) -> bool:
    """A position in a photo's packet is never ours: embedded ones stand in the Exif block."""
    return packet is not None and any(packet.has(name) for name in _POSITION)


def _check_packet(packet: XmpPacket, extended: bytes) -> None:
    if packet.has("dcterms:provenance"):
        raise CannotEmbedError("its XMP packet refers to a signed manifest of its provenance")
    if _TARGETS_IN_EXTENDED.search(extended):
        raise CannotEmbedError("its extended XMP packet has fields that geotag would add to")


class _Inner(NamedTuple):
    """What happens to the blocks other than XMP."""

    exif: BlockChange | None = None
    iim: tuple[Edit, ...] = ()
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()


class _Drafter(NamedTuple):
    """Works out the edits of one file, given what `earlier` runs wrote; edits the packet in place.

    A photo's positions stand in its Exif block, a sidecar's in the packet.
    """

    container: Container
    blocks: Blocks
    packet: XmpPacket
    earlier: EarlierTags | None

    def draft(
        self,
        tags: Tags | TimeTags | None,
        around: Surroundings = NO_SURROUNDINGS,
        measured: bool = False,
    ) -> Draft:
        """The edits, given what other blocks and files say of the photo."""
        before = xmp_tags.snapshot(self.packet)
        inner = _Inner()
        if isinstance(tags, TimeTags):
            inner = self._edit_time(tags)
        elif self.container.is_photo:
            inner = self._edit_photo(tags, around, measured)
        else:
            self._edit_packet(tags, around, positions=True, measured=measured)
        changes = inner.changes + changes_between(before, xmp_tags.snapshot(self.packet))
        is_new = any(change.field not in xmp_tags.VOLATILE for change in changes)
        if inner.exif is None and not inner.iim and not is_new:
            return Draft(notes=inner.notes)
        blocks = {"exif": inner.exif, "xmp": self._packet_change(), "iim": inner.iim}
        edits = self.container.edits({name: change for name, change in blocks.items() if change})
        return Draft(edits, changes, inner.notes)

    def _edit_packet(
        self, tags: Tags | None, around: Surroundings, *, positions: bool, measured: bool
    ) -> None:
        if tags is not None:
            xmp_tags.add_tags(self.packet, tags, around, positions=positions, measured=measured)
        elif self.earlier is not None:
            xmp_tags.remove_tags(self.packet, self.earlier)

    def _packet_change(self) -> BlockChange:
        old = self.container.block("xmp")
        if old is None:
            return self.packet.serialize()
        return (trimmed(old, Edit(0, len(old), self.packet.serialize(len(old)))),)

    def _edit_photo(self, tags: Tags | None, around: Surroundings, measured: bool) -> _Inner:
        measured = measured or _is_measured_in(self.packet)
        own = self.earlier.landmark if self.earlier and "dc:subject" in self.earlier.wrote else ""
        subjects = (word for word in self.packet.items("dc:subject") if word != own)
        keywords = union(subjects, *around.keywords)
        values = exif_tags.plan_exif(self.blocks.tiff, tags, self.earlier, keywords, measured)
        inner = self._edit_iim(tags.name if tags else "")
        self._edit_packet(tags, around, positions=False, measured=True)
        if tags is not None:
            xmp_tags.note_written(self.packet, _wrote_elsewhere(values, inner.iim))
        if not values:
            return inner
        exif, changes = self._edit_exif(values)
        return inner._replace(exif=exif, changes=changes + inner.changes)

    def _edit_time(self, tags: TimeTags) -> _Inner:
        """Give the photo's time its offset from UTC, and change nothing else."""
        value = Value(ASCII, tags.offset.encode("ascii") + b"\0")
        exif, changes = self._edit_exif({exif_tags.OFFSET: value})
        self.packet.set_text(xmp_tags.OFFSET, tags.offset)
        self.packet.set_text(xmp_tags.OFFSET_EVIDENCE, tags.evidence)
        return _Inner(exif, changes=changes)

    def _edit_exif(
        self, values: Mapping[Tag, Value | None]
    ) -> tuple[BlockChange, tuple[Change, ...]]:
        tiff = self.blocks.tiff
        change: BlockChange
        try:
            if tiff is None:
                change = new = exif_tags.build_exif(values)
            else:
                change = edit_tiff(tiff, values)
                new = apply_edits(tiff.block, change)
                if points_outside(tiff, len(new) - len(tiff.block)):
                    raise CannotEmbedError("its MakerNote points behind the end of the Exif block")
            after = exif_tags.snapshot(parse_tiff(new))
        except TiffError as error:  # such as by a pointer that led behind the end before
            raise CannotEmbedError(f"its Exif block cannot be extended: {error}") from error
        return change, changes_between(exif_tags.snapshot(tiff), after)

    def _edit_iim(self, add: str) -> _Inner:
        iim, earlier = self.blocks.iim, self.earlier
        if iim is None:
            return _Inner()
        is_old = earlier is not None and _WROTE_IIM in earlier.wrote and earlier.landmark != add
        remove = earlier.landmark if earlier is not None and is_old else ""
        notes: tuple[str, ...] = ()
        if add and not can_hold(iim, add):
            notes = ("the IPTC keywords are unchanged: they cannot hold the name",)
            add = ""
        edits = edit_keywords(iim, add, remove)
        new = parse_iim(apply_edits(iim.payload, edits))
        texts = [{"IPTC Keywords": "; ".join(each.keywords if each else ())} for each in (iim, new)]
        return _Inner(None, edits, changes_between(*texts), notes)


def _wrote_elsewhere(changes: Mapping[Tag, Value | None], iim_edits: tuple[Edit, ...]) -> set[str]:
    """What geotag:Wrote says of the blocks other than XMP."""
    names = {
        exif_tags.XP_KEYWORDS: exif_tags.WROTE_KEYWORDS,
        exif_tags.DEST_LATITUDE: exif_tags.WROTE_DESTINATION,
        exif_tags.LATITUDE: exif_tags.WROTE_POSITION,
    }
    wrote = {names[tag] for tag, value in changes.items() if value is not None and tag in names}
    return wrote | ({_WROTE_IIM} if iim_edits else set())
