"""Photos on a web server, and in stores that fsspec's own file systems stand for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen

import pytest

from geotag.errors import SourceError
from geotag.options import ScanOptions
from geotag.pipeline import scan_library
from geotag.records import Outcome, Status
from geotag.sources import Library
from geotag.sources.base import Filters
from geotag.stores import open_store, store_of
from geotag.stores.base import ChangedError, StoreError
from geotag.tables import read_table
from tests.conftest import gps_ifd, jpeg_bytes, picture


class Handler(SimpleHTTPRequestHandler):
    """Files with ranges and Last-Modified, but for what `faults` and `headers` name."""

    faults: dict[str, int] = {}  # noqa: RUF012
    headers_of: dict[str, dict[str, str]] = {}  # noqa: RUF012

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def send_header(self, keyword: str, value: str) -> None:
        others = self.headers_of.get(self.path.rpartition("/")[2], {})
        super().send_header(keyword, others.get(keyword, value))

    def send_head(self) -> Any:
        name = self.path.rpartition("/")[2]
        fault = self.faults.get(name, 0)
        if fault == 302:  # as where somebody must log in first
            self.send_response(302)
            self.send_header("Location", "/login?next=photo")
            self.end_headers()
        elif fault == 200 or name.startswith("login"):
            self._send_page()
        elif fault:
            self.send_error(fault)
        else:
            return super().send_head()
        return None

    def _send_page(self) -> None:
        page = b"<!doctype html>\n<title>Log in</title>\n<p>Please log in.\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page)


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """The address of a web server, and its folder."""
    pytest.importorskip("aiohttp", reason="aiohttp is not installed")
    folder = tmp_path / "web"
    folder.mkdir()
    monkeypatch.setattr("geotag.stores.base.FIRST_WAIT", 0.01)
    monkeypatch.setattr(Handler, "faults", {})
    monkeypatch.setattr(Handler, "headers_of", {})
    open_store.cache_clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", folder
    server.shutdown()
    server.server_close()


def test_a_list_of_addresses(web: tuple[str, Path], tmp_path: Path, model_path: Path) -> None:
    address, folder = web
    (folder / "a b.jpg").write_bytes(jpeg_bytes(picture("eiffel_tower"), gps=gps_ifd(48.5, 2.25)))
    (folder / "tower").write_bytes(jpeg_bytes(picture("eiffel_tower")))
    (folder / "busy.jpg").write_bytes(b"")
    Handler.faults = {"busy.jpg": 503}
    host = address.removeprefix("http://")
    (folder / "photos.txt").write_text(
        f"# holidays\n\na%20b.jpg\n{address}/tower\n{address}/missing.jpg\nbusy.jpg\n"
        f"http://user:password@{host}/secret.jpg\n{address}/b.jpg?X-Amz-Signature=ff\n"
        "file:///etc/passwd\n"
    )
    table = tmp_path / "t.csv"
    summary = scan_library([f"{address}/photos.txt"], str(table), ScanOptions(model=model_path))
    rows = {row.path.removeprefix(f"{address}/"): row for row in read_table(table)}
    assert {name: row.status.value for name, row in rows.items()} == {
        "a%20b.jpg": "has_gps",
        "tower": "tagged",
        "missing.jpg": "unreadable",
        "busy.jpg": "unreadable",
    }
    assert "no such file" in rows["missing.jpg"].error
    assert "HTTP 503" in rows["busy.jpg"].error
    assert summary.skipped == {"address with credentials": 2, "not a web address": 1}
    again = scan_library([f"{address}/photos.txt"], str(table), ScanOptions(model=model_path))
    assert again.unchanged == 2
    (folder / "tower").write_bytes(jpeg_bytes(picture("taj_mahal", seed=3)))
    scan_library([f"{address}/photos.txt"], str(table), ScanOptions(model=model_path))
    rows = {row.path.removeprefix(f"{address}/"): row for row in read_table(table)}
    assert rows["tower"].landmark == "Taj Mahal"


@pytest.mark.parametrize("status", [503, 404, 403, 200, 302])
def test_a_server_that_is_down_for_a_night_costs_nothing_that_is_known(
    web: tuple[str, Path], tmp_path: Path, model_path: Path, status: int
) -> None:
    address, folder = web
    (folder / "tower.jpg").write_bytes(jpeg_bytes(picture("eiffel_tower")))
    (folder / "gps.jpg").write_bytes(jpeg_bytes(picture(), gps=gps_ifd(48.5, 2.25)))
    (folder / "photos.txt").write_text("tower.jpg\ngps.jpg\n")
    table, options = tmp_path / "t.csv", ScanOptions(model=model_path)

    def rows() -> tuple[int, list[Status]]:
        summary = scan_library([f"{address}/photos.txt"], str(table), options)
        return summary.read, [row.status for row in read_table(table)]

    assert rows() == (2, [Status.HAS_GPS, Status.TAGGED])
    Handler.faults = {"tower.jpg": status, "gps.jpg": status}
    assert rows() == (2, [Status.HAS_GPS, Status.TAGGED])
    before = table.read_bytes()
    for fault, why in ((503, "HTTP 503"), (302, "a web page"), (200, "a web page")):
        Handler.faults = {"photos.txt": fault}
        with pytest.raises(SourceError, match=why):
            rows()
        assert table.read_bytes() == before
    Handler.faults = {}
    assert rows()[1] == [Status.HAS_GPS, Status.TAGGED]


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Last-Modified": "\xff\xfe \x80"}, ""),  # no UTF-8
        ({"Last-Modified": "a" * 7000}, ""),
        ({"Content-Length": "9" * 30}, "the connection failed"),
        ({"Content-Length": "1_000"}, "the connection failed"),
        ({"Content-type": "application/json"}, "sent application/json instead of a photo"),
        ({"Content-type": "text/plain; charset=utf-8"}, "sent text/plain instead of a photo"),
    ],
)
def test_odd_headers_cost_one_photo_for_a_night(
    web: tuple[str, Path], tmp_path: Path, model_path: Path, headers: dict[str, str], why: str
) -> None:
    address, folder = web
    for name in ("tower.jpg", "other.jpg"):
        (folder / name).write_bytes(jpeg_bytes(picture("eiffel_tower")))
    (folder / "photos.txt").write_text("tower.jpg\nother.jpg\n")
    table, options = tmp_path / "t.csv", ScanOptions(model=model_path)

    def rows() -> list[Outcome]:
        scan_library([f"{address}/photos.txt"], str(table), options)
        return list(read_table(table))

    before = rows()
    Handler.headers_of = {"tower.jpg": headers}
    found = rows()
    assert [row._replace(error="") for row in found] == before
    assert (why in found[1].error) if why else not found[1].error
    assert not found[0].error


def test_lists_are_asked_for_as_they_are(web: tuple[str, Path]) -> None:
    address, folder = web
    (folder / "photos.txt").write_text("a.jpg\n")
    asked: list[str] = []

    class Asked(Handler):
        def send_head(self) -> Any:
            asked.append(self.headers.get("Accept-Encoding", ""))
            return super().send_head()

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Asked, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    store_of(address).get(f"http://127.0.0.1:{server.server_address[1]}/photos.txt", 0, 100)
    server.shutdown()
    server.server_close()
    assert asked == ["identity"]


def test_one_photo_by_its_address(web: tuple[str, Path]) -> None:
    address, folder = web
    (folder / "a.jpg").write_bytes(b"x" * 100)
    (photo,) = Library((f"{address}/a.jpg",), Filters()).photos()
    assert (photo.uri, photo.size) == (f"{address}/a.jpg", 100)
    with pytest.raises(SourceError, match="no such file"):
        list(Library((f"{address}/b.jpg",), Filters()).photos())


def test_a_server_without_ranges_is_cut_short(web: tuple[str, Path]) -> None:
    """Python's own server ignores Range: only what is wanted is taken, and it is the right part."""
    address, folder = web
    data = bytes(range(256)) * 1000
    (folder / "a.jpg").write_bytes(data)
    store = store_of(f"{address}/a.jpg")
    part = store.get(f"{address}/a.jpg", 300, 50)
    assert (part.data, part.total) == (data[300:350], len(data))
    with pytest.raises(ChangedError):
        store.get(f"{address}/a.jpg", 0, 10, "another")
    with pytest.raises(StoreError, match="cannot be written"):
        store.put(f"{address}/b.jpg", folder / "a.jpg")


def test_any_store_of_fsspec(tmp_path: Path, model_path: Path) -> None:
    """The way of gs:// and az://, with fsspec's store in memory."""
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
    open_store.cache_clear()
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    gps = jpeg_bytes(picture("eiffel_tower"), gps=gps_ifd(48.5, 2.25))
    for name in ("b/1.jpg", "a.jpg", "b.jpg", "b-2.jpg", "notes.txt"):
        memory.pipe_file(f"/bucket/{name}", gps)
    memory.pipe_file("/bucket/tower.jpg", jpeg_bytes(picture("eiffel_tower")))
    out = "memory://bucket/out/tags.csv"
    summary = scan_library(["memory://bucket"], out, ScanOptions(model=model_path))
    assert summary.statuses == {Status.HAS_GPS: 4, Status.TAGGED: 1}
    (tmp_path / "t.csv").write_bytes(memory.cat_file("/bucket/out/tags.csv"))
    paths = [row.path.removeprefix("memory://bucket/") for row in read_table(tmp_path / "t.csv")]
    assert paths == ["a.jpg", "b-2.jpg", "b.jpg", "b/1.jpg", "tower.jpg"]
    assert sorted(memory.ls("/bucket/out", detail=False)) == [
        "/bucket/out/tags.csv", "/bucket/out/tags.csv.geotag"
    ]  # fmt: skip
    again = scan_library(["memory://bucket"], out, ScanOptions(model=model_path))
    assert (again.read, again.unchanged, again.exported) == (0, 5, False)
    memory.store.clear()


@pytest.mark.slow
def test_conditional_writes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the server knows them, a write over another's is refused by the server itself."""
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    from tests.geotag.conftest import lead_to

    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        port = server.get_host_and_port()[1]
        lead_to(port, monkeypatch)
        urlopen(Request(f"http://127.0.0.1:{port}/bucket", method="PUT")).close()
        store = store_of("s3://bucket/c.geotag")
        uri, ours, theirs = "s3://bucket/c.geotag", tmp_path / "ours", tmp_path / "theirs"
        ours.write_text("ours")
        theirs.write_text("theirs")
        first = store.put_if(uri, ours, None)
        for stale in (None, "0" * 32):
            with pytest.raises(ChangedError):
                store.put_if(uri, theirs, stale)
        ours.write_text("ours, later")
        # Another run writes between the look and the write.
        look = store.stat
        monkeypatch.setattr(store, "stat", lambda u: (store.put(u, theirs), look(u))[1]
                            and look(u)._replace(version=first))  # fmt: skip
        with pytest.raises(ChangedError):
            store.put_if(uri, ours, first)
        monkeypatch.setattr(store, "stat", look)
        assert store.get(uri, 0, 10).data == b"theirs"
    finally:
        server.stop()
