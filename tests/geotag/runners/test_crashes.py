"""A photo on which a decoder crashes or hangs is an unreadable row, and the scan goes on."""

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
FAULTS = """
from PIL import GifImagePlugin, JpegImagePlugin, PngImagePlugin

def faulty(original):
    def opened(file, name):
        data = file.getvalue()
        if b"this one crashes" in data:
            import os
            os.abort()
        if b"this one hangs" in data:
            while True:
                pass
        return original(file, name)
    return opened

JpegImagePlugin.jpeg_factory = faulty(JpegImagePlugin.jpeg_factory)
PngImagePlugin.PngImageFile = faulty(PngImagePlugin.PngImageFile)
GifImagePlugin.GifImageFile = faulty(GifImagePlugin.GifImageFile)

from geotag.decoding.isolated import IsolatedDecoder

IsolatedDecoder.__init__.__defaults__ = (3,)
"""


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["local", "ray"])
def test_a_crash_or_a_hang_costs_its_own_row(
    tmp_path: Path, model_path: Path, write_photo: Callable[..., Path], runner: str
) -> None:
    if runner == "ray":
        pytest.importorskip("ray", reason="ray is not installed")
    photos = [
        write_photo(f"{n}.{suffix}", "eiffel_tower", seed=n)
        for n, suffix in enumerate(("jpg", "png", "gif", "jpg", "png", "gif", "jpg"))
    ]
    for photo in photos[1:4]:
        photo.write_bytes(photo.read_bytes() + b"this one crashes")
    for photo in photos[4:6]:
        photo.write_bytes(photo.read_bytes() + b"this one hangs")
    (tmp_path / "path").mkdir()
    (tmp_path / "path/sitecustomize.py").write_text(FAULTS)
    environment = os.environ | {
        "PYTHONPATH": f"{tmp_path / 'path'}{os.pathsep}{os.getcwd()}",
        "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled",
        "RAY_raylet_start_wait_time_s": "180",
    }  # fmt: skip
    table = tmp_path / "tags.csv"
    scan = [sys.executable, "-m", "geotag", "scan", str(photos[0].parent), "--out", str(table)]
    scan += ["--model", str(model_path), "--runner", runner]
    done = subprocess.run(scan, env=environment, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    rows = {Path(row.path).name: row for row in read_table(table)}
    assert len(rows) == 7
    for photo in photos[1:4]:
        assert rows[photo.name].error == "damaged: its decoder crashed (SIGABRT)"
    for photo in photos[4:6]:
        assert rows[photo.name].error == "not decoded within 3 seconds"
    for photo in (photos[0], photos[6]):
        assert rows[photo.name].status is Status.TAGGED
