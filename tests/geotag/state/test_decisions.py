"""Decisions of a review: kept at once, undone in steps, carried over, and never lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from geotag.errors import LockedError
from geotag.state.catalog import open_catalog
from geotag.state.decisions import Decision, Decisions, Verdict, decisions_in

TOWER = Decision(
    Verdict.ACCEPTED, "Eiffel Tower", "eiffel_tower", 48.8, 2.3, 500.0, "Paris", "France"
)
NONE = Decision(Verdict.REJECTED)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tags.csv.geotag"


def test_the_last_decision_counts_and_steps_are_undone_whole(path: Path) -> None:
    with open_catalog(path) as catalog:
        decisions = Decisions(catalog.connection)
        decisions.add({"/a": TOWER, "/caf\udce9": TOWER})
        decisions.add({"/a": NONE})
        assert decisions.all() == {"/a": NONE, "/caf\udce9": TOWER}
        with pytest.raises(LockedError):
            decisions_in(path)
    assert decisions_in(path) == {"/a": NONE, "/caf\udce9": TOWER}
    with open_catalog(path) as catalog:
        decisions = Decisions(catalog.connection)
        assert decisions.undo() == ["/a"]
        assert decisions.all() == {"/a": TOWER, "/caf\udce9": TOWER}
        assert decisions.undo() == ["/a", "/caf\udce9"]
        assert decisions.undo() == []
        assert decisions.all() == {}


def test_a_catalog_of_the_fourth_version_is_migrated(path: Path) -> None:
    open_catalog(path).__exit__(None, None, None)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE decisions")
        connection.execute("DROP TABLE clock_offsets")
        connection.execute("ALTER TABLE photos DROP COLUMN fingerprint")
        connection.execute("ALTER TABLE tables DROP COLUMN here")
        connection.execute("PRAGMA user_version = 4")
    assert decisions_in(path) == {}
    with open_catalog(path) as catalog:
        Decisions(catalog.connection).add({"/a": TOWER})
    assert decisions_in(path) == {"/a": TOWER}


def test_nothing_is_made_where_there_is_no_catalog(path: Path) -> None:
    assert decisions_in(path) == {}
    path.write_bytes(b"no database at all, but long enough to be looked at" * 40)
    assert decisions_in(path) == {}
    assert os.listdir(path.parent) == [path.name]


def test_decisions_outlive_a_damaged_catalog(path: Path) -> None:
    with open_catalog(path) as catalog:
        Decisions(catalog.connection).add({"/a": TOWER})
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE scans")
    with open_catalog(path) as catalog:
        assert Decisions(catalog.connection).all() == {"/a": TOWER}


def test_decisions_of_a_hostile_catalog_are_left_out(path: Path) -> None:
    with open_catalog(path) as catalog:
        Decisions(catalog.connection).add({"/a": TOWER})
    with closing(sqlite3.connect(path)) as connection, connection:
        columns = "step, verdict, landmark, slug, city, country, decided_at"
        for verdict, landmark in (("crowned", "x"), ("accepted", b"\xff")):
            connection.execute(
                f"INSERT INTO decisions (uri, {columns}) VALUES (?, 9, ?, ?, '', '', '', '')",
                (os.fsencode("/b"), verdict, landmark),
            )
    assert decisions_in(path) == {"/a": TOWER}


def test_a_kill_loses_no_decision(path: Path) -> None:
    code = (
        "import sys, itertools\n"
        "from geotag.state.catalog import open_catalog\n"
        "from geotag.state.decisions import Decision, Decisions, Verdict\n"
        "with open_catalog(sys.argv[1]) as catalog:\n"
        "    decisions = Decisions(catalog.connection)\n"
        "    for n in itertools.count():\n"
        "        decisions.add({f'/{n}': Decision(Verdict.REJECTED)})\n"
        "        print(n, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 30:
                process.send_signal(signal.SIGKILL)
                break
        said = 30 + len(process.stdout.readlines())
    kept = decisions_in(path)
    assert {f"/{n}" for n in range(said + 1)} <= set(kept)
    with open_catalog(path) as catalog:
        assert Decisions(catalog.connection).all() == kept
