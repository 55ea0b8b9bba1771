"""The model card's tables are those of the reports that a command is given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from geotag.errors import DataError
from tests.training.conftest import Invoke
from tests.training.test_release import _report
from training import card
from training.reports.card import TABLES, mark


def _write(folder: Path, **changes: object) -> Path:
    folder.mkdir()
    report = {"model": "m-1", "split": "val", "include": [f"{folder.name}/*"], **_report()}
    (folder / "report.json").write_text(json.dumps(report | changes))
    return folder


@pytest.fixture
def page(tmp_path: Path) -> Path:
    tables = ("\nold\n".join(mark(name, "val")) for name in TABLES)
    (tmp_path / "card.md").write_text("\n".join(["# Card", *tables, "The end.\n"]))
    return tmp_path / "card.md"


def test_each_report_is_a_column(page: Path, tmp_path: Path, invoke: Invoke) -> None:
    folders = [_write(tmp_path / name) for name in ("sharp", "small")]
    invoke(card.main, *folders, "--card", page)
    lines = page.read_text().splitlines()
    assert "| | `sharp/` | `small/` |" in lines and "| top-1 | 90.0 % | 90.0 % |" in lines
    assert lines[0] == "# Card" and lines[-1] == "The end." and "old" not in lines


@pytest.mark.parametrize(
    ("changes", "problem"),
    [({"split": "test"}, "not of one split"), ({"model": "m-2"}, "not of one model")],
)
def test_reports_that_do_not_go_together_are_refused(
    page: Path, tmp_path: Path, invoke: Invoke, changes: dict[str, str], problem: str
) -> None:
    before = page.read_text()
    folders = [_write(tmp_path / "one"), _write(tmp_path / "other", **changes)]
    with pytest.raises(DataError, match=problem):
        invoke(card.main, *folders, "--card", page)
    assert page.read_text() == before


def test_a_card_without_marks_for_the_split_is_an_error(
    page: Path, tmp_path: Path, invoke: Invoke
) -> None:
    with pytest.raises(DataError, match="no marks for figures of split test"):
        invoke(card.main, _write(tmp_path / "one", split="test"), "--card", page)


@pytest.mark.parametrize("text", ["", "[]", "{}"])
def test_what_is_no_report_is_named(page: Path, tmp_path: Path, invoke: Invoke, text: str) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(DataError, match=r"report\.json"):
        invoke(card.main, tmp_path, "--card", page)
