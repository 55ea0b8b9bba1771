"""Tracks in all formats; exiftool is the judge of what lies between their points."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from geotag.errors import TrackError
from geotag.places.distance import distance_m
from geotag.places.sphere import to_degrees
from geotag.places.trackfiles import READERS, digest_of, read_tracks
from geotag.places.tracks import follow, lanes
from geotag.records import Location
from tests.conftest import jpeg_bytes, picture

START = datetime(2023, 6, 1, 10, tzinfo=UTC).timestamp()
POINTS = [(START + 60 * n, 48 + 0.001 * n, 2 + 0.0005 * n) for n in range(10)]


def iso(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def gpx(*segments: list[tuple[float, float, float]]) -> str:
    body = "".join(
        "<trkseg>"
        + "".join(
            f'<trkpt lat="{lat}" lon="{lon}"><ele>35</ele><time>{iso(t)}</time></trkpt>'
            for t, lat, lon in segment
        )
        + "</trkseg>"
        for segment in segments
    )
    return (
        '<?xml version="1.0"?><gpx version="1.1" creator="test" '
        f'xmlns="http://www.topografix.com/GPX/1/1"><trk>{body}</trk></gpx>'
    )


def kml() -> str:
    whens = "".join(f"<when>{iso(t)}</when>" for t, _, _ in POINTS)
    coords = "".join(f"<gx:coord>{lon} {lat} 35</gx:coord>" for _, lat, lon in POINTS)
    return (
        '<kml xmlns="http://www.opengis.net/kml/2.2" xmlns:gx="http://www.google.com/kml/ext/2.2">'
        f"<Placemark><gx:Track>{whens}{coords}</gx:Track></Placemark></kml>"
    )


def tcx() -> str:
    points = "".join(
        f"<Trackpoint><Time>{iso(t)}</Time><Position><LatitudeDegrees>{lat}</LatitudeDegrees>"
        f"<LongitudeDegrees>{lon}</LongitudeDegrees></Position></Trackpoint>"
        for t, lat, lon in POINTS
    )
    return (
        '<TrainingCenterDatabase xmlns="http://www.garmin.com/xmlschemas/TrainingCenterDatabase/v2">'
        f"<Activities><Activity><Lap><Track>{points}</Track></Lap></Activity></Activities>"
        "</TrainingCenterDatabase>"
    )


def nmea() -> str:
    lines = []
    for t, lat, lon in POINTS:
        time = datetime.fromtimestamp(t, UTC)
        north = f"{int(lat):02}{lat % 1 * 60:09.6f}"
        east = f"{int(lon):03}{lon % 1 * 60:09.6f}"
        text = f"GPRMC,{time:%H%M%S}.00,A,{north},N,{east},E,0.0,0.0,{time:%d%m%y},,"
        sum_ = 0
        for letter in text:
            sum_ ^= ord(letter)
        lines.append(f"${text}*{sum_:02X}")
    return "\r\n".join([*lines, "$GPRMC,rubbish*00", ""])


def records() -> str:
    entries = [
        {"latitudeE7": round(lat * 1e7), "longitudeE7": round(lon * 1e7), "timestamp": iso(t)}
        for t, lat, lon in POINTS
    ]
    entries.append({"latitudeE7": 0, "longitudeE7": 10, "timestamp": iso(START), "accuracy": 4000})
    return json.dumps({"locations": entries})


def timeline() -> str:
    path = [{"point": f"{lat}°, {lon}°", "time": iso(t)} for t, lat, lon in POINTS]
    return json.dumps({"semanticSegments": [{"startTime": iso(START), "timelinePath": path}]})


def timeline_of_ios() -> str:
    path = [
        {"point": f"geo:{lat},{lon}", "durationMinutesOffsetFromStartTime": str((t - START) / 60)}
        for t, lat, lon in POINTS
    ]
    visit = {"startTime": iso(START), "visit": {"topCandidate": {"placeLocation": "geo:1,1"}}}
    return json.dumps([visit, {"startTime": iso(START), "timelinePath": path}])


def signals() -> str:
    """What Android exports beside the path: one of the positions is a mast's."""
    found = [
        {"position": {"LatLng": f"{lat}°, {lon}°", "accuracyMeters": 9, "timestamp": iso(t)}}
        for t, lat, lon in POINTS
    ]
    mast = {"LatLng": "1.0°, 1.0°", "accuracyMeters": 3000, "timestamp": iso(START)}
    wifi = {"wifiScan": {"deliveryTime": iso(START)}}
    return json.dumps({"semanticSegments": [], "rawSignals": [wifi, {"position": mast}, *found]})


def semantic() -> str:
    """A month of Takeout's semantic history: a visit is a guess, and none of the points."""
    points = [
        {"latE7": round(lat * 1e7), "lngE7": round(lon * 1e7), "timestamp": iso(t)}
        for t, lat, lon in POINTS
    ]
    activity = {"activitySegment": {"simplifiedRawPath": {"points": points}}}
    visit = {"placeVisit": {"location": {"latitudeE7": 10**7, "longitudeE7": 10**7}}}
    return json.dumps({"timelineObjects": [visit, activity, {"activitySegment": {}}]})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.gpx", gpx(POINTS)),
        ("a.kml", kml()),
        ("a.tcx", tcx()),
        ("a.nmea", nmea()),
        ("Records.json", records()),
        ("Timeline.json", timeline()),
        ("location-history.json", timeline_of_ios()),
        ("Signals.json", signals()),
        ("2023_MAY.json", semantic()),
    ],
)
def test_every_format_gives_the_same_points(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    (segment,) = read_tracks([str(path)])
    assert segment.track == name
    assert np.allclose(segment.times, [t for t, _, _ in POINTS])
    assert np.allclose(segment.latitudes, [lat for _, lat, _ in POINTS], atol=1e-7)
    assert np.allclose(segment.longitudes, [lon for _, _, lon in POINTS], atol=1e-7)


def test_a_folder_gives_all_its_tracks_and_segments_stay_apart(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.GPX").write_text(gpx(POINTS[:4], POINTS[5:]))
    (tmp_path / "notes.txt").write_text("no track")
    segments = read_tracks([str(tmp_path)])
    assert [len(segment.times) for segment in segments] == [4, 5]
    (lane,) = lanes(segments)
    inside, across = follow(lane, np.array([START + 90, START + 240])).radius
    assert inside < 200 and np.isinf(across)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.gpx", b"<gpx><trk>"),
        ("b.gpx", b'<gpx><trkpt lat="x" lon="2"><time>2023-06-01T10:00:00Z</time></trkpt></gpx>'),
        ("c.json", b'{"locations": [{"latitudeE7"'),
        ("d.json", b'{"locations": [7]}'),
        ("e.fit", b"not a FIT file at all"),
        ("f.txt", b""),
    ],
)
def test_a_damaged_track_is_one_line_that_names_it(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(TrackError, match=name):
        read_tracks([str(tmp_path / name)])


BAD_POINT = '<trkpt lon="2"><time>2023-06-01T10:00:30Z</time></trkpt>'
LATE = "<Placemark><TimeStamp><when>2020</when></TimeStamp></Placemark>"


@pytest.mark.parametrize(
    ("name", "text", "count"),
    [
        ("point.gpx", gpx(POINTS).replace("<trkpt", BAD_POINT + "<trkpt", 1), 10),
        ("comma.gpx", gpx(POINTS).replace('lat="', 'lat="4,', 1), 9),
        ("clock.gpx", gpx(POINTS).replace("<time>2023", "<time>0000", 1), 9),
        ("cut.gpx", gpx(POINTS)[:-60], 9),
        ("tail.gpx", gpx(POINTS) + "\0" * 512, 10),
        ("moments.kml", kml().replace("<Placemark>", LATE + "<Placemark>", 1), 10),
        ("point.tcx", tcx().replace("LongitudeDegrees", "Other"), None),
        (
            "null.json",
            records().replace("[", '[{"latitudeE7": null, "accuracy": null}, 7, ', 1),
            10,
        ),
        ("mark.json", "\ufeff" + records(), 10),
        ("deep.json", '{"locations": [' + "[" * 100_000, None),
        ("hidden.json", '{"locations": [' + '["]",' * 100_000, None),
        ("endless.nmea", "$GPRMC," + "9" * 3_000_000 + "\n" + nmea(), 10),
    ],
)
def test_a_damaged_point_costs_itself_alone(
    tmp_path: Path, name: str, text: str, count: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    found = read_tracks([str(tmp_path)])
    assert sum(len(segment.times) for segment in found) == (count or 0)
    if count is None:
        assert name in caplog.text
        with pytest.raises(TrackError, match=name):
            read_tracks([str(tmp_path / name)])


# Its last record ends in the middle, and the checksum is right.
CUT_FIT = (
    "0e105408420000002e464954c338400000140003fd04860004850104850000ca9a3b222222ffc1166c"
    "01003cca9a3b22222222c1166c010078ca9a3b22222222c1166c0100b4ca9a3b22222222c1166c26ce"
)


@pytest.mark.filterwarnings("error")
def test_whatever_the_reader_of_fit_raises_costs_that_track_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("fitdecode")
    (tmp_path / "a.gpx").write_text(gpx(POINTS))
    (tmp_path / "b.fit").write_bytes(bytes.fromhex(CUT_FIT))
    found = read_tracks([str(tmp_path)])
    assert len(found[0].times) == 10 and "b.fit: damaged" in caplog.text


def test_a_damaged_track_of_a_folder_is_named_and_the_others_are_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.gpx").write_text(gpx(POINTS))
    (tmp_path / "b.gpx").write_text(gpx(POINTS)[:-60])
    (tmp_path / "c.gpx").write_bytes(b"")
    found = read_tracks([str(tmp_path)])
    assert [len(segment.times) for segment in found] == [10, 9]
    assert "b.gpx: damaged behind its first 9 points" in caplog.text
    assert "c.gpx: damaged, or not a track" in caplog.text


def test_a_closed_folder_of_tracks_is_not_taken_for_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.gpx").write_text(gpx(POINTS))
    (tmp_path / "deep").mkdir()
    scandir = os.scandir

    def closed(place: str) -> object:
        if str(place).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(TrackError, match="deep"):
        read_tracks([str(tmp_path)])


def test_no_tracks_in_a_folder_and_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(TrackError, match="no tracks"):
        read_tracks([str(tmp_path)])
    with pytest.raises(TrackError, match="cannot be read"):
        read_tracks([str(tmp_path / "gone.gpx")])
    assert ".fit" in READERS


def test_an_entity_reads_no_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("2023-06-01T10:00:00Z")
    hostile = (
        f'<!DOCTYPE gpx [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>'
        '<gpx><trkseg><trkpt lat="1" lon="2"><time>&x;</time></trkpt></trkseg></gpx>'
    )
    (tmp_path / "a.gpx").write_text(hostile)
    try:
        found = read_tracks([str(tmp_path / "a.gpx")])
    except TrackError:
        return
    assert not found


def test_the_digest_changes_with_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.gpx"
    path.write_text(gpx(POINTS))
    before = digest_of([str(path)])
    assert digest_of([str(path)]) == before
    path.write_text(gpx(POINTS[:5]))
    assert digest_of([str(path)]) != before


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_exiftool_puts_photos_within_a_metre(tmp_path: Path) -> None:
    track = tmp_path / "a.gpx"
    track.write_text(gpx(POINTS))
    times = [START + seconds for seconds in (0, 17, 95, 240, 301, 539)]
    for number, t in enumerate(times):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg_bytes(picture()))
        shown = datetime.fromtimestamp(t, UTC).strftime("%Y:%m:%d %H:%M:%S")
        dated = ["-overwrite_original", "-q", f"-DateTimeOriginal={shown}"]
        subprocess.run(["exiftool", *dated, str(tmp_path / f"{number}.jpg")], check=True)
    geotag = ["exiftool", "-q", "-overwrite_original", "-geotag", str(track)]
    subprocess.run([*geotag, "-geotime<${DateTimeOriginal}+00:00", str(tmp_path)], check=True)
    told = json.loads(
        subprocess.run(
            ["exiftool", "-j", "-n", "-GPSLatitude", "-GPSLongitude", str(tmp_path)],
            check=True,
            capture_output=True,
        ).stdout
    )
    places = {Path(row["SourceFile"]).stem: row for row in told if "GPSLatitude" in row}
    assert len(places) == len(times)
    (lane,) = lanes(read_tracks([str(track)]))
    latitudes, longitudes = to_degrees(follow(lane, np.array(times)).points)
    for number in range(len(times)):
        row = places[str(number)]
        judge = Location(row["GPSLatitude"], row["GPSLongitude"])
        own = Location(float(latitudes[number]), float(longitudes[number]))
        assert distance_m(judge, own) < 1
