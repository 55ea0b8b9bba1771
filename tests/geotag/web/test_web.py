"""The web page: what it answers, and to whom."""

from __future__ import annotations

import base64
import http.client
import io
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from geotag.decoding.isolated import IsolatedDecoder
from geotag.errors import PhotoError
from geotag.evidence import build_decider
from geotag.model.checkpoint import read_header
from geotag.options import ScanOptions
from geotag.recognition.predictor import Predictor, Upload
from geotag.records import Reading
from geotag.tables import read_table
from geotag.web import SIZE_LIMIT, create_app
from geotag.web.answers import MOST_PHOTOS
from tests.conftest import gps_ifd, jpeg_bytes, picture

flask = pytest.importorskip("flask")
BYTES = "application/octet-stream"


@pytest.fixture(scope="module")
def app(model_path: Path) -> flask.Flask:
    decider = build_decider(read_header(model_path), ScanOptions())
    return create_app(Predictor(model_path), decider, {"LocalHost"}, IsolatedDecoder())


@pytest.fixture
def client(app: flask.Flask) -> flask.testing.FlaskClient:
    return app.test_client()


def _scan(client: flask.testing.FlaskClient, data: bytes, name: str = "a.jpg"):
    return client.post("/api/scan", query_string={"name": name}, data=data, content_type=BYTES)


def test_a_photo_is_answered_with_a_scans_row(client: flask.testing.FlaskClient) -> None:
    row = _scan(client, jpeg_bytes(picture("taj_mahal"))).json
    assert (row["path"], row["status"], row["landmark"]) == ("a.jpg", "tagged", "Taj Mahal")
    assert (row["position_source"], row["city"]) == ("inferred", "Agra")
    assert row["top_k"][0]["slug"] == "taj_mahal"
    row = _scan(client, jpeg_bytes(picture())).json
    assert (row["status"], row["landmark"], row["latitude"]) == ("no_landmark", "", None)
    row = _scan(client, jpeg_bytes(picture("taj_mahal"), gps_ifd(47.5, 8.25))).json
    assert (row["status"], row["position_source"]) == ("has_gps", "measured")
    assert (row["latitude"], row["landmark"]) == (pytest.approx(47.5), "Taj Mahal")


def test_where_a_photo_was_taken_is_named(client: flask.testing.FlaskClient) -> None:
    pytest.importorskip("tzfpy")
    row = _scan(client, jpeg_bytes(picture(), gps_ifd(43.4634, 11.8801))).json
    assert (row["place"], row["region"], row["country"]) == ("Arezzo", "Tuscany", "Italy")
    assert row["towns"][0] == ["Arezzo", 11.881, 43.463] and len(row["towns"]) > 5
    row = _scan(client, jpeg_bytes(picture(), gps_ifd(48.8583, 2.2945))).json
    assert (row["landmark"], row["method"]) == ("Eiffel Tower", "position")
    assert _scan(client, jpeg_bytes(picture())).json["towns"] == []


def test_rows_come_as_tables(client: flask.testing.FlaskClient, tmp_path: Path) -> None:
    photos = {"=1+1.jpg": jpeg_bytes(picture("taj_mahal")), "b.jpg": b"no photo"}
    for name, data in photos.items():
        row = _scan(client, data, name).json
        for kind in ("csv", "geojson"):
            table = tmp_path / f"one.{kind}"
            table.write_bytes(row[kind].encode())
            (read,) = read_table(table)
            assert (read.path, read.landmark, read.error) == (name, row["landmark"], row["error"])
        assert "\n=1+1" not in row["csv"]


def test_what_browsers_cannot_show_has_a_preview(client: flask.testing.FlaskClient) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (1600, 900), (30, 200, 30))).save(file)
    query = {"name": "a.heic"}
    answer = client.post(
        "/api/preview", query_string=query, data=file.getvalue(), content_type=BYTES
    )
    assert answer.mimetype == "image/jpeg"
    with Image.open(io.BytesIO(answer.data)) as preview:
        assert preview.size == (640, 360)
    answer = client.post("/api/preview", query_string=query, data=b"x", content_type=BYTES)
    assert answer.status_code == 422 and "not a photo" in answer.json["error"]


def test_what_the_page_says_before_any_photo(client: flask.testing.FlaskClient) -> None:
    told = client.get("/api/about").json
    assert told["size_limit"] == SIZE_LIMIT and told["photos"] == MOST_PHOTOS
    assert ["Taj Mahal", "Agra", "India"] in told["landmarks"] and len(told["landmarks"]) == 3
    assert {"jpg", "png", "webp"} <= set(told["extensions"])
    assert client.get("/api/alive").json == {}


@pytest.mark.slow
def test_the_example_is_drawn_and_recognised(client: flask.testing.FlaskClient) -> None:
    data = client.get("/api/example").data
    assert data == client.get("/api/example").data
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (960, 640) and not image.getexif()
    best = Predictor().read(Upload("example.jpg", data)).prediction.top[0]
    assert best.slug == "great_pyramid_of_giza" and best.confidence > 0.96


@pytest.mark.slow
def test_an_explanation_is_figures_and_pictures(client: flask.testing.FlaskClient) -> None:
    pytest.importorskip("skimage")
    data = jpeg_bytes(picture("taj_mahal", (240, 180)))
    query = {"name": "a.jpg", "landmark": "stonehenge"}
    answer = client.post("/api/explain", query_string=query, data=data, content_type=BYTES).json
    assert answer["landmark"] == "Stonehenge" and 0 < answer["marked"] <= answer["parts"]
    assert 0 <= answer["alone"] <= 1 and 0 <= answer["without"] <= 1
    for picture_ in answer["pictures"]:
        with Image.open(io.BytesIO(base64.b64decode(picture_))) as drawing:
            assert drawing.size == (240, 180)


def test_a_landmark_that_is_not_known_cannot_be_explained(
    client: flask.testing.FlaskClient,
) -> None:
    query = {"name": "a.jpg", "landmark": "<b>atlantis</b>"}
    data = jpeg_bytes(picture("taj_mahal"))
    answer = client.post("/api/explain", query_string=query, data=data, content_type=BYTES)
    assert answer.status_code == 400
    assert answer.mimetype == "application/json"
    assert "atlantis" in answer.json["error"]


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "empty"), (b"<script>", "not a photo"), (b"\xff\xd8\xff\xe0cut", "damaged")],
)
def test_what_is_no_photo_is_an_error_with_its_reason(
    client: flask.testing.FlaskClient, data: bytes, words: str
) -> None:
    answer = _scan(client, data)
    assert answer.status_code == 422
    assert words in answer.json["error"]


def test_names_are_for_raw_files_alone(client: flask.testing.FlaskClient) -> None:
    for name in ("../../etc/passwd", "\udcff.jpg".encode("utf-8", "replace").decode(), "x" * 9999):
        row = _scan(client, jpeg_bytes(picture("taj_mahal")), name).json
        assert row["landmark"] == "Taj Mahal"
        assert len(row["path"]) <= 255


def test_other_sites_get_no_answer(client: flask.testing.FlaskClient) -> None:
    photo = jpeg_bytes(picture("taj_mahal"))
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[::1", ""):
        assert client.get("/", headers={"Host": host}).status_code == 403
    for host in ("localhost:8321", "LOCALHOST", "192.0.2.7:8321", "[2001:db8::7]:8321"):
        assert client.get("/", headers={"Host": host}).status_code == 200
    # What another site's page may send without asking first.
    for kind in ("text/plain", "multipart/form-data", "application/x-www-form-urlencoded"):
        assert client.post("/api/scan", data=photo, content_type=kind).status_code == 400
    preflight = client.options("/api/scan", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in preflight.headers


def test_sizes_are_limited(
    app: flask.Flask, client: flask.testing.FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert app.config["MAX_CONTENT_LENGTH"] == SIZE_LIMIT
    monkeypatch.setitem(app.config, "MAX_CONTENT_LENGTH", 100)
    answer = _scan(client, jpeg_bytes(picture("taj_mahal")))
    assert answer.status_code == 413
    assert answer.json["error"]


def test_nothing_but_the_page_is_served(client: flask.testing.FlaskClient) -> None:
    page = client.get("/")
    assert b"<title>geotag" in page.data
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for path in ("/static/../__init__.py", "/static/%2e%2e/__init__.py", "/api", "/nothing"):
        assert client.get(path).status_code == 404
    assert client.get("/api/scan").status_code == 405


@contextmanager
def _served(app: flask.Flask, **settings: float) -> Iterator[int]:
    pytest.importorskip("waitress")
    from geotag.web.server import build_server

    server = build_server(app, "127.0.0.1", 0, **settings)
    threading.Thread(target=server.run, daemon=True).start()
    yield server.effective_port
    server.close()


def _open(port: int, sent: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), 10)
    connection.sendall(sent.replace("\n", "\r\n").encode())
    return connection


def test_slow_connections_keep_nobody_out(app: flask.Flask) -> None:
    with _served(app) as port:
        slow = [_open(port, "POST /api/scan HTTP/1.1\nHost: localhost\n") for _ in range(150)]
        with urllib.request.urlopen(f"http://localhost:{port}/", timeout=10) as page:
            assert page.status == 200
        for connection in slow:
            connection.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "sent",
    [
        "",
        "POST /api/scan HTTP/1.1\n",
        "POST /api/scan HTTP/1.1\nHost: localhost\nContent-Length: 100000\n\nabc",
    ],
)
def test_a_request_that_does_not_come_is_not_waited_for(app: flask.Flask, sent: str) -> None:
    with _served(app, patience=0.2) as port:
        connection = _open(port, sent)
        for _ in range(100):  # a byte now and then does not keep it open
            try:
                connection.sendall(b"a")
                connection.settimeout(0.1)
                if connection.recv(1000) == b"":
                    return
            except TimeoutError:
                continue
            except ConnectionError:
                return
        pytest.fail("still open after ten seconds")


def test_of_requests_that_wait_for_no_answer_one_is_answered(app: flask.Flask) -> None:
    with _served(app) as port:
        sent = "GET /api/alive HTTP/1.1\nHost: localhost\n\n"
        with _open(port, sent * 100) as connection:
            answers = connection.makefile("rb").read()  # to the end: it is closed
        assert answers.count(b"HTTP/1.1 200 OK") == 1


def test_photos_that_wait_keep_the_page_from_nobody() -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    class Slow:
        def read(self, upload: Upload) -> Reading:
            begun.release()
            go_on.wait(60)
            raise PhotoError("of no use")

    slow = create_app(Slow(), None, ["localhost"], None)  # type: ignore[arg-type]
    head = f"POST /api/scan HTTP/1.1\nHost: localhost\nContent-Type: {BYTES}\nContent-Length: 1\n"
    with _served(slow) as port:
        waiting = [_open(port, f"{head}Connection: close\n\na") for _ in range(40)]
        assert begun.acquire(timeout=30)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/alive", timeout=30) as answer:
            assert answer.status == 200
        go_on.set()
        codes = [connection.makefile("rb").read().split()[1] for connection in waiting]
    assert {*codes} == {b"422", b"503"} and codes.count(b"422") >= 8


@pytest.mark.slow
def test_connections_are_kept_between_quick_requests(app: flask.Flask) -> None:
    with _served(app, patience=2.0) as port:
        connection = http.client.HTTPConnection("localhost", port, timeout=10)
        for _ in range(3):
            connection.request("GET", "/")
            assert connection.getresponse().read()
            time.sleep(1)


@pytest.mark.parametrize("more", ["", "Expect: 100-continue\n"])
def test_what_is_too_large_is_refused_before_it_is_sent(app: flask.Flask, more: str) -> None:
    with _served(app) as port:
        head = f"POST /api/scan HTTP/1.1\nHost: localhost\nContent-Type: {BYTES}\n{more}"
        with _open(port, f"{head}Content-Length: {140 * 2**20}\n\n") as connection:
            answer = connection.makefile("rb").read()  # to the end: it is closed
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"larger than 128 MiB" in answer and b"100 Continue" not in answer
        with _open(port, f"{head}Transfer-Encoding: chunked\n\n") as connection:
            answer = connection.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 400 ") and b"Content-Length" in answer


def test_messages_are_for_people(client: flask.testing.FlaskClient) -> None:
    answers = [
        client.get("/", headers={"Host": "evil.example"}),
        client.get("/nothing"),
        client.post("/api/scan", data=b"x"),
        client.post("/api/scan", data=b"x", content_type=BYTES),
        client.post(
            "/api/explain", query_string={"landmark": "x" * 999}, data=b"x", content_type=BYTES
        ),
    ]
    for answer in answers:
        message = answer.json["error"]
        assert not re.search(r"None|\bb'|\(\)|\[|Error|0x", message), message
