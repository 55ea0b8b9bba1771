"""The web page in a real browser."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from geotag.decoding.isolated import IsolatedDecoder
from geotag.evidence import build_decider
from geotag.model.checkpoint import read_header
from geotag.options import ScanOptions
from geotag.recognition.predictor import Predictor
from geotag.tables import read_table
from geotag.web import SIZE_LIMIT, create_app
from tests.axe import serious_faults
from tests.conftest import WritePhoto, gps_ifd, jpeg_bytes, picture

playwright = pytest.importorskip("playwright.sync_api")
pytest.importorskip("flask")
pytest.importorskip("waitress")
pytestmark = pytest.mark.slow
PATIENCE = 180_000  # milliseconds: a busy machine is no failure
playwright.expect.set_options(timeout=PATIENCE)
HOSTILE = "<img src=x onerror=alert(1)>.jpg"
# Puts files into an event of the page, as a drop or a paste does.
SEND = """([type, files]) => {
  const transfer = new DataTransfer();
  for (const [name, bytes] of files)
    transfer.items.add(new File([Uint8Array.from(atob(bytes), one => one.charCodeAt(0))], name));
  const event = type === "paste" ? new ClipboardEvent(type, { clipboardData: transfer, bubbles: true })
    : new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
}"""  # noqa: E501


class Site(NamedTuple):
    """A served page that can go away and come back at its address."""

    address: str
    stop: Callable[[], None]
    start: Callable[[], None]
    may_answer: threading.Event


@pytest.fixture
def site(model_path: Path) -> Iterator[Site]:
    from geotag.web.server import build_server

    decoder = IsolatedDecoder()
    decider = build_decider(read_header(model_path), ScanOptions())
    predictor = Predictor(model_path, decoder=decoder)
    app = create_app(predictor, decider, {"localhost"}, decoder)
    may_answer = threading.Event()
    may_answer.set()

    @app.before_request
    def wait() -> None:
        from flask import request

        if request.path == "/api/scan":
            may_answer.wait(30)

    servers: list[Any] = []

    def start() -> None:
        port = servers[-1].effective_port if servers else 0
        servers.append(build_server(app, "127.0.0.1", port))
        threading.Thread(target=servers[-1].run, daemon=True).start()

    def stop() -> None:
        server = servers[-1]
        for channel in list(server._map.values()):
            channel.close()
        server.task_dispatcher.shutdown(timeout=1)

    start()
    yield Site(f"http://localhost:{servers[0].effective_port}/", stop, start, may_answer)
    may_answer.set()
    stop()
    decoder.close()


@pytest.fixture
def page(browser: Any, site: Site) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    opened, faults = context.new_page(), []
    opened.set_default_timeout(PATIENCE)
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("dialog", lambda dialog: faults.append(dialog.message))
    elsewhere = lambda one: not one.url.startswith((site.address, "blob:"))  # noqa: E731
    opened.on("request", lambda one: faults.extend([one.url] * elsewhere(one)))
    opened.goto(site.address)
    opened.wait_for_selector("body.ready")
    yield opened
    assert faults == []
    context.close()


def _titles(page: Any, *expected: str) -> None:
    playwright.expect(page.locator(".photo h3")).to_have_text(list(expected))


def _counted(page: Any, text: str) -> None:
    playwright.expect(page.locator("#count")).to_have_text(text)


def _send(page: Any, event: str, files: dict[str, bytes]) -> None:
    import base64

    encoded = [[name, base64.b64encode(data).decode()] for name, data in files.items()]
    page.evaluate(SEND, [event, encoded])


def _zip(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return file.getvalue()


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
    _counted(page, "5 photos, 2 failed")
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
        playwright.expect(image).to_be_visible()
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 50
    assert page.evaluate("document.querySelectorAll('main img[src=x]').length") == 0
    measured.locator("text=Show on the map").click()
    playwright.expect(page.locator("#map")).to_be_focused()
    page.keyboard.press("Enter")
    playwright.expect(measured.locator("h3")).to_be_focused()


@pytest.mark.parametrize("kind", ["csv", "geojson"])
def test_the_table_is_that_of_all_photos(
    page: Any, write_photo: WritePhoto, tmp_path: Path, kind: str
) -> None:
    bad = tmp_path / "=1+1.jpg"
    bad.write_bytes(b"no photo")
    page.set_input_files("#files", [write_photo("t.jpg", "taj_mahal"), bad, write_photo("g.jpg")])
    _counted(page, "3 photos, 1 failed")
    with page.expect_download() as download:
        page.click(f"#{kind}")
    table = tmp_path / f"table.{kind}"
    download.value.save_as(table)
    rows = list(read_table(table))
    assert [row.path for row in rows] == ["t.jpg", "=1+1.jpg", "g.jpg"]
    assert [row.landmark for row in rows] == ["Taj Mahal", "", ""]
    assert rows[1].status.value == "unreadable" and "not a photo" in rows[1].error


def test_drops_pastes_and_zips(page: Any) -> None:
    taj, tower = jpeg_bytes(picture("taj_mahal")), jpeg_bytes(picture("eiffel_tower"))
    _send(page, "paste", {"image.png": taj})
    _titles(page, "Taj Mahal")
    files = {"a/1.jpg": tower, "a/notes.txt": b"x", "__MACOSX/a/1.jpg": b"x", f"{HOSTILE}": taj}
    _send(page, "drop", {"b.jpg": tower, "photos.zip": _zip(files)})
    _titles(page, "Taj Mahal", "Eiffel Tower", "Eiffel Tower", "Taj Mahal")
    names = page.locator(".photo .name").all_text_contents()
    assert names == ["image.png", "b.jpg", "photos.zip/a/1.jpg", f"photos.zip/{HOSTILE}"]
    playwright.expect(page.locator("#notice")).to_contain_text("2 files left out")
    _send(page, "drop", {"stored.ZIP": _zip({"1.jpg": taj}, zipfile.ZIP_STORED)})
    playwright.expect(page.locator(".photo").nth(4).locator("h3")).to_have_text("Taj Mahal")


def test_zips_that_lie(page: Any) -> None:
    lying = bytearray(_zip({"bomb.jpg": bytes(10_000_000)}))
    entry = lying.rindex(b"PK\1\2")
    lying[entry + 24 : entry + 28] = (1000).to_bytes(4, "little")
    locked = bytearray(_zip({"locked.jpg": b"x"}))
    locked[locked.rindex(b"PK\1\2") + 8] |= 1
    cut = _zip({"cut.jpg": jpeg_bytes(picture())})[:-30]
    damaged = bytearray(_zip({"damaged.jpg": b"x" * 1000}))
    damaged[41:45] = b"\xff" * 4
    many = {"1.zip": lying, "2.zip": locked, "3.zip": cut, "4.zip": damaged, "5.zip": b"PK"}
    _send(page, "drop", {name: bytes(data) for name, data in many.items()})
    _counted(page, "3 photos, 3 failed")
    titles = page.locator(".photo h3").all_text_contents()
    assert "Larger than the zip says" in titles[0]
    assert "password" in titles[1]
    assert "amaged" in titles[2]
    playwright.expect(page.locator("#notice")).to_contain_text("5.zip: not a zip, or cut off")
    assert "3.zip: " in page.locator("#notice").text_content()


def test_a_folder(page: Any, write_photo: WritePhoto) -> None:
    folder = write_photo("2.jpg", "taj_mahal").parent
    write_photo("sub/1.jpg", "eiffel_tower")
    (folder / ".hidden.jpg").write_bytes(b"x")
    (folder / "notes.txt").write_bytes(b"x")
    page.set_input_files("#folder", folder)
    _counted(page, "2 photos")
    assert sorted(page.locator(".photo .name").all_text_contents()) == [
        "photos/2.jpg",
        "photos/sub/1.jpg",
    ]


def test_cancel_and_go_on(page: Any, site: Site, write_photo: WritePhoto) -> None:
    photos = [write_photo(f"{number}.jpg", "taj_mahal") for number in range(6)]
    site.may_answer.clear()
    page.set_input_files("#files", photos)
    _counted(page, "0 of 6")
    page.focus("#cancel")
    page.keyboard.press("Enter")
    _titles(page, *["Cancelled"] * 6)
    playwright.expect(page.locator("#count")).to_be_focused()
    site.may_answer.set()
    page.click("#go-on")
    _titles(page, *["Taj Mahal"] * 6)
    playwright.expect(page.locator("#live")).to_have_text("Finished: 6 photos")
    page.click("#clear")
    playwright.expect(page.locator("#choose")).to_be_focused()
    assert page.locator(".photo").count() == 0


def test_a_server_that_goes_and_comes_back(page: Any, site: Site, write_photo: WritePhoto) -> None:
    page.set_input_files("#files", write_photo("1.jpg", "taj_mahal"))
    _titles(page, "Taj Mahal")
    site.stop()
    page.set_input_files("#files", [write_photo("2.jpg", "eiffel_tower"), write_photo("3.jpg")])
    playwright.expect(page.locator("#gone")).to_contain_text("does not answer")
    assert page.locator(".photo h3").first.text_content() == "Taj Mahal"
    site.start()
    _titles(page, "Taj Mahal", "Eiffel Tower", "Place not known")
    playwright.expect(page.locator("#gone")).to_be_hidden()


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
    playwright.expect(last.locator("h3")).to_contain_text("Cannot be read")
    playwright.expect(last.locator(".again")).to_be_visible()
    last.locator(".again").click()
    playwright.expect(last.locator("h3")).to_be_focused()
    assert data


def test_an_explanation_and_the_example(page: Any) -> None:
    pytest.importorskip("skimage")
    page.set_input_files("#files", [{"name": "t.jpg", "mimeType": "", "buffer": _taj()}])
    _titles(page, "Taj Mahal")
    page.click(".why")
    page.wait_for_selector(".pictures:not([hidden])")
    assert "parts alone the network is" in page.locator(".told").text_content()
    for image in page.locator("figure img").all():
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    page.click(".why")
    playwright.expect(page.locator(".explained")).to_be_hidden()
    page.click("#example")
    _counted(page, "2 photos")


def _taj() -> bytes:
    return jpeg_bytes(picture("taj_mahal", (240, 180)))


def test_what_it_knows_is_searched(page: Any) -> None:
    page.click("#know")
    assert page.locator("#landmarks li").count() == 3
    page.fill("#search", "INDIA")
    assert page.locator("#landmarks li").all_text_contents() == ["Taj MahalAgra, India"]
    page.fill("#search", "<b>")
    playwright.expect(page.locator("#found")).to_have_text("None is called so")
    page.fill("#search", "")
    page.keyboard.press("Escape")
    playwright.expect(page.locator("#know")).to_be_focused()


def test_a_phone_is_not_asked_to_drop_and_sees_more_than_one_photo(
    browser: Any, site: Site, write_photo: WritePhoto
) -> None:
    phone = {"width": 390, "height": 844}
    context = browser.new_context(viewport=phone, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(site.address)
    page.wait_for_selector("body.ready")
    playwright.expect(page.locator("#invitation")).to_be_hidden()
    page.set_input_files("#files", [write_photo(f"{at}.jpg", seed=at) for at in range(3)])
    _counted(page, "3 photos")
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
    _counted(page, "0 of 4")
    assert serious_faults(page) == []
    page.click("#cancel")
    playwright.expect(page.locator("#go-on")).to_be_visible()
    assert serious_faults(page) == []
    site.may_answer.set()
    page.click("#go-on")
    _counted(page, "4 photos, 1 failed")
    page.locator(".why").first.click()
    page.wait_for_selector(".pictures:not([hidden])")
    assert serious_faults(page) == []
    site.stop()
    page.set_input_files("#files", [write_photo("5.jpg")])
    playwright.expect(page.locator("#gone")).to_be_visible()
    assert serious_faults(page) == []
    site.start()
    _counted(page, "5 photos, 1 failed")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
