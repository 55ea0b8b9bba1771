"""Embeddings as files: Parquet, or NumPy's format with a Parquet file of paths beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from geotag.errors import UsageError
from geotag.files.paths import format_path
from geotag.tables import check_writable, remove_file, write_whole

_BATCH = 1000
_SUFFIXES = (".parquet", ".npy")


class Embedded(NamedTuple):
    """A photo's URI and its embedding: float16, little-endian."""

    uri: str
    vector: bytes


def check_embeddings(path: str) -> None:
    """Raise an error where embeddings surely cannot be written to a file."""
    if Path(path).suffix not in _SUFFIXES:
        raise UsageError(f"{path}: embeddings must be a file ending in {' or '.join(_SUFFIXES)}")
    check_writable(path)


def paths_file(path: str) -> str:
    """The file of paths beside an .npy file, in the order of its rows."""
    return path.removesuffix(".npy") + ".paths.parquet"


def write_embeddings(path: str, rows: Callable[[], Iterator[Embedded]], model: str) -> None:
    """Write a file whole or not at all; `model` is as tables name it. Raises TableError.

    Of the two files of .npy, that of the paths goes first and comes last: where there is one, it
    fits the other.
    """
    if path.endswith(".parquet"):
        write_whole(path, lambda file: _write_parquet(file, rows(), model, with_vectors=True))
        return
    beside = paths_file(path)
    remove_file(beside)
    write_whole(path, lambda file: _write_npy(file, rows()))
    write_whole(beside, lambda file: _write_parquet(file, rows(), model, with_vectors=False))


def _write_npy(file: BinaryIO, rows: Iterator[Embedded]) -> None:
    import numpy as np

    first = next(rows, None)
    width = len(first.vector) // 2 if first is not None else 0
    header = {"descr": "<f2", "fortran_order": False, "shape": (10**15, width)}
    np.lib.format.write_array_header_1_0(file, header)  # as long as the one that takes its place
    count = 0
    for row in chain([first] if first is not None else [], rows):
        file.write(row.vector)
        count += 1
    file.seek(0)
    np.lib.format.write_array_header_1_0(file, header | {"shape": (count, width)})


def _write_parquet(
    file: BinaryIO, rows: Iterator[Embedded], model: str, with_vectors: bool
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = next(rows, None)
    width = len(first.vector) // 2 if first is not None else 0
    vectors = pa.list_(pa.float16(), width or -1)
    fields = [("path", pa.string()), ("embedding", vectors), ("model", pa.string())]
    schema = pa.schema([field for field in fields if with_vectors or field[0] != "embedding"])
    remaining = chain([first] if first is not None else [], rows)
    with pq.ParquetWriter(file, schema) as writer:
        while batch := list(islice(remaining, _BATCH)):
            columns: list[Any] = [pa.array([format_path(row.uri) for row in batch])]
            if with_vectors:
                columns.append(_vectors(batch, width))
            columns.append(pa.array([model] * len(batch)))
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _vectors(batch: Iterable[Embedded], width: int) -> Any:
    import numpy as np
    import pyarrow as pa

    numbers = np.frombuffer(b"".join(row.vector for row in batch), "<f2")
    return pa.FixedSizeListArray.from_arrays(pa.array(numbers), width)
