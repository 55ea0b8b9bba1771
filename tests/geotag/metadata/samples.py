"""Exif blocks, XMP packets and files of any kind, valid or not, as writers make them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

BYTE, ASCII, SHORT, LONG, RATIONAL, SRATIONAL, DOUBLE, IFD = 1, 2, 3, 4, 5, 10, 12, 13

# Tag, type, count, and the value's bytes.
Row = tuple[int, int, int, bytes]

NAMESPACES = (
    "xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' "
    "xmlns:exif='http://ns.adobe.com/exif/1.0/' xmlns:tiff='http://ns.adobe.com/tiff/1.0/' "
    "xmlns:xmp='http://ns.adobe.com/xap/1.0/' xmlns:photoshop='http://ns.adobe.com/photoshop/1.0/'"
)


def ascii_row(tag: int, text: str) -> Row:
    data = text.encode() + b"\0"
    return tag, ASCII, len(data), data


def rationals(tag: int, *pairs: tuple[int, int], signed: bool = False) -> Row:
    code = "i" if signed else "I"
    data = b"".join(struct.pack(f"<2{code}", *pair) for pair in pairs)
    return tag, SRATIONAL if signed else RATIONAL, len(pairs), data


def gps_rows(latitude: Row, longitude: Row, north: str = "N", east: str = "E") -> list[Row]:
    return [ascii_row(1, north), latitude, ascii_row(3, east), longitude]


def position(latitude: tuple[int, ...] = (10,), longitude: tuple[int, ...] = (20,)) -> list[Row]:
    return gps_rows(
        rationals(2, *((part, 1) for part in latitude)),
        rationals(4, *((part, 1) for part in longitude)),
    )


def directory(rows: Iterable[Row], start: int) -> bytes:
    """A little-endian directory that begins at `start`, with its values behind it."""
    rows = sorted(rows)
    table, values = struct.pack("<H", len(rows)), b""
    behind = start + 2 + 12 * len(rows) + 4
    for tag, kind, count, data in rows:
        table += struct.pack("<HHI", tag, kind, count)
        if len(data) <= 4:
            table += data.ljust(4, b"\0")
        else:
            table += struct.pack("<I", behind + len(values))
            values += data + bytes(len(data) % 2)
    return table + bytes(4) + values


def exif_block(
    main: Iterable[Row] = (),
    exif: Iterable[Row] = (),
    gps: Iterable[Row] = (),
    pointer: int = LONG,
) -> bytes:
    """A bare TIFF structure; `pointer` is the type of the entries that lead to directories."""
    code = {SHORT: "<H", LONG: "<I", IFD: "<I", 9: "<i"}[pointer]
    size = struct.calcsize(code)
    gps = list(gps)
    rows = [*main, (0x8769, pointer, 1, bytes(size))]
    rows += [(0x8825, pointer, 1, bytes(size))] if gps else []
    exif_at = 8 + len(directory(rows, 8))
    inner = directory(exif, exif_at)
    gps_at = exif_at + len(inner)
    places = {0x8769: exif_at} | ({0x8825: gps_at} if gps else {})
    rows = [
        (tag, kind, count, struct.pack(code, places[tag]) if tag in places else data)
        for tag, kind, count, data in rows
    ]
    return (
        struct.pack("<2sHI", b"II", 42, 8)
        + directory(rows, 8)
        + inner
        + (directory(gps, gps_at) if gps else b"")
    )


def packet(properties: str = "", body: str = "", namespaces: str = NAMESPACES) -> bytes:
    """An XMP packet with properties as attributes, or as elements in `body`."""
    return (
        f"<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'>"
        f"<rdf:RDF {namespaces}><rdf:Description rdf:about='' {properties}>{body}"
        f"</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='w'?>"
    ).encode()


XMP_POSITION = packet("exif:GPSLatitude='10,0N' exif:GPSLongitude='20,0E'")


def segment(payload: bytes, marker: int = 0xE1) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0\0"))
    return b"".join((b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", head), *chunks, pixels,
                     chunk(b"IEND", b"")))  # fmt: skip


def box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(data), kind) + data
