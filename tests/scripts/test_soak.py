"""The soak itself: one round of it, kills and all."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.soak import Library

TOP = Path(__file__).resolve().parents[2]


def test_what_is_lost_changed_or_left_over_is_noticed(tmp_path: Path) -> None:
    library = Library(tmp_path, random.Random(0), 9)
    for _ in range(40):
        library.edit()
    assert library.problems() == []
    first, second = sorted(library.expected)[:2]
    (tmp_path / first).unlink()
    (tmp_path / second).write_bytes(b"other")
    (tmp_path / "photo.xmp").write_bytes(b"")
    assert library.problems() == [f"lost: {first}", "left over: photo.xmp", f"changed: {second}"]


@pytest.mark.slow
def test_a_round_loses_nothing() -> None:
    command = [sys.executable, "scripts/soak.py", "--minutes", "0", "--photos", "8"]
    done = subprocess.run(
        command, cwd=TOP, env=os.environ | {"PYTHONPATH": str(TOP)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost or wrong: 0" in done.stdout
