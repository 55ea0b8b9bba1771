"""Man pages have what the help has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from geotag.cli import COMMANDS

TOP = Path(__file__).resolve().parents[2]


def test_each_command_has_a_page_with_its_options(tmp_path: Path) -> None:
    pytest.importorskip("click_man", reason="click-man is not installed")
    command = [sys.executable, "-m", "scripts.make_man", str(tmp_path / "man1")]
    subprocess.run(command, cwd=TOP, check=True, capture_output=True)
    pages = {path.stem: path.read_text("utf-8") for path in (tmp_path / "man1").iterdir()}
    assert {f"geotag-{name}" for name in COMMANDS} | {"geotag"} <= pages.keys()
    assert "min\\-precision" in pages["geotag-scan"]
    assert "bring back the very same bytes" in pages["geotag-revert"]
