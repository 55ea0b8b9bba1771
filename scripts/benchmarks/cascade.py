"""The cascade: photos a second, bytes read and tags lost, with and without it.

The ratio is meant for a library, so there are enough photos that a scan's start (a second or two,
which is counted) weighs little. Only `--distinct` of each kind differ in their pixels, for it takes
a second to make one: each stands there several times under another name and with other Exif, which
a scan does not notice. All lie in the page cache, in both runs alike: from a disk or a network the
bytes that are not read would save more.

What did not pay, and is not in geotag: the whole network on thumbnails (a third of the cost of a
photo, and more photos read in vain); a classifier fitted to thumbnails, for the backbone or both (a
share of the classifier that is there rejects as many, and knows all landmarks); the backbone at 160
pixels (twice as much read in vain) or 224 (a third more work for a few photos less); the greatest
confidence instead of the probability of any landmark (half as many rejected).
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import click

from benchmarks import options
from benchmarks.library import MEGAPIXELS_12, Kind, make_library, make_mixed_library
from benchmarks.scan import tags_of
from benchmarks.timing import paired, report

WITH, WITHOUT = "with the cascade", "without"


def bytes_read() -> int:
    """What this process and those it waited for have read (Linux: rchar of /proc/self/io)."""
    return int(Path("/proc/self/io").read_text().split()[1])


def scan_once(model: Path | None, folder: Path, *more: str) -> tuple[int, dict[str, str]]:
    """Bytes that a scan reads, and the landmark or nothing for each photo."""
    before = bytes_read()
    tags = tags_of(model, folder, *more)
    return bytes_read() - before, tags


@click.command("cascade")
@options.MODEL
@options.LIBRARY
@options.sized(2000, 3, share=4, few=1)
@options.distinct(150)
@options.LANDMARKS
@options.OTHERS
@options.JSON
def command(
    model: Path | None, library: Path, count: int, repeats: int, distinct: int,
    landmarks: Path | None, others: Path | None, out: Path | None,
) -> None:  # fmt: skip
    """12 megapixels with thumbnails, 5 % landmarks; without pictures all scenes are drawn."""
    folder = library / f"cascade-{count}{'-pictures' if landmarks else ''}"
    make_mixed_library(folder, count, Kind(MEGAPIXELS_12), landmarks, others, distinct)
    one = library / "cascade-one"
    make_library(one, 1, Kind((640, 480)))
    scan_once(model, one)  # converts the model where that was not done before
    ground, _ = scan_once(model, one)
    results: dict[str, tuple[int, dict[str, str]]] = {}

    def run(name: str, *more: str) -> None:
        results[name] = scan_once(model, folder, *more)

    runs = {WITH: partial(run, WITH), WITHOUT: partial(run, WITHOUT, "--no-cascade")}
    timings = paired(runs, repeats)
    (taken, tags), (taken_without, tags_without) = results[WITH], results[WITHOUT]
    tagged = {path for path, landmark in tags_without.items() if landmark}
    lost = sum(tags[path] != tags_without[path] for path in tagged)
    size = sum(path.stat().st_size for path in folder.rglob("*.jpg")) / count
    notes: dict[str, object] = {
        "bytes a photo": size,
        "bytes read a photo, with": (taken - ground) / count,
        "bytes read a photo, without": (taken_without - ground) / count,
        "times fewer bytes": (taken_without - ground) / max(1, taken - ground),
        "tags without the cascade": len(tagged),
        "tags lost": lost,
    }
    report(f"cascade over {count} photos", timings, dict.fromkeys(runs, count), WITHOUT, out, notes)
    click.echo(json.dumps(notes))
