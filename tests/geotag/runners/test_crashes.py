"""A photo whose decoder ends the whole scan is an unreadable row of the next one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from geotag.records import Status
from geotag.tables import read_table

# On the path of the scan and of the processes that it starts.
CRASHES = """
from PIL import JpegImagePlugin

def crash(file, name, original=JpegImagePlugin.jpeg_factory):
    if b"this one crashes" in file.getvalue():
        import os
        os.abort()
    return original(file, name)

JpegImagePlugin.jpeg_factory = crash
"""


@pytest.mark.slow
def test_a_crash_costs_one_scan_and_one_row(
    tmp_path: Path, model_path: Path, write_photo: Callable[..., Path]
) -> None:
    photos = [write_photo(f"{n}.jpg", "eiffel_tower", seed=n) for n in range(6)]
    photos[2].write_bytes(photos[2].read_bytes() + b"this one crashes")
    (tmp_path / "path").mkdir()
    (tmp_path / "path/sitecustomize.py").write_text(CRASHES)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path / 'path'}{os.pathsep}{os.getcwd()}"}
    table = tmp_path / "tags.csv"
    scan = [sys.executable, "-m", "geotag", "scan", str(photos[0].parent), "--out", str(table)]
    codes = [
        subprocess.run(
            [*scan, "--model", str(model_path)], env=environment, capture_output=True
        ).returncode
        for _ in range(3)
    ]
    assert codes[0] < 0 and codes[1:] == [3, 3]
    rows = {Path(row.path).name: row for row in read_table(table)}
    assert len(rows) == 6
    assert rows["2.jpg"].status is Status.UNREADABLE
    assert rows["2.jpg"].error == "damaged: its decoder crashed (SIGABRT)"
    assert all(row.status is Status.TAGGED for name, row in rows.items() if name != "2.jpg")
