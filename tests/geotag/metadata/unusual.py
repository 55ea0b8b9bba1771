"""Files with unusual metadata, as cameras and programs write it, and what they say."""

from __future__ import annotations

import io
import struct
import zlib
from typing import NamedTuple

from PIL import Image

from tests.conftest import jpeg_bytes, picture
from tests.geotag.metadata.samples import (
    ASCII,
    BYTE,
    IFD,
    NAMESPACES,
    SHORT,
    XMP_POSITION,
    ascii_row,
    box,
    chunk,
    directory,
    exif_block,
    gps_rows,
    packet,
    png,
    position,
    rationals,
    segment,
)

_TIME = ascii_row(0x9003, "2008:10:22 16:28:39")
_MODEL = ascii_row(0x0110, "Model 7")
_BLOCK = exif_block([_MODEL], [_TIME], position())
PLACE = exif_block(gps=position())
_EXIF = b"Exif\0\0"
_MARKED = XMP_POSITION.decode().replace("begin=''", "begin='\ufeff'")
_XMP = b"http://ns.adobe.com/xap/1.0/\0"


class Case(NamedTuple):
    """A file's name and bytes, and what they say."""

    name: str
    data: bytes
    position: tuple[float, ...] | None = (10, 20)
    time: str | None = None
    camera: str | None = None


def jpeg(*parts: bytes) -> bytes:
    return b"\xff\xd8" + b"".join(parts) + jpeg_bytes(picture(size=(64, 48)))[2:]


def in_jpeg(name: str, gps: list[tuple[int, int, int, bytes]], *where: float) -> Case:
    return Case(f"{name}.jpg", jpeg(segment(_EXIF + exif_block(gps=gps))), where or (10, 20))


def in_xmp(name: str, properties: str, *where: float, body: str = "") -> Case:
    return Case(f"{name}.jpg", jpeg(segment(_XMP + packet(properties, body))), where or (10, 20))


def altitude(value: tuple[int, int, int, bytes], reference: bytes, kind: int = BYTE) -> list[
    tuple[int, int, int, bytes]
]:  # fmt: skip
    return [*position(), value, (5, kind, len(reference), reference)]


def _cr3() -> bytes:
    canon = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
    maker = [ascii_row(0x010F, "Canon"), ascii_row(0x0110, "Canon EOS R5")]
    parts = {
        b"CMT1": exif_block(maker),
        b"CMT2": exif_block([_TIME]),
        b"CMT4": exif_block(position()),
    }
    inner = b"".join(box(kind, data) for kind, data in parts.items())
    return box(b"ftyp", b"crx \0\0\0\1crx isom") + box(b"moov", box(b"uuid", canon + inner))


def _raf() -> bytes:
    inner = jpeg(segment(_EXIF + _BLOCK))
    head = b"FUJIFILMCCD-RAW 0201FF383501X-T2".ljust(84, b"\0")
    return head + struct.pack(">II", 160, len(inner)) + bytes(160 - 92) + inner


def _gif() -> bytes:
    file = io.BytesIO()
    Image.new("P", (8, 8)).save(file, "GIF")
    trailer = b"\1" + bytes(range(255, -1, -1)) + b"\0"
    extension = b"\x21\xff\x0bXMP DataXMP" + XMP_POSITION + trailer
    data = file.getvalue()
    at = data.index(b"\x2c")
    return data[:at] + extension + data[at:]


def heif(*items: bytes, method: int = 0) -> bytes:
    """A HEIC of nothing but Exif items; with a construction method in a box of version 1."""
    infes = [box(b"infe", struct.pack(">IHH4sB", 2 << 24, n + 1, 0, b"Exif", 0))
             for n in range(len(items))]  # fmt: skip
    iinf = box(b"iinf", struct.pack(">IH", 0, len(items)) + b"".join(infes))
    ftyp = box(b"ftyp", b"heic\0\0\0\0mif1heic")
    pitm = box(b"pitm", b"\0\0\0\0\0\1")
    hdlr = box(b"hdlr", bytes(8) + b"pict" + bytes(13))
    at = len(ftyp) + 12 + len(hdlr) + len(pitm) + len(iinf) + 16 + 14 * len(items) + 8
    places = b""
    for number, item in enumerate(items):
        places += struct.pack(">H", number + 1)
        places += struct.pack(">H", method) if method else b""
        places += struct.pack(">HHII", 0, 1, at, len(item))
        at += len(item)
    version = 1 << 24 if method else 0
    iloc = box(b"iloc", struct.pack(">IBBH", version, 0x44, 0, len(items)) + places)
    meta = box(b"meta", bytes(4) + hdlr + pitm + iinf + iloc)
    return ftyp + meta + box(b"mdat", b"".join(items))


def _profile(block: bytes, name: bytes = b"exif") -> bytes:
    return b"\n" + name + b"\n%8d\n" % len(block) + block.hex().encode()


def _split() -> bytes:
    """An Exif block of more than 64 KiB, with the position at its end."""
    filler = (0x9286, 7, 80_000, bytes(80_000))
    block = exif_block([_MODEL], [_TIME, filler], position())
    return jpeg(segment(_EXIF + block[:65_000]), segment(_EXIF + block[65_000:]))


_GUID, _OTHER_GUID = b"0123456789ABCDEF0123456789ABCDEF", b"FEDCBA9876543210FEDCBA9876543210"


def _extended(*packets: tuple[bytes, bytes]) -> bytes:
    """A packet that names the extended one of _GUID, and extended ones, each in two parts."""
    main = packet(
        f"xmpNote:HasExtendedXMP='{_GUID.decode()}'",
        namespaces=NAMESPACES + " xmlns:xmpNote='http://ns.adobe.com/xmp/note/'",
    )
    segments = []
    for guid, data in packets:
        head = b"http://ns.adobe.com/xmp/extension/\0" + guid + struct.pack(">I", len(data))
        for start, part in ((0, data[:100]), (100, data[100:])):
            segments.append(segment(head + struct.pack(">I", start) + part))
    return jpeg(segment(_XMP + main), *segments)


def _pointing(tag: int, to_next: bool = False, has_other: bool = False) -> bytes:
    """A TIFF structure whose first directory leads, by a tag or as to the next one, to another,
    which points to the one of the position. The first one's own, if there is one, has none."""
    rows = [] if to_next else [(tag, 4, 1, struct.pack("<I", 64))]
    rows += [(0x8825, 4, 1, struct.pack("<I", 256))] if has_other else []
    first = directory(rows, 8)
    if to_next:
        first = first[:-4] + struct.pack("<I", 64)
    second = directory([(0x8825, 4, 1, struct.pack("<I", 128))], 64)
    head = (struct.pack("<2sHI", b"II", 42, 8) + first).ljust(64, b"\0") + second
    data = head.ljust(128, b"\0") + directory(position(), 128)
    return data.ljust(256, b"\0") + directory([(0, 1, 4, b"\2\3\0\0")], 256)


def _gif_twice(is_in_blocks: bool) -> bytes:
    first, _, behind = _gif().partition(XMP_POSITION)
    if not is_in_blocks:
        head = first[first.index(b"\x21\xff") :]
        other = packet().replace(b"\n", b"") + behind[: 1 + 256 + 1]
        return first + other + head + XMP_POSITION + behind
    parts = [XMP_POSITION[at : at + 255] for at in range(0, len(XMP_POSITION), 255)]
    return first + b"".join(bytes([len(part)]) + part for part in parts) + behind[257:]


def at(latitude: str, longitude: str) -> str:
    """A packet's body of both coordinates; each text is an element's attributes and content."""
    return f"<exif:GPSLatitude{latitude}</exif:GPSLatitude><exif:GPSLongitude{longitude}" + (
        "</exif:GPSLongitude>"
    )


def in_body(name: str, body: str) -> Case:
    return Case(f"{name}.jpg", jpeg(segment(_EXIF + exif_block(exif=[_TIME])),
                                    segment(_XMP + packet(body=body))))  # fmt: skip


def _resource(number: int, data: bytes) -> bytes:
    """One of Photoshop's image resources."""
    head = b"8BIM" + struct.pack(">HHI", number, 0, len(data))
    return head + data + bytes(len(data) % 2)


def _webp(*chunks: tuple[bytes, bytes]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "WEBP")
    body = file.getvalue()[8:]
    for kind, data in chunks:
        body += kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _rw2() -> bytes:
    """A Panasonic whose position is in the Exif block of its JPEG alone."""
    inner = jpeg(segment(_EXIF + PLACE))
    return b"IIU\0" + exif_block([(0x002E, 7, len(inner), inner)])[4:]


def _film(*boxes: bytes) -> bytes:
    return heif(exif_block([_MODEL])) + box(b"moov", b"".join(boxes))


_PHOTOSHOP = b"Photoshop 3.0\0"
_PACKET_ROW = (0x02BC, BYTE, len(XMP_POSITION), XMP_POSITION)
_EXIF_RESOURCE, _XMP_RESOURCE = _resource(0x0422, PLACE), _resource(0x0424, XMP_POSITION)
_NO_TIME, _DIGITIZED, _EDITED = (
    ascii_row(0x9003, "0000:00:00 00:00:00"), ascii_row(0x9004, "2001:02:03 04:05:06"),
    ascii_row(0x0132, "2001:02:03 04:05:06"),
)  # fmt: skip
ASCII_PLACE = gps_rows(ascii_row(2, "10.5"), ascii_row(4, "20 30 0"))
NEGATIVE = gps_rows(
    rationals(2, (-10, 1), (0, 1), (0, 1), signed=True),
    rationals(4, (-41, 2), signed=True), "S", "W",
)  # fmt: skip
CASES = [
    Case("raw.raf", _raf(), (10, 20), "2008-10-22T16:28:39", "Model 7"),
    Case("raw.cr3", _cr3(), (10, 20), "2008-10-22T16:28:39", "Canon EOS R5"),
    Case("profile.png", png(chunk(b"tEXt", b"Raw profile type exif\0" + _profile(_EXIF + _BLOCK)))),
    Case("app1.png", png(chunk(b"zTXt", b"Raw profile type APP1\0\0"
                               + zlib.compress(_profile(_EXIF + _BLOCK, b"app1"))))),
    Case("app1-xmp.png", png(chunk(b"zTXt", b"Raw profile type APP1\0\0"
                                   + zlib.compress(_profile(_XMP + XMP_POSITION, b"app1"))))),
    Case("xmp.png", png(chunk(b"tEXt", b"Raw profile type xmp\0"
                              + _profile(XMP_POSITION, b"xmp")))),
    Case("text.png", png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0"
                               + zlib.compress(XMP_POSITION)))),
    Case("xmp.gif", _gif()),
    Case("twice.jpg", jpeg(segment(_EXIF + exif_block([_MODEL])), segment(_EXIF + PLACE)),
         camera="Model 7"),
    Case("xmp-twice.jpg", jpeg(segment(_XMP + packet()), segment(_XMP + XMP_POSITION))),
    Case("split.jpg", _split(), time="2008-10-22T16:28:39", camera="Model 7"),
    Case("extended.jpg", _extended((_GUID, XMP_POSITION))),
    Case("extended-of-before.jpg", _extended(
        (_OTHER_GUID, XMP_POSITION.replace(b"10,", b"33,")), (_GUID, XMP_POSITION))),
    Case("model-in-xmp.jpg", jpeg(segment(_EXIF + exif_block(exif=[_TIME], gps=position())),
                                  segment(_XMP + packet("tiff:Model='Model 7'"))),
         time="2008-10-22T16:28:39", camera="Model 7"),
    Case("short.jpg", jpeg(segment(_EXIF + exif_block(gps=position(), pointer=SHORT)))),
    Case("ifd.jpg", jpeg(segment(_EXIF + exif_block(gps=position(), pointer=IFD)))),
    Case("signed.jpg", jpeg(segment(_EXIF + exif_block(gps=position(), pointer=9)))),
    Case("foreign.jpg", jpeg(segment(b"JFIF\0", 0xE0), b"xyz\0" * 3000,
                             segment(_EXIF + PLACE))),
    Case("garbage.jpg", jpeg(segment(b"\xff\xe1\0\0" + _EXIF + PLACE))),
    Case("one-nul.jpg", jpeg(segment(b"Exif\0\xff" + PLACE))),
    Case("item.heic", heif(struct.pack(">I", 6) + _EXIF + _BLOCK)),
    Case("no-header.heic", heif(_BLOCK)),
    Case("prefix.heic", heif(_EXIF + _BLOCK)),
    Case("second.heic", heif(exif_block([_MODEL]), PLACE), camera="Model 7"),
    Case("last.heic", heif(exif_block(gps=position((50,), (60,))), PLACE)),
    Case("box.heic", heif(exif_block([_MODEL])) + box(b"uuid", bytes.fromhex(
        "be7acfcb97a942e89c71999491e3afac") + XMP_POSITION)),
    in_jpeg("ascii", ASCII_PLACE, 10.5, 20.5), in_jpeg("negative", NEGATIVE, -10, -20.5),
    in_jpeg("lower", gps_rows(*position()[1::2], "s", "w"), -10, -20),
    in_jpeg("words", gps_rows(*position()[1::2], "South", "West"), -10, -20),
    in_jpeg("padded-behind", gps_rows(*position()[1::2], "S ", "W "), -10, -20),
    in_jpeg("deep", altitude(rationals(6, (-10, 1), signed=True), b"\1"), 10, 20, -10),
    in_jpeg("high", altitude(rationals(6, (-10, 1), signed=True), b"\0"), 10, 20, -10),
    in_jpeg("ascii-ref", altitude(rationals(6, (10, 1)), b"1\0", ASCII), 10, 20, -10),
    in_jpeg("ellipsoid", altitude(rationals(6, (10, 1)), b"\3"), 10, 20, -10),
    in_xmp("signs", "exif:GPSLatitude='-10.25' exif:GPSLongitude='+20.5'", -10.25, 20.5),
    in_xmp("spaces", "exif:GPSLatitude='10, 30.0 N' exif:GPSLongitude='20, 0, 0 W'", 10.5, -20),
    in_xmp("decimal", "exif:GPSLatitude='10.5N' exif:GPSLongitude='20.25E'", 10.5, 20.25),
    in_xmp("altitude", "exif:GPSLatitude='10,0N' exif:GPSLongitude='20,0E' "
           "exif:GPSAltitude='12.5' exif:GPSAltitudeRef='0'", 10, 20, 12.5),
    in_xmp("below", "exif:GPSLatitude='10,0N' exif:GPSLongitude='20,0E' "
           "exif:GPSAltitude='-25/2' exif:GPSAltitudeRef='1'", 10, 20, -12.5),
    Case("undeclared.jpg", jpeg(segment(_XMP + packet(
        "exif:GPSLatitude='10,0N' exif:GPSLongitude='20,0E'", namespaces="")))),
    Case("latin.jpg", jpeg(segment(_XMP + packet(body="<tiff:Make>Caf\xe9</tiff:Make>").replace(
        "\xe9".encode(), b"\xe9").replace(b"rdf:about=''", b"rdf:about='' exif:GPSLatitude='10,0N'"
        b" exif:GPSLongitude='20,0E'")))),
    Case("in-exif.jpg", jpeg(segment(_EXIF + _pointing(0x8769)))),
    Case("beside.jpg", jpeg(segment(_EXIF + _pointing(0x8769, has_other=True)))),
    Case("in-sub.jpg", jpeg(segment(_EXIF + _pointing(0x014A)))),
    Case("in-second.jpg", jpeg(segment(_EXIF + _pointing(0, to_next=True)))),
    Case("in-second.tif", _pointing(0, to_next=True)),
    Case("in-exif.dng", _pointing(0x8769)),
    Case("last.jpg", jpeg(segment(_EXIF + exif_block(gps=position((50,), (60,)))),
                          segment(_EXIF + PLACE))),
    Case("twice.gif", _gif_twice(False)),
    Case("blocks.gif", _gif_twice(True)),
    Case("draft.png", png(chunk(b"zxIf", b"\0" + struct.pack(">I", len(PLACE))
                                + zlib.compress(PLACE)))),
    in_body("value", at(" rdf:value='10,0N'>", " rdf:value='20,0E'>")),
    in_body("inner-value", at("><rdf:Description rdf:value='10,0N'/>",
                               "><rdf:Description rdf:value='20,0E'/>")),
    in_body("resource", at(" rdf:resource='10,0N'>", " rdf:resource='20,0E'>")),
    in_body("inside", "<rdf:Description>" + at(">10,0N", ">20,0E") + "</rdf:Description>"),
    Case("bare.jpg", jpeg(segment(_XMP + f"<rdf:Description {NAMESPACES} exif:GPSLatitude='10,0N' "
                                  "exif:GPSLongitude='20,0E'/>".encode()))),
    Case("utf-16.jpg", jpeg(segment(_EXIF + exif_block(exif=[_TIME])),
                            segment(_XMP + _MARKED.encode("utf-16-be")))),
    Case("utf-32.jpg", jpeg(segment(_EXIF + exif_block(exif=[_TIME])),
                            segment(_XMP + _MARKED.encode("utf-32-be")))),
    Case("digitized.jpg", jpeg(segment(_EXIF + exif_block(exif=[_NO_TIME, _DIGITIZED]))),
         None, "2001-02-03T04:05:06"),
    Case("edited.jpg", jpeg(segment(_EXIF + exif_block([_EDITED]))), None),
    Case("exif-resource.jpg", jpeg(segment(_PHOTOSHOP + _EXIF_RESOURCE, 0xED))),
    Case("xmp-resource.jpg", jpeg(segment(_PHOTOSHOP + _resource(0x0404, b"x") + _XMP_RESOURCE,
                                          0xED))),
    Case("resource-behind.jpg", jpeg(segment(_EXIF + exif_block(gps=position((50,), (60,)))),
                                     segment(_PHOTOSHOP + _EXIF_RESOURCE, 0xED))),
    Case("resource.tif", exif_block([(0x8649, 7, len(_EXIF_RESOURCE), _EXIF_RESOURCE)])),
    Case("resource-xmp.tif", exif_block([(0x8649, BYTE, len(_XMP_RESOURCE), _XMP_RESOURCE)])),
    Case("8bim.png", png(chunk(b"tEXt", b"Raw profile type 8bim\0"
                               + _profile(_XMP_RESOURCE, b"8bim")))),
    Case("iptc.png", png(chunk(b"zTXt", b"Raw profile type iptc\0\0"
                               + zlib.compress(_profile(_EXIF_RESOURCE, b"iptc"))))),
    Case("behind-end.png", png() + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP_POSITION)),
    Case("lower-case.png", png(chunk(b"exIf", PLACE))),
    Case("xmp-in-exif.jpg", jpeg(segment(_EXIF + exif_block([_PACKET_ROW])))),
    Case("xmp-in-exif.png", png(chunk(b"eXIf", exif_block([_PACKET_ROW])))),
    Case("xmp-in-exif.heic", heif(exif_block([_PACKET_ROW]))),
    Case("xmp-in-inner.tif", exif_block(exif=[_PACKET_ROW])),
    Case("twice.webp", _webp((b"EXIF", PLACE), (b"EXIF", exif_block([_MODEL])))),
    Case("xmp-twice.webp", _webp((b"XMP ", packet()), (b"XMP ", XMP_POSITION))),
    Case("inner.rw2", _rw2()),
    Case("exif-in-ifd0.jpg", jpeg(segment(_EXIF + exif_block([_TIME]))),
         None, "2008-10-22T16:28:39"),
]  # fmt: skip

_EXIF_SEGMENT = segment(_EXIF + PLACE)
_MORE_BEHIND = {"picture": jpeg(_EXIF_SEGMENT), "packet": XMP_POSITION, "block": _EXIF_SEGMENT}
_FILM_POSITION = box(b"moov", box(b"udta", box(b"\xa9xyz", b"\0\x12\x15\xc7+10.5000+020.5000/")))
_CREDENTIALS = b'{"exif:GPSLatitude": "10,30N"}'
_FLIR = struct.pack("<I4s4s4xdd", 1, b"\2\2\0\0", b"N\0E\0", 10.5, 20.5)


def _between_scans() -> bytes:
    """A JPEG of several scans with an Exif block behind the first one."""
    file = io.BytesIO()
    picture(size=(64, 48)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    at = data.index(b"\xff\xc4", data.index(b"\xff\xda"))
    return data[:at] + _EXIF_SEGMENT + data[at:]


CREATED = (
    "<Iptc4xmpExt:Location{} xmlns:Iptc4xmpExt='http://iptc.org/std/Iptc4xmpExt/2008-02-29/'>"
    "<rdf:Bag><rdf:li rdf:parseType='Resource'><exif:GPSLatitude>10,0N</exif:GPSLatitude>"
    "<exif:GPSLongitude>20,0E</exif:GPSLongitude></rdf:li></rdf:Bag></Iptc4xmpExt:Location{}>"
)
_DRONE = (
    "<d:{} xmlns:d='http://www.dji.com/drone-dji/1.0/'>10.5</d:{}>"
    "<d:GpsLongtitude xmlns:d='http://www.dji.com/drone-dji/1.0/'>20.5</d:GpsLongtitude>"
)
UNREAD = [
    Case("extended-of-another.jpg", _extended((_OTHER_GUID, XMP_POSITION))),
    in_body("created", CREATED.format("Created", "Created")),
    in_body("drone", _DRONE.format("GpsLatitude", "GpsLatitude")),
    in_body("thing", "<exif:Thing>" + at(">10,0N", ">20,0E") + "</exif:Thing>"),
    in_body("version", at(" xmlns:exif='http://ns.adobe.com/exif/1.1/'>10,0N",
                           " xmlns:exif='http://ns.adobe.com/exif/1.1/'>20,0E")),
    Case("texts.png", png(chunk(b"tEXt", b"exif:GPSLatitude\x0010/1, 0/1, 0/1"))),
    Case("large.tif", b"II+\0\x08\0\0\0" + bytes(100)),
    in_body("moved", _DRONE.format("Latitude", "Latitude").replace("GpsLongtitude", "Longitude")),
    in_body("w3c", "<g:lat xmlns:g='http://www.w3.org/2003/01/geo/wgs84_pos#'>10.5</g:lat>"),
    in_body("museum", "<d:dctermsLocation xmlns:d='http://rs.tdwg.org/dwc/index.htm'>"
            "<rdf:Description><d:decimalLatitude>10.5</d:decimalLatitude></rdf:Description>"
            "</d:dctermsLocation>"),
    in_body("both", "<exif:GPSPosition>10.5 20.5</exif:GPSPosition>"),
    Case("plain-texts.png", png(chunk(b"tEXt", b"GPSLatitude\x0010.5"))),
    Case("xmp-texts.png", png(chunk(b"iTXt", b"xmp:exif:GPSLatitude\0\0\0\0\x0010.5"))),
    Case("film.heic", _film(box(b"udta", box(b"\xa9xyz", b"\0\x12\x15\xc7+10.5000+020.5000/")))),
    Case("keys.heic", _film(box(b"meta", box(b"keys", b"mdtacom.apple.location.ISO6709")))),
    Case("loci.heic", _film(box(b"udta", box(b"loci", bytes(24))))),
    Case("derived.heic", heif(PLACE, method=2)),
    Case("no-tiff.heic", heif(b"\0\0\0\0IJ*\0" + PLACE[4:])),
    Case("cut.heic", heif(PLACE)[:-8]),
    *(Case(f"{name}-behind.jpg", jpeg() + data) for name, data in _MORE_BEHIND.items()),
    Case("before-end.jpg", jpeg()[:-2] + _EXIF_SEGMENT + jpeg()[-2:]),
    Case("between-scans.jpg", _between_scans()),
    Case("film-behind.jpg", jpeg() + box(b"ftyp", b"mp42") + _FILM_POSITION),
    Case("film-inside.heic", heif(exif_block([_MODEL])) + box(b"mpvd", _FILM_POSITION)),
    Case("mie-behind.jpg", jpeg() + b"~\x10\4\xfe0MIE~\0\x08\4Latitude10.5"),
    Case("credentials.jpg", jpeg(segment(b"JP\0\1\0\0\0\1" + _CREDENTIALS, 0xEB))),
    Case("credentials.png", png(chunk(b"caBX", _CREDENTIALS))),
    Case("credentials.webp", _webp((b"C2PA", _CREDENTIALS))),
    Case("flir.jpg", jpeg(segment(b"FLIR\0\1\0\0FFF\0" + bytes(60) + _FLIR))),
    Case("gopro.jpg", jpeg(segment(b"GoPro\0DEVC\0\1\0\x10GPS5l\x14\0\1", 0xE6))),
    Case("damaged-profile.png", png(chunk(b"tEXt", b"Raw profile type xmp\0"
                                          + _profile(XMP_POSITION, b"xmp")[:-1] + b"%"))),
    Case("cut-profile.png", png(chunk(b"zTXt", b"Raw profile type exif\0\0"
                                      + zlib.compress(_profile(PLACE))[2:]))),
    Case("damaged-text.png", png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + XMP_POSITION))),
    Case("damaged-draft.png", png(chunk(b"zxIf", b"\0\0\0\0\0" + PLACE))),
    Case("damaged-in-exif.jpg", jpeg(segment(_EXIF + exif_block([(
        0x02BC, BYTE, len(XMP_POSITION), XMP_POSITION.replace(b"<rdf:RDF", b"<\1\0:RDF"))])))),
    Case("many.jpg", jpeg(*[segment(_EXIF + exif_block([_MODEL]))] * 20, _EXIF_SEGMENT)),
    Case("many.webp", _webp(*[(b"EXIF", exif_block([_MODEL]))] * 20, (b"EXIF", PLACE))),
    Case("many.png", png(*[chunk(b"eXIf", exif_block([_MODEL]))] * 20, chunk(b"eXIf", PLACE))),
    Case("another-header.jpg", jpeg(segment(b"http://ns.adobe.com/xyz/\0<rdf:Description "
                                            b"exif:GPSLatitude='10,0N'/>"))),
    Case("another-file.heic", heif(PLACE).replace(
        b"\0\1\0\0\0\1\0\0\0", b"\0\1\0\1\0\1\0\0\0")),
    Case("track.heic", heif(exif_block([_MODEL])) + box(b"moov", box(b"trak", _EXIF + PLACE))),
    in_jpeg("without", position()[1::2]),
    in_jpeg("damaged-digit", gps_rows(ascii_row(2, "10.\x015"), ascii_row(4, "20 30 0"))),
    in_jpeg("without-one", position()[:3] + position()[3:][1:]),
    in_jpeg("other-language", gps_rows(*position()[1::2], "N", "O")),
    in_jpeg("blank", gps_rows(rationals(2, (10, 1)), rationals(4, (20, 1)), " S", " E")),
]  # fmt: skip
