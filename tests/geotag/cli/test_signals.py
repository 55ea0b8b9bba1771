"""Signals in each command: what is in hand is finished, or cleaned up, and nothing is left over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from geotag.cli import main
from geotag.tables import read_table
from tests.conftest import WritePhoto

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """What runs the tests may ignore signals, as nohup and a shell's background jobs do."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(str(end.value.code))


@contextmanager
def raised(number: int, function: str, after: int = 0) -> Iterator[None]:
    """A signal comes while a function of `os` is called, once so many calls of it are over."""
    real, calls = getattr(os, function), 0

    def called(*arguments: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        if calls == after + 1:
            signal.raise_signal(number)
        return real(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, function, called)
        yield


@pytest.fixture
def written(tmp_path: Path, write_photo: WritePhoto, model_path: Path) -> Path:
    """The table of ten photos whose tags are to be written."""
    for seed in range(10):
        write_photo(f"{seed}.jpg", "eiffel_tower", seed)
    table = tmp_path / "tags.csv"
    assert run("scan", tmp_path / "photos", "--out", table, "--model", model_path, "-q") == 0
    return table


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("number", SIGNALS)
def test_a_scan_keeps_what_it_has_read(
    library: Path, tmp_path: Path, model_path: Path, number: int
) -> None:
    table = tmp_path / "tags.csv"
    scan = ("scan", library, "--out", table, "--model", model_path, "-q")
    with raised(number, "pread", after=20):
        assert run(*scan) == 128 + number
    assert 0 < len(list(read_table(table))) < 33
    assert not (tmp_path / "tags.csv.geotag.lock").exists()
    assert run(*scan) == 3
    assert len(list(read_table(table))) == 33


@pytest.mark.parametrize("number", SIGNALS)
def test_write_and_revert_finish_the_photo_in_hand(
    written: Path, tmp_path: Path, number: int
) -> None:
    photos, catalog = tmp_path / "photos", tmp_path / "tags.csv.geotag"
    before = contents(photos)
    with raised(number, "replace", after=6):
        assert run("write", written, "-q") == 128 + number
    after = contents(photos)
    assert after.keys() == before.keys()
    changed = sum(after[name] != before[name] for name in before)
    assert 4 < changed < 8
    with raised(number, "replace", after=3):
        assert run("revert", "--last", "--catalog", catalog) == 128 + number
    half = contents(photos)
    assert half.keys() == before.keys()
    assert 0 < sum(half[name] != before[name] for name in before) < changed
    assert run("revert", "--last", "--catalog", catalog) == 0
    assert contents(photos) == before


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("command", ["convert", "report"])
def test_other_commands_leave_nothing_behind(
    written: Path, tmp_path: Path, command: str, number: int
) -> None:
    out = tmp_path / ("tags.jsonl" if command == "convert" else "report.html")
    before = {*tmp_path.iterdir()}
    with raised(number, "fsync"):
        assert run(command, written, "--out", out) == 128 + number
    assert {*tmp_path.iterdir()} == before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_the_shell_ignores_is_ignored(
    library: Path, tmp_path: Path, model_path: Path, number: int
) -> None:
    """As by nohup, and by & in a script."""
    table, before = tmp_path / "tags.csv", signal.signal(number, signal.SIG_IGN)
    try:
        with raised(number, "pread", after=20):
            assert run("scan", library, "--out", table, "--model", model_path, "-q") == 3
    finally:
        signal.signal(number, before)
    assert len(list(read_table(table))) == 33


@pytest.mark.slow
def test_what_hangs_is_ended_by_the_third_signal(
    library: Path, tmp_path: Path, write_photo: WritePhoto, model_path: Path
) -> None:
    """A thread that never comes back would keep the process."""
    write_photo("00.jpg", "taj_mahal")
    code = (
        "import sys, time, geotag.decoding.isolated as isolated\n"
        "def decode(*any): print('hangs', flush=True); time.sleep(1000)\n"
        "isolated.IsolatedDecoder.decode = decode\n"
        "from geotag.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    arguments = ["scan", library, "--out", tmp_path / "tags.csv", "--model", model_path]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"hangs\n"
    for _ in range(100):
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
