"""Listings of Azure Blob Storage, by adlfs from a server that speaks its protocol."""

from __future__ import annotations

import base64
from bisect import bisect_left
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from itertools import islice
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from geotag.stores.azure import AzureStore
from geotag.stores.base import AbsentError

pytestmark = pytest.mark.skipif(not find_spec("adlfs"), reason="adlfs is not installed")
PAGE = 1000
KEYS = sorted(
    [f"2026/{n % 7:02d}/IMG_{n:05d}.jpg" for n in range(700)]
    + [f"flat/{n:05d}.jpg" for n in range(2200)]
    + ["2026", "a.jpg", "z/é &.jpg"]
)
_BLOB = (
    "<Blob><Name>%s</Name><Properties><Last-Modified>Sun, 01 Nov 2026 00:00:00 GMT</Last-Modified>"
    "<Etag>0x%x</Etag><Content-Length>7</Content-Length><BlobType>BlockBlob</BlobType></Properties>"
    "<Metadata>%s</Metadata></Blob>"
)
_FOLDER = "<hdi_isfolder>true</hdi_isfolder>"  # as with a hierarchical namespace


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path != "/account/photos":
            self.send(404, "<Error><Code>ContainerNotFound</Code><Message>None</Message></Error>")
            return
        self.server.asked.append(query)  # type: ignore[attr-defined]
        prefix, start = query.get("prefix", ""), query.get("marker", "")
        entries, last = "", ""
        count = 0
        for key in KEYS[bisect_left(KEYS, start) :]:
            name = prefix + key[len(prefix) :].partition("/")[0]
            name += "/" if key.startswith(name + "/") else ""
            if not key.startswith(prefix) or name == last:
                continue
            if count == PAGE:
                break
            last, count = name, count + 1
            if name.endswith("/"):
                entries += f"<BlobPrefix><Name>{name}</Name></BlobPrefix>"
            else:
                folder = _FOLDER if name == "2026" else ""
                entries += _BLOB % (name.replace("&", "&amp;"), count, folder)
        else:
            key = ""
        self.send(
            200,
            f"<EnumerationResults><Prefix>{prefix}</Prefix><Delimiter>/</Delimiter>"
            f"<Blobs>{entries}</Blobs><NextMarker>{key}</NextMarker></EnumerationResults>",
        )

    def do_HEAD(self) -> None:
        self.send(404, "")

    def send(self, status: int, answer: str) -> None:
        data = f'<?xml version="1.0" encoding="utf-8"?>{answer}'.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        serving.asked = []  # type: ignore[attr-defined]
        Thread(target=serving.serve_forever, daemon=True).start()
        yield serving
        serving.shutdown()


@pytest.fixture
def store(server: ThreadingHTTPServer) -> AzureStore:
    key = base64.b64encode(b"key").decode()
    address = f"http://127.0.0.1:{server.server_address[1]}/account"
    return AzureStore(
        connection_string=f"AccountName=account;AccountKey={key};BlobEndpoint={address}",
        skip_instance_cache=True,
    )


@pytest.mark.slow
def test_all_are_listed_in_byte_order(store: AzureStore) -> None:
    expected = [f"az://photos/{key}" for key in KEYS if key != "2026"]
    found = list(store.list("az://photos"))
    assert [each.uri for each in found] == expected
    assert found[0].size == 7 and found[0].version and found[0].modified > 0
    below = [each.uri for each in store.list("az://photos/2026")]
    assert below == [uri for uri in expected if uri.startswith("az://photos/2026/")]


def test_a_folder_is_listed_a_page_at_a_time(
    store: AzureStore, server: ThreadingHTTPServer
) -> None:
    listing = store.list("az://photos/flat")
    assert len(list(islice(listing, PAGE))) == PAGE
    assert len(server.asked) == 1  # type: ignore[attr-defined]
    assert len(list(listing)) == 1200
    assert len(server.asked) == 3  # type: ignore[attr-defined]


def test_what_is_not_there(store: AzureStore) -> None:
    with pytest.raises(AbsentError, match="no such container"):
        list(store.list("az://others"))
    with pytest.raises(AbsentError, match="no such file"):
        list(store.list("az://photos/none"))
