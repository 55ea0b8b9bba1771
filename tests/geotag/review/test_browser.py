"""A review in a real browser: a hundred photos by keyboard, a kill, and a hostile name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from geotag.cli import cli
from geotag.records import Outcome, Status, TopCategory
from geotag.state.decisions import Verdict, decisions_in
from geotag.tables import write_table
from tests.axe import serious_faults
from tests.conftest import WritePhoto
from tests.waiting import wait_until

playwright = pytest.importorskip("playwright.sync_api")
pytest.importorskip("waitress")
pytestmark = pytest.mark.slow
PATIENCE = 180_000  # milliseconds: a busy machine is no failure
playwright.expect.set_options(timeout=PATIENCE)
HOSTILE = "<img src=x onerror=alert(1)>.jpg"
TOP = (
    TopCategory(7, "eiffel_tower", "Eiffel Tower", 0.7),
    TopCategory(9, "taj_mahal", "<script>alert(2)</script>", 0.2),
)
PHOTOS = 104


@pytest.fixture
def table(tmp_path: Path, write_photo: WritePhoto) -> Path:
    photo = write_photo("x.jpg", "taj_mahal")
    names = [HOSTILE, *(f"{at:03}.jpg" for at in range(1, PHOTOS))]
    rows = []
    for at, name in enumerate(names):
        path = photo.with_name(name)
        path.write_bytes(photo.read_bytes())
        taken = f"2023-05-01T{at // 60:02}:{at % 60:02}:00" if at < PHOTOS - 4 else ""
        rows.append(Outcome(str(path), Status.UNCERTAIN, taken_at=taken, top_k=TOP))
    table = tmp_path / "tags.csv"
    write_table(str(table), rows)
    return table


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    opened = browser.new_page()
    opened.set_default_timeout(PATIENCE)
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("dialog", lambda dialog: faults.append(dialog.message))
    yield opened
    opened.close()
    assert faults == []


def _start(table: Path) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "geotag", "review", str(table), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def _expect_decided(page: Any, count: int) -> None:
    text = f"{count} of {PHOTOS} decided"
    playwright.expect(page.locator("#progress")).to_have_text(text)


def test_a_hundred_photos_by_keyboard_outlive_a_kill(table: Path, page: Any) -> None:
    process, address = _start(table)
    try:
        page.goto(address)
        playwright.expect(page.locator("#name")).to_have_text(HOSTILE)
        page.locator("#picture").wait_for(state="visible")
        assert page.locator("#picture").evaluate("image => image.decode().then(() => true)")
        for at in range(100):
            page.keyboard.press("ar1"[at % 3])
            _expect_decided(page, at + 1)
        assert page.url == address.partition("#")[0]
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    kept = decisions_in(table.with_name("tags.csv.geotag"))
    verdicts = [one.verdict for one in kept.values()]
    assert len(kept) == 100 and verdicts.count(Verdict.REJECTED) == 33
    shown = CliRunner().invoke(cli, ["write", str(table), "--dry-run"])
    assert "67 landmarks that the scan did not find" in shown.stderr
    assert "67 photos would be written" in shown.stderr


def test_burst_change_undo_and_going_on_later(table: Path, page: Any) -> None:
    process, address = _start(table)
    try:
        page.goto(address)
        playwright.expect(page.locator("#name")).to_have_text(HOSTILE)
        page.keyboard.press("?")
        playwright.expect(page.locator("#helping")).to_contain_text("the same for the rest")
        page.keyboard.press("Escape")
        page.keyboard.press("a")
        _expect_decided(page, 1)
        page.keyboard.press("b")  # each within a minute of the one before
        _expect_decided(page, PHOTOS - 4)
        page.keyboard.press("u")
        _expect_decided(page, 1)
        page.keyboard.press("c")
        page.keyboard.type("stonehen")
        playwright.expect(page.locator("#found li").first).to_contain_text(
            "Stonehenge",
        )
        page.keyboard.press("Enter")
        _expect_decided(page, 2)
        box = page.locator("#map").bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        playwright.expect(page.locator("#place-name")).to_be_focused()
        page.keyboard.type("Our hut")
        page.keyboard.press("Enter")
        _expect_decided(page, 3)
        page.reload()
        _expect_decided(page, 3)
    finally:
        process.kill()
        process.wait()
    kept = decisions_in(table.with_name("tags.csv.geotag"))
    assert sorted(one.landmark for one in kept.values()) == [
        "Eiffel Tower",
        "Our hut",
        "Stonehenge",
    ]


def test_placed_photos_show_their_place_and_the_map_follows(
    tmp_path: Path, write_photo: WritePhoto, page: Any
) -> None:
    photo = write_photo("x.jpg", "taj_mahal")
    rows = []
    for at, (place, latitude) in enumerate((("Aswan", 24.1), ("Luxor", 25.7))):
        path = photo.with_name(f"{at}.jpg")
        path.write_bytes(photo.read_bytes())
        weak = (TopCategory(7, "eiffel_tower", "Eiffel Tower", 0.002),)
        rows.append(
            Outcome(
                str(path), Status.PLACED, latitude, 32.6, None, "inferred", 4000.0, top_k=weak,
                place=place, country="Egypt", method="neighbour", taken_at=f"2023-05-0{at + 1}",
            )
        )  # fmt: skip
    table = tmp_path / "tags.csv"
    write_table(str(table), rows)
    page.set_viewport_size({"width": 390, "height": 844})
    process, address = _start(table)
    try:
        page.goto(address)
        playwright.expect(page.locator("#place")).to_have_text("Aswan, Egypt, within 4.0 km")
        playwright.expect(page.locator("#candidates li")).to_have_count(0)
        playwright.expect(page.locator("#reject")).to_contain_text("Place is wrong")
        at = "map.marks.map(mark => mark.points[0].latitude)"
        wait_until(page, f"() => ({at})[0] === 24.1")
        wait_until(page, "() => map.towns.some(({ name }) => name === 'Aswān')")
        box = page.locator("#accept").bounding_box()
        assert box["y"] + box["height"] <= 844  # without scrolling, on a phone
        page.keyboard.press("1")  # a candidate that is not shown
        page.evaluate("deciding")
        playwright.expect(page.locator("#progress")).to_have_text("0 of 2 decided")
        page.keyboard.press("a")
        playwright.expect(page.locator("#place")).to_contain_text("Luxor")
        playwright.expect(page.locator("#progress")).to_have_text("1 of 2 decided")
        wait_until(page, f"() => ({at})[0] === 25.7")
    finally:
        process.kill()
        process.wait()
    (kept,) = decisions_in(tmp_path / "tags.csv.geotag").values()
    assert (kept.verdict, kept.landmark) == (Verdict.ACCEPTED, "")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_explanation_is_words_and_pictures(table: Path, page: Any, scheme: str) -> None:
    pytest.importorskip("skimage")
    page.set_viewport_size({"width": 390, "height": 800})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    process, address = _start(table)
    try:
        page.goto(address)
        page.locator("#picture").wait_for(state="visible")
        page.keyboard.press("e")
        playwright.expect(page.locator("#explained figure")).to_have_count(2)
        for image in page.locator("#explained img").all():
            assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
        playwright.expect(page.locator(".told")).to_contain_text("sure of Eiffel Tower")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert serious_faults(page) == []
        page.keyboard.press("ArrowRight")
        playwright.expect(page.locator("#explained")).to_be_hidden()
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_any_state(table: Path, page: Any, width: int, scheme: str) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    process, address = _start(table)
    try:
        page.goto(address)
        page.locator("#picture").wait_for(state="visible")
        assert serious_faults(page) == []
        page.keyboard.press("c")
        page.keyboard.type("Paris")
        page.locator("#found li").first.wait_for()
        assert serious_faults(page) == []
        page.keyboard.press("Escape")
        page.locator("#map").click()
        playwright.expect(page.locator("#place-name")).to_be_focused()
        assert serious_faults(page) == []
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        assert serious_faults(page) == []
        page.keyboard.press("Escape")
        page.keyboard.press("r")
        _expect_decided(page, 1)
        page.keyboard.press("d")
        _expect_decided(page, PHOTOS - 4)
        assert serious_faults(page) == []
        page.keyboard.press("ArrowLeft")
        playwright.expect(page.locator("#state")).to_contain_text("Decided")
        assert serious_faults(page) == []
        page.keyboard.press("ArrowRight")
        playwright.expect(page.locator("#state")).to_be_empty()
        for count in range(PHOTOS - 3, PHOTOS + 1):
            page.keyboard.press("r")
            _expect_decided(page, count)
        page.locator("#done").wait_for()
        assert serious_faults(page) == []
    finally:
        process.kill()
        process.wait()
