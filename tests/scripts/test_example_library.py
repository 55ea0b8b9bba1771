"""The drawn library: the same bytes each time, and a journey that can be placed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from geotag.cli import cli
from scripts import example_library


def test_the_same_plan_each_time_with_a_position_from_the_phone_alone() -> None:
    shots = list(example_library.plan_shots())
    assert shots == list(example_library.plan_shots()) and len(shots) == 140
    assert {shot.position is None for shot in shots if shot.name.startswith("camera")} == {True}
    assert {shot.position is None for shot in shots if shot.name.startswith("phone")} == {False}


@pytest.mark.slow
def test_the_camera_is_placed_by_the_phone(tmp_path: Path) -> None:
    pytest.importorskip("tzfpy")
    folder, table = tmp_path / "photos", tmp_path / "tags.csv"
    runner = CliRunner()
    made = runner.invoke(example_library.main, [str(folder)], catch_exceptions=False)
    assert "141 photos" in made.output
    scan = ["scan", str(folder), "--places", "--out", str(table)]
    assert runner.invoke(cli, scan, catch_exceptions=False).exit_code == 0
    counts = pd.read_csv(table)["status"].value_counts().to_dict()
    assert counts == {"has_gps": 70, "placed": 70, "tagged": 1}
    clocks = runner.invoke(cli, ["clocks", str(table)], catch_exceptions=False).output
    assert "Canon EOS 80D" in clocks and ("2 h 07 min" in clocks or "2 h 06 min" in clocks)
