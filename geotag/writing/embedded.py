"""Drafts the tags inside a JPEG or WebP. Pure: bytes in, edits out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from geotag import __version__
from geotag.metadata.containers import sniff_format
from geotag.writing import jpeg, webp
from geotag.writing.blocks import exif_claim, xmp_claim
from geotag.writing.blocks.exif_claim import format_word
from geotag.writing.blocks.iim import Iim, IimError, can_hold, edit_keywords, parse_iim
from geotag.writing.blocks.maker_note import points_outside
from geotag.writing.blocks.tiff import (
    MAKER_NOTE,
    Tag,
    Tiff,
    TiffError,
    Value,
    edit_tiff,
    parse_tiff,
)
from geotag.writing.blocks.xmp import XmpError, XmpPacket, new_packet, parse_packet
from geotag.writing.blocks.xmp_claim import Previous
from geotag.writing.claim import (
    Change,
    Claim,
    Surroundings,
    changes_between,
    plain_keywords,
    union,
)
from geotag.writing.edits import CannotEmbedError, Edit, apply_edits, trimmed

EMBEDDABLE = frozenset(("jpeg", "webp"))
NAMED_BY_USER = "its landmark was named by the user"
WROTE_IIM = "IPTC:Keywords"
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
    """The metadata blocks of a photo, parsed; a damaged one cannot be edited."""

    xmp: XmpPacket | None = None
    tiff: Tiff | None = None
    iim: Iim | None = None

    def surroundings(self, previous: Previous | None) -> Surroundings:
        """What the blocks other than XMP say, without what geotag wrote there before."""
        wrote = previous.wrote if previous else frozenset()
        own = previous.landmark if previous else ""
        words: list[str] = []
        for keywords, mark in (
            (self.iim.keywords if self.iim else (), WROTE_IIM),
            (exif_claim.keywords(self.tiff), exif_claim.WROTE_KEYWORDS),
        ):
            words += (w for w in keywords if mark not in wrote or w not in (own, format_word(own)))
        return Surroundings(plain_keywords(words), self.iim.places if self.iim else {})


Layout = jpeg.Layout | webp.Layout


def parse_layout(data: bytes) -> Layout:
    """Find the blocks of a JPEG or WebP. Raises CannotEmbedError."""
    found = sniff_format(data)
    if found == "jpeg":
        return jpeg.parse_layout(data)
    if found == "webp":
        return webp.parse_layout(data)
    raise CannotEmbedError(f"tags are not embedded in {found or 'such'} files")


def parse_blocks(layout: Layout) -> Blocks:
    """Parse what the layout found. Raises CannotEmbedError for what is damaged."""
    exif, xmp = layout.block("exif"), layout.block("xmp")
    iim = layout.block("iim") if isinstance(layout, jpeg.Layout) else None
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


def draft_embedded(data: bytes, claim: Claim | None, measured: bool = False) -> Draft:
    """The edits that put a claim into a photo, or (None) take an earlier one out.

    `measured` says that the photo's position is known from elsewhere. Raises CannotEmbedError with
    the reason when the file cannot take the tags without a loss.
    """
    layout = parse_layout(data)
    blocks = parse_blocks(layout)
    if blocks.xmp is not None:
        _check_packet(layout, blocks.xmp)
    elif claim is None:
        return Draft()
    return _Drafter(layout, blocks, claim).draft(measured)


def _check_packet(layout: Layout, packet: XmpPacket) -> None:
    if packet.has("dcterms:provenance"):
        raise CannotEmbedError("its XMP packet points at a signed manifest of its provenance")
    if isinstance(layout, jpeg.Layout) and _TARGETS_IN_EXTENDED.search(layout.extended_xmp):
        raise CannotEmbedError("its extended XMP packet holds fields that geotag would add to")


class _Drafter:
    """Works out one photo's edits, block by block."""

    def __init__(self, layout: Layout, blocks: Blocks, claim: Claim | None) -> None:
        self.layout = layout
        self.blocks = blocks
        self.claim = claim
        self.packet = blocks.xmp or new_packet(f"geotag {__version__}")
        self.previous = xmp_claim.read_previous(self.packet)
        self.notes: list[str] = []

    def draft(self, measured: bool) -> Draft:
        if self.claim is None and self.previous is None:
            return Draft()
        if self.claim and self.previous and self.previous.outweighs(self.claim):
            return Draft(notes=(NAMED_BY_USER,))
        measured = measured or self._is_measured_in_xmp()
        fields = xmp_claim.snapshot(self.packet)
        around = self.blocks.surroundings(self.previous)
        flat = union((*self._foreign_subjects(), *around.keywords))
        exif_changes = exif_claim.plan_exif(
            self.blocks.tiff, self.claim, self.previous, flat, measured
        )
        iim_edits = self._iim_edits()
        wrote = _wrote_elsewhere(exif_changes, iim_edits)
        self._edit_packet(around, wrote)
        changes = changes_between(fields, xmp_claim.snapshot(self.packet))
        exif_inner = self._exif_inner(exif_changes)
        inner: dict[str, tuple[Edit, ...] | bytes] = {}
        if exif_inner:
            inner["exif"] = exif_inner
        if iim_edits:
            inner["iim"] = iim_edits
        if inner or any(change.field not in xmp_claim.VOLATILE for change in changes):
            inner["xmp"] = self._xmp_inner()
        else:
            return Draft(notes=tuple(self.notes))
        edits = self._file_edits(inner)
        changes = (*self._exif_diff(exif_inner), *self._iim_diff(iim_edits), *changes)
        return Draft(edits, changes, tuple(self.notes))

    def _foreign_subjects(self) -> Iterator[str]:
        previous = self.previous
        own = previous.landmark if previous and "dc:subject" in previous.wrote else ""
        return (word for word in self.packet.items("dc:subject") if word != own)

    def _is_measured_in_xmp(self) -> bool:
        """A position in the packet is never ours: embedded ones stand in the Exif block."""
        return any(self.packet.has(f"exif:GPS{name}") for name in ("Latitude", "Longitude"))

    def _edit_packet(self, around: Surroundings, wrote: set[str]) -> None:
        if self.claim is None:
            if self.previous is not None:
                xmp_claim.remove_claim(self.packet, self.previous)
            return
        xmp_claim.add_claim(self.packet, self.claim, around, positions=False, measured=True)
        xmp_claim.note_written(self.packet, wrote)

    def _exif_inner(self, changes: Mapping[Tag, Value | None]) -> tuple[Edit, ...] | bytes:
        if not changes:
            return ()
        if self.blocks.tiff is None:
            return exif_claim.build_exif(changes)
        try:
            edits = edit_tiff(self.blocks.tiff, changes)
        except TiffError as error:
            raise CannotEmbedError(f"its Exif block cannot be extended: {error}") from error
        if points_outside(self.blocks.tiff, sum(edit.growth for edit in edits)):
            raise CannotEmbedError("its MakerNote points behind the end of the Exif block")
        return edits

    def _iim_edits(self) -> tuple[Edit, ...]:
        iim = self.blocks.iim
        if iim is None:
            return ()
        add = self.claim.landmark.name if self.claim else ""
        remove = ""
        if self.previous and WROTE_IIM in self.previous.wrote and self.previous.landmark != add:
            remove = self.previous.landmark
        if add and not can_hold(iim, add):
            self.notes.append("the IPTC keywords were left as they are: they cannot hold the name")
            add = ""
        return edit_keywords(iim, add, remove)

    def _xmp_inner(self) -> tuple[Edit, ...] | bytes:
        old = self.layout.block("xmp")
        if old is None:
            return self.packet.serialize()
        return (trimmed(old, Edit(0, len(old), self.packet.serialize(len(old)))),)

    def _file_edits(self, inner: dict[str, tuple[Edit, ...] | bytes]) -> tuple[Edit, ...]:
        if isinstance(self.layout, webp.Layout):
            return webp.block_edits(self.layout, inner)
        edits: list[Edit] = []
        for name in ("exif", "xmp", "iim"):
            change = inner.get(name)
            if isinstance(change, bytes):
                edits.append(jpeg.insert_block(self.layout, name, change))
            elif change:
                edits += jpeg.replace_block(self.layout, name, change)
        tiff = self.blocks.tiff
        maker_note = tiff.data(("exif", MAKER_NOTE)) if tiff else b""
        jpeg.check_offsets(self.layout, tuple(edits), maker_note)
        edits += jpeg.resize_primary(self.layout, sum(edit.growth for edit in edits))
        return tuple(edits)

    def _exif_diff(self, inner: tuple[Edit, ...] | bytes) -> tuple[Change, ...]:
        if not inner:
            return ()
        tiff = self.blocks.tiff
        old = tiff.block if tiff else b""
        new = parse_tiff(inner if isinstance(inner, bytes) else apply_edits(old, inner))
        return changes_between(exif_claim.snapshot(tiff), exif_claim.snapshot(new))

    def _iim_diff(self, edits: tuple[Edit, ...]) -> tuple[Change, ...]:
        if not edits or self.blocks.iim is None:
            return ()
        new = parse_iim(apply_edits(self.blocks.iim.payload, edits))
        return changes_between(
            {"IPTC Keywords": "; ".join(self.blocks.iim.keywords)},
            {"IPTC Keywords": "; ".join(new.keywords if new else ())},
        )


def _wrote_elsewhere(changes: Mapping[Tag, Value | None], iim_edits: tuple[Edit, ...]) -> set[str]:
    """What geotag:Wrote says of the blocks other than XMP."""
    names = {
        exif_claim.XP_KEYWORDS: exif_claim.WROTE_KEYWORDS,
        exif_claim.DEST_LATITUDE: exif_claim.WROTE_DESTINATION,
        exif_claim.LATITUDE: exif_claim.WROTE_POSITION,
    }
    wrote = {names[tag] for tag, value in changes.items() if value is not None and tag in names}
    return wrote | ({WROTE_IIM} if iim_edits else set())
