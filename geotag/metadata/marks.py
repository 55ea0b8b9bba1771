"""How geotag marks what it inferred, so that no reader takes a guess for a measurement."""

from __future__ import annotations

import re

XMP_NAMESPACE = "urn:geotag:ns:1.0/"
XMP_PREFIX = "geotag"

# Values of the XMP property geotag:Source.
SOURCE_INFERRED = "inferred"
SOURCE_USER = "user"

# The offset from UTC that geotag gave a photo's time, in an XMP packet with its namespace.
_OFFSET = re.compile(rb":OffsetTimeOriginal(?:\s*=\s*[\"']|>)([+-]\d\d:\d\d)")
# The text of EXIF GPSProcessingMethod (and of XMP exif:GPSProcessingMethod), and EXIF's bytes.
GPS_PROCESSING_METHOD = "geotag inferred"
GPS_PROCESSING_METHOD_EXIF = b"ASCII\0\0\0" + GPS_PROCESSING_METHOD.encode("ascii")


def inferred_offset(packet: bytes) -> str:
    """The offset from UTC ("+02:00") that geotag gave the photo's time, by its XMP packet; empty
    where it gave none."""
    found = _OFFSET.search(packet) if XMP_NAMESPACE.encode() in packet else None
    return found[1].decode() if found is not None else ""
