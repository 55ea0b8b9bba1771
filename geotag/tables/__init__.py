"""Where results go: the table formats by suffix, and those that are written for maps alone."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from geotag.errors import TableError, UsageError
from geotag.files.atomic import atomic_file
from geotag.files.temporary import TemporaryFolder
from geotag.records import Outcome
from geotag.stores import check_place, is_remote, store_of
from geotag.stores.base import StoreError, temporary_room
from geotag.tables.base import MapFormat, TableFormat, parse_row
from geotag.tables.csv import CsvFormat
from geotag.tables.dataset import (
    NAMES,
    NOTES,
    check_dataset,
    copied,
    fetched,
    is_dataset,
    member,
    merged,
    read_notes,
    shares_in,
    split,
)
from geotag.tables.geojson import GeojsonFormat
from geotag.tables.jsonl import JsonlFormat
from geotag.tables.parquet import ParquetFormat
from geotag.tables.parts import opened_parts
from geotag.tables.waypoints import GpxFormat, KmlFormat

TABLES: dict[str, Callable[[], TableFormat]] = {
    ".csv": CsvFormat,
    ".jsonl": JsonlFormat,
    ".parquet": ParquetFormat,
    ".geojson": GeojsonFormat,
}
# They hold the rows with a position only, and are never read.
MAPS: dict[str, Callable[[], MapFormat]] = {".kml": KmlFormat, ".gpx": GpxFormat}
SUFFIXES = f"{', '.join(TABLES)}; for maps {', '.join(MAPS)}"
STDOUT = "-"


def table_format(path: str) -> TableFormat:
    """The format of a table to read, by suffix. Raises UsageError for another suffix."""
    suffix = Path(path).suffix.lower()
    if is_dataset(path):
        return ParquetFormat()
    if suffix in MAPS:
        raise UsageError(
            f"{path}: geotag writes {suffix} for maps and does not read it, for it lacks the rows "
            f"without a position; name a table ({', '.join(TABLES)})"
        )
    if suffix not in TABLES:
        raise UsageError(f"{path}: the suffix must be one of {', '.join(TABLES)}")
    return TABLES[suffix]()


def is_for_maps(path: str) -> bool:
    """Whether a file holds positions alone, by suffix: it is written, and never read."""
    return Path(path).suffix.lower() in MAPS


def _output_format(path: str, note: str = "") -> MapFormat:
    """The format to write, by suffix; standard output is CSV. Raises UsageError."""
    if note:
        return ParquetFormat(note)
    if path == STDOUT:
        return CsvFormat(with_mark=False)
    if path.endswith("/"):
        return ParquetFormat()
    formats = {**TABLES, **MAPS}
    suffix = Path(path).suffix.lower()
    if suffix not in formats:
        raise UsageError(f"{path}: the suffix must be one of {', '.join(formats)}")
    return formats[suffix]()


def check_table(path: str, shards: int = 0) -> None:
    """Raise an error where a table, or one of so many shards, surely cannot be written; touches
    nothing."""
    if path != STDOUT:
        if path.endswith("/"):
            with _write_errors(path):
                check_dataset(path, shards)
        check_writable(path)
    _output_format(path)


def check_writable(path: str) -> None:
    """Raise TableError where a file surely cannot be written; a bucket may still refuse it."""
    check_place(path)
    if is_remote(path):
        with _write_errors(path):
            store_of(path)
        return
    folder = os.path.dirname(os.path.realpath(path))
    if not path:
        raise UsageError("an empty name is no file (of a variable that is not set?)")
    if os.path.isdir(path) and not path.endswith("/"):
        reason = "it is a folder"
    elif _is_special(path):
        reason = "" if os.access(path, os.W_OK) else "no permission"
    elif not os.path.isdir(folder):
        reason = "there is no such folder"
    else:
        reason = "" if os.access(folder, os.W_OK | os.X_OK) else "no permission to write its folder"
    if reason:
        raise TableError(f"{path}: cannot be written ({reason})")


def _is_special(path: str) -> bool:
    """Whether a path is that of a pipe or a device."""
    return os.path.exists(path) and not os.path.isfile(path)


def write_table(path: str, rows: Iterable[Outcome], note: str = "") -> None:
    """Write a table whole or not at all; a `note` is for Parquet alone. Raises TableError.

    To standard output (`-`) it is streamed: OSError then tells of a reader that went away.
    """
    if path.endswith("/"):
        _write_dataset(path, rows)
        return
    layout = _output_format(path, note)
    if note and not is_remote(path):  # the first shard that writes makes the folder of all
        with _write_errors(path):
            os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    if path != STDOUT:
        write_whole(path, lambda file: layout.write(file, rows))
        return
    layout.write(sys.stdout.buffer, rows)
    sys.stdout.buffer.flush()


def _write_dataset(path: str, rows: Iterable[Outcome]) -> None:
    """Write each partition that differs from what is there, whole or not at all."""
    before, notes = read_notes(path), {}
    with _write_errors(path), TemporaryFolder() as folder:
        check_dataset(path)
        if not is_remote(path):
            os.makedirs(path, exist_ok=True)
        for file in split(rows, Path(folder)):
            with file.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
                target = member(path, file.name)
                if before.get(file.name) != [digest, table_state(target)]:
                    opened.seek(0)
                    write_whole(target, partial(shutil.copyfileobj, opened))
                notes[file.name] = [digest, table_state(target)]
    if notes != before:
        write_text(member(path, NOTES), json.dumps(notes))


def write_text(path: str, text: str) -> None:
    """Write a small text whole or not at all. Raises TableError.

    What is not UTF-8 in a name becomes a backslash escape, which JSON reads as the same name.
    """
    write_whole(path, lambda file: file.write(text.encode(errors="backslashreplace")))


def write_whole(path: str, write: Callable[[BinaryIO], object]) -> None:
    """Write a file (of a link, its target), or an object in a bucket by way of a temporary file.

    What is no regular file, such as a pipe, is written as it stands: nothing may take its place.
    """
    with _write_errors(path):
        if not is_remote(path):
            target = Path(os.path.realpath(path))
            with open(path, "wb") if _is_special(path) else atomic_file(target) as file:
                write(file)
            return
        with TemporaryFolder() as folder:
            local = Path(folder) / "object"
            with temporary_room(local.parent), local.open("wb") as file:
                write(file)
            store_of(path).put(path, local)


def remove_file(path: str) -> None:
    """Remove a file (of a link, its target) or an object, if there is one. Raises TableError."""
    with _write_errors(path), suppress(FileNotFoundError):
        if is_remote(path):
            store_of(path).delete(path)
        else:
            os.unlink(os.path.realpath(path))


@contextmanager
def _write_errors(path: str) -> Iterator[None]:
    """Turn errors of files and stores into TableError."""
    try:
        yield
    except StoreError as error:
        raise TableError(f"{path}: cannot be written ({error})") from error
    except OSError as error:
        raise TableError(f"{path}: cannot be written ({error.strerror or error})") from error


def files_of_table(path: str) -> list[str]:
    """The files or objects that a table consists of. Raises TableError."""
    if not is_dataset(path):
        return [path]
    return [member(path, name) for name in shares_in(path) or (*NAMES, NOTES)]


def table_state(path: str) -> str:
    """Changes whenever the table's file or object does; empty when there is none.

    Raises TableError when a bucket cannot be asked.
    """
    if is_dataset(path):
        states = [table_state(file) for file in files_of_table(path) if not file.endswith(NOTES)]
        return " ".join(states).strip()
    if is_remote(path):
        try:
            found = store_of(path).stat(path)
        except StoreError as error:
            raise TableError(f"{path}: cannot be looked up ({error})") from error
        return f"{found.size}-{found.version}" if found is not None else ""
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"


def read_table(path: str | Path) -> Iterator[Outcome]:
    """The rows of a table that geotag wrote, also one edited by hand. Raises TableError."""
    if is_dataset(str(path)):
        if shares := shares_in(str(path)):
            with opened_parts([member(str(path), name) for name in shares]) as rows:
                yield from rows
            return
        with TemporaryFolder() as folder:
            yield from merged(fetched(str(path), Path(folder)))
        return
    if is_remote(str(path)):
        with TemporaryFolder() as folder:
            yield from read_table(copied(str(path), Path(folder) / str(path).rpartition("/")[2]))
        return
    path = Path(path)
    for number, cells in enumerate(table_format(str(path)).read(path), 1):
        yield parse_row(cells, f"{path}, row {number}")
