"""What disks and buckets have in common when they are listed: which folders are passed over, and
which sidecars lie beside a photo."""

from __future__ import annotations

import logging
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import AnyStr, NamedTuple

from geotag.files.extensions import PHOTO_EXTENSIONS
from geotag.files.paths import format_path
from geotag.files.sidecars import is_sidecar, other_case_sidecars, sidecar_names
from geotag.files.takeout import first_letters, is_takeout, last_name, takeout_names

_log = logging.getLogger(__name__)
# What the reason begins with for which something that may hold photos was not looked into.
MISSED = "unreadable"
# Its rows are kept, for it may be a drive that is not mounted.
EMPTIED = "emptied folder"
# So many of each kind that could not be looked into are named.
_WARNED = 10
# Files that wait for their sidecars; beyond, these are asked for one by one.
_WINDOW = 4096
# Of network storage, Nextcloud, Windows, Linux, macOS and Lightroom: thumbnails, wastebaskets, old
# versions and the like.
_SYSTEM_FOLDERS = frozenset(
    "@eadir #recycle #snapshot @recycle @recently-snapshot .@__thumb $recycle.bin recycler "
    "@tmp @sharebin files_trashbin files_versions lost+found .thumbnails .trashes .spotlight-v100 "
    ".fseventsd __macosx ~snapshot recycled lost.dir".split()
) | {"system volume information", "network trash folder", "temporary items"}
_EXTENSIONS = frozenset(name.encode() for name in PHOTO_EXTENSIONS)
_SYSTEM_PATTERNS = (".trash*", "*.lrdata", "appdata_oc*", "found.[0-9][0-9][0-9]")
# Apple Photos' renderings and thumbnails, beside the originals.
_SYSTEM_PATHS = "*.photoslibrary/resources"


class Listing:
    """What came of listing one source; whole once all its photos have come.

    All photos lie below `root`, or it is one. Below each prefix in `incomplete` there may be more
    photos than were listed. In `empty` are folders below it
    that hold nothing at all, and links that lead nowhere.
    """

    def __init__(self, source: str, root: bytes) -> None:
        self.source = source
        self.root = root
        self.begin()

    def begin(self) -> None:
        """Forget an earlier listing."""
        self.photos = 0
        self.skipped: Counter[str] = Counter()
        self.incomplete: list[bytes] = []
        self.empty: list[bytes] = []

    def miss(self, kind: str, path: bytes, reason: str) -> None:
        """Note what may hold photos and could not be looked into."""
        missed = f"{MISSED} {kind}"
        self.skipped[missed] += 1
        self.incomplete.append(path)
        if self.skipped[missed] <= _WARNED:
            more = "; any others are only counted" * (self.skipped[missed] == _WARNED)
            _log.warning("%s: %s%s", format_path(os.fsdecode(path)), reason, more)

    def miss_emptied(self, folder: bytes, had: int) -> None:
        """Note that a folder is empty, and had photos."""
        self.skipped[EMPTIED] += 1
        self.incomplete.append(folder)
        _log.warning(
            "%s: nothing is here, where %s photos were: is it mounted? Their rows stay; if they "
            "are gone for good, run the same command once with --allow-empty",
            format_path(os.fsdecode(folder)),
            f"{had:,}",
        )

    @property
    def why_empty(self) -> str:
        """Why there are no photos, as far as can be known; empty where there are some."""
        if self.photos:
            return ""
        if not self.skipped:
            return "it is empty: is the name right, and is its drive mounted?"
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self.skipped.items()))
        return f"no photos are in it (passed over: {reasons})"

    def covers(self, uri: bytes) -> bool:
        """Whether a photo of this name would have been listed, if it were there and wanted."""
        return is_below(uri, self.root) and not any(is_below(uri, p) for p in self.incomplete)


def is_below(uri: bytes, folder: bytes) -> bool:
    """Whether a URI is that of a folder or of anything in it."""
    return uri == folder or uri.startswith(folder.rstrip(b"/") + b"/")


def is_beside(name: AnyStr) -> bool:
    """Whether a file may be a photo's sidecar, by its name: XMP, or Google Takeout's JSON."""
    return is_sidecar(name) or is_takeout(name)


def names_beside(photo: AnyStr) -> tuple[AnyStr, ...]:
    """All names of a photo's sidecars, in the order in which they count."""
    return sidecar_names(photo) + takeout_names(photo)


class File(NamedTuple):
    """A photo or sidecar as it is listed; `path` is its URI in bytes."""

    path: bytes
    size: int
    version: str


def is_system_folder(folder: str) -> bool:
    """Whether a folder, by its path, belongs to a system or program, and its photos are copies or
    waste."""
    folder = folder.lower()
    name = folder.rpartition("/")[2]
    return (
        name in _SYSTEM_FOLDERS
        or any(fnmatchcase(name, glob) for glob in _SYSTEM_PATTERNS)
        or fnmatchcase(folder, _SYSTEM_PATHS)
    )


def with_sidecars(
    files: Iterable[File], find: Callable[[bytes], File | None]
) -> Iterator[tuple[File, list[File]]]:
    """Each photo with its sidecars, from photos and sidecars in byte order.

    `find` tells whether there is a file of a name.
    """
    joining = Joining(find)
    for file in files:
        yield from joining.take(file)
    yield from joining.end(is_whole=True)


class Joining:
    """Photos and their sidecars out of files in byte order.

    Anything may sort between the two (IMG.jpg, IMG.k/..., IMG.xmp): a photo waits until none can
    come any more. Where too much waits, or a sidecar may have a name up to `after`, behind which
    the files begin, `find` tells whether there is one.
    """

    def __init__(self, find: Callable[[bytes], File | None], after: bytes = b"") -> None:
        self._find = find
        self._after = after
        self._reached = after
        # With the last name that a sidecar can have.
        self._waiting: deque[tuple[File, bytes]] = deque()
        self._sidecars: dict[bytes, File] = {}
        # What the names of photos begin with that may still come for those.
        self._beginnings: dict[bytes, bytes] = {}

    def take(self, file: File) -> Iterator[tuple[File, list[File]]]:
        """The photos that are complete once this file has come."""
        path = self._reached = file.path
        waiting = self._waiting
        while waiting and (waiting[0][1] < path or len(waiting) + len(self._sidecars) > _WINDOW):
            photo, last = waiting.popleft()
            none = not self._sidecars and last < path and not self._begins_before(photo)
            yield (photo, []) if none else self._joined(photo, path)
        if self._sidecars and not waiting:  # keep those before photos: IMG.XMP, IMG.jpg
            for name, letters in list(self._beginnings.items()):
                if not path.startswith(letters):
                    del self._beginnings[name], self._sidecars[name]
        if is_beside(path):
            self._sidecars[path] = file
            self._beginnings[path] = _first_letters(path)
        else:
            waiting.append((file, _last_sidecar(path)))

    def end(self, is_whole: bool) -> Iterator[tuple[File, list[File]]]:
        """The photos that still wait; `is_whole` says that there is no file behind the last."""
        for photo, last in self._waiting:
            yield self._joined(photo, last + b"\0" if is_whole else self._reached + b"\0")

    def _begins_before(self, photo: File) -> bool:
        """Whether a sidecar of this photo may have a name before the first file."""
        return bool(self._after) and min(names_beside(photo.path)) <= self._after

    def _joined(self, photo: File, reached: bytes) -> tuple[File, list[File]]:
        """A photo with its sidecars: those before `reached` have come, others are asked for."""
        come = self._sidecars
        found = (
            come.get(name) if self._after < name < reached or name in come else self._find(name)
            for name in names_beside(photo.path)
        )
        return photo, _its_own(photo, found, self._find)


def look_for_sidecars(photo: File, find: Callable[[bytes], File | None]) -> tuple[File, list[File]]:
    """A photo that is listed alone with its sidecars."""
    return photo, _its_own(photo, map(find, names_beside(photo.path)), find)


def _its_own(
    photo: File, found: Iterable[File | None], find: Callable[[bytes], File | None]
) -> list[File]:
    """The sidecars that were found of a photo, but those of one whose name differs by case."""
    others = other_case_sidecars(photo.path)
    return [
        sidecar
        for sidecar in found
        if sidecar is not None
        and not (sidecar.path in others and _is_another(find(sidecar.path[:-4]), photo))
    ]


def _is_another(found: File | None, photo: File) -> bool:
    """Whether there is such a file, and it is not the photo by a name in other case."""
    return found is not None and found[1:] != photo[1:]


def _last_sidecar(photo: bytes) -> bytes:
    """The last name in byte order that a photo's sidecar can have."""
    stem, dot, suffix = photo.rpartition(b".")
    shared = dot and suffix < b"xmp" and b"/" not in suffix
    return max((stem if shared else photo) + b".xmp", last_name(photo))


def _first_letters(sidecar: bytes) -> bytes:
    """What the names of all photos that sort behind their sidecar begin with."""
    if not is_sidecar(sidecar):
        return first_letters(sidecar)
    stem, suffix = os.path.splitext(sidecar[:-4])
    return (stem if suffix[1:].lower() in _EXTENSIONS else sidecar[:-4]) + b"."
