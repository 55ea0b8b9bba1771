"""Tables of shards: what each says of itself, and many of them as one table."""

from __future__ import annotations

import heapq
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from geotag.errors import TableError, UsageError
from geotag.files.temporary import TemporaryFolder
from geotag.records import Outcome
from geotag.sources.shards import Shard, parse_shard
from geotag.stores import check_place
from geotag.tables.base import parse_row
from geotag.tables.dataset import copied, member, row_order, rows_of, share_name
from geotag.tables.jsonl import JsonlFormat
from geotag.tables.parquet import read_note

SUFFIX = ".parquet"
_NAMED = 5
# Tables that are read side by side: a process may open, and should hold, only so many.
_OPEN = 64


class Part(NamedTuple):
    """What the table of a shard says of itself.

    `made_by` is what all parts of one table have in common, by name; `sources` says how many photos
    each source had, `remaining` how many of the shard's were not read, `rows` how many rows the
    table has.
    """

    shard: Shard
    made_by: Mapping[str, Any]
    sources: Sequence[str]
    remaining: int = 0
    rows: int | None = None  # None in parts of earlier versions


def check_part(path: str) -> None:
    """Raise UsageError for a table that cannot say which shard it is."""
    if Path(path).suffix.lower() != SUFFIX:
        raise UsageError(
            f"{path}: the table of a shard must be a {SUFFIX} file, for another cannot say which "
            "shard it is; geotag merge writes the whole table in any format"
        )


def part_path(out: str, shard: Shard | None) -> str:
    """The table of a shard: in a folder, a file that is named after it."""
    if shard is None or not out.endswith("/"):
        return out
    return member(out, share_name(*shard))


def beside(out: str, shard: Shard | None) -> str:
    """What lies beside a table has this name, and more behind it: not in a folder of tables."""
    folder, slash, name = out.rpartition("/")
    if shard is None or not slash or name != share_name(*shard):
        return out.rstrip("/")
    return f"{folder}-{name.removeprefix('shard-').removesuffix(SUFFIX)}"


def format_part(part: Part) -> str:
    """As JSON, for the file's metadata."""
    return json.dumps(part._asdict() | {"shard": str(part.shard)})


def parse_part(note: str, path: str) -> Part:
    """The reverse of `format_part`. Raises TableError for what is no part."""
    if not note:
        raise TableError(f"{path}: not the table of a shard (scan with --shard K/N to write one)")
    try:
        fields = json.loads(note)
        part = Part(parse_shard(fields.pop("shard")), **fields)
        _check(isinstance(part.made_by, dict) and isinstance(part.sources, list))
        _check(isinstance(part.remaining, int) and part.remaining >= 0)
        _check(part.rows is None or (isinstance(part.rows, int) and part.rows >= 0))
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError, UsageError):
        raise TableError(
            f"{path}: its note of which shard it is cannot be read; scan that shard again"
        ) from None
    return part


def _check(is_sound: bool) -> None:
    if not is_sound:
        raise ValueError


@contextmanager
def opened_parts(paths: Sequence[str]) -> Iterator[Iterator[Outcome]]:
    """The rows of all shards of one scan in the order of a whole scan's table.

    Raises TableError when they are not all of its shards, each once and read to its end, by the
    same model and options, or when one cannot be read.
    """
    for path in paths:
        check_place(path, writes=False)
        check_part(path)
    with TemporaryFolder() as name:
        folder = Path(name)
        local = [copied(path, folder / f"{n}{SUFFIX}") for n, path in enumerate(paths)]
        parts = [
            (path, parse_part(read_note(file), path))
            for path, file in zip(paths, local, strict=True)
        ]
        check_together(parts)
        rows = [_rows(file, *part) for file, part in zip(local, parts, strict=True)]
        while len(rows) > _OPEN:
            groups = {at: rows[at : at + _OPEN] for at in range(0, len(rows), _OPEN)}
            files = {at: folder / f"{len(rows)}-{at}.jsonl" for at in groups}
            rows = [_waiting(group, files[at]) for at, group in groups.items()]
        yield heapq.merge(*rows, key=row_order)


def _waiting(group: Iterable[Iterator[Outcome]], file: Path) -> Iterator[Outcome]:
    """The rows of some shards in order, from the disk where they wait for the others."""
    layout = JsonlFormat()
    with file.open("wb") as opened:
        layout.write(opened, heapq.merge(*group, key=row_order))
    return (parse_row(cells, file.name) for cells in layout.read(file))


def _rows(file: Path, path: str, part: Part) -> Iterator[Outcome]:
    """The rows of a shard's table, of its own photos alone and in order."""
    last, count = b"", 0
    for row in rows_of(file):
        name = row_order(row)
        if name <= last or not part.shard.holds(os.fsdecode(name)):
            raise TableError(
                f"{path}: its rows are not those of shard {part.shard} alone, each once and in "
                "order: was it edited? Scan that shard again"
            )
        last, count = name, count + 1
        yield row
    if part.rows not in (None, count):
        raise TableError(
            f"{path}: it has {count:,} rows and was written with {part.rows:,}: was it edited? "
            "Scan that shard again"
        )


def check_together(parts: Sequence[tuple[str, Part]]) -> None:
    """Raise TableError unless these parts, by file, make up one table."""
    first_path, first = parts[0]
    seen: dict[int, str] = {}
    for path, part in parts:
        if part.shard.total != first.shard.total:
            raise TableError(
                f"{path} is shard {part.shard}, but {first_path} is {first.shard}: they are of "
                "different divisions of the library"
            )
        if (number := part.shard.number) in seen:
            raise TableError(f"{path}: shard {part.shard} is also in {seen[number]}: name one")
        seen[number] = path
        _check_same(path, part, first_path, first)
        if part.remaining:
            raise TableError(
                f"{path}: {part.remaining:,} photos of its shard are not read yet: run its scan "
                "again"
            )
    if missing := [str(n) for n in range(1, first.shard.total + 1) if n not in seen]:
        named = ", ".join(missing[:_NAMED]) + (" ..." if len(missing) > _NAMED else "")
        what = f"shard {named} is" if len(missing) == 1 else f"{len(missing)} shards ({named}) are"
        raise TableError(f"{what} missing of {first.shard.total}: the table would lack their rows")


def _check_same(path: str, part: Part, other_path: str, other: Part) -> None:
    if part.sources != other.sources:
        raise TableError(
            f"{path} is of another library ({', '.join(part.sources)}) than {other_path} "
            f"({', '.join(other.sources)})"
        )
    for name in {**part.made_by, **other.made_by}:
        one, two = part.made_by.get(name), other.made_by.get(name)
        if one != two:
            raise TableError(
                f"{path} was made with another {name} ({str(one)[:80]}) than {other_path} "
                f"({str(two)[:80]}): scan it again as the others"
            )
