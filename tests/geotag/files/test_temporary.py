"""What killed runs leave is removed by the next one, and nothing else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from geotag.files.atomic import atomic_file
from geotag.files.temporary import TemporaryFolder

# Begins to write, says where, and waits to be killed.
_WRITER = """
import sys
from pathlib import Path
from geotag.files.atomic import atomic_file
from geotag.files.temporary import TemporaryFolder

with TemporaryFolder() as folder, atomic_file(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path / "tmp"


def _age(*paths: Path) -> None:
    for path in paths:
        os.utime(path, (0, 0), follow_symlinks=False)


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is locked there")
def test_what_a_killed_run_left_goes_and_what_is_in_use_stays(
    tmp_path: Path, temporary: Path
) -> None:
    table = tmp_path / "tags.csv"
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(table)],
        env=os.environ | {"TMPDIR": str(temporary)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert writer.stdout is not None
    folder = Path(writer.stdout.readline().decode().strip())
    (half,) = tmp_path.glob(".tags.csv.*.tmp")
    _age(folder, half)

    def run() -> None:
        with TemporaryFolder() as other, atomic_file(table) as file:
            file.write(b"whole")
            assert Path(other).is_dir()

    run()
    assert folder.is_dir() and half.exists()
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    run()
    assert not list(temporary.iterdir())
    assert [path.name for path in tmp_path.glob("*.csv*")] == ["tags.csv"]
    assert not list(tmp_path.glob(".tags.csv.*"))


def test_what_others_made_stays(tmp_path: Path, temporary: Path) -> None:
    theirs = [
        temporary / name for name in ("geotag-soak-abcdefgh", "geotag-run-notes", "geotag-abcdefgh")
    ]
    for folder in theirs:
        folder.mkdir()
    link = temporary / "geotag-run-abcdefgh"
    link.symlink_to(theirs[0])
    others = [tmp_path / name for name in (".tags.csv.tmp", ".tags.csv.abcdefgh.tmp.jpg")]
    for path in others:
        path.write_bytes(b"x")
    _age(*theirs, link, *others)
    with TemporaryFolder(), atomic_file(tmp_path / "tags.csv") as file:
        file.write(b"whole")
    assert all(path.exists() for path in (*theirs, link, *others))
