"""Reading positions from photos that have them, beside exiftool and piexif."""

from __future__ import annotations

import csv
import shutil
import sys
import tempfile
from pathlib import Path

import click

from benchmarks import options
from benchmarks.library import Kind, make_library
from benchmarks.timing import paired, ratio, report, run_quietly

_PIEXIF = """
import csv, os, sys, piexif
rows = []
for folder, folders, files in os.walk(sys.argv[1]):
    for name in files:
        path = os.path.join(folder, name)
        if name.endswith(".jpg"):
            gps = piexif.load(path)["GPS"]
            rows.append((path, gps.get(2), gps.get(4)))
with open(sys.argv[2], "w", newline="") as file:
    csv.writer(file).writerows(rows)
"""


@click.command("metadata")
@options.LIBRARY
@options.sized(10_000, 5, share=10, few=3)
@options.PEERS
@options.JSON
def command(library: Path, count: int, repeats: int, peers: bool, out: Path | None) -> None:
    """From process start to the finished CSV, a new catalog each time, files in the page cache."""
    library = library / f"metadata-{count}"
    make_library(library, count, Kind(size=(640, 480), located=True))
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch, "tags.csv")

        def geotag() -> None:
            for path in Path(scratch).iterdir():
                path.unlink()
            scan = [sys.executable, "-m", "geotag", "scan", "-q", str(library), "--out", str(table)]
            run_quietly(scan)

        runs = {"geotag scan": geotag}
        if peers:
            runs["piexif, one loop"] = lambda: run_quietly(
                [sys.executable, "-c", _PIEXIF, str(library), str(Path(scratch, "piexif.csv"))]
            )
        if peers and shutil.which("exiftool"):
            wanted = "-GPSLatitude -GPSLongitude -GPSAltitude -DateTimeOriginal -Make -Model"
            fast = ["exiftool", "-q", "-fast2", "-csv", "-r"]
            runs["exiftool, the same columns"] = lambda: run_quietly(
                [*fast, "-n", *wanted.split(), str(library)]
            )
            runs["exiftool"] = lambda: run_quietly([*fast, str(library)])
        geotag()
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == count and all(row["status"] == "has_gps" for row in rows)
        seconds = paired(runs, repeats)
    counts = dict.fromkeys(runs, count)
    notes = {
        f"times {name}": ratio(seconds, counts, "geotag scan", name).clock
        for name in runs
        if name != "geotag scan"
    }
    report(f"metadata of {count} photos", seconds, counts, list(runs)[-1], out, notes)
