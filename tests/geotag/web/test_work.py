"""What the web page does while it works, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import WritePhoto
from tests.geotag.web.conftest import Site, counted, expect, titled

pytestmark = pytest.mark.slow
# Counts the locks that are held.
LOCKS = """
const tell = by => { document.body.dataset.locks = Number(document.body.dataset.locks ?? 0) + by; };
Object.defineProperty(navigator, "wakeLock", { value: { request: async () => {
  tell(1);
  return { release: async () => tell(-1) };
} } });
"""


def test_a_page_with_work_asks_before_it_is_left_and_keeps_the_screen_on(
    page: Any, site: Site, write_photo: WritePhoto
) -> None:
    page.add_init_script(LOCKS)
    page.goto(site.address)
    page.wait_for_selector("body.ready")
    site.may_answer.clear()
    asked: list[str] = []

    def stay(dialog: Any) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.click("#title")  # a page that nobody has touched may not ask
    page.set_input_files("#files", [write_photo(f"{number}.jpg") for number in range(3)])
    counted(page, "0 of 3")
    expect(page.locator("body")).to_have_attribute("data-locks", "1")
    with pytest.raises(Exception, match="ERR_ABORTED"):
        page.goto(site.address + "?again")
    assert asked == ["beforeunload"]
    site.may_answer.set()
    counted(page, "3 photos")
    expect(page.locator("#more")).to_have_text("0 with a place, 3 without")
    assert page.title() == "Finished: 3 photos: geotag"
    expect(page.locator("body")).to_have_attribute("data-locks", "0")
    page.goto(site.address)
    assert asked == ["beforeunload"]


def test_what_is_left_is_told(page: Any, site: Site, write_photo: WritePhoto) -> None:
    page.clock.install()
    site.may_answer.clear()
    page.set_input_files("#files", [write_photo(f"{number}.jpg") for number in range(4)])
    counted(page, "0 of 4")
    expect(page.locator("#more")).to_be_empty()
    page.clock.fast_forward(60_000)
    site.may_answer.set()
    seen = page.locator("#more").evaluate(
        """more => new Promise(resolve => {
          const tell = () => /left/.test(more.textContent) && resolve(more.textContent);
          new MutationObserver(tell).observe(more, { childList: true });
          tell();
        })"""
    )
    assert re.fullmatch(r"about \d+ (seconds?|minutes?) left", seen)
    counted(page, "4 photos")


def test_a_slow_line_tells_how_much_of_a_photo_is_sent(page: Any, write_photo: WritePhoto) -> None:
    large = write_photo("large.jpg", "taj_mahal")
    with large.open("ab") as file:
        file.truncate(3_000_000)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 1e6}
    chromium = page.context.new_cdp_session(page)
    chromium.send("Network.enable")
    chromium.send("Network.emulateNetworkConditions", slow)
    page.set_input_files("#files", large)
    told = re.compile(r"Sending: \d+\xa0% at \d+\.\d\xa0MB/s, \d+\xa0s left")
    expect(page.locator(".photo h3")).to_have_text(told)
    titled(page, "Taj Mahal")


def test_what_failed_can_be_removed(page: Any, write_photo: WritePhoto, tmp_path: Path) -> None:
    bad = [tmp_path / f"{number}.jpg" for number in range(3)]
    for path in bad:
        path.write_bytes(b"no photo")
    page.set_input_files("#files", [bad[0], write_photo("a.jpg", "taj_mahal"), *bad[1:]])
    counted(page, "4 photos, 3 failed")
    page.click("#failed")
    assert page.locator(".photo:visible").count() == 3
    page.locator(".away:visible").first.click()
    counted(page, "3 photos, 2 failed")
    expect(page.locator("#count")).to_be_focused()
    assert page.locator(".photo .name").all_text_contents() == ["a.jpg", "1.jpg", "2.jpg"]
    page.click("#dismiss")
    expect(page.locator(".photo:visible h3")).to_have_text("Taj Mahal")
    counted(page, "1 photo")
    expect(page.locator("#dismiss")).to_be_hidden()
    page.set_input_files("#files", bad[0])
    counted(page, "2 photos, 1 failed")
    page.click("#clear")
    page.set_input_files("#files", bad[0])
    page.click(".away")
    expect(page.locator("#choose")).to_be_focused()
