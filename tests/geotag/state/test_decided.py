"""What a tag took is known of each table, and goes into the photos."""

from __future__ import annotations

import math
import re
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from geotag.decision import SUPPORTED, Thresholds
from geotag.options import ScanOptions
from geotag.pipeline import scan_library
from geotag.state.catalog import open_catalog
from geotag.state.decided import Decided, decided_with, format_here, parse_here
from geotag.state.exports import Export
from geotag.state.summary import Counts
from geotag.tables import read_table, write_table
from geotag.writing.runs import write_table_tags
from geotag.writing.writeback import WriteOptions
from tests.conftest import WritePhoto
from tests.geotag.state.samples import MODEL

NAME = f"model-{MODEL[:12]}"
HERE = Thresholds(math.inf, {"eiffel_tower": 0.98})


def _export(here: Thresholds, threshold: float = 0.9) -> Export:
    return Export("", "", Counts(Counter(), Counter()), {}, MODEL, threshold, here)


@pytest.mark.parametrize("here", [Thresholds(0.95), HERE])
def test_thresholds_come_back_as_they_were(here: Thresholds) -> None:
    assert parse_here(format_here(here)) == here


@pytest.mark.parametrize("text", [None, "", "[]", "{}", "[1]", "[1, 2]", '["x", {}]', "[" * 9999])
def test_what_is_none_stops_no_tag(text: str | None) -> None:
    assert parse_here(text) == Thresholds(0.0)


def test_each_table_has_its_own(path: Path) -> None:
    one, other = path.parent / "tags.csv", path.parent / "other.csv"
    with open_catalog(path) as catalog:
        catalog.note_exported(str(one), _export(HERE))
        catalog.note_exported(str(other), _export(Thresholds(0.95)))
    decided = decided_with(path, one, NAME)
    assert decided == Decided(MODEL, 0.9, HERE)
    assert (decided.least("eiffel_tower"), decided.least("taj_mahal")) == (0.98, math.inf)
    assert decided_with(path, other, NAME) == Decided(MODEL, 0.9, Thresholds(0.95))
    # Of a copy of a table nobody knows by which of the two it was made.
    assert decided_with(path, path.parent / "copy.csv", NAME) == Decided(
        MODEL, 0.9, Thresholds(0.0)
    )
    assert decided_with(path, one, "model-0123456789ab") is None
    with open_catalog(path) as catalog:
        catalog.note_exported(str(other), _export(HERE, 0.8))
    assert decided_with(path, path.parent / "copy.csv", NAME) is None


def test_a_catalog_of_the_sixth_version_tells_the_models(path: Path) -> None:
    with open_catalog(path) as catalog:
        catalog.note_exported("tags.csv", _export(HERE))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("ALTER TABLE tables DROP COLUMN here")
        connection.execute("ALTER TABLE photos DROP COLUMN fingerprint")
        connection.execute("PRAGMA user_version = 6")
    plain = Decided(MODEL, 0.9, Thresholds(0.0))
    assert decided_with(path, Path("tags.csv"), NAME) == plain
    open_catalog(path).__exit__(None, None, None)
    assert decided_with(path, Path("tags.csv"), NAME) == plain


def test_a_written_photo_says_what_its_tag_took_in_the_library(
    write_photo: WritePhoto, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    here = Thresholds(0.97, {"eiffel_tower": 0.98})
    monkeypatch.setattr("geotag.pipeline.estimate_thresholds", lambda *_: here)
    tower, taj = write_photo("a.jpg", "eiffel_tower"), write_photo("b.jpg", "taj_mahal")
    supported, table = write_photo("c.jpg", "taj_mahal", seed=1), tmp_path / "tags.csv"
    scan_library([str(tower.parent)], str(table), ScanOptions(model=model_path))
    *rows, last = read_table(table)
    write_table(str(table), [*rows, last._replace(evidence=f"{SUPPORTED} near it")])
    assert len(list(write_table_tags(table, None, WriteOptions()))) == 3
    written = [
        re.search(rb"geotag:Threshold\W+([\d.]+)", photo.read_bytes())[1]
        for photo in (tower, taj, supported)
    ]
    model = decided_with(Path(f"{table}.geotag"), table, last.model).threshold
    assert written == [b"0.9800", b"0.9700", f"{model:.4f}".encode()]
