"""The fuzz targets: each takes any bytes, and ends in a result or in an error that is documented.

A target returns a word for what came of the bytes; anything that it raises is a finding.
"""

from __future__ import annotations

import io
import json
import os
import struct
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import piexif
from PIL import Image

from geotag.categories import load_categories
from geotag.errors import CheckpointError, DamagedCatalogError, PhotoError, TableError
from geotag.metadata.containers import find_blocks, sniff_format
from geotag.metadata.header import parse_header
from geotag.metadata.xmp import parse_sidecar, parse_xmp
from geotag.model.checkpoint import load_checkpoint, read_header, save_checkpoint
from geotag.model.spec import ModelSpec, Threshold, format_spec, parse_spec
from geotag.records import (
    Capture,
    Location,
    Metadata,
    Outcome,
    Photo,
    Prediction,
    Reading,
    Score,
    Status,
)
from geotag.state.rows import format_row, parse_row
from geotag.state.schema import checksum
from geotag.tables import TABLES, read_table, write_table
from geotag.writing.container import CONTAINERS, Container, XmpFile
from geotag.writing.draft import draft_edits
from geotag.writing.edits import CannotEmbedError, format_edits, parse_edits
from geotag.writing.tags import LandmarkTags
from geotag.writing.verify import verified

OK = "ok"
_TAGS = LandmarkTags(
    load_categories().by_slug("eiffel_tower"),
    confidence=0.97,
    model="fuzz-0123456789ab",
    run_id="run-1",
)


class Target(NamedTuple):
    """What is run, the inputs to begin from, and words that mutations put in."""

    run: Callable[[bytes], str]
    seeds: Callable[[], list[bytes]]
    words: tuple[bytes, ...] = ()


def _headers(data: bytes) -> str:
    """All that a scan reads of a photo before it decodes it."""
    try:
        header = parse_header(data, "photo.jpg")
    except PhotoError as error:
        return type(error).__name__
    location = header.metadata.location
    assert location is None or (abs(location[0]) <= 90 and abs(location[1]) <= 180)
    return header.format


def _xmp(data: bytes) -> str:
    """A packet read as a photo's and as a sidecar, then tagged, and the tags taken out again."""
    parse_xmp(data)
    parse_sidecar(data, "photo.xmp")
    return _tagged_and_back(XmpFile, data)


def _containers(data: bytes) -> str:
    """The blocks of a photo found as a scan does, then the photo tagged, and the tags taken out."""
    try:
        find_blocks(lambda offset, length: data[offset : offset + length])
    except PhotoError as error:
        return type(error).__name__
    kind = CONTAINERS.get(sniff_format(data) or "")
    return _tagged_and_back(kind, data) if kind is not None else OK


def _tagged_and_back(kind: type[Container], data: bytes) -> str:
    try:
        container = kind.parse(data)
        tagged = kind.parse(verified(container, draft_edits(container, _TAGS).edits))
        verified(tagged, draft_edits(tagged, None).edits)
    except CannotEmbedError as error:
        return type(error).__name__
    return OK


@cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="geotag-fuzz-", dir=_memory())


def _folder() -> Path:
    return Path(_temporary().name)


def _memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _file(name: str, data: bytes) -> Path:
    path = _folder() / name
    path.write_bytes(data)
    return path


_FORMATS = tuple(sorted(TABLES))


def _tables(data: bytes) -> str:
    """A table to its last row; the first byte chooses the format."""
    path = _file(f"tags{_FORMATS[data[0] % len(_FORMATS)]}" if data else "tags.csv", data[1:])
    try:
        for row in read_table(path):
            assert isinstance(row.status, Status)
    except TableError as error:
        return type(error).__name__
    return OK


def _checkpoints(data: bytes) -> str:
    """A model file: its header alone, and whole; without the length in front the spec alone."""
    if data[:1] == b"{":
        try:
            format_spec(parse_spec(data.decode("utf-8", "replace")))
        except (ValueError, RecursionError) as error:
            return type(error).__name__
        return OK
    path = _file("model.safetensors", data)
    try:
        read_header(path)
        load_checkpoint(path)
    except CheckpointError as error:
        return type(error).__name__
    return OK


def _catalogs(data: bytes) -> str:
    """A row of readings whose checksum is right, and packed edits of the journal."""
    if not data.startswith(b"["):
        try:
            parse_edits(data, 2**16)
        except ValueError as error:
            return type(error).__name__
        return OK
    try:
        cells = tuple(_cell(value) for value in json.loads(data))
    except (ValueError, RecursionError):
        return "no row"
    try:
        reading = parse_row((*cells, checksum(cells)) if cells else (None,))
        format_row(reading, None)
    except DamagedCatalogError as error:
        return type(error).__name__
    return OK


def _cell(value: Any) -> Any:
    """What a file of SQLite can hold: text, bytes, numbers of 64 bits, nothing."""
    if isinstance(value, str):
        return value[2:].encode("utf-8", "replace") if value.startswith("b:") else value
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**63 else 0
    return value if value is None or isinstance(value, float) else json.dumps(value)


def _picture() -> Image.Image:
    return Image.fromarray(np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3))


def _saved(format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    _picture().save(buffer, format, **options)
    return buffer.getvalue()


_PACKET = (
    b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF "
    b"xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description rdf:about='' "
    b"xmlns:exif='http://ns.adobe.com/exif/1.0/' xmlns:dc='http://purl.org/dc/elements/1.1/' "
    b"xmlns:xmp='http://ns.adobe.com/xap/1.0/' exif:GPSLatitude='48,51.5N' "
    b"exif:GPSLongitude='2,17.6E' xmp:CreateDate='2024-05-01T12:00:00Z'>"
    b"<exif:GPSAltitude>330/10</exif:GPSAltitude><dc:subject><rdf:Bag><rdf:li>holiday</rdf:li>"
    b"</rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"
)


def _exif() -> bytes:
    gps = {
        piexif.GPSIFD.GPSLatitudeRef: b"N",
        piexif.GPSIFD.GPSLatitude: ((48, 1), (51, 1), (30, 1)),
        piexif.GPSIFD.GPSLongitudeRef: b"E",
        piexif.GPSIFD.GPSLongitude: ((2, 1), (17, 1), (40, 1)),
        piexif.GPSIFD.GPSTimeStamp: ((10, 1), (0, 1), (0, 1)),
        piexif.GPSIFD.GPSDateStamp: b"2024:05:01",
    }
    exif = {piexif.ExifIFD.DateTimeOriginal: b"2024:05:01 12:00:00"}
    zeroth = {piexif.ImageIFD.Make: b"Canon", piexif.ImageIFD.Orientation: 6}
    data: bytes = piexif.dump({"0th": zeroth, "Exif": exif, "GPS": gps})
    return data


def _with_app13(jpeg: bytes) -> bytes:
    """The JPEG with IPTC keywords."""
    words = b"\x1c\x02\x19\0\x07holiday\x1c\x02\x19\0\x04lake"
    resource = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(words)) + words
    return jpeg[:2] + struct.pack(">HH", 0xFFED, len(resource) + 2) + resource + jpeg[2:]


def _box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data) + 8) + kind + data


def _heic() -> bytes:
    """The boxes of a HEIC that lead to its Exif item; no picture."""
    block = b"\0\0\0\x06" + _exif()
    infe = _box(b"infe", b"\2\0\0\0\0\1\0\0Exif\0")
    iinf = _box(b"iinf", b"\0\0\0\0\0\1" + infe)
    head = _box(b"ftyp", b"heic\0\0\0\0mif1heic")
    size = len(head) + 12 + len(iinf) + 38
    place = struct.pack(">IBBHHHHII", 0, 0x44, 0, 1, 1, 0, 1, size, len(block))
    return head + _box(b"meta", bytes(4) + iinf + _box(b"iloc", place)) + _box(b"mdat", block)


def _photos() -> list[bytes]:
    exif = _exif()
    jpeg = _saved("JPEG", exif=exif, xmp=_PACKET)
    return [
        jpeg,
        _with_app13(jpeg),
        _saved("JPEG"),
        _saved("PNG", exif=exif),
        _saved("WEBP", exif=exif, xmp=_PACKET),
        _saved("TIFF"),
        exif[6:],
        _saved("GIF"),
        _heic(),
        b"FUJIFILMCCD-RAW".ljust(84, b"0") + struct.pack(">II", 92, len(jpeg)) + jpeg,
    ]


def _packets() -> list[bytes]:
    whole = b"<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?>" + _PACKET
    padded = whole + b" " * 64 + b"<?xpacket end='w'?>"
    empty = XmpFile(b"")
    tagged = verified(empty, draft_edits(empty, _TAGS).edits)
    return [_PACKET, padded, tagged, b"\xff\xfe" + _PACKET.decode().encode("utf-16-le")]


def _written_tables() -> list[bytes]:
    eiffel = _TAGS.landmark
    rows = [
        Outcome("/p/a.jpg", Status.TAGGED, landmark=eiffel.name, confidence=0.97),
        Outcome("/p/=b,\n.jpg", Status.HAS_GPS, latitude=48.8, longitude=2.3),
        Outcome("/p/c.jpg", Status.UNREADABLE, error="the file is empty"),
    ]
    seeds = []
    for number, suffix in enumerate(_FORMATS):
        path = _folder() / f"seed{suffix}"
        write_table(str(path), rows)
        seeds.append(bytes((number,)) + path.read_bytes())
    return seeds


def _written_checkpoints() -> list[bytes]:
    spec = ModelSpec(
        "lenet", 8, "squash", (0.5,) * 3, (0.25,) * 3, ("eiffel_tower",), 1.0,
        (Threshold(0.95, 0.6), Threshold(0.99, 0.9)), {"made by": "fuzz"},
    )  # fmt: skip
    path = _folder() / "seed.safetensors"
    save_checkpoint(path, spec, {"classifier.bias": np.zeros(2, np.float32)})
    return [path.read_bytes(), format_spec(spec).encode()]


def _rows() -> list[bytes]:
    reading = Reading(
        Photo("/p/a.jpg", 1234, "v1"),
        Metadata(Location(48.8, 2.3, 35.0), "2024-05-01T12:00:00", 6, "Canon", "", Capture()),
        Prediction((Score("eiffel_tower", 0.9), Score("taj_mahal", 0.1)), 0.95),
    )
    cells = format_row(reading, "0" * 64)[:-1]
    texts = [f"b:{os.fsdecode(c)}" if isinstance(c, bytes) else c for c in cells]
    empty = XmpFile(b"")
    return [json.dumps(texts).encode(), format_edits(draft_edits(empty, _TAGS).edits)]


_XML = (
    b"<!DOCTYPE x [<!ENTITY a 'b'>]>", b"&a;", b"rdf:parseType='Resource'", b"<rdf:Alt>",
    b"<rdf:Seq>", b"xml:lang='x-default'", b"geotag:Landmark", b"<![CDATA[", b"&#0;", b"<?",
    b"<!--", b"rdf:Description", b"rdf:li", b"</rdf:RDF>", b"\xff\xfe", b"xmlns:rdf=''",
)  # fmt: skip
_BLOCKS = (
    b"\xff\xe1", b"\xff\xda", b"\xff\xd9", b"\xff\xed", b"\xff\xff", b"Exif\0\0", b"II*\0",
    b"MM\0*", b"8BIM\x04\x04", b"VP8X", b"EXIF", b"XMP ", b"iloc", b"iinf", b"infe",
    b"meta", b"idat", b"eXIf", b"iTXt", b"zTXt", b"MPF\0", b"\x88\x25\0\4", b"\x25\x88\4\0",
)  # fmt: skip
_CELLS = (
    b"nan", b"inf", b"-1", b"1e999", b"null", b'""', b"[]", b"{}", b"[[1,2]]", b"\\ud800",
    b"tagged", b"geotagged", b'"', b"\n", b",", b"=", b"\0", b"99999999999999999999",
)  # fmt: skip

TARGETS = {
    "headers": Target(_headers, _photos, _BLOCKS),
    "xmp": Target(_xmp, _packets, _XML),
    "containers": Target(_containers, _photos, _BLOCKS),
    "tables": Target(_tables, _written_tables, _CELLS),
    "checkpoints": Target(_checkpoints, _written_checkpoints, _CELLS),
    "catalogs": Target(_catalogs, _rows, _CELLS),
}
