"""A photo's metadata blocks, as they are found in its container."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

# The largest block that is read.
BLOCK_LIMIT = 16 * 2**20
# Far more segments or chunks than any writer makes: 512 MiB of chunks of 8 KiB, libpng's size.
PART_LIMIT = 2**16
MOST_BLOCKS = 16  # of a photo, or of a kind in it
TOO_MANY = "it has more metadata blocks than are read, so no position is inferred"
EXIF_PREFIX = b"Exif\0\0"
XMP_PREFIX = b"http://ns.adobe.com/xap/1.0/\0"
TIFF_MAGICS = (b"II*\0", b"MM\0*")


class Blocks(NamedTuple):
    """The format by content, the Exif blocks as bare TIFF structures, and the XMP packets.

    `gps` is a TIFF structure of which the first directory is the one of the position: CR3 has it
    apart. `extended` are the parts of extended XMP packets in their order, each with the GUID of
    its packet and its place; they are not read, for cameras keep depth maps in them. `size` is the
    picture's width and height in pixels, where the container tells it. `is_tiff` says that the
    photo is one TIFF structure, of which the Exif block is but the beginning. `unread_position`
    says what may hold a position and is not read.
    """

    format: str
    exifs: tuple[bytes, ...] = ()
    xmps: tuple[bytes, ...] = ()
    gps: bytes | None = None
    extended: tuple[tuple[bytes, int, int], ...] = ()
    size: tuple[int, int] | None = None
    is_tiff: bool = False
    unread_position: str = ""

    @property
    def exif(self) -> bytes | None:
        return self.exifs[0] if self.exifs else None

    @property
    def xmp(self) -> bytes | None:
        return self.xmps[0] if self.xmps else None


def first_blocks(found: Iterable[tuple[str, bytes]]) -> dict[str, tuple[bytes, ...]]:
    """Blocks by their kind ("exif", "xmp"), no more of them than are many or large together; what
    is left of them may hold a "position"."""
    kinds: dict[str, list[bytes]] = {"exif": [], "xmp": []}
    total = 0
    for number, (kind, block) in enumerate(found):
        total += len(block)
        if number == MOST_BLOCKS or total > BLOCK_LIMIT:
            kinds.setdefault("position", []).append(b"more")
            break
        if block:
            kinds.setdefault(kind, []).append(block)
    return {kind: tuple(blocks) for kind, blocks in kinds.items()}


def without_prefix(block: bytes) -> bytes:
    """An Exif block without the identifier that JPEG puts before it, and others should not."""
    return block[6:] if block.startswith(EXIF_PREFIX) else block
