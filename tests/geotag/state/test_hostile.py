"""Catalogs that hold anything: what a person or a broken disk puts into them ends no command."""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
from contextlib import closing, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geotag.cli import main
from geotag.places.names import FoundName
from geotag.places.sighting import Placed, Reason
from geotag.places.windows import Window
from geotag.state.catalog import open_catalog
from geotag.state.decisions import Decision, Decisions, Verdict
from geotag.state.schema import READING_COLUMNS, VERSION, checksum
from tests.conftest import gps_ifd, jpeg_bytes, picture

# What SQL cannot be given as a value but a file can hold: text that is not UTF-8.
NOT_UTF8 = "CAST(x'66ff00fe' AS TEXT)"
VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.binary(max_size=40),
    st.sampled_from(
        ["[" * 100_000, "{}", "[]", "[[1, 2]]", '[["eiffel_tower", 2]]', "1e999", "0001-01-01"]
    ),
    st.just(NOT_UTF8),
)


class Made(NamedTuple):
    """A library with a table and a catalog in whose every table is a row."""

    folder: Path
    model: Path
    columns: tuple[tuple[str, str], ...]
    table: bytes


def run(folder: Path, *arguments: object) -> tuple[int, str]:
    """A command's exit code, and what it printed."""
    out = io.StringIO()
    os.environ["XDG_STATE_HOME"] = str(folder / "state")
    with redirect_stdout(out), redirect_stderr(out), pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return int(caught.value.code or 0), out.getvalue()


def scan(folder: Path, model: Path, *options: object) -> tuple[int, str]:
    photos, table = folder / "photos", folder / "tags.csv"
    return run(folder, "scan", photos, "--out", table, "--model", model, *options)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, model_path: Path) -> Made:
    folder = tmp_path_factory.mktemp("hostile") / "library"
    (folder / "photos").mkdir(parents=True)
    for number in range(2):
        data = jpeg_bytes(picture(seed=number), gps=gps_ifd(48, number + 1))
        (folder / "photos" / f"{number}.jpg").write_bytes(data)
    (folder / "photos" / "tower.jpg").write_bytes(jpeg_bytes(picture("eiffel_tower")))
    (folder / "photos" / "empty.jpg").write_bytes(b"")
    assert scan(folder, model_path, "--write")[0] == 3
    table = folder / "tags.csv"
    edited = folder / "edited.csv"
    edited.write_bytes(table.read_bytes().replace(b"Eiffel Tower", b""))
    assert run(folder, "write", edited, "--catalog", f"{table}.geotag")[0] == 0
    with open_catalog(f"{table}.geotag") as catalog:
        decisions = Decisions(catalog.connection)
        decisions.add({str(folder / "photos" / "tower.jpg"): Decision(Verdict.REJECTED)})
        catalog.note_clock_offsets({"Leica M9": -3720.0})
        placed = Placed({"/photos/a.jpg": Reason.NO_TIME}, {})
        catalog.placed.keep(Window(1, 2), b"digest", placed)
        catalog.names.add((48000, 2000), 1, FoundName("Aubigny"))
        catalog.names.save()
    with closing(sqlite3.connect(f"{table}.geotag")) as connection, connection:
        connection.execute(
            "INSERT INTO retries SELECT uri, size, version, 'why', 1, 1.0, 1 FROM photos LIMIT 1"
        )
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        columns = [
            (table, column)
            for (table,) in names
            for (column,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
        ]
        for (name,) in names:
            assert connection.execute(f"SELECT 1 FROM {name}").fetchone(), name
    assert scan(folder, model_path)[0] == 3
    shutil.copytree(folder, folder.with_name("kept"))
    return Made(folder, model_path, tuple(columns), table.read_bytes())


def restored(made: Made) -> Path:
    """The library as it was made, at the same place."""
    shutil.rmtree(made.folder)
    shutil.copytree(made.folder.with_name("kept"), made.folder)
    return made.folder


def check_all_commands(folder: Path, made: Made) -> None:
    """None crashes; the second scan at the latest gives the table that the first one gave."""
    table = folder / "tags.csv"
    said = []
    for arguments in (
        ("runs", "--catalog", f"{table}.geotag"),
        ("write", table, "--dry-run"),
        ("clocks", table),
        ("revert", "--last", "--catalog", f"{table}.geotag"),
    ):
        code, text = run(folder, *arguments)
        said.append(text)
        assert code in (0, 1, 2, 3), text
    for options in (["--places"], []):
        code, text = scan(folder, made.model, *options)
        said.append(text)
        assert code in (1, 3), text
    assert "an error in geotag itself" not in "".join(said), said
    assert "Traceback" not in "".join(said), said


@pytest.fixture
def copy(made: Made) -> Path:
    return restored(made)


CHANGES = st.lists(st.tuples(st.integers(0, 10_000), VALUES, st.booleans()), min_size=1, max_size=3)


@pytest.mark.slow
@given(changes=CHANGES)
@settings(
    max_examples=int(os.environ.get("GEOTAG_EXAMPLES", "10")),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_value_in_any_column_crashes_a_command(
    changes: list[tuple[int, object, bool]], made: Made
) -> None:
    folder = restored(made)
    with closing(sqlite3.connect(folder / "tags.csv.geotag")) as connection, connection:
        for number, value, is_signed in changes:
            table, column = made.columns[number % len(made.columns)]
            set_to = NOT_UTF8 if value == NOT_UTF8 else "?"
            arguments = () if value == NOT_UTF8 else (value,)
            with suppress(sqlite3.IntegrityError):  # that a file cannot hold
                connection.execute(f"UPDATE OR IGNORE {table} SET {column} = {set_to}", arguments)
            if table == "photos" and is_signed:  # by someone who knows the checksum
                sign(connection)
    check_all_commands(folder, made)


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["writes.state", "photos.checksum", "photos.scan"])
def test_a_query_that_finds_damage_does_not_keep_the_catalog_locked(
    copy: Path, made: Made, cell: str
) -> None:
    table, column = cell.split(".")
    with closing(sqlite3.connect(copy / "tags.csv.geotag")) as connection, connection:
        connection.execute(f"UPDATE {table} SET {column} = {NOT_UTF8}")
    check_all_commands(copy, made)


def sign(connection: sqlite3.Connection) -> None:
    connection.text_factory = lambda text: text.decode("utf-8", "backslashreplace")
    names = ", ".join(READING_COLUMNS[:-1])
    for row in connection.execute(f"SELECT {names} FROM photos").fetchall():
        with suppress(sqlite3.Error):
            connection.execute(
                "UPDATE photos SET checksum = ? WHERE uri IS ?", (checksum(row), row[0])
            )


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    [
        "DROP TABLE photos",
        "DROP TABLE retries",
        "DROP TABLE revision",
        "DELETE FROM revision",
        "DROP TABLE writes",
        "DROP INDEX photos_by_content",
        "ALTER TABLE photos DROP COLUMN camera",
        "ALTER TABLE write_runs RENAME COLUMN description TO other",
        "CREATE TRIGGER evil AFTER INSERT ON scans BEGIN DELETE FROM writes; END",
        "DROP TABLE scans; CREATE VIEW scans AS SELECT 1 AS id, 2 AS started",
        "PRAGMA user_version = -7",
        "PRAGMA user_version = 0",
        "PRAGMA user_version = 1",
        "PRAGMA user_version = 2",
        "UPDATE write_runs SET description = char(27) || '[2J'",
        "UPDATE photos SET top = zeroblob(100000000)",
    ],
)
def test_a_catalog_of_odd_tables_is_set_aside_and_built_anew(
    copy: Path, made: Made, script: str
) -> None:
    with closing(sqlite3.connect(copy / "tags.csv.geotag")) as connection:
        connection.executescript(script)
    code, text = run(copy, "runs", "--catalog", copy / "tags.csv.geotag")
    assert code in (0, 1) and "a fault in geotag" not in text
    assert "\x1b" not in text
    code, text = scan(copy, made.model)
    assert (code, "a fault in geotag" in text) == (3, False), text
    assert (copy / "tags.csv").read_bytes() == made.table


def test_the_journal_of_a_damaged_catalog_is_carried_over_row_by_row(
    copy: Path, made: Made
) -> None:
    catalog = copy / "tags.csv.geotag"
    with closing(sqlite3.connect(catalog)) as connection:
        connection.executescript(
            f"UPDATE photos SET camera = {NOT_UTF8}; DROP TABLE retries;"
            f"UPDATE write_runs SET description = {NOT_UTF8};"
            "INSERT INTO writes SELECT NULL, run_id, path, temporary, 5, old_sha256, old_mtime_ns, "
            "new_sha256, new_blocks, old_blocks FROM writes LIMIT 1"
        )
        before = connection.execute("SELECT count(*) FROM writes").fetchone()
    assert scan(copy, made.model)[0] == 3
    with closing(sqlite3.connect(catalog)) as connection:
        assert connection.execute("SELECT count(*) FROM writes").fetchone() == before
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        assert version == VERSION
    code, text = run(copy, "runs", "--catalog", catalog)
    assert code == 0 and len(text.splitlines()) == 2
    assert len(list(copy.glob("*.damaged-*"))) == 1
