"""exiftool as the judge of what a write did to a file."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

needs_exiftool = pytest.mark.skipif(
    shutil.which("exiftool") is None, reason="exiftool, the judge of these tests, is not installed"
)

Tags = dict[str, Any]
_METADATA_FLAGS = 0x0C  # of the extended WebP format: Exif and XMP

# What `geotag write` is meant to touch, as exiftool names it.
INTENDED = re.compile(
    r"XMP-geotag:\w+"
    r"|XMP-dc:Subject|XMP-lr:HierarchicalSubject|XMP-digiKam:TagsList"
    r"|XMP-iptcExt:LocationShown\w*"
    r"|XMP-photoshop:(City|State|Country)|XMP-iptcCore:(Location|CountryCode)"
    r"|(IFD0|File|IFD1):XPKeywords"
    r"|GPS:GPSDest(Latitude|Longitude)(Ref)?"
    r"|IPTC:(Keywords|CodedCharacterSet)|Photoshop:IPTCDigest|File:CurrentIPTCDigest"
    r"|Composite:GPSDest(Latitude|Longitude)"
    r"|System:(FileSize|FileAccessDate|FileInodeChangeDate)"
)
INTENDED_GPS = re.compile(
    r"GPS:GPS(Latitude|Longitude)(Ref)?|GPS:GPS(MapDatum|ProcessingMethod|HPositioningError)"
    r"|Composite:GPS(Latitude|Longitude|Position)(Ref)?"
)
# What a position that the camera was placed at is meant to touch: nothing of a subject.
INTENDED_PLACED = re.compile(
    r"XMP-geotag:\w+|XMP-iptcExt:LocationCreated\w*|XMP-photoshop:(City|State|Country)"
    r"|System:(FileSize|FileAccessDate|FileInodeChangeDate)"
)
MEANT = {
    "tags": (INTENDED,),
    "gps": (INTENDED, INTENDED_GPS),
    "placed": (INTENDED_PLACED, INTENDED_GPS),
}
# What may be new where it was missing, but must not change.
ADDED = re.compile(
    r"GPS:GPSVersionID|File:ExifByteOrder|XMP-x:XMPToolkit"
    # The header of the extended WebP format repeats the size.
    r"|RIFF:(WebP_Flags|ImageWidth|ImageHeight)"
)
SIZE_OF_WEBP = re.compile(r"RIFF:Image(Width|Height)")
# File offsets, which move when something grows before them; the data there must be the same.
OFFSET = re.compile(r"(ThumbnailOffset|PreviewImageStart|MPImageStart|OtherImageStart|\w+Offset)$")


def read_tags(folder: Path) -> dict[str, Tags]:
    """All that exiftool knows of each file below a folder, by relative path.

    Also what is unknown, duplicate and binary, and all numbers in full.
    """
    command = ["exiftool", "-j", "-G1:4", "-a", "-u", "-U", "-b", "-n", "-r",
               "-charset", "filename=utf8", "."]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    entries = json.loads(done.stdout)
    return {entry["SourceFile"].removeprefix("./"): _by_group(entry) for entry in entries}


def _by_group(entry: Tags) -> Tags:
    """Duplicates as lists: exiftool counts its copies across groups, in the order of reading."""
    found: dict[str, list[Any]] = {}
    for key, value in entry.items():
        found.setdefault(re.sub(r":Copy\d+:", ":", key), []).append(value)
    return {key: values[0] if len(values) == 1 else values for key, values in found.items()}


def unintended(before: Tags, after: Tags, kind: str = "tags") -> dict[str, tuple[Any, Any]]:
    """The differences that `geotag write` must not make when it writes a kind of MEANT."""
    growth = _file_size(after) - _file_size(before)
    return {
        key: (before.get(key), after.get(key))
        for key in before.keys() | after.keys()
        if _plain(before.get(key)) != _plain(after.get(key))
        and not _is_meant(key, before.get(key), after.get(key), kind, growth)
    }


def _plain(value: Any) -> Any:
    """To XML all ends of lines are alike; exiftool, which is no XML parser, tells them apart."""
    return value.replace("\r\n", "\n") if isinstance(value, str) else value


def _file_size(tags: Tags) -> int:
    return int(tags["System:FileSize"])


def _is_meant(key: str, old: Any, new: Any, kind: str, growth: int) -> bool:
    if any(meant.fullmatch(key) for meant in MEANT[kind]):
        return True
    if ADDED.fullmatch(key) and (old is None or SIZE_OF_WEBP.fullmatch(key)):
        return True
    if key == "RIFF:WebP_Flags":
        return bool(old & ~_METADATA_FLAGS == new & ~_METADATA_FLAGS)
    if key == "File:FileType":
        return bool((old, new) == ("WEBP", "Extended WEBP"))
    if isinstance(old, int) and isinstance(new, int):
        # What lies behind the metadata moves by what these grew, and is the same as before.
        moved = OFFSET.search(key) or key == "MPImage1:MPImageLength"
        return moved is not None and moved is not False and 0 <= new - old <= growth
    return False
