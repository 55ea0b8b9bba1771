"""Listings of Google Cloud Storage, by gcsfs from a server that speaks its JSON API."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from itertools import islice
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from geotag.stores.base import StoreError
from geotag.stores.gcs import GcsStore

pytestmark = pytest.mark.skipif(not find_spec("gcsfs"), reason="gcsfs is not installed")
KEYS = sorted(
    [f"2026/{n % 7:02d}/IMG_{n:05d}.jpg" for n in range(9000)]
    + [f"flat-{n}.jpg" for n in range(3000)]
    + ["é.jpg", "z/.thumbnails/1.jpg", "z/\U0001f600.jpg"]
)


class Server(ThreadingHTTPServer):
    """A bucket named photos; `asked` are the queries of its listings."""

    daemon_threads = True

    def __init__(self, begins: bool = True) -> None:
        self.begins = begins
        self.asked: list[dict[str, str]] = []
        self.answer: Any = None
        super().__init__(("127.0.0.1", 0), Handler)

    def listing(self, query: dict[str, str]) -> Any:
        self.asked.append(query)
        if self.answer is not None:
            return self.answer
        start = query.get("startOffset", "") if self.begins else ""
        start = query.get("pageToken", "") or start
        prefix, size = query.get("prefix", ""), int(query.get("maxResults", "1000"))
        below = [key for key in KEYS[bisect_left(KEYS, start) :] if key.startswith(prefix)]
        page = {"kind": "storage#objects", "items": list(map(item, below[:size]))}
        return page | ({"nextPageToken": below[size]} if len(below) > size else {})


def item(key: str) -> dict[str, str]:
    return {"name": key, "size": "7", "etag": f"e{len(key)}", "updated": "2026-11-01T00:00:00Z"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        bucket, _, key = parts.path.partition("/b/")[2].partition("/o")
        key = unquote(key.strip("/"))
        if bucket != "photos" or (key and key not in KEYS):
            self.send(404, {"error": {"code": 404, "message": "none"}})
        else:
            self.send(200, item(key) if key else self.server.listing(query))

    def send(self, status: int, answer: Any) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as serving:
        Thread(target=serving.serve_forever, daemon=True).start()
        yield serving
        serving.shutdown()


@pytest.fixture
def store(server: Server) -> GcsStore:
    address = f"http://127.0.0.1:{server.server_address[1]}"
    return GcsStore(endpoint_url=address, token="anon", skip_instance_cache=True)


def test_all_are_listed_in_byte_order_a_page_at_a_time(store: GcsStore, server: Server) -> None:
    first = list(islice(store.list("gs://photos"), 5))
    assert len(server.asked) == 1  # a bucket's first photos need one request
    assert [each.uri for each in first] == [f"gs://photos/{key}" for key in KEYS[:5]]
    assert first[0].size == 7 and first[0].version and first[0].modified > 0
    assert [each.uri for each in store.list("gs://photos")] == [f"gs://photos/{k}" for k in KEYS]
    assert [each.uri for each in store.list("gs://photos/é.jpg")] == ["gs://photos/é.jpg"]
    below = [key for key in KEYS if key.startswith("2026/03/")]
    assert [each.uri for each in store.list("gs://photos/2026/03")] == [
        f"gs://photos/{key}" for key in below
    ]


def test_nothing_is_asked_of_the_bucket_itself(
    store: GcsStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Who may read its objects may not, and gcsfs would warn of that at each request."""
    with suppress(StoreError):  # the server has no bytes of objects
        store.get("gs://photos/flat-1.jpg", 0, 7)
    assert not caplog.records


def test_many_are_listed_in_stretches_side_by_side(store: GcsStore, server: Server) -> None:
    pages = store.list_behind("gs://photos", "gs://photos/2026/02/IMG_00002.jpg")
    assert pages is not None
    found = [each.uri for page in pages for each in page.objects]
    behind = KEYS[KEYS.index("2026/02/IMG_00002.jpg") + 1 :]
    assert sorted(found) == [f"gs://photos/{key}" for key in behind]
    assert len({query["prefix"] for query in server.asked if "prefix" in query}) > 1


def test_a_folder_that_is_not_entered_is_passed_over(store: GcsStore) -> None:
    pages = store.list_behind("gs://photos", KEYS[0], lambda folder: folder != "gs://photos/2026")
    assert pages is not None
    found = [each for page in pages for each in page.objects]
    assert len(found) < len(KEYS) - 7000


def test_a_server_that_begins_elsewhere_is_listed_from_end_to_end(
    store: GcsStore, server: Server
) -> None:
    server.begins = False
    assert store.list_behind("gs://photos", "gs://photos/flat-1.jpg") is None
    assert len(list(store.list("gs://photos"))) == len(KEYS)


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {"items": 3},
        {"items": [{"size": "1"}]},
        {"items": [item("b.jpg"), item("a.jpg")]},
        {"items": [item("a.jpg")], "nextPageToken": "again"},
    ],
)
def test_what_is_no_listing_ends_it(store: GcsStore, server: Server, answer: Any) -> None:
    server.answer = answer
    with pytest.raises(StoreError, match=r"listing|in order"):
        list(store.list("gs://photos"))


def test_no_such_bucket(store: GcsStore) -> None:
    with pytest.raises(StoreError, match="no such"):
        list(store.list("gs://other"))
