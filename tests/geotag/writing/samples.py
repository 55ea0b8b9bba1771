"""Generated photos of every kind that a write must not harm. No photo of anyone's is needed."""

from __future__ import annotations

import hashlib
import io
import struct

import numpy as np
from PIL import Image

from geotag.metadata.containers import sniff_format
from geotag.records import Category, Location
from geotag.writing.container import CONTAINERS, Container
from geotag.writing.edits import CannotEmbedError
from geotag.writing.tags import LandmarkTags, PlacedTags

EIFFEL = Category(
    3, "eiffel_tower", "Eiffel Tower", 48.85837, 2.294481, 330.0,
    "Paris", "Île-de-France", "France", "FR",
)  # fmt: skip
RIO = Category(
    7, "christ_the_redeemer", "Christ the Redeemer", -22.951916, -43.210487, 200.0,
    "Rio de Janeiro", "Rio de Janeiro", "Brazil", "BR",
)  # fmt: skip
PAGODA = EIFFEL._replace(name="雷峰塔 / Leifeng; Ünï|code", city="杭州", country="中国", region="")
PLACED = PlacedTags(
    Location(48.8531, -2.3499),
    120.4,
    "neighbour",
    "IMG_1.jpg was taken 5 min before, 90 m away",
    "Paris",
    "Île-de-France",
    "France",
    run_id="run-1",
)
TAGS = LandmarkTags(EIFFEL, confidence=0.9712, model="efficientnet-0123456789ab", run_id="run-1")
USER_COMMENT = b"ASCII\0\0\0as the owner wrote"


def picture(mode: str = "RGB", size: tuple[int, int] = (96, 64), seed: int = 0) -> Image.Image:
    """A picture with some structure and some noise."""
    noise = np.random.default_rng(seed).integers(0, 60, (size[1], size[0], len(mode)))
    ramp = np.arange(size[0])[None, :, None] * 2
    pixels = np.clip(noise + ramp, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels[:, :, 0] if mode == "L" else pixels, mode)


def save(image: Image.Image, format: str, **options: object) -> bytes:
    """An image as bytes."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def jpeg(mode: str = "RGB", **options: object) -> bytes:
    """A plain JPEG with a JFIF header."""
    return save(picture(mode), "JPEG", **options)


def segment(marker: int, payload: bytes) -> bytes:
    """One JPEG marker segment."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def with_segments(data: bytes, *segments: bytes, front: bool = False) -> bytes:
    """A JPEG with segments put behind its JFIF header, or in front of it."""
    at = 2 if front or data[3] != 0xE0 else 4 + (data[4] << 8 | data[5])
    return data[:at] + b"".join(segments) + data[at:]


def container_of(data: bytes) -> Container:
    """A JPEG or WebP with its blocks found."""
    kind = CONTAINERS.get(sniff_format(data) or "")
    if kind is None:
        raise CannotEmbedError("tags are not embedded in such files")
    return kind.parse(data)


def exif_segment(block: bytes) -> bytes:
    """An Exif APP1 segment."""
    return segment(0xE1, b"Exif\0\0" + block)


def xmp_segment(packet: bytes) -> bytes:
    """An XMP APP1 segment."""
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet)


Entries = dict[int, tuple[int, int, bytes]]


def tiff_block(
    order: str = "<", orientation: int = 1, gps: Entries | None = None, more: Entries | None = None
) -> bytes:
    """An Exif block as cameras write it: a MakerNote with offsets from the block's start, private
    tags, a tag of an unknown type, an interoperability directory and a thumbnail."""
    s = order + "H"

    def short(number: int) -> bytes:
        return struct.pack(s, number) + b"\0\0"

    def long(number: int) -> bytes:
        return struct.pack(order + "I", number)

    thumbnail = save(picture(size=(32, 24)), "JPEG", quality=40)
    block = bytearray({"<": b"II*\0", ">": b"MM\0*"}[order] + bytes(4))

    def put(data: bytes) -> int:
        at = len(block)
        block.extend(data + bytes(len(data) % 2))
        return at

    def directory(entries: Entries, after: int = 0) -> int:
        rows = b""
        for tag, (kind, count, value) in sorted(entries.items()):
            value = value if len(value) == 4 else long(put(value))
            rows += struct.pack(order + "HHI", tag, kind, count) + value
        return put(struct.pack(s, len(entries)) + rows + long(after))

    note = put(b"MAKER\0" + long(len(block) + 32) + bytes(22) + b"found by its offset" + bytes(3))
    interop = directory({1: (2, 4, b"R98\0"), 2: (7, 4, b"0100")})
    entries: Entries = {
        0x829A: (5, 1, struct.pack(order + "II", 1, 250)),
        0x9000: (7, 4, b"0232"),
        0x9003: (2, 20, b"2020:02:29 12:34:56\0"),
        0x9286: (7, len(USER_COMMENT), USER_COMMENT),
        0xA005: (4, 1, long(interop)),
        0xA431: (2, 12, b"serial 0815\0"),
    }
    exif = directory(entries)
    # The MakerNote's entry must point at bytes that lie elsewhere: it is put in by hand.
    at = exif + 2 + 12 * len(entries)
    raw = bytearray(block[exif : at + 4])
    raw[0:2] = struct.pack(s, len(entries) + 1)
    rows = [bytes(raw[2 + 12 * n : 14 + 12 * n]) for n in range(len(entries))]
    rows.append(struct.pack(order + "HHI", 0x927C, 7, 60) + long(note))
    rows.sort(key=lambda row: struct.unpack(s, row[:2])[0])
    exif = put(bytes(raw[0:2]) + b"".join(rows) + bytes(4))
    image = put(thumbnail)
    second = directory(
        {
            0x0103: (3, 1, short(6)),
            0x0201: (4, 1, long(image)),
            0x0202: (4, 1, long(len(thumbnail))),
        }
    )
    first: Entries = {
        0x010F: (2, 12, b"Some Maker\0\0"),
        0x0110: (2, 6, b"A 1\0\0\0"),
        0x0112: (3, 1, short(orientation)),
        0x011A: (5, 1, struct.pack(order + "II", 72, 1)),
        0x8769: (4, 1, long(exif)),
        0xC6D2: (7, 9, b"private\0\1"),
        0xEA1C: (7, 8, b"padding!"),
        **(more or {}),
    }
    if gps is not None:
        first[0x8825] = (4, 1, long(directory(gps)))
    block[4:8] = long(directory(first, second))
    return bytes(block)


def gps_entries(order: str, latitude: int, longitude: int) -> Entries:
    """A measured position in whole degrees, with a time stamp and an altitude."""

    def degrees(number: int) -> bytes:
        return struct.pack(order + "6I", abs(number), 1, 0, 1, 0, 1)

    return {
        0: (1, 4, bytes((2, 2, 0, 0))),
        1: (2, 2, b"N\0\0\0" if latitude >= 0 else b"S\0\0\0"),
        2: (5, 3, degrees(latitude)),
        3: (2, 2, b"E\0\0\0" if longitude >= 0 else b"W\0\0\0"),
        4: (5, 3, degrees(longitude)),
        6: (5, 1, struct.pack(order + "II", 1234, 10)),
        7: (5, 3, struct.pack(order + "6I", 12, 1, 30, 1, 5, 1)),
    }


def xmp_packet(properties: str = "", attributes: str = "", padding: int = 2048) -> bytes:
    """An XMP packet with foreign properties in all of RDF's spellings."""
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="A Tool 1.0">
 <!-- a comment -->
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="uuid:1234"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
    xmlns:my="https://example.org/private/"
    xmp:Rating="4" my:note="kept &amp; sound" {attributes}>
   <dc:title><rdf:Alt><rdf:li xml:lang="x-default">A day out</rdf:li>
    <rdf:li xml:lang="de">Ein Ausflug</rdf:li></rdf:Alt></dc:title>
   <my:tree rdf:parseType="Resource"><my:leaf>1</my:leaf><my:leaf2>2</my:leaf2></my:tree>
   <my:bag><rdf:Bag><rdf:li rdf:parseType="Resource">
     <rdf:value>one</rdf:value><my:quality>q</my:quality></rdf:li><rdf:li>two</rdf:li></rdf:Bag></my:bag>
   {properties}
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
{" " * padding}<?xpacket end="w"?>""".encode()


SUBJECTS = (
    "<dc:subject><rdf:Bag><rdf:li>holiday</rdf:li><rdf:li>été</rdf:li></rdf:Bag></dc:subject>"
)


def iim_block(*keywords: bytes, utf8: bool = False, more: bytes = b"") -> bytes:
    """An IPTC IIM block."""

    def dataset(record: int, number: int, data: bytes) -> bytes:
        return struct.pack(">BBBH", 0x1C, record, number, len(data)) + data

    block = dataset(1, 90, b"\x1b%G") if utf8 else b""
    block += dataset(2, 0, b"\0\4") + dataset(2, 5, b"a title")
    return block + b"".join(dataset(2, 25, word) for word in keywords) + more


def photoshop_segment(iim: bytes, digest: bool = True) -> bytes:
    """A Photoshop APP13 segment with an IIM block between two other resources."""

    def resource(number: int, data: bytes) -> bytes:
        head = b"8BIM" + struct.pack(">H", number) + b"\0\0" + struct.pack(">I", len(data))
        return head + data + bytes(len(data) % 2)

    body = resource(0x03ED, bytes(range(16))) + resource(0x0404, iim)
    if digest:
        body += resource(0x0425, hashlib.md5(iim, usedforsecurity=False).digest())
    return segment(0xED, b"Photoshop 3.0\0" + body + resource(0x040F, b"odd"))


def extended_xmp(property: str = "<my:depth>") -> tuple[bytes, bytes]:
    """An XMP packet that announces an extended one, and the extended one in two segments."""
    body = xmp_packet(f"<my:big>{'d' * 500}</my:big>{property}</my:depth>", padding=0)
    guid = hashlib.md5(body, usedforsecurity=False).hexdigest().upper().encode()
    main = xmp_packet(
        attributes='xmlns:xmpNote="http://ns.adobe.com/xmp/note/" '
        f'xmpNote:HasExtendedXMP="{guid.decode()}"'
    )
    half = len(body) // 2
    parts = b""
    for at, part in ((0, body[:half]), (half, body[half:])):
        head = b"http://ns.adobe.com/xmp/extension/\0" + guid
        parts += segment(0xE1, head + struct.pack(">II", len(body), at) + part)
    return main, parts


MOTION = "xmlns:GCamera='http://ns.google.com/photos/1.0/camera/' GCamera:MotionPhoto='1'"
VIDEO = struct.pack(">I4s", 24, b"ftyp") + b"isom\0\0\2\0isommp41" + bytes(range(256)) * 8


def samsung_trailer() -> bytes:
    """A Samsung trailer: a block, and a directory that counts back from the end."""
    name = b"MotionPhoto_Data"
    body = struct.pack("<HHI", 0, 0x0A30, len(name)) + name + VIDEO
    directory = b"SEFH" + struct.pack("<II", 107, 1)
    directory += struct.pack("<HHII", 0, 0x0A30, len(body), len(body))
    return body + directory + struct.pack("<I", len(directory)) + b"SEFT"


def multi_picture(exif: bytes | None = None) -> bytes:
    """A JPEG with a multi-picture index and a second picture behind the first."""
    buffer = io.BytesIO()
    options: dict[str, object] = {} if exif is None else {"exif": b"Exif\0\0" + exif}
    picture().save(
        buffer, "MPO", save_all=True, append_images=[picture(seed=5, size=(48, 32))], **options
    )
    return buffer.getvalue()


def webp(lossless: bool = False, mode: str = "RGB", **options: object) -> bytes:
    """A WebP of one picture."""
    return save(picture(mode), "WEBP", lossless=lossless, **options)


def webp_with(data: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP with chunks appended."""
    body = data[12:]
    for kind, content in chunks:
        body += struct.pack("<4sI", kind, len(content)) + content + bytes(len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
