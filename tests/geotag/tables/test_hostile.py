"""Whatever a table holds, it is read, or refused by one error that names the file."""

from __future__ import annotations

import csv
import json
import math
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geotag.errors import TableError
from geotag.records import Status, TopCategory
from geotag.tables import TABLES, read_table, write_table
from geotag.tables.base import COLUMNS
from geotag.tables.csv import unmangled

NUMBERS = (
    st.floats()
    | st.integers()
    | st.sampled_from([2**63, -(2**64), 10**400, 1e300, -1e300, 1e308, True])
)


TEXTS = st.text() | st.sampled_from(
    ["1e999", "-0", "0x10", "1_0", "١", "\x00", "a\x00b", "\ud800", "nan", "Infinity", "9" * 5000]
)


VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


ENTRIES = st.lists(
    st.fixed_dictionaries(dict.fromkeys(TopCategory._fields, VALUES)) | VALUES, max_size=3
)


CELLS = st.fixed_dictionaries(
    {"path": st.just("/a.jpg") | VALUES},
    optional={name: ENTRIES if name == "top_k" else VALUES for name in COLUMNS[1:]},
)


def _is_read_or_refused(path: Path) -> None:
    try:
        rows = list(read_table(path))
    except TableError as error:
        message = str(error)
        assert message.startswith(str(path)), message
        assert "\n" not in message and len(message) < len(str(path)) + 400, message
        return
    for row in rows:
        for name in ("latitude", "longitude", "altitude", "radius_m", "confidence"):
            number = getattr(row, name)
            assert number is None or math.isfinite(number)
        assert abs(row.category_id or 0) < 2**63
        assert isinstance(row.status, Status)
        for cell in row:
            assert not isinstance(cell, str) or cell.encode() is not None
    for suffix in TABLES:
        again = path.with_name(f"again{suffix}")
        write_table(str(again), rows)
        texts = [str(cell) for row in rows for cell in row]
        if any("\0" in text or "\r" in text or unmangled(text) != text for text in texts):
            continue  # no CSV holds these as they are
        assert list(read_table(again)) == rows


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(CELLS, max_size=2))
def test_any_value_in_any_field_of_jsonl(tmp_path: Path, cells: list[dict[str, Any]]) -> None:
    path = tmp_path / "tags.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in cells))
    _is_read_or_refused(path)


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=CELLS, delimiter=st.sampled_from(",;\t"))
def test_any_value_in_any_field_of_csv(
    tmp_path: Path, cells: dict[str, Any], delimiter: str
) -> None:
    path = tmp_path / "tags.csv"
    with path.open("w", newline="", encoding="utf-8", errors="surrogatepass") as file:
        writer = csv.DictWriter(file, list(cells), delimiter=delimiter)
        writer.writeheader()
        writer.writerow({k: json.dumps(v) if k == "top_k" else v for k, v in cells.items()})
    _is_read_or_refused(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(COLUMNS), value=VALUES | st.binary() | st.datetimes() | st.decimals())
def test_any_value_in_any_field_of_parquet(tmp_path: Path, name: str, value: Any) -> None:
    path = tmp_path / "tags.parquet"
    cells = {"path": "/a.jpg", name: value}
    try:
        pq.write_table(pa.Table.from_pylist([cells, {"path": "/b.jpg"}]), path)
    except (pa.ArrowException, ValueError, OverflowError, TypeError):
        return  # nothing that Parquet holds
    _is_read_or_refused(path)


@given(data=st.binary(max_size=200))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("suffix", sorted(TABLES))
def test_any_bytes_are_read_or_refused(tmp_path: Path, suffix: str, data: bytes) -> None:
    path = tmp_path / f"tags{suffix}"
    path.write_bytes(data)
    _is_read_or_refused(path)


@pytest.mark.parametrize("value", ["\n", "a\r\nb", "\x1b[2J", "\u2028", "\u202e"])
def test_a_value_in_a_message_stays_on_its_line_and_sends_no_codes(
    tmp_path: Path, value: str
) -> None:
    path = tmp_path / "tags.jsonl"
    path.write_text(json.dumps({"path": "/a.jpg", "status": value}))
    with pytest.raises(TableError, match="is not a status") as caught:
        list(read_table(path))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_deep_nesting_is_refused(tmp_path: Path, opening: str) -> None:
    deep = opening * 10_000
    path = tmp_path / "tags.jsonl"
    for text in (deep, '{"path": "/a", "top_k": ' + deep, '{"path": "/a", "x": ' + deep):
        path.write_text(text)
        with pytest.raises(TableError, match="line 1: not JSON"):
            list(read_table(path))
    for text in (deep, deep + "1" + ("]" * 10_000 if opening == "[" else "}" * 10_000)):
        for suffix in (".csv", ".jsonl"):
            path = tmp_path / f"tags{suffix}"
            if suffix == ".csv":
                with path.open("w", newline="") as file:
                    csv.writer(file).writerows([["path", "top_k"], ["/a", text]])
            else:
                path.write_text(json.dumps({"path": "/a", "top_k": text}))
            with pytest.raises(TableError, match="row 1: top_k is not JSON"):
                list(read_table(path))


def test_parquet_that_is_no_utf8(tmp_path: Path) -> None:
    path = tmp_path / "tags.parquet"
    broken = pa.array([b"/a.jpg", b"\xff\xfe"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"path": ["/a.jpg", "/b.jpg"], "landmark": broken}), path)
    with pytest.raises(TableError, match="not UTF-8"):
        list(read_table(path))


def test_a_small_parquet_with_gigabytes_of_text(tmp_path: Path) -> None:
    path = tmp_path / "tags.parquet"
    names = pa.DictionaryArray.from_arrays(pa.array([0] * 2000), pa.array(["x" * 2**20]))
    pq.write_table(pa.table({"path": ["/a.jpg"] * 2000, "landmark": names}), path)
    assert path.stat().st_size < 2**20
    tracemalloc.start()
    with pytest.raises(TableError, match="MiB of text"):
        list(read_table(path))
    assert tracemalloc.get_traced_memory()[1] < 2**27
    tracemalloc.stop()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_huge_cell_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"tags{suffix}"
    huge = "x" * (2**24 + 1)
    path.write_text(f'{{"path": "{huge}"}}' if suffix == ".jsonl" else f"path\n/a\n{huge}\n")
    with pytest.raises(TableError, match=rf"{path}, (line|row) \d"):
        list(read_table(path))
