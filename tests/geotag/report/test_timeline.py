"""The timeline of a report in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from geotag.records import Outcome, Status
from geotag.report.page import build_page
from tests.geotag.report.conftest import PATIENCE, Shown, count_shown
from tests.waiting import wait_until

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.slow
playwright.expect.set_options(timeout=PATIENCE)


def test_the_timeline_chooses_a_month(shown: Shown) -> None:
    page = shown.page
    march = page.locator("#timeline button[title^='2021-03']")
    march.click()
    assert count_shown(page) == "25"
    playwright.expect(march).to_have_attribute("aria-pressed", "true")
    assert page.input_value("#to") == "2021-03-31"
    march.click()
    assert count_shown(page) == "304"


def test_the_timeline_is_one_stop_of_the_keyboard(shown: Shown) -> None:
    page = shown.page
    page.focus("#all")  # the last button of the map
    page.keyboard.press("Tab")
    first = page.evaluate("document.activeElement.title")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert count_shown(page) == "25"
    chosen = page.evaluate("document.activeElement.title")
    assert chosen.startswith("2021-02") and first.startswith("2021-01")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#timeline')") is None
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.title") == chosen


def test_the_timeline_of_many_years_tells_each(browser: Any, tmp_path: Path) -> None:
    days = ("2005-08-13", "2008-03-01", "2019-05-02", "2026-11-24")
    rows = [Outcome(f"/{day}.jpg", Status.HAS_GPS, 1.0, 2.0, taken_at=day) for day in days]
    out = tmp_path / "report.html"
    out.write_text(build_page("tags.csv", rows, []))
    page = browser.new_page()
    page.goto(out.as_uri())
    bars = page.locator("#timeline button")
    assert bars.all_text_contents() == [str(year) for year in range(2005, 2027)]
    bars.nth(3).click()
    labels = ["2005-08", "2008", "2019", "2026"]
    playwright.expect(bars).to_have_text(labels)
    page.close()


@pytest.mark.parametrize(
    "days",
    [
        [f"{year}-03-01" for year in range(1995, 2027)],
        [f"{2022 + at // 12}-{at % 12 + 1:02}-01" for at in range(30)],
        [f"2025-03-{day:02}" for day in range(1, 32)],
    ],
    ids=["years", "months", "days"],
)
def test_labels_of_the_timeline_do_not_overlap(
    browser: Any, tmp_path: Path, days: list[str]
) -> None:
    rows = [Outcome(f"/{day}.jpg", Status.HAS_GPS, 1.0, 2.0, taken_at=day) for day in days]
    out = tmp_path / "report.html"
    out.write_text(build_page("tags.csv", rows, []))
    context = browser.new_context(viewport={"width": 1280, "height": 800}, offline=True)
    page = context.new_page()
    page.goto(out.as_uri())
    free = """() => {
      const shown = [...document.querySelectorAll("#timeline span")].filter(label =>
        label.textContent && getComputedStyle(label).overflow === "visible");
      const at = shown.map(label => [label.offsetLeft, label.offsetLeft + label.scrollWidth]);
      return shown.length > 4 && at.every(([start], one) => !one || start >= at[one - 1][1]);
    }"""
    assert page.evaluate(free)
    page.set_viewport_size({"width": 390, "height": 800})
    wait_until(page, free)
    context.close()


def test_keys_beside_the_bars_of_the_timeline_do_nothing(shown: Shown) -> None:
    # Firefox gives the focus to what scrolls, too.
    shown.page.locator("#timeline").dispatch_event("keydown", {"key": "Home"})
    assert shown.page.evaluate("document.activeElement === document.body")


def test_the_timeline_of_a_short_time_chooses_a_day(shown: Shown) -> None:
    page = shown.page
    page.fill("#search", "0002.jpg")
    day = page.locator("#timeline button")
    playwright.expect(day).to_have_count(1)
    playwright.expect(day).to_have_text("2021-03-15")
    day.click()
    assert page.input_value("#from") == page.input_value("#to") == "2021-03-15"
    assert count_shown(page) == "1"


def test_the_photos_of_one_day_are_told_by_it(browser: Any, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    rows = [Outcome("/a.jpg", Status.NO_LANDMARK, taken_at="2021-03-15T08:00:00")]
    out.write_text(build_page("t.csv", rows, []))
    page = browser.new_page()
    page.goto(out.as_uri())
    playwright.expect(page.locator("#span")).to_have_text("1 photo, taken on 2021-03-15")
    page.close()
