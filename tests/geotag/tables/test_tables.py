"""One contract for all table formats, and what each alone promises."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geotag.errors import TableError, UsageError
from geotag.records import Outcome, Status, TopCategory
from geotag.tables import TABLES, read_table, write_table
from geotag.tables.base import COLUMNS, guard_cell, unguard_cell
from geotag.tables.csv import CsvFormat

ROWS = [
    Outcome(
        "/photos/a.jpg", Status.TAGGED, 48.8584, 2.2945, None, "inferred", 1500.0, "Eiffel Tower",
        16, 0.98765, "Paris", "France", "2008-10-22T16:28:39+02:00", "Canon EOS 40D",
        (TopCategory(16, "eiffel_tower", "Eiffel Tower", 0.98765),), "model-1",
    ),
    Outcome("/photos/b, \"c\"\nd.jpg", Status.HAS_GPS, -33.5, -151.25, 12.5, "measured"),
    Outcome("/photos/Δ.jpg", Status.NO_LANDMARK, camera="=HYPERLINK(\"http://x\")"),
    Outcome("file:///photos/caf%E9.jpg", Status.UNREADABLE, error="damaged: -1"),
]  # fmt: skip


@pytest.fixture(params=sorted(TABLES))
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"tags{request.param}"


def test_what_is_written_is_read_again(table: Path) -> None:
    write_table(str(table), ROWS)
    assert list(read_table(table)) == ROWS


def test_the_same_rows_give_the_same_bytes(table: Path) -> None:
    write_table(str(table), ROWS)
    first = table.read_bytes()
    write_table(str(table), iter(ROWS))
    assert table.read_bytes() == first


def test_no_rows_is_a_table_too(table: Path) -> None:
    write_table(str(table), [])
    assert list(read_table(table)) == []


def test_a_failing_write_leaves_the_old_table(table: Path) -> None:
    write_table(str(table), ROWS)

    def failing() -> Any:
        yield ROWS[0]
        raise RuntimeError("the scan broke")

    with pytest.raises(RuntimeError):
        write_table(str(table), failing())
    assert list(read_table(table)) == ROWS
    assert os.listdir(table.parent) == [table.name]


def test_a_link_stays_one(table: Path) -> None:
    target = table.parent / "elsewhere" / table.name
    target.parent.mkdir()
    table.symlink_to(target)
    for rows in (ROWS[:1], ROWS):
        write_table(str(table), rows)
        assert table.is_symlink() and list(read_table(target)) == rows
    assert os.listdir(target.parent) == [target.name]


def test_a_missing_folder_is_an_error_of_ours(table: Path) -> None:
    missing = table.parent / "missing" / table.name
    with pytest.raises(TableError, match="missing"):
        write_table(str(missing), ROWS)
    with pytest.raises(TableError):
        list(read_table(missing))


def test_garbage_is_an_error_of_ours(table: Path) -> None:
    table.write_bytes(b"\xff\xfe garbage \0\0\n\x80")
    with pytest.raises(TableError):
        list(read_table(table))


def test_unknown_suffix() -> None:
    with pytest.raises(UsageError, match=r"\.csv"):
        write_table("tags.xls", ROWS)


def test_csv_golden(tmp_path: Path) -> None:
    """What the README promises to those who parse the table."""
    path = tmp_path / "tags.csv"
    write_table(str(path), ROWS[:3])
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")  # by which Excel knows UTF-8
    assert data.decode("utf-8-sig").split("\r\n") == [
        "path,status,latitude,longitude,altitude,position_source,radius_m,landmark,category_id,"
        "confidence,city,country,taken_at,camera,top_k,model,error,method,evidence,utc,place,region,"
        "time_zone,schema_version",
        "/photos/a.jpg,tagged,48.8584,2.2945,,inferred,1500.0,Eiffel Tower,16,0.98765,Paris,France,"
        '2008-10-22T16:28:39+02:00,Canon EOS 40D,"[{""category_id"": 16, ""slug"": '
        '""eiffel_tower"", ""landmark"": ""Eiffel Tower"", ""confidence"": 0.98765}]",'
        "model-1,,,,,,,,2",
        '"/photos/b, ""c""\nd.jpg",has_gps,-33.5,-151.25,12.5,measured,,,,,,,,,,,,,,,,,,2',
        '/photos/Δ.jpg,no_landmark,,,,,,,,,,,,"\'=HYPERLINK(""http://x"")",,,,,,,,,,2',
        "",
    ]


def test_jsonl_golden(tmp_path: Path) -> None:
    path = tmp_path / "tags.jsonl"
    write_table(str(path), ROWS)
    cells = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert list(cells[0]) == list(COLUMNS)
    assert cells[0]["top_k"] == [
        {"category_id": 16, "slug": "eiffel_tower", "landmark": "Eiffel Tower",
         "confidence": 0.98765},
    ]  # fmt: skip
    assert cells[1]["latitude"] == -33.5
    assert cells[1]["landmark"] is None
    assert cells[2]["camera"] == '=HYPERLINK("http://x")'


def test_parquet_has_types(tmp_path: Path) -> None:
    path = tmp_path / "tags.parquet"
    write_table(str(path), ROWS)
    frame = pd.read_parquet(path)
    assert list(frame.columns) == list(COLUMNS)
    assert frame["latitude"].dtype == "float64"
    assert frame["category_id"][0] == 16
    assert pd.isna(frame["landmark"][1])


def test_pandas_reads_the_csv(tmp_path: Path) -> None:
    path = tmp_path / "tags.csv"
    write_table(str(path), ROWS)
    frame = pd.read_csv(path)
    assert list(frame["status"]) == [row.status.value for row in ROWS]
    assert frame["path"][1] == ROWS[1].path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_saved_by_a_spreadsheet(tmp_path: Path, delimiter: str) -> None:
    """A byte order mark, columns gone or in another order, whole numbers with a point."""
    path = tmp_path / "tags.csv"
    lines = [
        ["landmark", "path", "category_id"],
        ["Eiffel Tower", "/a.jpg", "16.0"],
        ["", "", ""],
        [],
    ]
    path.write_text("\ufeff" + "\r\n".join(map(delimiter.join, lines)), "utf-8")
    (row,) = read_table(path)
    assert (row.path, row.landmark, row.category_id) == ("/a.jpg", "Eiffel Tower", 16)


def test_a_table_saved_where_a_comma_stands_before_decimals(tmp_path: Path) -> None:
    path = tmp_path / "tags.csv"
    path.write_text("path;latitude;longitude;landmark\n/a,b.jpg;48,8584;-2.25;Rue A, Paris\n")
    (row,) = read_table(path)
    assert (row.path, row.landmark) == ("/a,b.jpg", "Rue A, Paris")
    assert (row.latitude, row.longitude) == (48.8584, -2.25)


def test_a_row_that_a_person_added(tmp_path: Path) -> None:
    path = tmp_path / "tags.csv"
    write_table(str(path), ROWS)
    with path.open("a", encoding="utf-8", newline="") as file:
        csv.DictWriter(file, COLUMNS).writerow({"path": "/new.jpg", "landmark": "Eiffel Tower"})
    *old, new = read_table(path)
    assert old == ROWS
    assert new == Outcome("/new.jpg", Status.UNCERTAIN, landmark="Eiffel Tower")


@pytest.mark.parametrize("data", [b"PK\3\4" + bytes(99), b"<html><table/></html>", b"a,b\n"])
def test_a_file_of_another_kind_is_no_csv_without_rows(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "tags.csv"
    path.write_bytes(data)
    with pytest.raises(TableError, match="no column path"):
        list(read_table(path))


def test_an_empty_csv_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "tags.csv"
    path.write_bytes(b"")
    with pytest.raises(TableError, match="empty; is this a table"):
        list(read_table(path))


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ({"path": "", "status": "tagged"}, "no path"),
        ({"path": "/a", "status": "sure"}, '"sure" is not a status'),
        ({"path": "/a", "latitude": "north"}, "latitude is not a number"),
        ({"path": "/a", "latitude": "4_8.8"}, "latitude is not a number"),
        ({"path": "/a", "latitude": "nan"}, "not a number"),
        ({"path": "/a", "category_id": "1.5"}, "whole"),
        ({"path": "/a", "confidence": "95"}, "between 0 and 1"),
        ({"path": "/a", "top_k": "[{}]"}, "category_id"),
        ({"path": "/a", "top_k": "nonsense"}, ""),
    ],
)
def test_a_wrong_cell_is_named(tmp_path: Path, cells: dict[str, str], problem: str) -> None:
    path = tmp_path / "tags.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(cells))
        writer.writeheader()
        writer.writerow(cells)
    with pytest.raises(TableError, match=f"row 1.*{problem}"):
        list(read_table(path))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "'", "'="])
def test_cells_that_a_spreadsheet_would_run(start: str) -> None:
    guarded = guard_cell(start + "cmd")
    assert guarded[0] == "'"
    assert unguard_cell(guarded) == start + "cmd"


SIGNS = "=+-@＝＋－＠"
NASTY = st.text(st.sampled_from(SIGNS + ";,\t\r\n \"'\xa0\ufeffA1()|!"), max_size=12)


@given(st.text() | NASTY)
def test_guarding_is_reversible(text: str) -> None:
    assert unguard_cell(guard_cell(text)) == text


@pytest.mark.parametrize("text", ["\n", "\n'", ';"', "' "])
def test_guarding_a_long_text_is_reversible(text: str) -> None:
    """This would not end if guarding took time by the square of the length."""
    assert unguard_cell(guard_cell(text * 10**5)) == text * 10**5


@settings(max_examples=5 * settings.default.max_examples)
@given(text=NASTY, delimiter=st.sampled_from([";", "\t", ";\t"]))
def test_no_cell_is_a_formula_wherever_a_spreadsheet_splits(text: str, delimiter: str) -> None:
    """Excel splits at its country's list separator, whatever the file was written with."""
    row = ROWS[0]._replace(
        path="/p/" + text, camera=text, error=text, city="x" + text, landmark=text + ";" + text
    )
    file = io.BytesIO()
    CsvFormat().write(file, [row])
    text = file.getvalue().decode("utf-8-sig")
    (_, cells) = csv.reader(io.StringIO(text, newline=""))
    cells += re.split(f"[\r\n{delimiter}]", text)
    for cell in cells:
        assert not cell.strip('"\xa0\ufeff \t\r\n').startswith(tuple(SIGNS)), cell


def test_what_is_guarded_is_read_again(tmp_path: Path) -> None:
    text = 'Canon;=HYPERLINK("http://x")\n-1\t\'@a'
    row = ROWS[0]._replace(path="/p/" + text, camera=text, landmark=text, error=text)
    table = tmp_path / "tags.csv"
    write_table(str(table), [row])
    assert list(read_table(table)) == [row]
    assert ";=" not in table.read_text("utf-8")


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "mac_roman"])
def test_a_table_saved_in_another_encoding_names_the_remedy(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "tags.csv"
    text = "path,landmark\n/a.jpg,Eiffel Tower\n/b.jpg,Château d'If\n"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(TableError, match=r"not UTF-8.*CSV UTF-8"):
        list(read_table(path))


@pytest.mark.parametrize("encoding", ["cp1252", "mac_roman"])
@pytest.mark.parametrize("name", ["Château d'If", "Hội An Ancient Town", "Anıtkabir", "Sacré-Cœur"])
def test_text_that_went_through_another_encoding_is_noticed(
    tmp_path: Path, encoding: str, name: str
) -> None:
    mangled = "".join(
        bytes([byte]).decode(encoding, "ignore") or chr(byte) for byte in name.encode()
    )
    path = tmp_path / "tags.csv"
    path.write_text(f"path,landmark\n/a.jpg,Eiffel Tower\n/b.jpg,{mangled}\n", "utf-8")
    with pytest.raises(TableError, match=rf'row 2: the landmark .* is "{name}" opened in'):
        list(read_table(path))


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\r\npath;landmark;confidence\r\n/a.jpg;Eiffel Tower;0,5\r\n",
        '"sep=,"\npath,landmark,confidence\n/a.jpg,Eiffel Tower,0.5\n',
        "\n,,\n\npath,landmark,confidence\n/a.jpg,Eiffel Tower,0.5\n",
        "\ufeffpath,landmark,confidence\n/a.jpg,Eiffel Tower,0.5\n",
        "Path, LANDMARK ,Confidence\n/a.jpg,Eiffel Tower,0.5\n",
        "path,landmark,confidence,notes\n/a.jpg,Eiffel Tower,0.5\n,,,,,,\n , ,\n",
        "path;landmark;confidence;category_id\n/a.jpg;Eiffel Tower;0,5;16,00\n",
        "path,landmark,confidence,status\n/a.jpg,Eiffel Tower,0.5, Uncertain\n",
        "path\tlandmark\tconfidence\r/a.jpg\tEiffel Tower\t0.5\r",
    ],
)
def test_a_table_that_a_spreadsheet_saved_in_its_own_way_is_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tags.csv"
    path.write_bytes(text.encode("utf-8-sig"))
    (row,) = read_table(path)
    assert (row.path, row.landmark, row.confidence) == ("/a.jpg", "Eiffel Tower", 0.5)
    assert row.status is Status.UNCERTAIN and row.category_id in (None, 16)


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tags.csv"
    path.write_text("path,landmark,Landmark\n/a.jpg,Eiffel Tower,Stonehenge\n", "utf-8")
    with pytest.raises(TableError, match="several columns are named landmark"):
        list(read_table(path))


def test_a_file_may_be_named_like_anything(tmp_path: Path) -> None:
    path = tmp_path / "tags.csv"
    path.write_text("path,landmark,city\n/FranÃ§ois.jpg,Sacré-Cœur,Zürich ÄÖÜ ¿\n", "utf-8")
    (row,) = read_table(path)
    assert row[0] == "/FranÃ§ois.jpg"
