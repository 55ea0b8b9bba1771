"""Tables as Parquet, by pyarrow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from geotag.errors import TableError
from geotag.records import Outcome
from geotag.tables.base import COLUMNS, FLOATS, INTEGERS, SCHEMA_VERSION, format_top_k

_ROW_GROUP = 10_000


class ParquetFormat:
    """Numbers as numbers, text as UTF-8, top_k as JSON text; empty cells are null."""

    def write(self, file: BinaryIO, rows: Iterable[Outcome]) -> None:
        """Write row groups of 10,000 rows."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema([(name, _type(name)) for name in COLUMNS])
        remaining = iter(rows)
        with pq.ParquetWriter(file, schema) as writer:
            while group := [_cells(row) for row in islice(remaining, _ROW_GROUP)]:
                writer.write_table(pa.Table.from_pylist(group, schema))

    def read(self, path: Path) -> Iterator[Mapping[str, Any]]:
        """The rows of a table, a row group at a time."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(_ROW_GROUP):
                    yield from batch.to_pylist()
        except (OSError, pa.ArrowException) as error:
            raise TableError(f"{path}: cannot be read as Parquet ({error})") from error


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
