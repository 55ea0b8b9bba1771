"""How a scan is judged against labels."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from geotag.categories import load_categories
from geotag.records import Outcome, Status, TopCategory
from geotag.tables import write_table
from scripts.evaluate_scan import main


def row(path: str, best: str = "", tagged: bool = False) -> Outcome:
    """A classified row whose most likely landmark is `best`."""
    category = load_categories().by_slug(best or "taj_mahal")
    top = (TopCategory(category.id, category.slug, category.name, 0.9 if tagged else 0.1),)
    if not tagged:
        return Outcome(path, Status.NO_LANDMARK, top_k=top)
    return Outcome(path, Status.TAGGED, landmark=category.name, category_id=category.id, top_k=top)


ROWS = {
    row("/data/landmarks/a/1.jpg", "eiffel_tower", tagged=True): "eiffel_tower",
    row("/data/landmarks/a/2.jpg", "eiffel_tower"): "eiffel_tower",
    row("/data/landmarks/b/1.jpg", "eiffel_tower", tagged=True): "taj_mahal",
    row("/data/landmarks/c/1.jpg", "taj_mahal"): "k2",
    row("/data/negatives/1.jpg"): "",
    row("/data/negatives/2.jpg", "taj_mahal", tagged=True): "",
    row("/data/other.jpg", "taj_mahal", tagged=True): "not in the manifest",
}


@pytest.fixture(params=[("utf-8", {}), ("utf-8-sig", {"eiffel_tower": "Eiffel Tower"})])
def figures(request: pytest.FixtureRequest, tmp_path: Path, model_path: Path) -> dict[str, float]:
    """What the script says; the manifest as a program writes it, or a person in a spreadsheet."""
    encoding, names = request.param
    write_table(str(tmp_path / "tags.csv"), list(ROWS))
    with (tmp_path / "manifest.csv").open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file)
        writer.writerow(("file", "label", "split"))
        for outcome, label in list(ROWS.items())[:-1]:
            written = names.get(label, label)
            writer.writerow((outcome.path.removeprefix("/data/"), written, "test"))
        writer.writerow(("landmarks/a/3.jpg", "eiffel_tower", "train"))
    arguments = [str(tmp_path / "tags.csv"), str(tmp_path / "manifest.csv"), "--split", "test"]
    arguments += ["--model", str(model_path), "--json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    counted: dict[str, float] = json.loads(result.output)
    return counted


def test_each_share_is_over_its_own_photos(figures: dict[str, float]) -> None:
    assert figures["photos"] == 6
    assert figures["known_category_photos"] == 3
    assert figures["top1"] == pytest.approx(2 / 3, abs=1e-4)
    assert figures["tags"] == 3
    assert figures["precision"] == pytest.approx(1 / 3, abs=1e-4)
    assert figures["recall"] == pytest.approx(1 / 3, abs=1e-4)
    assert figures["negatives_tagged"] == 0.5
    assert (figures["other_landmarks"], figures["other_landmarks_tagged"]) == (1, 0.0)


def test_a_table_of_other_photos_is_an_error(tmp_path: Path, model_path: Path) -> None:
    write_table(str(tmp_path / "tags.csv"), [row("/elsewhere/1.jpg")])
    (tmp_path / "manifest.csv").write_text("file,label,split\nlandmarks/a.jpg,k2,test\n")
    arguments = [str(tmp_path / "tags.csv"), str(tmp_path / "manifest.csv")]
    result = CliRunner().invoke(main, [*arguments, "--model", str(model_path)])
    assert result.exit_code == 1
    assert "no row of" in result.output


@pytest.mark.parametrize(
    ("manifest", "message"), [("path\na.jpg\n", "no column file, label"), ("\udcff", "cannot be")]
)
def test_what_is_no_manifest_is_named(
    manifest: str, message: str, tmp_path: Path, model_path: Path
) -> None:
    write_table(str(tmp_path / "tags.csv"), [row("/data/a.jpg")])
    (tmp_path / "m.csv").write_bytes(manifest.encode(errors="surrogateescape"))
    arguments = [str(tmp_path / "tags.csv"), str(tmp_path / "m.csv"), "--model", str(model_path)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert f"m.csv: {message}" in result.output
