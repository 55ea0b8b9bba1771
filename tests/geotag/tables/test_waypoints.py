"""KML and GPX: what a map shows, and nothing that a photo's text could make it do."""

from __future__ import annotations

import html
import io
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from geotag.errors import TableError, UsageError
from geotag.records import Outcome, Status
from geotag.tables import MAPS, read_table, write_table
from geotag.tables.waypoints import GpxFormat, KmlFormat
from tests.geotag.tables.test_tables import ROWS

KML = "{http://www.opengis.net/kml/2.2}"
GPX = "{http://www.topografix.com/GPX/1/1}"
CONTROL = re.compile(r"[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def parsed(layout: KmlFormat | GpxFormat, rows: list[Outcome]) -> Any:
    file = io.BytesIO()
    layout.write(file, rows)
    first = file.getvalue()
    file = io.BytesIO()
    layout.write(file, iter(rows))
    assert file.getvalue() == first  # the same rows give the same bytes
    return etree.fromstring(first)


def placemarks(rows: list[Outcome]) -> list[Any]:
    return list(parsed(KmlFormat(), rows).iter(f"{KML}Placemark"))


def waypoints(rows: list[Outcome]) -> list[Any]:
    return list(parsed(GpxFormat(), rows))


def names(element: Any, namespace: str) -> list[str]:
    return [child.tag.removeprefix(namespace) for child in element]


def columns(placemark: Any) -> dict[str, str]:
    return {data.get("name"): data[0].text or "" for data in placemark.iter(f"{KML}Data")}


def test_a_placemark_for_each_position() -> None:
    inferred, measured = placemarks(ROWS)
    # In the order of the schema.
    assert names(inferred, KML) == [
        "name", "description", "TimeStamp", "styleUrl", "ExtendedData", "Point",
    ]  # fmt: skip
    assert inferred.findtext(f"{KML}name") == "a.jpg"
    assert inferred.findtext(f".//{KML}when") == "2008-10-22T14:28:39Z"
    assert inferred.findtext(f".//{KML}coordinates") == "2.2945000,48.8584000"
    assert measured.findtext(f".//{KML}coordinates") == "-151.2500000,-33.5000000,12.50"
    cells = columns(inferred)
    assert cells["path"] == "/photos/a.jpg" and cells["radius_m"] == "1500.0"
    assert cells["status"] == "tagged" and '"eiffel_tower"' in cells["top_k"]
    assert "error" not in cells


def test_an_inferred_position_looks_inferred() -> None:
    unknown = ROWS[0]._replace(position_source="")
    document = parsed(KmlFormat(), [*ROWS, unknown])
    styles = {one.get("id"): one.findtext(f".//{KML}color") for one in document.iter(f"{KML}Style")}
    assert len(set(styles.values())) == 3
    urls = [element.text for element in document.iter(f"{KML}styleUrl")]
    assert urls == ["#inferred", "#measured", "#unknown"]
    texts = [element.text for element in document.iter(f"{KML}description")]
    for found in (texts, [one.findtext(f"{GPX}desc") for one in waypoints([*ROWS, unknown])]):
        assert "position: inferred, within 1500 m, confidence 0.988" in found[0]
        assert "position: measured" in found[1] and "inferred" not in found[1]
        assert "position: of unknown source" in found[2]
    assert [one.findtext(f"{GPX}src") for one in waypoints(ROWS)] == ["inferred", "measured"]


def test_a_waypoint_for_each_position() -> None:
    inferred, measured = waypoints(ROWS)
    assert names(inferred, GPX) == ["time", "name", "desc", "src", "type"]
    assert names(measured, GPX) == ["ele", "name", "desc", "src", "type"]
    assert dict(inferred.attrib) == {"lat": "48.8584000", "lon": "2.2945000"}
    assert inferred.findtext(f"{GPX}time") == "2008-10-22T14:28:39Z"
    assert measured.findtext(f"{GPX}ele") == "12.50"
    (east,) = waypoints([ROWS[0]._replace(longitude=180.0)])
    assert east.get("lon") == "-180.0000000"  # GPX ends below 180


@pytest.mark.parametrize(
    ("taken_at", "utc", "in_kml", "in_gpx"),
    [
        ("2020-05-06T07:08:09", "", "2020-05-06T07:08:09", None),  # the zone is not known
        ("2020-05-06T07:08:09", "2020-05-06T05:08:09Z", *["2020-05-06T05:08:09Z"] * 2),
        ("2020-05-06T07:08:09.25+02:00", "", *["2020-05-06T05:08:09.250000Z"] * 2),
        ("2020-05-06", "", None, None),
        ("0001-01-01T00:00:00+14:00", "", "0001-01-01T00:00:00", None),
        ("<when>2020</when>", "", None, None),
    ],
)
def test_times(taken_at: str, utc: str, in_kml: str | None, in_gpx: str | None) -> None:
    row = ROWS[0]._replace(taken_at=taken_at, utc=utc)
    assert placemarks([row])[0].findtext(f".//{KML}when") == in_kml
    assert waypoints([row])[0].findtext(f"{GPX}time") == in_gpx


def test_no_number_that_xml_lacks() -> None:
    nan = float("nan")
    rows = [Outcome("/a.jpg", Status.TAGGED, nan, nan), Outcome("/b.jpg", Status.TAGGED, 91, 0)]
    assert not placemarks(rows) and not waypoints(rows)
    row = Outcome("/a.jpg", Status.HAS_GPS, 1, 2, nan, "measured", nan, confidence=nan)
    for layout in (KmlFormat(), GpxFormat()):
        assert b"nan" not in etree.tostring(parsed(layout, [row])).replace(b"landmark", b"")


HOSTILE = st.text(max_size=40) | st.sampled_from(
    ["]]>", "<img src=x onerror=alert(1)>", "&lol;", "</name><script>", "\"'>", "\x00\x1b[31m"]
)


@given(text=HOSTILE)
def test_text_of_photos_stays_text(text: str) -> None:
    row = ROWS[0]._replace(path=f"/p/{text}", camera=text, landmark=text, error=text, taken_at=text)
    kept = CONTROL.sub("", text)
    (placemark,) = placemarks([row])
    assert columns(placemark).get("camera", "") == kept
    assert columns(placemark)["path"] == f"/p/{kept}"
    description = placemark.findtext(f"{KML}description")
    assert "<" not in description  # a viewer takes it for HTML
    (waypoint,) = waypoints([row])
    for found in (html.unescape(description), waypoint.findtext(f"{GPX}desc")):
        assert f"/p/{kept}\n" in found
    allowed = {"name", "description", "TimeStamp", "when", "styleUrl", "ExtendedData", "Data"}
    found = {element.tag.removeprefix(KML) for element in placemark.iterdescendants()}
    assert found <= allowed | {"value", "Point", "coordinates"}


@pytest.mark.parametrize("suffix", sorted(MAPS))
def test_they_are_written_whole_and_never_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"tags{suffix}"
    write_table(str(path), ROWS)
    before = path.read_bytes()
    assert before.startswith(b"<?xml") and b"no_landmark" not in before
    with pytest.raises(UsageError, match="does not read it"):
        list(read_table(path))
    with pytest.raises(TableError):
        write_table(str(tmp_path / "missing" / path.name), ROWS)

    def failing() -> Any:
        yield ROWS[0]
        raise RuntimeError("the scan broke")

    with pytest.raises(RuntimeError):
        write_table(str(path), failing())
    assert path.read_bytes() == before
