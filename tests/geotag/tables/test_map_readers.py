"""Tables for maps as the readers of other programs see them: GDAL (QGIS), fastkml and gpxpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from geotag.records import Outcome, Status
from geotag.tables import write_table

NAME = 'Tour <b>"Eiffel"<b> & é'
ROWS = [
    Outcome("/a.jpg", Status.HAS_GPS, 48.5, -2.25, 30.0, "camera", taken_at="2020-05-01T12:00:00"),
    Outcome(f"/{NAME}.jpg", Status.TAGGED, -33.25, 179.9999999, radius_m=150.0, landmark=NAME,
            position_source="landmark", confidence=0.97, city="Paris", country="France"),
    Outcome("/c.jpg", Status.NO_LANDMARK),
]  # fmt: skip


def written(folder: Path, suffix: str) -> Path:
    path = folder / f"tags{suffix}"
    write_table(str(path), ROWS)
    return path


def test_gdal_reads_geojson_with_all_rows_and_their_columns(tmp_path: Path) -> None:
    pyogrio = pytest.importorskip("pyogrio", reason="pyogrio is not installed")
    meta, table = pyogrio.read_arrow(written(tmp_path, ".geojson"))
    rows: list[dict[str, Any]] = table.to_pylist()
    assert meta["crs"] == "EPSG:4326" and len(rows) == 3
    assert [row["status"] for row in rows] == ["has_gps", "tagged", "no_landmark"]
    assert (rows[1]["landmark"], rows[1]["radius_m"]) == (NAME, 150.0)
    info = pyogrio.read_info(tmp_path / "tags.geojson")
    assert info["total_bounds"] == pytest.approx((-2.25, -33.25, 179.9999999, 48.5), abs=1e-6)


@pytest.mark.parametrize("suffix", [".kml", ".gpx"])
def test_gdal_reads_the_positions_of(suffix: str, tmp_path: Path) -> None:
    pyogrio = pytest.importorskip("pyogrio", reason="pyogrio is not installed")
    _, bounds = pyogrio.read_bounds(written(tmp_path, suffix), layer=0)
    assert bounds[0] == pytest.approx([-2.25, 179.9999999])
    assert bounds[1] == pytest.approx([48.5, -33.25])


def test_gpxpy_reads_waypoints(tmp_path: Path) -> None:
    gpxpy = pytest.importorskip("gpxpy", reason="gpxpy is not installed")
    gpx = gpxpy.parse(written(tmp_path, ".gpx").read_text("utf-8"))
    first, second = gpx.waypoints
    assert (first.latitude, first.longitude, first.elevation) == (48.5, -2.25, 30.0)
    assert NAME[:10] in second.name or NAME[:10] in (second.description or "")


def test_fastkml_reads_placemarks(tmp_path: Path) -> None:
    kml = pytest.importorskip("fastkml.kml", reason="fastkml is not installed")
    find_all = pytest.importorskip("fastkml.utils").find_all
    document = kml.KML.parse(written(tmp_path, ".kml"))
    first, second = find_all(document, of_type=kml.Placemark)
    assert (first.geometry.x, first.geometry.y) == (-2.25, 48.5)
    assert NAME[:10] in second.name
