"""Tables as GeoJSON, as other programs read and write them."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from geotag.errors import TableError
from geotag.records import Outcome, Status
from geotag.tables import read_table, write_table
from geotag.tables.base import COLUMNS
from tests.geotag.tables.test_tables import ROWS


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "tags.geojson"


def features(table: Path) -> list[dict[str, Any]]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    collection = json.loads(table.read_bytes(), parse_constant=refuse)
    assert collection["type"] == "FeatureCollection"
    found: list[dict[str, Any]] = collection["features"]
    assert all(feature["type"] == "Feature" for feature in found)
    return found


def test_all_columns_are_properties(table: Path) -> None:
    write_table(str(table), ROWS)
    tagged, measured, without, unreadable = features(table)
    assert all(list(one["properties"]) == list(COLUMNS) for one in (tagged, measured, without))
    assert tagged["geometry"] == {"type": "Point", "coordinates": [2.2945, 48.8584]}
    assert tagged["properties"]["position_source"] == "inferred"
    assert tagged["properties"]["top_k"][0]["slug"] == "eiffel_tower"
    assert measured["properties"]["position_source"] == "measured"
    assert without["geometry"] is None and unreadable["geometry"] is None
    assert unreadable["properties"]["error"] == "damaged: -1"


def test_a_position_is_to_the_centimetre_and_on_earth(table: Path) -> None:
    nan = float("nan")
    places = [(48.123456789, 2.0), (91.0, 2.0), (2.0, 1e300), (nan, nan), (0.0, None)]
    rows = [Outcome(f"/{n}", Status.TAGGED, *place, nan) for n, place in enumerate(places)]
    write_table(str(table), rows)
    exact, *others = features(table)
    assert exact["geometry"]["coordinates"] == [2.0, 48.1234568]
    assert [other["geometry"] for other in others] == [None] * 4
    assert exact["properties"]["altitude"] is None


def test_a_table_that_gdal_saved_again(table: Path) -> None:
    """A name and a reference system before the features, columns of its own, a space here or
    there."""
    table.write_text(
        '{\n"type": "FeatureCollection",\n"name": "tags",\n'
        '"crs": { "type": "name", "properties": { "name": "urn:ogc:def:crs:OGC:1.3:CRS84" } },\n'
        '"features": [\n'
        '{ "type": "Feature", "properties": { "path": "/a.jpg", "landmark": "Eiffel Tower", '
        '"fid": 1 }, "geometry": null },\n'
        '{ "type": "Feature", "properties": { "path": "/b.jpg" }, "geometry": null }\n'
        "]\n}\n"
    )
    assert [(row.path, row.landmark) for row in read_table(table)] == [
        ("/a.jpg", "Eiffel Tower"),
        ("/b.jpg", ""),
    ]


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_table_that_was_cut_off_is_refused(table: Path, cut: int) -> None:
    write_table(str(table), ROWS)
    lines = table.read_bytes().splitlines(keepends=True)
    table.write_bytes(b"".join(lines[: -2 - cut]))
    with pytest.raises(TableError, match="before its last Feature"):
        list(read_table(table))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "each Feature on a line of its own"),
        (json.dumps({"type": "FeatureCollection", "features": []}), "on a line of its own"),
        ('{"features": [\n{"type": "Feature"}\n]}', "line 2: a Feature without properties"),
        ('{"features": [\n{"properties": {}}\n]}', "row 1: no path"),
        ('{"features": [\n' + "[" * 10_000, "line 2: not JSON"),
        ('{"features": [\n{"properties": {"path": "/a", "latitude": NaN, "radius_m": -1}}', "rad"),
    ],
)
def test_what_is_no_table_is_refused(table: Path, text: str, problem: str) -> None:
    table.write_text(text)
    with pytest.raises(TableError, match=problem):
        list(read_table(table))


@pytest.mark.slow
def test_memory_stays_flat(table: Path) -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        write_table(str(table), (ROWS[0] for _ in range(count)))
        assert sum(1 for _ in read_table(table)) == count
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(5000) < peak(50) + 2**18
