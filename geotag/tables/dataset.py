"""A table as a folder of Parquet files: a photo's row is in one of them by a hash of its path."""

from __future__ import annotations

import hashlib
import heapq
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

from geotag.errors import TableError
from geotag.files.paths import parse_path
from geotag.records import Outcome
from geotag.stores import is_remote, scheme_of, store_of
from geotag.stores.base import AbsentError, StoreError, download, temporary_room
from geotag.tables.base import parse_row
from geotag.tables.jsonl import JsonlFormat
from geotag.tables.parquet import ParquetFormat

# So many that a night's few new photos leave most as they are, and each can be open at once.
PARTITIONS = 64
NAMES = tuple(f"part-{number:02d}.parquet" for number in range(PARTITIONS))
# What was written, so that only what differs is written again; readers pass over the name.
NOTES = "_geotag.json"
_NOTES_LIMIT = 2**20
# In place of them, the tables of the shards of a library, each written by a run of its own.
_SHARE = re.compile(r"shard-\d+-of-(\d+)\.parquet")


def is_dataset(path: str) -> bool:
    """Whether a path is that of a folder: it ends in a slash, or there is one on this machine."""
    return path.endswith("/") or (scheme_of(path) == "" and os.path.isdir(path))


def member(path: str, name: str) -> str:
    """The path of a file in a dataset."""
    return f"{path.rstrip('/')}/{name}"


def share_name(number: int, total: int) -> str:
    """The file of a shard in a folder."""
    return f"shard-{number:0{len(str(total))}}-of-{total}.parquet"


def shares_in(path: str) -> list[str]:
    """The files of shards in a folder; none where it holds something else. Raises TableError."""
    if not is_dataset(path):
        return []
    try:
        return list(takewhile(_SHARE.fullmatch, _names_in(path)))
    except (StoreError, OSError) as error:
        raise TableError(f"{path}: cannot be looked up ({error})") from error


def check_dataset(path: str, shards: int = 0) -> None:
    """Raise TableError for a folder that holds something else than one table, or than the shards
    of a library in so many. Raises StoreError."""
    if not is_remote(path) and os.path.isfile(path.rstrip("/")):
        raise TableError(f"{path}: cannot be written (it is a file)")
    for name in _names_in(path):
        share = _SHARE.fullmatch(name)
        if not (share and int(share[1]) == shards if shards else name in (*NAMES, NOTES)):
            raise TableError(f"{path}: holds other files ({name}): name an empty or new folder")


def _names_in(path: str) -> Iterator[str]:
    """What a folder holds, in order; nothing where there is none."""
    if not is_remote(path):
        names = os.listdir(path) if os.path.isdir(path) else []
        yield from sorted(name for name in names if not name.startswith("."))
        return
    folder = path.rstrip("/")
    with suppress(AbsentError):
        for each in store_of(path).list(folder):
            if name := each.uri.removeprefix(f"{folder}/"):  # it may stand for the folder itself
                yield name


def split(rows: Iterable[Outcome], folder: Path) -> Iterator[Path]:
    """The partitions of a table as files in a folder, one after the other in the order of NAMES.

    Rows wait on the disk as lines, for Parquet keeps its row groups in memory.
    """
    lines = [folder / f"{number}.jsonl" for number in range(PARTITIONS)]
    layout = JsonlFormat()
    with temporary_room(folder), ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in lines]
        for row in rows:
            layout.write(files[partition_of(row.path)], (row,))
    for name, path in zip(NAMES, lines, strict=True):
        target = folder / name
        with temporary_room(folder), target.open("wb") as file:
            ParquetFormat().write(file, (parse_row(cells, name) for cells in layout.read(path)))
        path.unlink()
        yield target
        target.unlink()


def partition_of(path: str) -> int:
    """By the path as the table has it."""
    digest = hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % PARTITIONS


def merged(files: Iterable[Path]) -> Iterator[Outcome]:
    """The rows of all partitions in the order of a table. Raises TableError."""
    return heapq.merge(*map(rows_of, files), key=row_order)


def rows_of(path: Path) -> Iterator[Outcome]:
    """The rows of one part. Raises TableError."""
    for number, cells in enumerate(ParquetFormat().read(path), 1):
        yield parse_row(cells, f"{path}, row {number}")


def row_order(row: Outcome) -> bytes:
    """Tables are in the byte order of the photos' names."""
    return os.fsencode(parse_path(row.path))


def copied(path: str, local: Path) -> Path:
    """The file itself or, of an object, a copy. Raises TableError."""
    if not is_remote(path):
        return Path(path)
    try:
        if download(store_of(path), path, local) is None:
            raise TableError(f"{path}: there is no such object")
    except StoreError as error:
        raise TableError(f"{path}: cannot be read ({error})") from error
    return local


def fetched(path: str, folder: Path) -> list[Path]:
    """The files of all partitions, those of a bucket as copies in a folder. Raises TableError for
    one that is missing."""
    files = [Path(member(path, name)) for name in NAMES]
    if is_remote(path):
        files = [folder / name for name in NAMES]
        try:
            for file in files:
                uri = member(path, file.name)
                download(store_of(uri), uri, file)
        except StoreError as error:
            raise TableError(f"{path}: cannot be read ({error})") from error
    for file in files:
        if not file.exists():
            raise TableError(
                f"{path}: {file.name} is missing: is it a table that geotag wrote, or a folder of "
                "photos?"
            )
    return files


def read_notes(path: str) -> Mapping[str, Any]:
    """The digest and the state of each partition as it was written; nothing where that is unknown,
    for then all are written again."""
    try:
        if is_remote(path):
            data = store_of(path).get(member(path, NOTES), 0, _NOTES_LIMIT).data
        else:
            data = Path(member(path, NOTES)).read_bytes()[:_NOTES_LIMIT]
        notes = json.loads(data)
    except (OSError, StoreError, ValueError, RecursionError):
        return {}
    return notes if isinstance(notes, dict) else {}
