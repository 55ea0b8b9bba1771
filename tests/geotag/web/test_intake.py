"""What the web page takes, in a real browser: files, folders and zips, however they come."""

from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import WritePhoto, jpeg_bytes, picture
from tests.geotag.web.conftest import Site, counted, expect, titled

pytestmark = pytest.mark.slow
HOSTILE = "<img src=x onerror=alert(1)>.jpg"
# Puts files into an event of the page, as a drop or a paste does.
SEND = """([type, files]) => {
  const transfer = new DataTransfer();
  for (const [name, bytes] of files)
    transfer.items.add(new File([Uint8Array.from(atob(bytes), one => one.charCodeAt(0))], name, { lastModified: 0 }));
  const event = type === "paste" ? new ClipboardEvent(type, { clipboardData: transfer, bubbles: true })
    : new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
}"""  # noqa: E501


def _send(page: Any, event: str, files: dict[str, bytes]) -> None:
    encoded = [[name, base64.b64encode(data).decode()] for name, data in files.items()]
    page.evaluate(SEND, [event, encoded])


def _zip(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return file.getvalue()


def _drag(page: Any, kind: str, *paths: Path) -> None:
    """What the browser does when the system drags files over the page."""
    chromium = page.context.new_cdp_session(page)
    dragged = {"items": [], "files": list(map(str, paths)), "dragOperationsMask": 1}
    event = {"type": kind, "x": 300, "y": 300, "data": dragged}
    chromium.send("Input.dispatchDragEvent", event)


def test_drops_pastes_and_zips(page: Any) -> None:
    taj, tower = jpeg_bytes(picture("taj_mahal")), jpeg_bytes(picture("eiffel_tower"))
    _send(page, "paste", {"image.png": taj})
    titled(page, "Taj Mahal")
    files = {"a/1.jpg": tower, "a/notes.txt": b"x", "__MACOSX/a/1.jpg": b"x", f"{HOSTILE}": taj}
    _send(page, "drop", {"b.jpg": tower, "photos.zip": _zip(files)})
    titled(page, "Taj Mahal", "Eiffel Tower", "Eiffel Tower", "Taj Mahal")
    names = page.locator(".photo .name").all_text_contents()
    assert names == ["image.png", "b.jpg", "photos.zip/a/1.jpg", f"photos.zip/{HOSTILE}"]
    expect(page.locator("#notice")).to_contain_text("2 files left out")
    _send(page, "drop", {"stored.ZIP": _zip({"1.jpg": taj}, zipfile.ZIP_STORED)})
    expect(page.locator(".photo").nth(4).locator("h3")).to_have_text("Taj Mahal")


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
    counted(page, "3 photos, 3 failed")
    titles = page.locator(".photo h3").all_text_contents()
    assert "Larger than the zip says" in titles[0]
    assert "password" in titles[1]
    assert "amaged" in titles[2]
    expect(page.locator("#notice")).to_contain_text("5.zip: not a zip, or cut off")
    assert "3.zip: " in page.locator("#notice").text_content()


def test_a_folder(page: Any, write_photo: WritePhoto) -> None:
    folder = write_photo("2.jpg", "taj_mahal").parent
    write_photo("sub/1.jpg", "eiffel_tower")
    (folder / ".hidden.jpg").write_bytes(b"x")
    (folder / "notes.txt").write_bytes(b"x")
    page.set_input_files("#folder", folder)
    counted(page, "2 photos")
    assert sorted(page.locator(".photo .name").all_text_contents()) == [
        "photos/2.jpg",
        "photos/sub/1.jpg",
    ]


def test_folders_and_files_that_are_dragged_from_the_system(
    page: Any, write_photo: WritePhoto
) -> None:
    """More of them than a browser tells of a folder at once."""
    folder = write_photo("trip/day 1/0.jpg", "taj_mahal").parents[1]
    for number in range(1, 120):
        (folder / "day 1" / f"{number}.jpg").write_bytes((folder / "day 1/0.jpg").read_bytes())
    for name in ("movie.mp4", "notes.txt", "a.doc", "b.doc"):
        (folder / name).write_bytes(b"x")
    alone = write_photo("alone.jpg", "eiffel_tower")
    for kind in ("dragEnter", "dragOver"):
        _drag(page, kind, folder, alone)
    page.wait_for_selector("body.over")
    assert "Drop" in page.evaluate("getComputedStyle(document.body, '::after').content")
    _drag(page, "drop", folder, alone)
    page.wait_for_selector("body:not(.over)")
    expect(page.locator(".photo")).to_have_count(121)
    names = page.locator(".photo .name").all_text_contents()
    assert names[0] == "trip/day 1/0.jpg" and names[-2:] == ["trip/day 1/119.jpg", "alone.jpg"]
    told = page.locator("#notice").text_content()
    assert told == ("4 files left out that are no photos: trip/a.doc, trip/b.doc, trip/movie.mp4 …")
    page.click("#cancel")


def test_a_photo_that_is_here_is_not_looked_at_again(
    page: Any, site: Site, write_photo: WritePhoto
) -> None:
    photos = [write_photo("1.jpg", "taj_mahal"), write_photo("2.jpg", "eiffel_tower")]
    page.set_input_files("#files", photos[0])
    titled(page, "Taj Mahal")
    asked: list[str] = []
    page.on("request", lambda one: asked.extend([one.url] * ("/api/scan" in one.url)))
    page.set_input_files("#files", photos)
    titled(page, "Taj Mahal", "Eiffel Tower")
    expect(page.locator("#notice")).to_have_text("1 photo is here already.")
    assert len(asked) == 1
    site.may_answer.clear()
    more = [write_photo(f"{number}.jpg") for number in (3, 4, 5)]
    page.set_input_files("#files", more)
    counted(page, "2 of 5")
    page.click("#cancel")
    titled(page, "Taj Mahal", "Eiffel Tower", *["Cancelled"] * 3)
    site.may_answer.set()
    page.set_input_files("#files", more)  # those are meant, then
    titled(page, "Taj Mahal", "Eiffel Tower", *["Place not known"] * 3)


def test_a_changed_photo_is_another_one(page: Any) -> None:
    taj, tower = jpeg_bytes(picture("taj_mahal")), jpeg_bytes(picture("eiffel_tower"))
    _send(page, "drop", {"1.zip": _zip({"a.jpg": taj}), "a.jpg": taj})
    titled(page, "Taj Mahal", "Taj Mahal")
    _send(page, "drop", {"1.zip": _zip({"a.jpg": tower}), "a.jpg": taj})
    titled(page, "Taj Mahal", "Taj Mahal", "Eiffel Tower")
    expect(page.locator("#notice")).to_have_text("1 photo is here already.")


def test_the_pages_own_pictures_are_not_taken(page: Any) -> None:
    taj = jpeg_bytes(picture("taj_mahal"))
    _send(page, "drop", {"a.jpg": taj})
    titled(page, "Taj Mahal")
    page.locator(".brand img").dispatch_event("dragstart")
    _send(page, "dragover", {"icon.png": taj})
    assert page.locator("body.over").count() == 0
    _send(page, "drop", {"icon.png": taj})
    page.mouse.move(10, 10)
    _send(page, "dragover", {"b.jpg": taj})
    page.wait_for_selector("body.over")
    _send(page, "drop", {"b.jpg": taj})
    titled(page, "Taj Mahal", "Taj Mahal")
