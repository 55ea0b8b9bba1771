"""How well each landmark is known is measured, and told of the model that it was measured of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from geotag.errors import CheckpointError
from geotag.model.checkpoint import read_header
from geotag.model.known import Known, load_known
from geotag.model.spec import PRECISION
from tests.training.conftest import write_set
from training import known


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small ones, but for three of the Eiffel Tower."""
    root = write_set(tmp_path_factory.mktemp("photos"), {"train": 6, "val": 5}, size=(64, 48))
    big = write_set(tmp_path_factory.mktemp("big"), {"train": 3}, size=(160, 120))
    for photo in sorted((big / "eiffel_tower").glob("train*")):
        (root / "eiffel_tower" / photo.name).write_bytes(photo.read_bytes())
    return root


@pytest.fixture(scope="module")
def written(photos: Path, model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("known") / "known.json"
    arguments = ["--data", str(photos), "--model", str(model_path), "--out", str(out)]
    assert CliRunner().invoke(known.main, arguments).exit_code == 0
    return out


def test_counts_are_of_the_photos_and_what_the_model_makes_of_them(
    written: Path, model_path: Path
) -> None:
    header = read_header(model_path)
    found = load_known(header, written)
    assert set(found) == set(header.spec.categories)
    tower = found["eiffel_tower"]
    assert (tower.photos, tower.small, tower.tried) == (6, 3, 5)
    assert tower.named == tower.tagged == 5
    assert found["stonehenge"].small == found["stonehenge"].photos == 6
    assert header.spec.threshold_for(PRECISION) < 1


def test_a_file_of_another_model_tells_nothing(written: Path, tmp_path: Path) -> None:
    assert load_known(read_header(), written) == {}
    assert load_known(read_header(), tmp_path / "none.json") == {}


@pytest.mark.parametrize(
    "change",
    [
        {"small": 9, "photos": 8},
        {"tagged": 5, "named": 4},
        {"tried": -1},
        {"photos": 1.5},
        {"photos": True},
        {"other": 1},
    ],
)
def test_counts_that_cannot_be_are_refused(
    written: Path, model_path: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    document = json.loads(written.read_text())
    document["landmarks"]["stonehenge"] |= change
    broken = tmp_path / "known.json"
    broken.write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match=r"known\.json.*training\.known"):
        load_known(read_header(model_path), broken)


def test_the_packaged_file_is_of_the_packaged_model() -> None:
    """Run python -m training.known after installing another model by hand."""
    header = read_header()
    found = load_known(header)
    assert set(found) == set(header.spec.categories)
    assert all(
        isinstance(entry, Known) and entry.photos and entry.tried for entry in found.values()
    )
