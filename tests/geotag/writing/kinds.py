"""The kinds of generated photos: those that take their tags inside, and those that must not."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import cache

from PIL import ImageCms

from tests.geotag.writing.samples import (
    MOTION,
    SUBJECTS,
    VIDEO,
    exif_segment,
    extended_xmp,
    gps_entries,
    iim_block,
    jpeg,
    multi_picture,
    photoshop_segment,
    picture,
    samsung_trailer,
    save,
    segment,
    tiff_block,
    webp,
    webp_with,
    with_segments,
    xmp_packet,
    xmp_segment,
)


def embeddable() -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Name and maker of each generated file that takes its tags inside."""
    for name, order in (("little", "<"), ("big", ">")):
        for orientation in range(1, 9):
            yield (
                f"exif_{name}_{orientation}.jpg",
                lambda o=order, n=orientation: with_segments(
                    jpeg(), exif_segment(tiff_block(o, n))
                ),
            )
        yield (
            f"measured_{name}.jpg",
            lambda o=order: with_segments(
                jpeg(), exif_segment(tiff_block(o, gps=gps_entries(o, -33, 151)))
            ),
        )
        yield (
            f"cold_receiver_{name}.jpg",
            lambda o=order: with_segments(
                jpeg(), exif_segment(tiff_block(o, gps=gps_entries(o, 0, 0)))
            ),
        )
        xp = "reise;été\0".encode("utf-16-le")
        yield (
            f"xp_keywords_{name}.jpg",
            lambda o=order, w=xp: with_segments(
                jpeg(), exif_segment(tiff_block(o, more={0x9C9E: (1, len(w), w)}))
            ),
        )
        yield (
            f"exif_first_{name}.jpg",
            lambda o=order: with_segments(jpeg(), exif_segment(tiff_block(o)), front=True),
        )
        yield f"mpf_exif_{name}.jpg", lambda o=order: multi_picture(tiff_block(o))
        yield (
            f"webp_exif_{name}.webp",
            lambda o=order: webp(exif=tiff_block(o)),
        )
    yield "plain.jpg", jpeg
    yield "grey.jpg", lambda: jpeg("L")
    yield "cmyk.jpg", lambda: jpeg("CMYK")
    yield "progressive.jpg", lambda: jpeg(progressive=True)
    yield "comment.jpg", lambda: jpeg(comment="remember me")
    yield "profile.jpg", lambda: jpeg(icc_profile=_profile())
    yield "xmp.jpg", lambda: with_segments(jpeg(), xmp_segment(xmp_packet(SUBJECTS)))
    yield "xmp_tight.jpg", lambda: with_segments(jpeg(), xmp_segment(xmp_packet(padding=0)))
    yield (
        "xmp_place.jpg",
        lambda: with_segments(
            jpeg(),
            xmp_segment(xmp_packet(attributes="photoshop:City='Lyon'")),
        ),
    )
    yield (
        "xmp_before_exif.jpg",
        lambda: with_segments(jpeg(), xmp_segment(xmp_packet()), exif_segment(tiff_block())),
    )
    yield (
        "everything.jpg",
        lambda: with_segments(
            jpeg(icc_profile=_profile(), comment="all of it"),
            exif_segment(tiff_block(">", 6)),
            xmp_segment(xmp_packet(SUBJECTS)),
            photoshop_segment(iim_block(b"holiday", "été".encode(), utf8=True)),
            segment(0xE5, b"unknown application data"),
        ),
    )
    yield "iptc.jpg", lambda: with_segments(jpeg(), photoshop_segment(iim_block(b"a", b"bb")))
    yield "iptc_none.jpg", lambda: with_segments(jpeg(), photoshop_segment(iim_block()))
    yield (
        "iptc_latin.jpg",
        lambda: with_segments(jpeg(), photoshop_segment(iim_block("été".encode("latin-1")))),
    )
    yield (
        "iptc_stale_digest.jpg",
        lambda: with_segments(
            jpeg(),
            photoshop_segment(iim_block(b"a"), digest=False),
            segment(0xE5, b"x"),
        ),
    )
    yield "extended.jpg", _with_extended_xmp
    yield "mpf.jpg", multi_picture
    yield (
        "motion_google.jpg",
        lambda: (
            with_segments(
                jpeg(),
                exif_segment(tiff_block()),
                xmp_segment(xmp_packet(attributes=MOTION)),
            )
            + VIDEO
        ),
    )
    yield (
        "motion_samsung.jpg",
        lambda: with_segments(jpeg(), exif_segment(tiff_block())) + samsung_trailer(),
    )
    yield (
        "trailing_zeros.jpg",
        lambda: with_segments(jpeg(), exif_segment(tiff_block())) + bytes(99),
    )
    yield "fill_bytes.jpg", lambda: with_segments(jpeg(), b"\xff\xff" + exif_segment(tiff_block()))
    yield "truncated.jpg", lambda: with_segments(jpeg(), exif_segment(tiff_block()))[:-300]
    yield "lossy.webp", webp
    yield "lossless.webp", lambda: webp(lossless=True)
    yield "lossless_alpha.webp", lambda: webp(lossless=True, mode="RGBA")
    yield "lossy_alpha.webp", lambda: webp(mode="RGBA")
    yield "animated.webp", _animation
    yield "webp_profile.webp", lambda: webp(icc_profile=_profile())
    yield "webp_xmp.webp", lambda: webp(xmp=xmp_packet(SUBJECTS, padding=101))
    yield "webp_both.webp", lambda: webp(exif=tiff_block(), xmp=xmp_packet(SUBJECTS))
    yield "webp_prefixed.webp", lambda: webp(exif=b"Exif\0\0" + tiff_block())
    yield "webp_unknown.webp", lambda: webp_with(webp(exif=tiff_block()), (b"ABCD", b"odd"))


def _animation() -> bytes:
    frames = [picture(seed=n) for n in range(3)]
    return save(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=80)


def _with_extended_xmp() -> bytes:
    main, parts = extended_xmp()
    return with_segments(jpeg(), xmp_segment(main), parts)


def _profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def refused() -> Iterator[tuple[str, Callable[[], bytes], str]]:
    """Name and maker of each file that must go to a sidecar, and a word of the reason."""
    jumbf = segment(0xEB, b"JP\0\1\0\0\0\1" + struct.pack(">I4s", 40, b"jumb") + b"c2pa" * 8)
    yield "c2pa.jpg", lambda: with_segments(jpeg(), jumbf), "C2PA"
    yield "c2pa.webp", lambda: webp_with(webp(exif=tiff_block()), (b"C2PA", b"manifest")), "C2PA"
    provenance = (
        "xmlns:dcterms='http://purl.org/dc/terms/' dcterms:provenance='https://example.org/m'"
    )
    yield (
        "provenance.jpg",
        lambda: with_segments(jpeg(), xmp_segment(xmp_packet(attributes=provenance))),
        "manifest",
    )
    yield (
        "exif_full.jpg",
        lambda: with_segments(
            jpeg(), exif_segment(tiff_block(more={0xC6D3: (7, _room(), bytes(_room()))}))
        ),
        "64 KiB",
    )
    yield (
        "xmp_full.jpg",
        lambda: with_segments(
            jpeg(), xmp_segment(xmp_packet(f"<my:x>{'y' * 63000}</my:x>", "", 0))
        ),
        "64 KiB",
    )
    yield (
        "exif_dangling.jpg",
        lambda: with_segments(jpeg(), exif_segment(_dangling())),
        "outside",
    )
    yield (
        "exif_twice.jpg",
        lambda: with_segments(jpeg(), *[exif_segment(tiff_block())] * 2),
        "more than one",
    )
    yield (
        "xmp_broken.jpg",
        lambda: with_segments(jpeg(), xmp_segment(xmp_packet().replace(b"</rdf:RDF>", b""))),
        "cannot be read",
    )
    yield (
        "xmp_entity.jpg",
        lambda: with_segments(
            jpeg(),
            xmp_segment(
                b"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>"
                + xmp_packet("<my:a>&a;</my:a>").split(b"?>", 1)[1]
            ),
        ),
        "document type",
    )
    yield (
        "extended_subject.jpg",
        lambda: with_segments(
            jpeg(),
            *map(lambda f, b: f(b), (xmp_segment, bytes), extended_xmp(f"{SUBJECTS}<my:depth>")),
        ),
        "extended",
    )
    yield (
        "preview_behind.jpg",
        _with_preview_behind,
        "MakerNote",
    )
    yield (
        "unknown_trailer.jpg",
        lambda: with_segments(jpeg(), exif_segment(tiff_block())) + b"some maker's data",
        "MakerNote",
    )
    yield (
        "xmp_behind_mpf.jpg",
        lambda: _behind_mpf(xmp_segment(xmp_packet(padding=0))),
        "multi-picture",
    )
    resource = b"Photoshop 3.0\x008BIM\x04\x22\0\0" + struct.pack(">I", len(tiff_block()))
    yield (
        "exif_resource.jpg",
        lambda: with_segments(jpeg(), segment(0xED, resource + tiff_block() + b"\0")),
        "unusual place",
    )
    yield (
        "exif_behind_garbage.jpg",
        lambda: with_segments(jpeg(), segment(0xE1, b"\0\0" + b"Exif\0\0" + tiff_block())),
        "unusual place",
    )
    yield "afcp.jpg", lambda: jpeg() + b"AFCP data" + b"AXS!\0\1\0\0\0\0\0\0", "AFCP"
    yield "no_scan.jpg", lambda: jpeg()[:100], "damaged"
    yield "short.webp", lambda: webp()[:-40], "cut short"


def _room() -> int:
    """How large a tag may be so that the Exif segment is nearly full."""
    return 65_480 - len(tiff_block(more={0xC6D3: (7, 6, bytes(6))}))


def _dangling() -> bytes:
    block = bytearray(tiff_block())
    at = bytes(block).rindex(struct.pack("<HHI", 0x010F, 2, 12))
    block[at + 8 : at + 12] = struct.pack("<I", len(block) - 4)
    return bytes(block)


def _with_preview_behind() -> bytes:
    """A preview behind the picture, at an offset that the MakerNote holds."""
    preview = jpeg()
    block = tiff_block()
    trailer = VIDEO + preview
    data = with_segments(jpeg(), exif_segment(block)) + trailer
    offset = data.rindex(preview) - (data.index(b"Exif\0\0") + 6)
    block = block.replace(b"found by its offset", struct.pack("<I", offset).ljust(19, b"."))
    return with_segments(jpeg(), exif_segment(block)) + trailer


def _behind_mpf(extra: bytes) -> bytes:
    data = multi_picture()
    at = data.index(b"MPF\0") - 4
    end = at + 2 + (data[at + 2] << 8 | data[at + 3])
    # Only the structure counts here: the index is not set right again.
    return data[:end] + extra + data[end:]


@cache
def made(name: str) -> bytes:
    """The bytes of a generated file."""
    makers = {**dict(embeddable()), **{n: maker for n, maker, _ in refused()}}
    return makers[name]()


def sidecar_only() -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Name and maker of formats that never take their tags inside."""
    yield "picture.png", lambda: save(picture(), "PNG")
    yield "picture.tiff", lambda: save(picture(), "TIFF")
    yield "raw.dng", lambda: save(picture(), "TIFF")
    yield "named.gif", lambda: save(picture("L"), "GIF")
