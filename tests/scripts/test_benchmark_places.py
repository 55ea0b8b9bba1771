"""The benchmark of placing on tracks that a user recorded."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from benchmarks.places import command
from click.testing import CliRunner


def test_photos_on_a_recorded_walk_are_placed_within_their_radius(tmp_path: Path) -> None:
    points = "".join(
        f'<trkpt lat="{48 + t * 1e-5:.6f}" lon="2.0">'
        f"<time>{datetime.fromtimestamp(1.7e9 + t, UTC).isoformat()}</time></trkpt>"
        for t in range(0, 10_801, 30)
    )
    walk = tmp_path / "walk.gpx"
    walk.write_text(f"<gpx><trk><trkseg>{points}</trkseg></trk></gpx>")
    said = CliRunner().invoke(command, ["--tracks", str(walk), "--libraries", "3"])
    assert said.exit_code == 0, said.output
    lines = said.output.splitlines()
    assert lines[0] == "1 segments of tracks, 3.0 h"
    often = lines[2].split()
    assert often[:3] == ["every", "5", "min"] and int(often[3]) > 30
    assert (often[4], often[7]) == ("100.0%", "100.0%")  # placed, and inside the radius
    assert len(lines) == 5
