"""geotag revert and geotag runs as a shell sees them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import geotag
from geotag.cli import cli
from geotag.errors import CatalogError, LockedError, UsageError
from geotag.records import Outcome, Status
from geotag.state.locks import file_lock
from geotag.tables import write_table
from tests.conftest import jpeg_bytes, picture
from tests.geotag.cli.test_write import run
from tests.geotag.writing.kinds import made

pytestmark = pytest.mark.usefixtures("own_state")


def test_last_reverts_the_newest_run_with_something_left(table: Path, photos: Path) -> None:
    run("write", table, "--only", "a.jpg")
    run("write", table)
    run("revert", "--last")
    assert not (photos / "b.png.xmp").exists()
    assert (photos / "a.jpg").read_bytes() != made("everything.jpg")
    assert "  1 file written  (write " in run("runs").stdout
    assert "1 file as it was" in run("revert", "--last").stderr
    assert (photos / "a.jpg").read_bytes() == made("everything.jpg")
    with pytest.raises(UsageError):
        raise run("revert", "--last").exception  # type: ignore[misc]


def test_revert_names_the_run_its_time_and_its_folder(table: Path, photos: Path) -> None:
    run("write", table)
    told = run("revert", "--last").stderr.splitlines()
    files = f"2 files in {photos} (write {table})"
    assert re.fullmatch(r"run \S+, \d{4}-\d\d-\d\d \d\d:\d\d, " + re.escape(files), told[0])
    assert told[1] == "2 files as they were"


def test_files_that_fail_alike_share_a_line(tmp_path: Path, photos: Path) -> None:
    copies = [photos / f"copy{number}.jpg" for number in range(6)]
    for copy in copies:
        copy.write_bytes(made("plain.jpg"))
    rows = [Outcome(str(copy), Status.TAGGED, landmark="Eiffel Tower") for copy in copies]
    write_table(str(tmp_path / "tags.csv"), rows)
    assert "6 photos written" in run("write", tmp_path / "tags.csv").stderr
    for copy in copies:
        copy.write_bytes(b"edited")
    _, first, others, last = run("revert", "--last").stderr.splitlines()
    path, reason = first.removeprefix("geotag: ").split(": ", 1)
    rest = [str(copy) for copy in reversed(copies) if str(copy) != path]
    assert others == f"geotag: 5 other files: {reason}: {', '.join(rest[:3])}, ..."
    assert last == "0 files as they were, 6 left alone (see above)"


@pytest.mark.parametrize("where", [(), ("--sidecar",)])
def test_a_scan_knows_photos_that_were_reverted(
    tmp_path: Path, model_path: Path, where: tuple[str, ...]
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "tower.jpg").write_bytes(jpeg_bytes(picture("eiffel_tower")))
    table = tmp_path / "tags.csv"
    scan = ("scan", tmp_path / "photos", "--out", table, "--model", model_path)
    run(*scan)
    assert "1 photo written" in run("write", table, *where).stderr
    assert "1 file as it was" in run("revert", "--last", "--catalog", f"{table}.geotag").stderr
    assert "none read, 1 known from before" in run(*scan).stderr


@pytest.fixture(params=["of another folder", "before a write that changed nothing"])
def doubtful(
    request: pytest.FixtureRequest, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A last run that may not be the one that is meant, and what is said of it."""
    run("write", table)
    if "folder" in request.param:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        return "in another folder than this"
    write_table(str(tmp_path / "other.csv"), [Outcome("/gone.jpg", Status.TAGGED)])
    run("write", tmp_path / "other.csv")
    return f"the newest write changed no file (2026-01-01 00:00, write {tmp_path / 'other.csv'})"


def _undated(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "2026-01-01 00:00", text)


def test_a_script_takes_no_doubtful_run_back(doubtful: str, table: Path, photos: Path) -> None:
    before = (photos / "a.jpg").read_bytes()
    error = run("revert", "--last").exception
    assert isinstance(error, UsageError) and doubtful in _undated(str(error))
    assert f"(write {table}); to take it back, give `geotag revert " in str(error)
    with pytest.raises(UsageError, match="to take it back"):
        geotag.revert()
    assert (photos / "a.jpg").read_bytes() == before
    assert run("revert", str(error).split("`")[1].split()[-1]).return_value == 0
    assert (photos / "a.jpg").read_bytes() == made("everything.jpg")


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("y", 0)])
def test_a_user_is_asked_about_a_doubtful_run(
    doubtful: str, photos: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    monkeypatch.setattr("geotag.cli.revert.is_terminal", lambda: True)
    result = CliRunner().invoke(
        cli, ["revert", "--last"], standalone_mode=False, input=f"{answer}\n"
    )
    assert doubtful in _undated(result.stderr) and "Take it back? [y/N]" in result.stderr
    assert result.return_value == code
    assert ((photos / "a.jpg").read_bytes() == made("everything.jpg")) is (code == 0)


def test_a_catalog_that_is_named_may_be_anywhere(
    table: Path, tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("write", table)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run("revert", "--last", "--catalog", f"{table}.geotag").return_value == 0
    run("write", table)
    monkeypatch.chdir(photos)
    assert run("revert", "--last").return_value == 0


def test_file_changed_since_is_left_alone_with_exit_code_3(table: Path, photos: Path) -> None:
    run("write", table)
    (photos / "a.jpg").write_bytes(b"changed")
    result = run("revert", "--last")
    assert result.return_value == 3 and "changed since" in result.stderr


@pytest.mark.parametrize("arguments", [(), ("--last", "some-run"), ("no-such-run",)])
def test_revert_needs_a_run_it_knows(arguments: tuple[str, ...]) -> None:
    assert isinstance(run("revert", *arguments).exception, UsageError)


def test_runs_of_a_catalog_that_is_named(table: Path, tmp_path: Path) -> None:
    run("write", table, "--catalog", tmp_path / "other.geotag")
    listed = run("runs", "--catalog", tmp_path / "other.geotag").stdout
    assert re.match(r"\d{8}T\d{6}Z-[0-9a-f]{4}  ", listed)


@pytest.mark.parametrize("arguments", [("runs",), ("revert", "--last")])
def test_what_is_named_as_a_catalog_must_be_one(arguments: tuple[str, ...], photos: Path) -> None:
    before = (photos / "a.jpg").read_bytes()
    result = run(*arguments, "--catalog", photos / "a.jpg")
    assert isinstance(result.exception, CatalogError)
    assert (photos / "a.jpg").read_bytes() == before


def test_last_waits_for_a_catalog_that_is_in_use(table: Path, tmp_path: Path, photos: Path) -> None:
    run("write", table, "--only", "a.jpg", "--catalog", tmp_path / "first.geotag")
    run("write", table, "--only", "b.png", "--catalog", tmp_path / "second.geotag")
    first, second = (line.split()[0] for line in run("runs").stdout.splitlines())
    with file_lock(tmp_path / "second.geotag"):
        for arguments in (
            ["--last"],
            [second],
            ["--last", "--catalog", tmp_path / "second.geotag"],
        ):
            result = run("revert", *arguments)
            assert isinstance(result.exception, LockedError), arguments
        assert (photos / "b.png.xmp").exists()
        assert "1 file " in run("revert", first).stderr
    run("revert", "--last")
    assert not (photos / "b.png.xmp").exists()


def test_runs_says_what_it_could_not_look_into(table: Path, tmp_path: Path) -> None:
    run("write", table, "--catalog", tmp_path / "tags.geotag")
    with file_lock(tmp_path / "tags.geotag"):
        listed = run("runs")
        assert "another run is using this catalog" in listed.stderr
        assert "no run" not in listed.stderr
        named = run("runs", "--catalog", tmp_path / "tags.geotag")
        assert isinstance(named.exception, LockedError)


def test_runs_without_any() -> None:
    assert "no run of `geotag write` yet" in run("runs").stderr
