"""The metadata blocks of a JPEG, and the edits of the file that change them. Pure."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from geotag.metadata.containers import EXIF_PREFIX, Segment, jpeg_segments
from geotag.metadata.containers import XMP_PREFIX as XMP_SIGNATURE
from geotag.metadata.tiff import ByteOrder, open_tiff
from geotag.writing.blocks.iim import PHOTOSHOP_PREFIX
from geotag.writing.edits import CannotEmbedError, Edit

_EXTENDED_SIGNATURE = b"http://ns.adobe.com/xmp/extension/\0"
_SEGMENT_LIMIT = 0xFFFF
_APP0, _APP1, _APP2, _APP11, _APP13, _SOS = 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xDA
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_IMAGE_REACH = 64
_MP_ENTRY = 0xB002


class Layout(NamedTuple):
    """Where a JPEG's blocks lie; `trailer` is the offset of what follows the picture."""

    data: bytes
    segments: tuple[Segment, ...]
    exif: Segment | None
    xmp: Segment | None
    iim: Segment | None
    mpf: Segment | None
    extended_xmp: bytes
    trailer: int

    def block(self, name: str) -> bytes | None:
        """The bare contents of "exif", "xmp" or "iim"."""
        segment: Segment | None = getattr(self, name)
        return None if segment is None else segment.payload[len(_PREFIXES[name]) :]


# The Photoshop prefix stays in the payload: resource offsets count from its start.
_PREFIXES = {"exif": EXIF_PREFIX, "xmp": XMP_SIGNATURE, "iim": b""}


def parse_layout(data: bytes) -> Layout:
    """Find the blocks of a JPEG.

    Raises CannotEmbedError for damaged files, signed ones, and those that hold a block twice.
    """
    segments = tuple(jpeg_segments(data))
    if not segments or segments[-1].marker != _SOS:
        raise CannotEmbedError("the JPEG's structure is damaged")
    if any(s.marker == _APP11 and s.payload[:2] == b"JP" for s in segments):
        raise CannotEmbedError(
            "it carries a JUMBF box, such as a signed C2PA manifest, which a change would break"
        )
    applications = tuple(s for s in segments if 0xE0 <= s.marker <= 0xEF)
    return Layout(
        data,
        segments,
        _only(applications, _APP1, EXIF_PREFIX, "Exif blocks"),
        _only(applications, _APP1, XMP_SIGNATURE, "XMP packets"),
        _only(applications, _APP13, PHOTOSHOP_PREFIX, "Photoshop segments"),
        _only(applications, _APP2, b"MPF\0", "multi-picture indexes"),
        b"".join(s.payload for s in applications if s.payload.startswith(_EXTENDED_SIGNATURE)),
        _end_of_image(data, segments[-1].end),
    )


def _only(segments: tuple[Segment, ...], marker: int, prefix: bytes, what: str) -> Segment | None:
    found = [s for s in segments if s.marker == marker and s.payload.startswith(prefix)]
    if len(found) > 1:
        raise CannotEmbedError(f"it holds several {what}")
    return found[0] if found else None


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


def replace_block(layout: Layout, name: str, inner: tuple[Edit, ...]) -> Iterator[Edit]:
    """The edits of the file that make `inner` edits of a block that it has.

    Raises CannotEmbedError when the segment would outgrow its 64 KiB.
    """
    segment: Segment = getattr(layout, name)
    start = segment.end - len(segment.payload)
    size = segment.end - start + 2 + sum(edit.growth for edit in inner)
    _check_size(name, size)
    if any(edit.growth for edit in inner):
        yield Edit(start - 2, start, struct.pack(">H", size))
    for edit in inner:
        yield edit.moved(start + len(_PREFIXES[name]))


def insert_block(layout: Layout, name: str, block: bytes) -> Edit:
    """The edit of the file that adds a block: "exif" in front, "xmp" behind it."""
    payload = _PREFIXES[name] + block
    _check_size(name, len(payload) + 2)
    at = _front(layout)
    if name == "xmp" and layout.exif is not None and not _is_behind_mpf(layout, layout.exif.end):
        at = max(at, layout.exif.end)
    return Edit(at, at, struct.pack(">BBH", 0xFF, _APP1, len(payload) + 2) + payload)


def _front(layout: Layout) -> int:
    """Behind the headers of JFIF (which must come first), JFXX or CIFF, where there are any."""
    at = 2
    for segment in layout.segments:
        if segment.marker != _APP0:
            break
        at = segment.end
    return at


def _check_size(name: str, size: int) -> None:
    if size > _SEGMENT_LIMIT:
        raise CannotEmbedError(f"its {_TITLES[name]} would outgrow the 64 KiB of a JPEG segment")


_TITLES = {"exif": "Exif block", "xmp": "XMP packet", "iim": "IPTC block"}


def check_offsets(layout: Layout, edits: tuple[Edit, ...], maker_note: bytes) -> None:
    """Refuse edits that would break offsets into what lies behind the picture.

    The multi-picture index counts from its own header (CIPA DC-007), so nothing may grow between
    it and the pictures. MakerNotes of some cameras point from the front of the file to a preview
    behind the picture. Motion photos and the trailers of Samsung and Canon count from the end.
    Raises CannotEmbedError.
    """
    if not any(edit.growth for edit in edits):
        return
    if any(edit.growth and _is_behind_mpf(layout, edit.start) for edit in edits):
        raise CannotEmbedError("a block behind its multi-picture index would move its pictures")
    trailer = layout.data[layout.trailer :]
    if trailer[-12:-8] in (b"AXS!", b"AXS*"):
        raise CannotEmbedError("an AFCP trailer holds offsets from the start of the file")
    if maker_note and trailer.strip(b"\0") and _points_into(layout, maker_note, trailer):
        raise CannotEmbedError("its MakerNote may point at data behind the picture")


def resize_primary(layout: Layout, growth: int) -> Iterator[Edit]:
    """The edit that keeps the multi-picture index right about the size of the first picture.

    Only where it was right before: some writers count otherwise.
    """
    place = _primary_size(layout)
    if growth and place is not None:
        start, order, size = place
        yield Edit(start, start + 4, (size + growth).to_bytes(4, order))


def _primary_size(layout: Layout) -> tuple[int, ByteOrder, int] | None:
    """Where the index holds the first picture's size, its byte order, and the size."""
    if layout.mpf is None:
        return None
    index = open_tiff(layout.mpf.payload[4:])
    entry = index and index.directory(index.first, frozenset((_MP_ENTRY,))).get(_MP_ENTRY)
    value = index.value(entry) if index and entry else b""
    if not index or not entry or len(value) < 16 or index.number(value[4:8]) != layout.trailer:
        return None
    start = layout.mpf.end - len(index.data) + index.number(entry[3]) + 4
    return start, index.order, layout.trailer


def _is_behind_mpf(layout: Layout, at: int) -> bool:
    return layout.mpf is not None and at > layout.mpf.start


def _points_into(layout: Layout, maker_note: bytes, trailer: bytes) -> bool:
    """Whether any number of a MakerNote fits the start of an image behind the picture.

    Of a trailer whose kind is not known, any pointer is possible.
    """
    if not _is_known(layout, trailer):
        return True
    bases = {0, layout.exif.start + 10} if layout.exif else {0}
    for match in re.finditer(rb"\xff\xd8\xff", trailer):
        position = layout.trailer + match.start()
        for offset in (position - base for base in bases):
            for back in range(_IMAGE_REACH):
                number = offset - back
                if any(struct.pack(f, number) in maker_note for f in ("<I", ">I")):
                    return True
    return False


def _is_known(layout: Layout, trailer: bytes) -> bool:
    xmp = layout.block("xmp") or b""
    return (
        layout.mpf is not None
        or trailer.rstrip(b"\0").endswith(b"SEFT")
        or trailer.startswith(b"CANON OPTIONAL DATA\0")
        or trailer[4:8] == b"ftyp"
        or any(name in xmp for name in (b"MicroVideo", b"MotionPhoto", b"Container:Directory"))
    )


def other_parts(data: bytes) -> tuple[bytes, ...]:
    """All of a file but its Exif, XMP and Photoshop segments, and the size of the first picture in
    a multi-picture index that is right about it: for the verifier."""
    place = _primary_size(parse_layout(data))
    if place is not None:
        data = data[: place[0]] + bytes(4) + data[place[0] + 4 :]
    parts: list[bytes] = [data[:2]]
    for segment in jpeg_segments(data):
        if segment.marker == _SOS:
            parts.append(data[segment.start :])
        elif not segment.payload.startswith((EXIF_PREFIX, XMP_SIGNATURE, PHOTOSHOP_PREFIX)):
            parts.append(data[segment.start : segment.end])
    return tuple(parts)
