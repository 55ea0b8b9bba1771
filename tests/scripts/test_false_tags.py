"""False tags are counted by kind, with what so few photos prove."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from geotag.records import Outcome, Status
from geotag.tables import write_table
from scripts.false_tags import main


def _tagged(path: str, confidence: float) -> Outcome:
    return Outcome(path, Status.TAGGED, landmark="Taj Mahal", category_id=1, confidence=confidence)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [Outcome(f"/photos/kitchens/{n}.jpg", Status.NO_LANDMARK) for n in range(10)]
    rows += [Outcome("/photos/kitchens/broken.jpg", Status.UNREADABLE, error="broken")]
    rows += [Outcome(f"/photos/domes/{n}.jpg", Status.UNCERTAIN) for n in range(6)]
    rows += [_tagged("/photos/domes/7.jpg", 0.96), _tagged("/photos/domes/8.jpg", 0.99)]
    write_table(str(tmp_path / "tags.csv"), rows)
    return tmp_path / "tags.csv"


def test_each_folder_is_a_kind_and_what_cannot_be_read_counts_nowhere(table: Path) -> None:
    result = CliRunner().invoke(main, [str(table), "--json"])
    kinds = {kind["kind"]: kind for kind in map(json.loads, result.output.splitlines())}
    assert list(kinds) == ["domes", "kitchens", "all"]
    assert [(k["photos"], k["tagged"]) for k in kinds.values()] == [(8, 2), (10, 0), (18, 2)]
    assert kinds["domes"]["share"] == 0.25
    low, high = kinds["kitchens"]["interval"]
    assert low == 0 and high == pytest.approx(0.2775, abs=1e-3)


def test_the_surest_false_tag_is_told_first(table: Path) -> None:
    lines = CliRunner().invoke(main, [str(table)]).output.splitlines()
    assert lines[0].startswith("domes        2 of     8 tagged: 25.00% (likely ")
    assert lines[-2:] == [
        "0.990  Taj Mahal  /photos/domes/8.jpg",
        "0.960  Taj Mahal  /photos/domes/7.jpg",
    ]


def test_a_table_without_photos_is_said_to_be_one(tmp_path: Path) -> None:
    write_table(str(tmp_path / "tags.csv"), [])
    result = CliRunner().invoke(main, [str(tmp_path / "tags.csv")])
    assert result.exit_code == 1 and "no readable photo" in result.output
