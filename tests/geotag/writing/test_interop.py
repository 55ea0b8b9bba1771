"""What other programs read of a written photo, with the libraries that they read it with."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from geotag.cli import cli
from geotag.records import Outcome, Status, TopCategory
from geotag.tables import write_table
from tests.geotag.writing.kinds import made
from tests.geotag.writing.samples import picture, save

PATH = ("Places", "France", "Paris", "Eiffel Tower")


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a JPEG that geotag wrote into, and a PNG with its sidecar."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(made("plain.jpg"))
    (folder / "b.png").write_bytes(save(picture(), "PNG"))
    top = (TopCategory(3, "x", "Eiffel Tower", 0.93),)
    rows = [
        Outcome(str(path), Status.TAGGED, landmark="Eiffel Tower", confidence=0.93, top_k=top)
        for path in sorted(folder.iterdir())
    ]
    write_table(str(tmp_path / "tags.csv"), rows)
    done = CliRunner().invoke(cli, ["write", str(tmp_path / "tags.csv"), "--gps"])
    assert "2 photos written (1 into sidecars)" in done.stderr
    return folder


@pytest.fixture(params=["a.jpg", "b.png.xmp"])
def file(written: Path, request: pytest.FixtureRequest) -> Path:
    return written / str(request.param)


def exiftool(file: Path, *options: str) -> dict[str, Any]:
    """All fields by their names in exiftool."""
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    command = ["exiftool", "-json", "-n", *options, str(file)]
    (fields,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert isinstance(fields, dict)
    return fields


def exiv2(file: Path, key: str) -> list[str]:
    """The values of a property in exiv2."""
    if shutil.which("exiv2") is None:
        pytest.skip("exiv2 is not installed")
    command = ["exiv2", "-K", key, "-Pv", "pr", str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    return [value for line in done.stdout.splitlines() for value in line.split(", ")]


def test_immich_finds_the_tag_tree_first_and_the_position(file: Path) -> None:
    fields = exiftool(file)
    assert fields["TagsList"] == "/".join(PATH)
    assert (round(fields["GPSLatitude"], 3), round(fields["GPSLongitude"], 3)) == (48.858, 2.294)


def test_lightroom_finds_hierarchical_keywords_and_the_place(file: Path) -> None:
    fields = exiftool(file)
    assert fields["HierarchicalSubject"] == "|".join(PATH)
    assert (fields["City"], fields["Country"]) == ("Paris", "France")


def test_photoprism_finds_keywords_and_the_position_in_the_photo(written: Path) -> None:
    fields = exiftool(written / "a.jpg")
    assert fields["Subject"] == "Eiffel Tower"
    assert round(fields["GPSLatitude"], 3) == 48.858
    assert not exiftool(written / "a.jpg", "-G1").get("ExifTool:Warning")


def test_digikam_finds_its_tag_tree_by_exiv2(file: Path) -> None:
    assert exiv2(file, "Xmp.digiKam.TagsList") == ["/".join(PATH)]
    assert exiv2(file, "Xmp.dc.subject") == ["Eiffel Tower"]
