"""What a report's map shows beside the photos: towns, tracks, clocks; and nothing private."""

from __future__ import annotations

import json
import re
from pathlib import Path

from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from geotag.cli import cli
from geotag.places.names import Town
from geotag.places.private import Zone
from geotag.records import Outcome, Status
from geotag.report.data import surroundings_data
from geotag.report.surroundings import (
    MOST_POINTS,
    MOST_TOWNS,
    Surroundings,
    towns_near,
    track_lines,
)
from geotag.tables import write_table

TRACK = """<gpx><trk><trkseg>
<trkpt lat="48.8500" lon="2.2900"><time>2023-05-01T08:00:00Z</time></trkpt>
<trkpt lat="48.8550" lon="2.2920"><time>2023-05-01T08:05:00Z</time></trkpt>
<trkpt lat="48.8600" lon="2.2960"><time>2023-05-01T08:10:00Z</time></trkpt>
<trkpt lat="48.8700" lon="2.3000"><time>2023-05-01T08:20:00Z</time></trkpt>
<trkpt lat="48.8800" lon="2.3100"><time>2023-05-01T08:25:00Z</time></trkpt>
</trkseg></trk></gpx>"""


def _photo(latitude: float, longitude: float, name: str = "a.jpg") -> Outcome:
    return Outcome(name, Status.HAS_GPS, latitude, longitude, position_source="measured")


def _town(name: str, latitude: float, longitude: float) -> Town:
    return Town(name, "", "FR", latitude, longitude)


def test_towns_near_photos_are_shown_those_among_them_first() -> None:
    towns = [_town("Far", 10, 10), _town("Aside", 48.6, 2.3), _town("Here", 48.86, 2.35)]
    found = towns_near([_photo(48.86, 2.3), _photo(91.0, 2.3), Outcome("x", Status.PRIVATE)], towns)
    assert [town.name for town in found] == ["Here", "Aside"]
    named = _photo(48.86, 2.3)._replace(city="Aside")
    assert [town.name for town in towns_near([named], towns)] == ["Aside", "Here"]
    assert towns_near([], towns) == []
    large = _town("There", 48.86, 2.36)._replace(size=20)
    assert towns_near([_photo(48.86, 2.3)], [*towns, large])[0] == large
    many = [_town(f"{at:05}", 48.86, 2.35) for at in range(3 * MOST_TOWNS)]
    assert len(towns_near([_photo(48.86, 2.3)], many)) == MOST_TOWNS


def test_tracks_are_thinned_and_end_at_private_zones() -> None:
    line = [(48.0 + at / 1000, 2.0) for at in range(100)]
    before, after = track_lines([line], [Zone(48.05, 2.0, 1000.0)])
    assert before[0] == line[0] and after[-1] == line[-1]
    assert before[-1][0] < 48.05 - 0.0089 and after[0][0] > 48.05 + 0.0089
    assert track_lines([[(1.0, 1.0), (1.00001, 1.0), (1.1, 1.0)]], []) == [[(1.0, 1.0), (1.1, 1.0)]]
    long = [(at / 1000, 0.0) for at in range(50_000)]
    assert 1000 < sum(map(len, track_lines([long], []))) <= MOST_POINTS


@given(st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 180)), min_size=1, max_size=30))
def test_steps_lead_along_the_line(line: list[tuple[float, float]]) -> None:
    data = surroundings_data(Surroundings(tracks=[line]))
    (steps,), size = data["tracks"], data["steps"]
    east = north = 0
    for at, (latitude, longitude) in enumerate(line):
        assert at == 0 or abs(steps[2 * at]) <= 180 * size + 1
        east, north = east + steps[2 * at], north + steps[2 * at + 1]
        assert abs(north / size - latitude) < 1e-4
        away = (east / size - longitude) % 360
        assert min(away, 360 - away) < 1e-3


def test_the_command_draws_towns_and_tracks_and_nothing_of_private_zones(tmp_path: Path) -> None:
    table, out, track = tmp_path / "tags.csv", tmp_path / "report.html", tmp_path / "walk.gpx"
    track.write_text(TRACK)
    write_table(str(table), [_photo(48.86, 2.3), _photo(44.0, 4.0, "home.jpg")])

    def around(*more: str) -> dict[str, list[object]]:
        arguments = ["report", str(table), "--out", str(out), "--no-thumbnails", *more]
        result = CliRunner().invoke(cli, [*arguments, "--track", str(track)])
        assert result.exit_code == 0, result.output
        found = re.search('id="around">(.*?)</script>', out.read_text("utf-8"))
        assert found is not None
        data: dict[str, list[object]] = json.loads(found[1])
        return data

    whole = around()
    assert "Alès" in str(whole["towns"]) and "Neuilly-sur-Seine" in str(whole["towns"])
    assert len(whole["tracks"]) == 1
    zoned = around("--private", "44.0,4.0,500", "--private", "48.87,2.300,300")
    assert "Alès" not in str(zoned["towns"]) and "Neuilly" in str(zoned["towns"])
    assert len(zoned["tracks"]) == 1
    assert zoned["tracks"] != whole["tracks"]
