"""How geotag marks what it inferred, so that no reader takes a guess for a measurement."""

from __future__ import annotations

XMP_NAMESPACE = "urn:geotag:ns:1.0/"
XMP_PREFIX = "geotag"

# Values of the XMP property geotag:Source.
SOURCE_INFERRED = "inferred"
SOURCE_USER = "user"

# The text of EXIF GPSProcessingMethod (and of XMP exif:GPSProcessingMethod), and EXIF's bytes.
GPS_PROCESSING_METHOD = "geotag inferred"
GPS_PROCESSING_METHOD_EXIF = b"ASCII\0\0\0" + GPS_PROCESSING_METHOD.encode("ascii")
