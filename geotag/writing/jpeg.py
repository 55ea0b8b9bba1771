"""The metadata blocks of a JPEG, and the edits of the file that change them. Pure."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from geotag.metadata.blocks import EXIF_PREFIX, XMP_PREFIX
from geotag.metadata.jpeg import Segment, find_in_jpeg, jpeg_segments
from geotag.metadata.photoshop import PREFIX as PHOTOSHOP_PREFIX
from geotag.metadata.tiff import ByteOrder, open_tiff
from geotag.writing.blocks.tiff import MAKER_NOTE, TiffError, parse_tiff
from geotag.writing.edits import BlockChange, CannotEmbedError, Edit

_EXTENDED_SIGNATURE = b"http://ns.adobe.com/xmp/extension/\0"
_SEGMENT_LIMIT = 0xFFFF
_APP0, _APP1, _APP2, _APP11, _APP13, _SOS = 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xDA
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_IMAGE, _IMAGE_REACH = re.compile(rb"\xff\xd8\xff"), 64
_MP_ENTRY = 0xB002


class _Kind(NamedTuple):
    """How to find a block: its marker, how the identifier in front of it is written and how some
    programs wrote it, and its name for people."""

    marker: int
    identifier: bytes
    spellings: re.Pattern[bytes]
    title: str


_KINDS = {
    "exif": _Kind(_APP1, EXIF_PREFIX, re.compile(rb"(?is)exif\0."), "Exif block"),
    "xmp": _Kind(_APP1, XMP_PREFIX, re.compile(b"(?i)" + re.escape(XMP_PREFIX)), "XMP packet"),
    "iim": _Kind(_APP13, PHOTOSHOP_PREFIX, re.compile(PHOTOSHOP_PREFIX), "Photoshop segment"),
    "mpf": _Kind(_APP2, b"MPF\0", re.compile(rb"MPF\0"), "multi-picture index"),
}
# The identifiers are left out, but offsets of Photoshop resources count from theirs.
_BARE = ("exif", "xmp", "mpf")
_PACKET = re.compile(rb"<(\w+:)?(xmpmeta|xapmeta|RDF)[\s>]")


@dataclass(frozen=True)
class Jpeg:
    """A JPEG: its segments, those that hold blocks, and the offset of what follows the picture."""

    data: bytes
    segments: tuple[Segment, ...]
    blocks: Mapping[str, Segment]
    trailer_at: int
    is_photo: ClassVar[bool] = True

    @classmethod
    def parse(cls, data: bytes) -> Jpeg:
        """Find the blocks.

        Raises CannotEmbedError for damaged files, signed ones, and those that hold a block twice.
        """
        segments = tuple(jpeg_segments(data))
        if not segments or segments[-1].marker != _SOS:
            raise CannotEmbedError("the JPEG's structure is damaged")
        if any(s.marker == _APP11 and s.payload[:2] == b"JP" for s in segments):
            raise CannotEmbedError(
                "it has a JUMBF box, such as a signed C2PA manifest, which a change would break"
            )
        found = {name: _only(segments, kind) for name, kind in _KINDS.items()}
        blocks = {name: segment for name, segment in found.items() if segment is not None}
        if any(map(_is_stray_packet, segments)):
            raise CannotEmbedError("it has an XMP packet under an unusual header")
        return cls(data, segments, blocks, _end_of_image(data, segments[-1].end))

    def block(self, name: str) -> bytes | None:
        if name == "extended xmp":
            parts = (s.payload for s in self.segments if s.marker == _APP1)
            return b"".join(part for part in parts if part.startswith(_EXTENDED_SIGNATURE))
        segment = self.blocks.get(name)
        return None if segment is None else segment.payload[_identifier_size(name) :]

    def edits(self, changes: Mapping[str, BlockChange]) -> tuple[Edit, ...]:
        """The edits of the file that change its blocks so.

        Raises CannotEmbedError when a segment would outgrow its 64 KiB, and for edits that would
        break offsets into what lies behind the picture.
        """
        edits: list[Edit] = []
        for name, change in changes.items():
            if isinstance(change, bytes):
                edits.append(self._insert(name, change))
            else:
                edits += self._change(name, change)
        growth = sum(edit.growth for edit in edits)
        if any(edit.growth for edit in edits):
            self._check_offsets(edits)
        place = self._primary_size()
        if growth and place is not None:
            start, order, size = place
            edits.append(Edit(start, start + 4, (size + growth).to_bytes(4, order)))
        return tuple(edits)

    def _change(self, name: str, inner: tuple[Edit, ...]) -> Iterator[Edit]:
        segment = self.blocks[name]
        start = segment.end - len(segment.payload)
        size = segment.end - start + 2 + sum(edit.growth for edit in inner)
        _check_size(name, size)
        if any(edit.growth for edit in inner):
            yield Edit(start - 2, start, struct.pack(">H", size))
        yield from (edit.moved(start + _identifier_size(name)) for edit in inner)

    def _insert(self, name: str, block: bytes) -> Edit:
        """A new block: the Exif block in front, the XMP packet behind it.

        Raises CannotEmbedError where there is one in another place: some readers take the first
        one alone.
        """
        kind = _KINDS[name]
        read = find_in_jpeg(self.data, lambda at, length: self.data[at : at + length])
        if {"exif": read.exifs, "xmp": read.xmps}.get(name):
            raise CannotEmbedError(f"it has its {kind.title} in an unusual place")
        payload = kind.identifier + block
        _check_size(name, len(payload) + 2)
        at = self._front()
        exif = self.blocks.get("exif")
        if name == "xmp" and exif is not None and not self._is_behind_index(exif.end):
            at = max(at, exif.end)
        return Edit(at, at, struct.pack(">BBH", 0xFF, kind.marker, len(payload) + 2) + payload)

    def _front(self) -> int:
        """Behind the headers of JFIF (which must come first), JFXX or CIFF, where there are any."""
        at = 2
        for segment in self.segments:
            if segment.marker != _APP0:
                break
            at = segment.end
        return at

    def _check_offsets(self, edits: list[Edit]) -> None:
        """Refuse edits that would break offsets into what lies behind the picture.

        The multi-picture index counts from its own header (CIPA DC-007), so nothing may grow
        between it and the pictures. MakerNotes of some cameras point from the front of the file to
        a preview behind the picture. Motion photos and the trailers of Samsung and Canon count
        from the end.
        """
        if any(edit.growth and self._is_behind_index(edit.start) for edit in edits):
            raise CannotEmbedError("a block behind its multi-picture index would move its pictures")
        trailer = self.data[self.trailer_at :]
        if trailer[-12:-8] in (b"AXS!", b"AXS*"):
            raise CannotEmbedError("its AFCP trailer has offsets from the start of the file")
        if trailer.strip(b"\0") and self._note_points_into(trailer):
            raise CannotEmbedError("its MakerNote may point at data behind the picture")

    def _primary_size(self) -> tuple[int, ByteOrder, int] | None:
        """Where the multi-picture index holds the first picture's size, its byte order, and the
        size: only where it is right about it, for some writers count otherwise."""
        index = open_tiff(self.block("mpf") or b"")
        entry = index and index.directory(index.first, frozenset((_MP_ENTRY,))).get(_MP_ENTRY)
        value = index.value(entry) if index and entry else b""
        if not index or not entry or len(value) < 16:
            return None
        if index.number(value[4:8]) != self.trailer_at:
            return None
        start = self.blocks["mpf"].end - len(index.data) + index.number(entry[3]) + 4
        return start, index.order, self.trailer_at

    def _is_behind_index(self, at: int) -> bool:
        index = self.blocks.get("mpf")
        return index is not None and at > index.start

    def _note_points_into(self, trailer: bytes) -> bool:
        """Whether any number of the MakerNote fits the start of an image behind the picture.

        Of a trailer whose kind is not known, any pointer is possible.
        """
        note = self._maker_note()
        if not note or not self._knows(trailer):
            return bool(note)
        bases = {0, self.blocks["exif"].start + 10}
        for number in _numbers_in(note):
            for at in (number + base - self.trailer_at for base in bases):
                if -_IMAGE_REACH < at < len(trailer) and _IMAGE.search(
                    trailer, max(0, at), max(0, at + _IMAGE_REACH + 2)
                ):
                    return True
        return False

    def _maker_note(self) -> bytes:
        try:
            return parse_tiff(self.block("exif") or b"").data(("exif", MAKER_NOTE))
        except TiffError:
            return b""

    def _knows(self, trailer: bytes) -> bool:
        """Whether a trailer is of a kind that no MakerNote points into."""
        xmp = self.block("xmp") or b""
        return (
            "mpf" in self.blocks
            or trailer.rstrip(b"\0").endswith(b"SEFT")
            or trailer.startswith(b"CANON OPTIONAL DATA\0")
            or trailer[4:8] == b"ftyp"
            or any(name in xmp for name in (b"MicroVideo", b"MotionPhoto", b"Container:Directory"))
        )

    def other_parts(self) -> tuple[bytes, ...]:
        """All of the file but its Exif, XMP and Photoshop segments, and the size of the first
        picture in a multi-picture index that is right about it."""
        place = self._primary_size()
        data = self.data
        if place is not None:
            data = data[: place[0]] + bytes(4) + data[place[0] + 4 :]
        edited = [self.blocks[name] for name in ("exif", "xmp", "iim") if name in self.blocks]
        parts, at = [], 0
        for segment in sorted(edited, key=lambda segment: segment.start):
            parts.append(data[at : segment.start])
            at = segment.end
        return (b"".join((*parts, data[at:])),)


def _numbers_in(note: bytes) -> set[int]:
    """All that a MakerNote may mean by four bytes anywhere in it, in either byte order."""
    return {
        number
        for order in "<>"
        for at in range(4)
        for (number,) in struct.iter_unpack(
            f"{order}I", note[at : len(note) - (len(note) - at) % 4]
        )
    }


def _only(segments: tuple[Segment, ...], kind: _Kind) -> Segment | None:
    found = [
        segment
        for segment in segments
        if segment.marker == kind.marker and kind.spellings.match(segment.payload)
    ]
    if len(found) > 1:
        raise CannotEmbedError(f"it has more than one {kind.title}")
    return found[0] if found else None


def _is_stray_packet(segment: Segment) -> bool:
    """Whether an APP1 segment holds a packet, but not behind the identifier that says so."""
    payload = segment.payload
    if segment.marker != _APP1 or payload.startswith(_EXTENDED_SIGNATURE):
        return False
    is_known = any(_KINDS[name].spellings.match(payload) for name in ("exif", "xmp"))
    return not is_known and _PACKET.search(payload) is not None


def _identifier_size(name: str) -> int:
    return len(_KINDS[name].identifier) if name in _BARE else 0


def _check_size(name: str, size: int) -> None:
    if size > _SEGMENT_LIMIT:
        title = _KINDS[name].title
        raise CannotEmbedError(f"its {title} would not fit into the 64 KiB of a JPEG segment")


def _end_of_image(data: bytes, at: int) -> int:
    """The offset behind the end-of-image marker; the end of the data where there is none."""
    while match := _MARKER.search(data, at):
        at = match.end()
        marker = data[at - 1]
        if marker == 0xD9:
            return at
        if marker != 0x01 and at + 2 <= len(data):
            at += max(2, data[at] << 8 | data[at + 1])
    return len(data)
