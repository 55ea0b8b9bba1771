"""The web page in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from geotag.tables import read_table
from geotag.web import SIZE_LIMIT
from tests.axe import serious_faults
from tests.conftest import WritePhoto, gps_ifd, jpeg_bytes, picture
from tests.geotag.web.conftest import Site, counted, expect, titled

pytestmark = pytest.mark.slow
HOSTILE = "<img src=x onerror=alert(1)>.jpg"


def test_photos_are_shown_in_their_order(
    page: Any, write_photo: WritePhoto, tmp_path: Path
) -> None:
    bad = tmp_path / HOSTILE
    bad.write_bytes(b"no photo")
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.truncate(SIZE_LIMIT + 1)
    taken = {306: b"2023-05-12T10:00:00", 271: b"<i>Acme", 272: b"One"}
    arezzo = write_photo("arezzo.jpg", gps=gps_ifd(43.4634, 11.8801), zeroth=taken)
    grey, taj = write_photo("grey.jpg"), write_photo("taj.jpg", "taj_mahal")
    page.set_input_files("#files", [large, bad, grey, taj, arezzo])
    counted(page, "5 photos, 2 failed")
    refused, broken, nowhere, found, measured = page.locator(".photo").all()
    assert "Larger than 128 MiB" in refused.locator("h3").text_content()
    assert broken.locator(".name").text_content() == HOSTILE
    assert "Not a photo" in broken.locator("h3").text_content()
    assert nowhere.locator("h3").text_content() == "Place not known"
    assert nowhere.locator(".top li").count() == 0
    assert found.locator("h3").text_content() == "Taj Mahal"
    assert "Agra" in found.locator(".where").text_content()
    assert "Recognised in the picture" in found.locator(".how").text_content()
    assert "Taj Mahal" in found.locator(".top li").first.text_content()
    text = measured.text_content()
    assert "Measured by the camera" in text and "landmarks that the model" not in text
    assert measured.locator(".top li").count() == 0
    assert "<i>Acme One" in measured.locator(".taken").text_content()
    for shown in (nowhere, found, measured):
        image = shown.locator(".thumb img")
        expect(image).to_be_visible()
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 50
    assert page.evaluate("document.querySelectorAll('main img[src=x]').length") == 0
    measured.locator("text=Show on the map").click()
    expect(page.locator("#map")).to_be_focused()
    page.keyboard.press("Enter")
    expect(measured.locator("h3")).to_be_focused()


@pytest.mark.parametrize("kind", ["csv", "geojson"])
def test_the_table_is_that_of_all_photos(
    page: Any, write_photo: WritePhoto, tmp_path: Path, kind: str
) -> None:
    bad = tmp_path / "=1+1.jpg"
    bad.write_bytes(b"no photo")
    page.set_input_files("#files", [write_photo("t.jpg", "taj_mahal"), bad, write_photo("g.jpg")])
    counted(page, "3 photos, 1 failed")
    with page.expect_download() as download:
        page.click(f"#{kind}")
    table = tmp_path / f"table.{kind}"
    download.value.save_as(table)
    rows = list(read_table(table))
    assert [row.path for row in rows] == ["t.jpg", "=1+1.jpg", "g.jpg"]
    assert [row.landmark for row in rows] == ["Taj Mahal", "", ""]
    assert rows[1].status.value == "unreadable" and "not a photo" in rows[1].error


def test_cancel_and_go_on(page: Any, site: Site, write_photo: WritePhoto) -> None:
    photos = [write_photo(f"{number}.jpg", "taj_mahal") for number in range(6)]
    site.may_answer.clear()
    page.set_input_files("#files", photos)
    counted(page, "0 of 6")
    page.focus("#cancel")
    page.keyboard.press("Enter")
    titled(page, *["Cancelled"] * 6)
    expect(page.locator("#count")).to_be_focused()
    site.may_answer.set()
    page.click("#go-on")
    titled(page, *["Taj Mahal"] * 6)
    expect(page.locator("#live")).to_have_text("Finished: 6 photos")
    page.click("#clear")
    expect(page.locator("#choose")).to_be_focused()
    assert page.locator(".photo").count() == 0


def test_a_server_that_goes_and_comes_back(page: Any, site: Site, write_photo: WritePhoto) -> None:
    page.set_input_files("#files", write_photo("1.jpg", "taj_mahal"))
    titled(page, "Taj Mahal")
    site.stop()
    page.set_input_files("#files", [write_photo("2.jpg", "eiffel_tower"), write_photo("3.jpg")])
    expect(page.locator("#gone")).to_contain_text("does not answer")
    assert page.locator(".photo h3").first.text_content() == "Taj Mahal"
    site.start()
    titled(page, "Taj Mahal", "Eiffel Tower", "Place not known")
    expect(page.locator("#gone")).to_be_hidden()


def test_a_photo_that_went_since_can_be_tried_again(
    page: Any, site: Site, write_photo: WritePhoto
) -> None:
    site.may_answer.clear()
    photos = [write_photo(f"{number}.jpg", "taj_mahal") for number in range(3)]
    data = photos[2].read_bytes()
    page.set_input_files("#files", photos)
    photos[2].unlink()
    site.may_answer.set()
    last = page.locator(".photo").nth(2)
    expect(last.locator("h3")).to_contain_text("Cannot be read")
    expect(last.locator(".again")).to_be_visible()
    last.locator(".again").click()
    expect(last.locator("h3")).to_be_focused()
    assert data


def test_an_explanation_and_the_example(page: Any) -> None:
    pytest.importorskip("skimage")
    page.set_input_files("#files", [{"name": "t.jpg", "mimeType": "", "buffer": _taj()}])
    titled(page, "Taj Mahal")
    page.click(".why")
    page.wait_for_selector(".pictures:not([hidden])")
    assert "parts alone the network is" in page.locator(".told").text_content()
    for image in page.locator("figure img").all():
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    page.click(".why")
    expect(page.locator(".explained")).to_be_hidden()
    page.click("#example")
    counted(page, "2 photos")


def _taj() -> bytes:
    return jpeg_bytes(picture("taj_mahal", (240, 180)))


def test_what_it_knows_is_searched(page: Any) -> None:
    page.click("#know")
    assert page.locator("#landmarks li").count() == 3
    page.fill("#search", "INDIA")
    assert page.locator("#landmarks li").all_text_contents() == ["Taj MahalAgra, India"]
    page.fill("#search", "<b>")
    expect(page.locator("#found")).to_have_text("None is called so")
    page.fill("#search", "")
    page.keyboard.press("Escape")
    expect(page.locator("#know")).to_be_focused()


def test_a_phone_is_not_asked_to_drop_and_sees_more_than_one_photo(
    browser: Any, site: Site, write_photo: WritePhoto
) -> None:
    phone = {"width": 390, "height": 844}
    context = browser.new_context(viewport=phone, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(site.address)
    page.wait_for_selector("body.ready")
    expect(page.locator("#invitation")).to_be_hidden()
    page.set_input_files("#files", [write_photo(f"{at}.jpg", seed=at) for at in range(3)])
    counted(page, "3 photos")
    assert page.locator(".photo").first.bounding_box()["height"] < 200
    context.close()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_any_state(
    page: Any, site: Site, write_photo: WritePhoto, width: int, scheme: str
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    moving = "document.getAnimations().length"
    page.evaluate("document.body.offsetWidth")
    assert page.evaluate(moving) == 0, "colours change at once where no motion is wanted"
    assert serious_faults(page) == []
    page.click("#know")
    assert serious_faults(page) == []
    page.keyboard.press("Escape")
    site.may_answer.clear()
    where = gps_ifd(43.4634, 11.8801)
    photos = [write_photo("1.jpg", "taj_mahal"), write_photo("2.jpg", gps=where)]
    bad = photos[0].with_name(HOSTILE)
    bad.write_bytes(b"no photo")
    page.set_input_files("#files", [*photos, write_photo("3.jpg"), bad])
    counted(page, "0 of 4")
    assert serious_faults(page) == []
    page.click("#cancel")
    expect(page.locator("#go-on")).to_be_visible()
    assert serious_faults(page) == []
    site.may_answer.set()
    page.click("#go-on")
    counted(page, "4 photos, 1 failed")
    page.locator(".why").first.click()
    page.wait_for_selector(".pictures:not([hidden])")
    assert serious_faults(page) == []
    site.stop()
    page.set_input_files("#files", [write_photo("5.jpg")])
    expect(page.locator("#gone")).to_be_visible()
    assert serious_faults(page) == []
    site.start()
    counted(page, "5 photos, 1 failed")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
