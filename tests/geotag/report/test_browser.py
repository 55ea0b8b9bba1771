"""The report in a real browser without a network."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from geotag.places.names import Town
from geotag.records import Outcome, Status
from geotag.report.folder import write_folder
from geotag.report.page import build_page
from geotag.report.surroundings import Surroundings
from tests.axe import serious_faults
from tests.geotag.report.conftest import PATIENCE, Shown, count_shown
from tests.geotag.report.test_report import HOSTILE, ROWS
from tests.waiting import wait_until

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.slow
playwright.expect.set_options(timeout=PATIENCE)


_NO = Surroundings()


def _unfold(page: Any) -> None:
    """Opens the filters, which a phone shows on demand."""
    if page.locator("#fold").is_visible():
        page.click("#fold")


def _warmth(page: Any) -> list[int]:
    """How much more red than blue there is in the map, from its centre to the right."""
    script = """() => {
      const { width, height } = map.canvas;
      const { data } = map.context.getImageData(width / 2, height / 2, width / 2, 1);
      return Array.from({ length: data.length / 4 }, (_, at) => data[4 * at] - data[4 * at + 2]);
    }"""
    warmth: list[int] = page.evaluate(script)
    return warmth


def test_photos_figures_and_lists(shown: Shown) -> None:
    page = shown.page
    playwright.expect(page.locator("h1")).to_have_text(HOSTILE)
    first = page.locator(".card").first
    playwright.expect(first.locator(".name")).to_have_text(HOSTILE)
    assert first.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)")
    page.click("#failures summary")
    assert "304" in page.locator("#figures").text_content()
    playwright.expect(page.locator("#failures .list li")).to_contain_text("damaged: cut off")
    playwright.expect(page.locator("#conflicts .list li")).to_contain_text("812 km")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_name_shows_as_it_is(browser: Any, tmp_path: Path) -> None:
    row = Outcome("/photos/evil\u202egpj.\x07exe", Status.HAS_GPS, 1.0, 2.0)
    out = tmp_path / "report.html"
    out.write_text(build_page("tags.csv", [row], []))
    page = browser.new_page()
    page.goto(out.as_uri())
    shown = "evil\\u202egpj.\\u0007exe"
    playwright.expect(page.locator(".card .name")).to_have_text(shown)
    page.locator(".card").click()
    playwright.expect(page.locator("#details-title")).to_have_text(shown)
    page.close()


def test_details_of_a_photo(shown: Shown) -> None:
    page = shown.page
    page.locator(".card").first.focus()
    page.keyboard.press("Enter")
    details = page.locator("#details")
    playwright.expect(details).to_be_visible()
    share = "98.8\N{NO-BREAK SPACE}%"
    for text in (HOSTILE, "Eiffel Tower", share, "within 500 m", "</script><b>"):
        playwright.expect(details).to_contain_text(text)
    page.keyboard.press("Escape")
    playwright.expect(details).to_be_hidden()


def test_filters(shown: Shown) -> None:
    page = shown.page
    assert count_shown(page) == "304"
    _unfold(page)
    page.select_option("#status", "tagged")
    assert count_shown(page) == "1"
    page.click("#clear")
    playwright.expect(page.locator("#count")).to_contain_text("304 of 304 photos, 302 on the map")
    page.select_option("#camera", "Canon <EOS>")
    assert count_shown(page) == "300"
    page.fill("#from", "2021-12-01")
    assert count_shown(page) == "25"
    page.click("#clear")
    page.fill("#search", "eiffel")
    assert count_shown(page) == "1"
    page.fill("#search", "")
    page.locator("#confidence").focus()
    page.keyboard.press("End")  # 100%
    assert count_shown(page) == "0"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert count_shown(page) == "1"


def test_a_phone_folds_the_filters_and_counts_those_that_are_set(shown: Shown) -> None:
    page, fold = shown.page, shown.page.locator("#fold")
    is_phone = page.viewport_size["width"] == 390
    playwright.expect(page.locator("#status")).to_be_visible(visible=not is_phone)
    playwright.expect(fold).to_be_visible(visible=is_phone)
    page.locator("#timeline button[title^='2021-03']").click()
    playwright.expect(fold).to_have_text("Filters (2)")
    if not is_phone:
        return
    fold.focus()
    page.keyboard.press("Enter")
    playwright.expect(fold).to_have_attribute("aria-expanded", "true")
    page.click("#clear")
    playwright.expect(fold).to_have_text("Filters")
    fold.click()
    playwright.expect(page.locator("#clear")).to_be_hidden()


def test_the_map_shows_the_photos_of_a_place(shown: Shown) -> None:
    page = shown.page
    _unfold(page)
    page.select_option("#status", "tagged")
    page.focus("#map")
    page.keyboard.press("0")
    wait_until(page, "map.marks.length === 1")
    warmth = _warmth(page)
    assert warmth[0] > 60  # the one photo stands in the centre, as an inferred one
    reach = round(page.evaluate("500 / 40075017 / Math.cos(48.8584 * Math.PI / 180) * map.size"))
    assert reach > 50
    # Its radius is a circle around it.
    assert max(warmth[reach - 2 : reach + 2]) > max(warmth[reach + 3 : reach + 10]) + 60
    page.select_option("#status", "")
    page.focus("#map")
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#chosen")).to_have_text(re.compile("^1 photo at"))
    playwright.expect(page.locator(".card")).to_have_count(1)
    page.click("#unchoose")
    assert count_shown(page) == "304"
    page.locator("#map").scroll_into_view_if_needed()
    box = page.locator("#map").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    playwright.expect(page.locator("#chosen")).to_be_visible()


def test_keys_in_quick_succession_choose_what_the_map_comes_to(shown: Shown) -> None:
    page = shown.page
    _unfold(page)
    page.select_option("#status", "tagged")
    page.focus("#map")
    page.keyboard.press("0")
    wait_until(page, "map.marks.length === 1")
    page.evaluate("""() => {
      for (const key of [...Array(20).fill("ArrowRight"), "Enter"])
        map.canvas.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    }""")
    playwright.expect(page.locator("#chosen")).to_be_hidden()


def test_the_map_moves_by_wheel_keys_and_buttons(shown: Shown) -> None:
    page = shown.page
    wait_until(page, "map.size > 0")
    before = page.evaluate("[map.size, map.x]")
    page.click("#in")
    size, _ = page.evaluate("[map.size, map.x]")
    assert size == pytest.approx(2 * before[0])
    page.focus("#map")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("map.x") != before[1]
    page.locator("#map").hover()
    page.mouse.wheel(0, -100)
    wait_until(page, f"map.size > {size}")
    page.click("#all")
    assert page.evaluate("map.size") == pytest.approx(before[0])


def test_surroundings_are_on_the_map_and_in_a_list(browser: Any, tmp_path: Path) -> None:
    around = Surroundings(
        [Town("<b>Paris", "", "FR", 48.86, 2.33)],
        [[(48.85, 2.20), (48.86, 2.25)]],
        ["<i>Canon: 1 h ahead"],
    )
    out = tmp_path / "report.html"
    out.write_text(build_page("tags.csv", ROWS[:1], [], around))
    context = browser.new_context(viewport={"width": 1280, "height": 800}, offline=True)
    page, faults = context.new_page(), []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(out.as_uri())
    wait_until(page, "map.marks.length === 1")
    page.focus("#map")
    for _ in range(4):
        page.keyboard.press("-")
    purple = """() => { map.draw(); const { data } = map.context.getImageData(0, 0, map.canvas.width, map.canvas.height);
      let count = 0;
      for (let at = 0; at < data.length; at += 4) count += data[at] === 122 && data[at + 1] === 59 && data[at + 2] === 154;
      return count; }"""  # noqa: E501
    assert page.evaluate(purple) > 10
    playwright.expect(page.locator("#track-key")).to_be_visible()
    page.click("#clocks summary")
    playwright.expect(page.locator("#clocks li")).to_have_text("<i>Canon: 1 h ahead")
    page.select_option("#method", "landmark")
    assert count_shown(page) == "1"
    assert faults == []
    context.close()


def test_the_gallery_keeps_few_cards_wherever_one_looks(shown: Shown) -> None:
    page, cards = shown.page, shown.page.locator(".card")
    assert 1 < cards.count() < 200
    page.keyboard.press("End")
    last = page.locator("#gallery li[aria-posinset='304']")
    playwright.expect(last).to_be_in_viewport()
    playwright.expect(last).to_have_attribute("aria-setsize", "304")
    assert cards.count() < 200
    cards.last.focus()
    cards.last.press("Enter")
    playwright.expect(page.locator("#details-title")).to_have_text("0299.jpg")
    page.keyboard.press("Escape")
    playwright.expect(cards.last).to_be_focused()
    page.keyboard.press("Home")
    playwright.expect(page.locator("#gallery li").first).to_have_attribute("aria-posinset", "1")


def test_all_photos_are_printed(shown: Shown) -> None:
    page = shown.page
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".card").count() == 304
    padding = "getComputedStyle(document.querySelector('#gallery')).paddingBottom"
    assert page.evaluate(padding) == "0px"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator(".card").count() < 200


def test_a_folder_loads_thumbnails_as_they_come_into_sight(browser: Any, tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "green").save(file, "WEBP")
    rows = [Outcome(f"/photos/{at:04}.jpg", Status.HAS_GPS, 1.0, 2.0) for at in range(450)]
    thumbnails = [b"" if at == 3 else file.getvalue() for at in range(450)]
    out = tmp_path / "report"
    out.mkdir()
    write_folder(f"{out}/", rows, thumbnails, lambda chunks: build_page("t", rows, [], _NO, chunks))
    next(out.glob("*/2.js")).unlink()
    context = browser.new_context(viewport={"width": 1280, "height": 800}, offline=True)
    page, faults, loaded = context.new_page(), [], []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda one: loaded.append(one.url.rpartition("/")[2]))
    page.goto((out / "index.html").as_uri())
    playwright.expect(page.locator(".card .none")).to_have_count(1)
    assert page.locator(".card img").first.evaluate("one => one.decode().then(() => true)")
    assert "4.js" not in loaded
    page.fill("#search", "0449")
    playwright.expect(page.locator(".card img")).to_have_count(1)
    assert "4.js" in loaded and loaded.count("0.js") == 1
    page.fill("#search", "0250.jpg")  # of a file that is gone
    playwright.expect(page.locator(".card .none")).to_have_count(1)
    assert faults == []
    context.close()


def test_marks_of_the_map_do_not_overlap(browser: Any, tmp_path: Path) -> None:
    places = np.random.default_rng(3).normal((45.0, 10.0), (2.0, 4.0), (400, 2)).tolist()
    rows = [Outcome(f"/{at}.jpg", Status.HAS_GPS, *place) for at, place in enumerate(places)]
    out = tmp_path / "report.html"
    out.write_text(build_page("tags.csv", rows, []))
    context = browser.new_context(viewport={"width": 1280, "height": 800}, offline=True)
    page = context.new_page()
    page.goto(out.as_uri())
    wait_until(page, "() => map.marks.length > 1")
    nearest = """() => Math.min(...map.marks.flatMap((one, at) => map.marks.slice(at + 1).map(
      other => Math.hypot(one.x - other.x, one.y - other.y) / (one.reach + other.reach))))"""
    for key in "0++-----":
        page.locator("#map").press(key)
        wait_until(page, "!map.pending")
        assert page.evaluate(nearest) > 0.95
        count = "map.marks.reduce((sum, mark) => sum + mark.points.length, 0)"
        assert key != "0" or page.evaluate(count) == 400
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_any_state(shown: Shown, scheme: str) -> None:
    page = shown.page
    page.emulate_media(color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert serious_faults(page) == []
    page.locator("#timeline button[title^='2021-03']").click()
    assert serious_faults(page) == []
    page.fill("#search", "no such photo")
    assert serious_faults(page) == []
    _unfold(page)
    assert serious_faults(page) == []
    page.click("#clear")
    page.focus("#map")
    wait_until(page, "map.marks.length > 0")
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#chosen")).to_be_visible()
    assert serious_faults(page) == []
    page.locator(".card").first.click()
    playwright.expect(page.locator("#details")).to_be_visible()
    assert serious_faults(page) == []
