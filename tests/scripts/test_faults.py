"""Scans under injected faults: the script that counts rows in and rows out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["EIO", "mounted", "crashes", "disk is full"])
def test_no_fault_costs_a_row(fault: str) -> None:
    done = subprocess.run(
        [sys.executable, "scripts/faults.py", "--only", fault],
        cwd=TOP,
        env=os.environ | {"PYTHONPATH": str(TOP)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " faults, 0 rows lost or wrong" in done.stdout
    assert not done.stdout.endswith("\n0 faults, 0 rows lost or wrong\n")
