"""The list of landmarks tells from how many photos each is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from geotag.cli import cli
from geotag.model.checkpoint import load_checkpoint


def _shown(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["categories", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_the_photos_of_each_are_those_that_the_model_remembers() -> None:
    remembered = load_checkpoint().memory["categories"]
    entries = [json.loads(line) for line in _shown("--json").splitlines()]
    assert sum(entry["photos"] for entry in entries) == int((remembered >= 0).sum())
    tower = next(entry for entry in entries if entry["slug"] == "eiffel_tower")
    line = next(line for line in _shown().splitlines() if line.startswith("Eiffel Tower "))
    assert line.endswith(f"Paris, France  ({tower['photos']} photos)")


def test_a_model_without_a_memory_tells_none(model_path: Path) -> None:
    entries = map(json.loads, _shown("--json", "--model", str(model_path)).splitlines())
    assert {entry["photos"] for entry in entries} == {None}
    assert "photos)" not in _shown("--model", str(model_path))
