"""The report of large libraries: its size, the time to make it, and how it does in a browser.

The photos are links to a few pictures, drawn or of a folder, and the table gives each another time
and place. A page counts as interactive once its map is drawn and the first thumbnail is shown; from
then on it answers. Needs Playwright and Chromium.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from example_library import draw_scene

from benchmarks import options
from benchmarks.library import pictures_in
from benchmarks.timing import cost_of
from geotag.records import Outcome, Status
from geotag.tables import write_table

MOST_IN_A_FILE = 10_000
_IN_A_FOLDER = 1000
_CITIES = (
    ("Cairo", "Egypt", 30.04, 31.24), ("Paris", "France", 48.86, 2.35),
    ("Kyoto", "Japan", 35.01, 135.77), ("Cusco", "Peru", -13.53, -71.97),
    ("Agra", "India", 27.18, 78.01), ("Lisbon", "Portugal", 38.72, -9.14),
)  # fmt: skip
_CAMERAS = ("Apple iPhone 15", "Canon EOS 80D", "Panasonic DC-GX9")
# Run before the page's own scripts: notes when the map and the first thumbnail are there.
_WATCH = """
window.interactive = new Promise(done => {
  const look = () => { // until the script runs, map is the canvas
    const image = document.querySelector(".card img");
    const isDrawn = typeof map === "object" && map.marks?.length;
    if (isDrawn && image?.complete) done(performance.now()); else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
});
"""
_ANSWER = """() => {
  const before = performance.now();
  document.querySelector("#status").selectedIndex = 1;
  update();
  map.draw();
  const taken = performance.now() - before;
  document.querySelector("#clear").click();
  return taken;
}"""
_DRAW = """() => {
  const before = performance.now();
  for (let at = 0; at < 20; at++) map.draw();
  return (performance.now() - before) / 20;
}"""
_SCROLL = """() => new Promise(done => {
  const frames = [];
  let last = performance.now();
  document.documentElement.style.scrollBehavior = "auto";
  scrollTo(0, document.body.scrollHeight / 2);
  const step = now => {
    frames.push(now - last);
    last = now;
    scrollBy(0, 120);
    if (frames.length < 300) requestAnimationFrame(step); else done(frames.slice(5));
  };
  requestAnimationFrame(step);
})"""


class Made(NamedTuple):
    """What making a report took: seconds by the clock and of all processors, MiB at the peak."""

    clock: float
    processor: float
    peak: float
    megabytes: float
    files: int


class Shown(NamedTuple):
    """How a browser does: milliseconds, seconds of the page's process, MiB, and complaints."""

    interactive_ms: float
    processor_s: float
    answer_ms: float
    draw_ms: float
    frame_ms: float
    slow_frame_ms: float
    heap: float
    resident: float
    complaints: list[str]


def lay_pictures(library: Path, distinct: int, given: Path | None) -> list[Path]:
    """That many pictures: drawn, or evenly chosen ones of a folder and those below it."""
    library.mkdir(parents=True, exist_ok=True)
    pictures = [library / f"scene-{number}.jpg" for number in range(distinct)]
    found = pictures_in(given, distinct)
    for number, picture in enumerate(pictures):
        if found:
            shutil.copyfile(found[number * len(found) // distinct], picture)
        elif not picture.exists():
            draw_scene(7 + number % 12, number).save(picture, quality=86)
    return pictures


def rows_of(library: Path, count: int, pictures: list[Path]) -> Iterator[Outcome]:
    """Rows of links to pictures, each with a time and most with a place of its own."""
    random = np.random.default_rng(1)
    taken = datetime(2004, 5, 1, 9)
    for number in range(count):
        path = library / f"{number // _IN_A_FOLDER:04}" / f"IMG_{number:06}.jpg"
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            os.link(pictures[number % len(pictures)], path)
        taken += timedelta(minutes=float(random.exponential(100_000_000 / count / 9)))
        city, country, north, east = _CITIES[number * len(_CITIES) // count]
        up, right = random.normal(0, 0.3, 2)
        row = Outcome(
            str(path), Status.HAS_GPS, north + float(up), east + float(right), None, "measured",
            city=city, country=country, taken_at=f"{taken:%Y-%m-%dT%H:%M:%S}",
            camera=_CAMERAS[number % len(_CAMERAS)], place=city,
        )  # fmt: skip
        yield _varied(row, number)


def _varied(row: Outcome, number: int) -> Outcome:
    """Of ten photos three are placed, one is not, and of fifty one has failed."""
    if number % 50 == 7:
        return Outcome(row.path, Status.UNREADABLE, error="damaged: cut off")
    if number % 10 == 9:
        return Outcome(row.path, Status.NO_LANDMARK, taken_at=row.taken_at, camera=row.camera)
    if number % 10 > 5:
        return row._replace(
            status=Status.PLACED, position_source="inferred", radius_m=float(80 * (number % 10)),
            method="neighbour", confidence=0.9 + number % 90 / 1000,
            evidence="between two photos taken 4 min before and 11 min after it",
        )  # fmt: skip
    return row


def make(table: Path, out: Path, is_folder: bool) -> Made:
    """Run `geotag report`."""
    name = f"{out}{'/' if is_folder else ''}"
    cost = cost_of([sys.executable, "-m", "geotag", "report", str(table), "--out", name, "--quiet"])
    files = [file for file in out.rglob("*") if file.is_file()] if is_folder else [out]
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    return Made(*cost, megabytes, len(files))


def show(browser: Any, address: str) -> Shown:
    """Open a report, choose, draw, scroll, and measure."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    page, complaints = context.new_page(), []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    page.add_init_script(_WATCH)
    page.goto(address)
    interactive = page.evaluate("window.interactive")
    processor, _ = _renderer(browser)
    answer, draw = page.evaluate(_ANSWER), page.evaluate(_DRAW)
    frames = sorted(page.evaluate(_SCROLL))
    tools = context.new_cdp_session(page)
    tools.send("Performance.enable")
    metrics = {m["name"]: m["value"] for m in tools.send("Performance.getMetrics")["metrics"]}
    _, resident = _renderer(browser)
    context.close()
    return Shown(
        interactive, processor, answer, draw, frames[len(frames) // 2],
        frames[len(frames) * 95 // 100], metrics["JSHeapUsedSize"] / 2**20, resident, complaints,
    )  # fmt: skip


def _renderer(browser: Any) -> tuple[float, float]:
    """Processor seconds and MiB of the largest process that draws a page."""
    tools = browser.new_browser_cdp_session()
    processes = tools.send("SystemInfo.getProcessInfo")["processInfo"]
    tools.detach()
    drawing = [one for one in processes if one["type"] == "renderer"]
    found = [(one["cpuTime"], _resident(one["id"])) for one in drawing]
    return max(found, key=lambda one: one[1])


def _resident(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@click.command("report")
@click.option("--photos", default=(10_000, 100_000), multiple=True, show_default=True)
@click.option("--distinct", default=200, show_default=True, help="How many pictures differ.")
@options.PICTURES
@options.LIBRARY
@options.JSON
def command(
    photos: tuple[int, ...], distinct: int, pictures: Path | None, library: Path, out: Path | None
) -> None:
    """Up to 10,000 photos as one file, more as a folder."""
    from playwright.sync_api import sync_playwright

    figures = {}
    place = library / ("report" if pictures is None else "report-of-pictures")
    used = lay_pictures(place, distinct, pictures)
    for count in photos:
        with tempfile.TemporaryDirectory(prefix="geotag-benchmark-") as scratch:
            table = Path(scratch, "tags.csv")
            write_table(str(table), rows_of(place, count, used))
            is_folder = count > MOST_IN_A_FILE
            report = Path(scratch, "report" if is_folder else "report.html")
            made = make(table, report, is_folder)
            click.echo(f"\n{count} photos, as {'a folder' if is_folder else 'one file'}")
            click.echo(
                f"  made in {made.clock:.0f} s ({made.processor:.0f} s of processors, "
                f"{made.peak:.0f} MiB): {made.megabytes:.1f} MB in {made.files} files"
            )
            with sync_playwright() as running:
                chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
                quiet = ["--no-sandbox", "--disable-gpu"]
                browser = running.chromium.launch(executable_path=chromium, args=quiet)
                address = (report / "index.html" if is_folder else report).as_uri()
                shown = show(browser, address)
                browser.close()
            _tell(shown)
            figures[count] = {"made": made._asdict(), "shown": shown._asdict()}
    if out is not None:
        out.write_text(json.dumps(figures, indent=1) + "\n")


def _tell(shown: Shown) -> None:
    click.echo(
        f"  interactive after {shown.interactive_ms / 1000:.2f} s "
        f"({shown.processor_s:.2f} s of the page's process)\n"
        f"  a filter takes {shown.answer_ms:.0f} ms, drawing the map {shown.draw_ms:.1f} ms\n"
        f"  scrolling: {shown.frame_ms:.0f} ms a frame, 95 % within {shown.slow_frame_ms:.0f} ms\n"
        f"  memory: {shown.heap:.0f} MiB of scripts, {shown.resident:.0f} MiB of the process\n"
        f"  console: {len(shown.complaints)} messages"
    )
    for complaint in shown.complaints[:5]:
        click.echo(f"    {complaint}")
