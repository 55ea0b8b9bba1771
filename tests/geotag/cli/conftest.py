"""Photos and a table of them, for commands that write."""

from __future__ import annotations

from pathlib import Path

import pytest

from geotag.records import Outcome, Status, TopCategory
from geotag.tables import write_table
from tests.geotag.writing.kinds import made
from tests.geotag.writing.samples import picture, save

TOP = (TopCategory(3, "x", "Eiffel Tower", 0.93),)


@pytest.fixture
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(made("everything.jpg"))
    (folder / "b.png").write_bytes(save(picture(), "PNG"))
    (folder / "c.jpg").write_bytes(made("plain.jpg"))
    return folder


@pytest.fixture(params=["csv", "jsonl", "parquet"])
def table(tmp_path: Path, photos: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / f"tags.{request.param}"
    rows = [
        Outcome(str(p), Status.TAGGED, landmark="Eiffel Tower", confidence=0.93, top_k=TOP)
        for p in sorted(photos.iterdir())
    ]
    rows[2] = Outcome(str(photos / "c.jpg"), Status.NO_LANDMARK)
    write_table(str(path), rows)
    return path
