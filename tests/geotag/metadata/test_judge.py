"""Unusual metadata that cameras and programs write, read as exiftool reads it."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import islice
from pathlib import Path

import pytest

from geotag.errors import PhotoError
from geotag.metadata.header import parse_header
from geotag.records import Metadata
from scripts.fuzz import mutated
from tests.geotag.metadata.samples import chunk, png
from tests.geotag.metadata.unusual import CASES, CREATED, PLACE, UNREAD, Case, at, heif, in_body


def read(case: Case) -> Metadata:
    return parse_header(case.data, case.name).metadata


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_unusual_metadata_is_understood(case: Case) -> None:
    found = read(case)
    assert found.position_unclear == ""
    if case.position is None:
        assert found.location is None
    else:
        assert found.location is not None
        assert found.location[: len(case.position)] == pytest.approx(case.position, abs=1e-7)
    if case.time or case.position is None:
        assert found.taken_at == case.time
    if case.camera:
        assert found.camera == case.camera


@pytest.mark.parametrize("case", UNREAD, ids=lambda case: case.name)
def test_a_position_that_is_not_understood_is_said_to_be_there(case: Case) -> None:
    found = read(case)
    assert found.location is None and found.position_unclear


def test_an_exif_chunk_behind_the_end_of_a_png_counts() -> None:
    found = read(Case("end.png", png() + chunk(b"eXIf", PLACE)))
    assert found.location is not None and found.location[:2] == (10, 20)


def test_an_exif_item_whose_offset_is_wrong_is_read() -> None:
    found = read(Case("wrong.heic", heif(b"\0\0\0\x09Exif\0\0" + PLACE)))
    assert found.location is not None and found.location[:2] == (10, 20)


def test_an_empty_property_hides_none_behind_it() -> None:
    found = read(in_body("empty-first", at(">", ">") + at(">10,0N", ">20,0E")))
    assert found.location is not None and found.location[:2] == (10, 20)


def test_where_the_subject_is_is_no_position_of_the_camera() -> None:
    found = read(in_body("shown", CREATED.format("Shown", "Shown")))
    assert found.location is None and not found.position_unclear


_TAGS = ("Composite:GPSLatitude", "Composite:GPSLongitude", "XMP:GPSLatitude", "XMP:GPSLongitude",
         "Composite:GPSAltitude", "DateTimeOriginal", "EXIF:CreateDate", "Model")  # fmt: skip


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs exiftool")
def test_exiftool_reads_the_same(tmp_path: Path) -> None:
    for case in CASES:
        (tmp_path / case.name).write_bytes(case.data)
    command = ["exiftool", "-json", "-n", "-G0", *(f"-{tag}" for tag in _TAGS), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    judged = {Path(entry["SourceFile"]).name: entry for entry in json.loads(result.stdout)}
    for case in CASES:
        entry = judged[case.name]
        place = [
            entry.get(f"Composite:{name}", entry.get(f"XMP:{name}"))
            for name in ("GPSLatitude", "GPSLongitude", "GPSAltitude")
        ]
        if case.position is None:
            assert place[:2] == [None, None], case.name
        else:
            assert place[: len(case.position)] == pytest.approx(case.position), case.name
        if case.time:
            times = [entry.get("EXIF:DateTimeOriginal"), entry.get("EXIF:CreateDate")]
            assert case.time.replace("-", ":").replace("T", " ") in times, case.name
        if case.camera:
            assert entry.get("EXIF:Model", entry.get("XMP:Model")) == case.camera, case.name


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs exiftool")
def test_where_exiftool_reads_a_position_in_a_damaged_file_none_is_guessed(tmp_path: Path) -> None:
    seeds: dict[str, list[bytes]] = {}
    for case in CASES + UNREAD:
        seeds.setdefault(case.name.rpartition(".")[2], []).append(case.data)
    for suffix, files in seeds.items():
        damaged = islice(mutated(files, (), seed=1), len(files), 9 * len(files))
        for number, data in enumerate(damaged):
            (tmp_path / f"{number}.{suffix}").write_bytes(data)
    command = ["exiftool", "-json", "-n", "-q", "-GPSLatitude", "-GPSLongitude", str(tmp_path)]
    said = subprocess.run(command, capture_output=True, check=False).stdout
    judged = json.loads(said.decode("utf-8", "replace"), strict=False)
    placed = [e["SourceFile"] for e in judged if e.get("GPSLatitude") and e.get("GPSLongitude")]
    assert len(placed) > 100
    for name in placed:
        try:
            found = parse_header(Path(name).read_bytes(), name).metadata
        except PhotoError:  # no photo: nothing is guessed of it
            continue
        assert found.location is not None or found.position_unclear, name
