"""The journal of writes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from geotag.errors import CatalogError
from geotag.state.database import open_database
from geotag.state.journal import Journal, State, Write
from geotag.state.known_catalogs import known_catalogs, list_path, remember_catalog
from geotag.writing.edits import Edit, format_edits, parse_edits

BLOCKS = format_edits([Edit(1, 2, b"abc")])
WRITE = Write("/p/a.jpg", "/p/.geotag-1.tmp", "old", 12345, "new", BLOCKS, BLOCKS)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(open_database(tmp_path / "t.csv.geotag"))


def test_write_is_kept_as_it_was_prepared(journal: Journal) -> None:
    journal.begin("r1", "write t.csv")
    number = journal.prepare("r1", WRITE)
    (kept,) = journal.writes("r1")
    assert kept == WRITE._replace(run_id="r1", id=number)
    assert parse_edits(kept.old_blocks, 100) == (Edit(1, 2, b"abc"),)


def test_names_that_are_not_utf8_are_kept(journal: Journal) -> None:
    path = os.fsdecode(b"/p/caf\xe9.jpg")
    journal.begin("r1", "write")
    journal.prepare("r1", WRITE._replace(path=path))
    assert next(journal.writes("r1")).path == path


def test_runs_count_files_by_state(journal: Journal) -> None:
    journal.begin("r1", "write t.csv")
    first, second = journal.prepare("r1", WRITE), journal.prepare("r1", WRITE)
    journal.mark(first, State.WRITTEN)
    (run,) = journal.runs()
    assert run.files == {State.WRITTEN: 1, State.PREPARED: 1}
    assert not run.finished_at
    assert [write.id for write in journal.unsettled()] == [second]
    journal.finish("r1")
    assert journal.runs()[0].finished_at


def test_of_the_runs_that_wrote_nothing_the_newest_is_remembered(journal: Journal) -> None:
    for run in ("r1", "r2"):
        journal.begin(run, "write t.csv")
        journal.finish(run)
    assert [run.id for run in journal.runs()] == ["r2"]


@pytest.mark.parametrize(
    ("paths", "folder"),
    [
        (["/photos/a.jpg"], "/photos"),
        (["/photos/a/1.jpg", "/photos/ab/2.jpg", "/photos/b.jpg"], "/photos"),
        (["/a.jpg", "/b/c.jpg"], "/"),
        (["s3://bucket/a/1.jpg", "s3://bucket/a/2.jpg"], "s3://bucket/a"),
        ([], ""),
    ],
)
def test_the_folder_of_a_run(journal: Journal, paths: list[str], folder: str) -> None:
    journal.begin("r1", "write t.csv")
    for path in paths:
        journal.prepare("r1", WRITE._replace(path=path))
    assert journal.folder("r1") == folder


def test_later_run_of_the_same_file_is_named(journal: Journal) -> None:
    for run in ("r1", "r2"):
        journal.begin(run, "write")
        journal.mark(journal.prepare(run, WRITE), State.WRITTEN)
    assert journal.later_run(next(journal.writes("r1"))) == "r2"
    assert journal.later_run(next(journal.writes("r2"))) is None


def test_journal_outlives_its_connection(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "c.geotag")
    journal = Journal(connection)
    journal.begin("r1", "write")
    journal.prepare("r1", WRITE)
    connection.close()
    assert next(Journal(open_database(tmp_path / "c.geotag")).writes("r1")).path == "/p/a.jpg"


def test_closed_catalog_is_an_error_of_ours(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "c.geotag")
    journal = Journal(connection)
    connection.close()
    with pytest.raises(CatalogError):
        journal.begin("r1", "write")


def test_catalogs_are_remembered_last_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    names = [
        tmp_path / name for name in ("one.geotag", "two\n.geotag", os.fsdecode(b"\xe9.geotag"))
    ]
    for name in (*names, names[0]):
        name.write_bytes(b"")
        remember_catalog(name)
    assert known_catalogs() == [names[0], names[2], names[1]]
    names[2].unlink()
    assert known_catalogs() == [names[0], names[1]]
    assert list_path().is_relative_to(tmp_path)
