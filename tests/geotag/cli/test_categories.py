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
    lines = {line.partition("  ")[0]: line for line in _shown().splitlines()}
    low, high = (f"{end:.0%}" for end in tower["recall_interval"])
    assert lines["Eiffel Tower"].endswith(
        f"Paris, France  ({tower['photos']} photos, {tower['small_photos']} small, "
        f"tagged {tower['recall']:.0%}: likely {low} to {high})"
    )
    assert ", all small, tagged " in lines["Arc de Triomphe"]
    for entry in entries:
        assert 0 <= entry["tagged"] <= entry["named"] <= entry["tried"]
        low, high = entry["recall_interval"]
        assert low <= entry["recall"] == round(entry["tagged"] / entry["tried"], 4) <= high
        assert entry["small_photos"] <= entry["photos"]


def test_a_model_without_a_memory_tells_none(model_path: Path) -> None:
    entries = map(json.loads, _shown("--json", "--model", str(model_path)).splitlines())
    for entry in entries:
        assert entry["photos"] is entry["recall"] is entry["recall_interval"] is None
    assert "photos)" not in _shown("--model", str(model_path))


def test_a_model_without_figures_lists_its_landmarks_alone(model_path: Path) -> None:
    assert _shown("--model", str(model_path)).splitlines() == [
        "Eiffel Tower  Paris, France",
        "Taj Mahal     Agra, India",
        "Stonehenge    Amesbury, United Kingdom",
    ]
    first = _shown("--json", "--model", str(model_path)).splitlines()[0]
    assert json.loads(first)["slug"] == "eiffel_tower"
