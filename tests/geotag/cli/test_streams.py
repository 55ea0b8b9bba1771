"""Streams that are closed, full, without a reader or of another encoding."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from geotag.cli import main
from geotag.tables import read_table
from tests.conftest import WritePhoto, gps_ifd

needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")


def shell(
    redirection: str, *arguments: object, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run geotag by a shell that redirects its streams."""
    script = f'"$@" {redirection}'
    command = ["bash", "-o", "pipefail", "-c", script, "bash", sys.executable, "-m", "geotag"]
    env = {**os.environ, **environment} if environment else None
    return subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
        env=env,
    )


@pytest.fixture
def scan(tmp_path: Path, write_photo: WritePhoto) -> list[str]:
    """The arguments of a scan of two photos with positions into tags.csv."""
    for name in ("a.jpg", "Brücke é.jpg"):
        write_photo(name, gps=gps_ifd(10, 20))
    return ["scan", str(tmp_path / "photos"), "--out", str(tmp_path / "tags.csv")]


@pytest.mark.slow
@pytest.mark.parametrize("redirection", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_end_up_in_a_file(
    tmp_path: Path, scan: list[str], redirection: str
) -> None:
    result = shell(redirection, *scan, "--verbose")
    assert result.returncode == 0, result.stderr
    assert len(list(read_table(tmp_path / "tags.csv"))) == 2
    again = shell(redirection, *scan)
    assert again.returncode == 0
    assert (tmp_path / "tags.csv.geotag").read_bytes().startswith(b"SQLite format 3")


@needs_full
@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&1 >/dev/null | true"])
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_log_that_nobody_keeps_does_not_fail_a_scan(
    tmp_path: Path, scan: list[str], redirection: str, log_format: str
) -> None:
    result = shell(redirection, *scan, "--log-format", log_format)
    assert (result.returncode, result.stderr) == (0, "")
    assert len(list(read_table(tmp_path / "tags.csv"))) == 2


@needs_full
@pytest.mark.parametrize(
    ("redirection", "code", "message"),
    [
        (">&-", 1, "geotag: standard output: cannot be written (Bad file descriptor)\n"),
        (">/dev/full", 1, "geotag: standard output: cannot be written (No space left on device)\n"),
    ],
)
def test_results_that_cannot_be_written_are_an_error(
    scan: list[str], redirection: str, code: int, message: str
) -> None:
    for arguments in (["categories"], ["--help"], [*scan[:3], "-", "--quiet"]):
        result = shell(redirection, *arguments)
        assert (result.returncode, result.stderr) == (code, message), arguments


@pytest.mark.slow
def test_a_reader_that_went_away_ends_it_as_the_signal_does(scan: list[str]) -> None:
    for arguments in (["categories", "--json"], [*scan[:3], "-", "--quiet"]):
        result = shell("| (exec <&-; sleep 2)", *arguments)
        assert (result.returncode, result.stderr) == (141, ""), arguments


@needs_full
def test_a_summary_into_a_device_or_pipe(tmp_path: Path, scan: list[str]) -> None:
    result = shell("3>/dev/full", *scan, "--summary", "/dev/full")
    assert result.returncode == 1
    assert result.stderr.endswith("/dev/full: cannot be written (No space left on device)\n")
    assert not os.path.isfile("/dev/full")
    result = shell("3>&1 >&2 | cat", *scan, "--summary", "/dev/fd/3", "--quiet")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["photos"] == 2


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "latin-1"},
    ],
)
def test_names_in_another_locale(
    tmp_path: Path, scan: list[str], environment: dict[str, str]
) -> None:
    assert shell("", *scan).returncode == 0
    before = (tmp_path / "tags.csv").read_bytes()
    (tmp_path / "tags.csv").unlink()
    result = shell("", *scan, environment=environment)
    assert result.returncode == 0, result.stderr
    assert "2 known from before" in result.stderr
    assert (tmp_path / "tags.csv").read_bytes() == before
    assert shell("", "categories", environment=environment).returncode == 0


def test_in_a_folder_that_is_gone_relative_names_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(SystemExit) as caught:
        main(["scan", "../photos", "--out", str(tmp_path / "tags.csv")])
    assert caught.value.code == 1
    assert capsys.readouterr().err.startswith("geotag: the folder that this was started in is gone")
