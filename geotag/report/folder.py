"""A report as a folder: its page, and the thumbnails in files that it loads as they are needed."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from geotag.errors import TableError, UsageError
from geotag.records import Outcome
from geotag.report.page import GENERATOR, Chunks
from geotag.stores import is_remote
from geotag.tables import check_writable, write_text

THUMBNAIL_BYTES = 2_500
_IN_A_CHUNK = 100
_INDEX = "index.html"
_KEPT = re.compile(r"thumbnails-[0-9a-f]{12}")
_CHUNK = re.compile(r"\d+\.js")


class Written(NamedTuple):
    """How many bytes a folder has, and how many photos have a thumbnail."""

    size: int
    shown: int


def is_folder(out: str) -> bool:
    """Whether a report goes into a folder, by its name."""
    return out.endswith(("/", os.sep)) or Path(out).is_dir()


def check_folder(out: str) -> None:
    """Make the folder. Raises TableError where it cannot be, or holds anything but a report."""
    if is_remote(out):
        raise UsageError(f"{out}: a report as a folder is written on this machine only")
    folder = Path(out)
    if not folder.exists():
        check_writable(str(folder))
        folder.mkdir()
    check_writable(str(folder / _INDEX))
    if any(folder.iterdir()) and GENERATOR not in _beginning(folder / _INDEX):
        raise TableError(f"{out}: holds other files than a report: name a new or an empty folder")


def _beginning(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(2000)
    except OSError:
        return ""


def write_folder(
    out: str,
    rows: Sequence[Outcome],
    thumbnails: Iterable[bytes],
    build: Callable[[Chunks | None], str],
) -> Written:
    """Write a report: the thumbnails, then the page that `build` makes, whole or not at all.

    The files of thumbnails belong to these photos in this order, and those of others are removed
    last: at any moment the page goes with its thumbnails. Raises TableError.
    """
    folder = Path(out)
    paths = "\n".join(row.path for row in rows)
    chunks = Chunks(f"thumbnails-{sha256(paths.encode('utf-8', 'replace')).hexdigest()[:12]}")
    size = shown = 0
    for at, some in enumerate(_chunked(thumbnails)):
        (folder / chunks.folder).mkdir(exist_ok=True)
        encoded = [base64.b64encode(webp).decode() for webp in some]
        text = f"keepThumbnails({at},{json.dumps(encoded, separators=(',', ':'))});\n"
        write_text(str(folder / chunks.folder / f"{at}.js"), text)
        size += len(text)
        shown += sum(map(bool, some))
    page = build(chunks._replace(size=_IN_A_CHUNK) if size else None)
    write_text(str(folder / _INDEX), page)
    _remove_others(folder, chunks.folder if size else "")
    return Written(size + len(page.encode()), shown)


def _chunked(thumbnails: Iterable[bytes]) -> Iterator[list[bytes]]:
    remaining = iter(thumbnails)
    while some := list(islice(remaining, _IN_A_CHUNK)):
        yield some


def _remove_others(folder: Path, kept: str) -> None:
    """Remove the thumbnails of reports that were here before."""
    for other in folder.iterdir():
        if _KEPT.fullmatch(other.name) and other.name != kept and not other.is_symlink():
            with suppress(OSError):
                for file in other.iterdir():
                    if _CHUNK.fullmatch(file.name):
                        file.unlink()
                other.rmdir()
