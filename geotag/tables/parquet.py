"""Tables as Parquet, by pyarrow."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from geotag.errors import TableError
from geotag.records import Outcome
from geotag.tables.base import COLUMNS, FLOATS, INTEGERS, SCHEMA_VERSION, format_top_k

_ROW_GROUP = 10_000
# Rows that are read at once, and bytes of a column: many tables may be read side by side.
_BATCH = 200
_BUFFER = 2**12
_PAGE = 2**16
_STREAMED = {"pre_buffer": False, "buffer_size": _BUFFER}
_NOTE = b"geotag"
_NOTE_LIMIT = 2**20
_BATCH_LIMIT = 2**25  # bytes of text


class ParquetFormat:
    """Numbers as numbers, text as UTF-8, top_k as JSON text; empty cells are null. A `note` goes
    into the file's metadata."""

    def __init__(self, note: str = "") -> None:
        self.note = note

    def write(self, file: BinaryIO, rows: Iterable[Outcome]) -> None:
        """Write row groups of 10,000 rows."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        metadata = {_NOTE: self.note.encode()} if self.note else None
        schema = pa.schema([(name, _type(name)) for name in COLUMNS], metadata)
        remaining = iter(rows)
        # Paths all differ: a dictionary of them would have to be read whole.
        repeated = [name for name in COLUMNS if name != "path"]
        options = {"use_dictionary": repeated, "data_page_size": _PAGE}
        with pq.ParquetWriter(file, schema, **options) as writer:
            while group := [_cells(row) for row in islice(remaining, _ROW_GROUP)]:
                writer.write_table(pa.Table.from_pylist(group, schema))

    def read(self, path: Path) -> Iterator[Mapping[str, Any]]:
        """The rows of a table, a batch at a time; columns of others are passed over."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        number = 0
        try:
            texts, columns = _columns(path)
            # Text that repeats stays short in memory until it is known how long it would be.
            with pq.ParquetFile(path, read_dictionary=texts, **_STREAMED) as file:
                for batch in file.iter_batches(_BATCH, columns=columns, use_threads=False):
                    for row in _decoded(batch).to_pylist():
                        yield row
                        number += 1
        except (OSError, ValueError, pa.ArrowException, OverflowError) as error:
            reason = "text that is not UTF-8" if isinstance(error, UnicodeError) else error
            place = f"{path}, from row {number + 1} on" if number else str(path)
            raise TableError(f"{place}: cannot be read as Parquet ({reason})") from error


def read_note(path: Path) -> str:
    """The note in a file's metadata; empty where there is none. Raises TableError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        note = (pq.read_schema(path).metadata or {}).get(_NOTE, b"")
    except (OSError, ValueError, pa.ArrowException) as error:
        raise TableError(f"{path}: cannot be read as Parquet ({error})") from error
    if len(note) > _NOTE_LIMIT:
        raise TableError(f"{path}: its note is larger than {_NOTE_LIMIT >> 20} MiB")
    return str(note.decode("utf-8", "replace"))


def _columns(path: Path) -> tuple[list[str], list[str]]:
    """The columns whose text repeats, and all of a table. Raises ValueError for nested ones."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, **_STREAMED) as file:
        known = [field for field in file.schema_arrow if field.name in COLUMNS]
        if nested := [field.name for field in known if pa.types.is_nested(field.type)]:
            raise ValueError(f"the column {nested[0]} is nested")
        names = [field.name for field in known]
        # A row of each group is read first: of damaged metadata that raises an error, where to look
        # into the metadata itself ends the process.
        for group in range(file.num_row_groups):
            only = {"row_groups": [group], "columns": names, "use_threads": False}
            next(file.iter_batches(1, **only), None)
        repeats = _repeating(file.metadata, set(names))
    texts = [field.name for field in known if field.type in (pa.string(), pa.large_string())]
    return [name for name in texts if name in repeats], names


def _repeating(metadata: Any, names: Collection[str]) -> set[str]:
    """The columns of these that are dictionaries anywhere. What is none is not to become one: it
    would grow with each row that is read."""
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    places = [at for at, name in enumerate(metadata.schema.names) if name in names]
    chunks = (group.column(at) for group in groups for at in places)
    return {c.path_in_schema for c in chunks if c.has_dictionary_page}


def _decoded(batch: Any) -> Any:
    """A batch with its text written out. Raises ValueError where that would be too much."""
    import pyarrow as pa
    import pyarrow.compute as pc

    total, columns = 0, []
    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            lengths = pc.binary_length(column.dictionary)
            total += pc.sum(lengths.take(column.indices)).as_py() or 0
            if total > _BATCH_LIMIT:
                raise ValueError(f"{total >> 20} MiB of text in {len(batch)} rows")
            column = column.dictionary_decode()
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _type(name: str) -> Any:
    import pyarrow as pa

    if name in FLOATS:
        return pa.float64()
    return pa.int64() if name in INTEGERS else pa.string()


def _cells(row: Outcome) -> dict[str, Any]:
    cells: dict[str, Any] = {k: v if v != "" else None for k, v in row._asdict().items()}
    cells["status"] = row.status.value
    cells["top_k"] = format_top_k(row.top_k) or None
    cells["schema_version"] = SCHEMA_VERSION
    return cells
