"""The download against a server with faults, the unpacking against hostile archives."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from geotag.errors import DataError
from scripts import download_landmarks
from scripts.download_landmarks import DownloadError, download, unpack
from tests.conftest import jpeg_bytes, picture
from training.data.dataset import load_dataset

CONTENT = bytes(range(256)) * 4000


class Server(ThreadingHTTPServer):
    """Serves `content`; each request takes one of `faults` first, and is noted."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.etag = '"one"'
        self.ranges = True
        self.faults: list[str] = []
        self.requests: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/set.zip"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range")
        server.requests.append(asked)
        fault = server.faults.pop(0) if server.faults else ""
        if fault.isdigit():
            self.send_error(int(fault))
            return
        start = 0
        if asked and server.ranges and self.headers.get("If-Range") == server.etag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            total = len(server.content)
            shown = start + 7 if fault == "wrong range" else start
            self.send_header("Content-Range", f"bytes {shown}-{total - 1}/{total}")
        self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(0 if fault == "no length" else len(body)))
        self.end_headers()
        if fault == "break off":
            body = body[: len(body) // 2]
            self.close_connection = True
        if fault == "flip":
            body = body[:-1] + bytes([body[-1] ^ 1])
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def get(server: Server, path: Path, **options: object) -> bytes:
    return download(server.url, path, wait=0.0, **options).read_bytes()  # type: ignore[arg-type]


def test_a_whole_file_arrives(server: Server, tmp_path: Path) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert get(server, tmp_path / "f", sha256=digest) == CONTENT
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
    assert get(server, tmp_path / "f", sha256=digest.upper()) == CONTENT
    assert server.requests == [None]


def test_a_broken_connection_is_continued(server: Server, tmp_path: Path) -> None:
    server.faults = ["break off", "503", "break off"]
    assert get(server, tmp_path / "f") == CONTENT
    half = len(CONTENT) // 2
    assert server.requests == [None, f"bytes={half}-", f"bytes={half}-", f"bytes={half * 3 // 2}-"]


def test_a_later_run_goes_on(server: Server, tmp_path: Path) -> None:
    server.faults = ["break off", "503", "503"]
    with pytest.raises(DownloadError, match="run again"):
        get(server, tmp_path / "f", tries=2)
    assert not (tmp_path / "f").exists()
    assert get(server, tmp_path / "f") == CONTENT
    assert server.requests[-1] == f"bytes={len(CONTENT) // 2}-"


def test_a_file_that_changed_is_begun_anew(server: Server, tmp_path: Path) -> None:
    server.faults = ["break off", "503"]
    with pytest.raises(DownloadError):
        get(server, tmp_path / "f", tries=1)
    server.content, server.etag = CONTENT[::-1], '"two"'
    assert get(server, tmp_path / "f") == CONTENT[::-1]


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_sure_version_it_begins_anew(server: Server, tmp_path: Path, etag: str) -> None:
    server.etag = etag
    server.faults = ["break off"]
    assert get(server, tmp_path / "f") == CONTENT
    assert server.requests == [None, None]


def test_a_server_without_ranges_serves_as_well(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.faults = ["break off"]
    assert get(server, tmp_path / "f") == CONTENT


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        (["404"], "status 404"),
        (["no length"], "announces 0 bytes"),
        (["break off", "wrong range"], "another range"),
    ],
)
def test_what_cannot_be_helped_is_an_error(
    server: Server, tmp_path: Path, faults: list[str], message: str
) -> None:
    server.faults = faults
    with pytest.raises(DownloadError, match=message):
        get(server, tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_a_flipped_bit_is_noticed(server: Server, tmp_path: Path) -> None:
    server.faults = ["flip"]
    with pytest.raises(DownloadError, match="SHA-256"):
        get(server, tmp_path / "f", sha256=hashlib.sha256(CONTENT).hexdigest())
    assert not list(tmp_path.glob("f*.part"))


def test_other_schemes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="http"):
        download("file:///etc/passwd", tmp_path / "f")


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, data in members.items():
            zipped.writestr(name, data)
    return path


PHOTO = jpeg_bytes(picture("stonehenge"))
SET = {
    "landmark_images/train/07.Stonehenge/a.jpg": PHOTO,
    "landmark_images/train/16.Eiffel_Tower/b.jpg": PHOTO,
    "landmark_images/test/07.Stonehenge/c.jpg": b"\xff\xd8\xff broken",
    'landmark_images/train/07.Stonehenge/d "new", é.jpg': b"broken",
    "landmark_images/train/.DS_Store": b"x",
    "__MACOSX/landmark_images/train/07.Stonehenge/._a.jpg": b"x",
    "landmark_images/readme.txt": b"x",
}


@pytest.mark.slow
def test_the_command_ends_with_a_set_that_training_reads(server: Server, tmp_path: Path) -> None:
    buffer = archive(tmp_path / "z", SET)
    server.content = buffer.read_bytes()
    server.faults = ["break off"]
    out = tmp_path / "set"
    result = CliRunner().invoke(
        download_landmarks.main, ["--out", str(out), "--url", server.url], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    assert "4 photos" in result.output and "2 of them damaged" in result.output
    dataset = load_dataset(out, out / "damaged.csv")
    assert dataset.classes == ("eiffel_tower", "stonehenge")
    assert {s.path for s in dataset.samples} == {
        "train/07.Stonehenge/a.jpg", "train/16.Eiffel_Tower/b.jpg",
    }  # fmt: skip
    assert not (out / "landmark_images.zip").exists()


@pytest.mark.parametrize(
    "name",
    ["../train/a/x.jpg", "/train/a/x.jpg", "train/../../a/x.jpg", "train\\..\\..\\a\\x.jpg"],
)
def test_paths_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="outside"):
        unpack(archive(tmp_path / "z", {name: PHOTO}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_are_refused(tmp_path: Path) -> None:
    member = zipfile.ZipInfo("train/a/link.jpg")
    member.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "z", "w") as zipped:
        zipped.writestr(member, "/etc/passwd")
    with pytest.raises(DataError, match="link"):
        unpack(tmp_path / "z", tmp_path / "out")


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "z", {"train/a/x.jpg": bytes(10**6)})
    monkeypatch.setattr(download_landmarks, "MEMBER_LIMIT", 10**5)
    with pytest.raises(DataError, match="too much"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x03\x04"])
def test_damaged_archives_are_errors(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "z").write_bytes(data)
    with pytest.raises(DataError, match="damaged"):
        unpack(tmp_path / "z", tmp_path / "out")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_photos_in_an_archive_are_errors(tmp_path: Path, method: int) -> None:
    name = "train/07.Stonehenge/a.jpg"
    with zipfile.ZipFile(tmp_path / "z", "w", method) as zipped:
        zipped.writestr(name, PHOTO)
    data = bytearray((tmp_path / "z").read_bytes())
    start = 30 + len(name) + 9
    data[start : start + 30] = bytes(255 - byte for byte in data[start : start + 30])
    (tmp_path / "z").write_bytes(data)
    with pytest.raises(DataError, match=r"z: (damaged|cannot be unpacked)"):
        unpack(tmp_path / "z", tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.jpg"))


def test_names_that_no_disk_takes_are_errors(tmp_path: Path) -> None:
    path = archive(tmp_path / "z", {f"train/a/{'x' * 300}.jpg": PHOTO})
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(path, tmp_path / "out")


def test_an_archive_of_something_else_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no train/"):
        unpack(archive(tmp_path / "z", {"a/b.jpg": PHOTO}), tmp_path / "out")


def test_unpacking_again_repairs(tmp_path: Path) -> None:
    path = archive(tmp_path / "z", SET)
    assert unpack(path, tmp_path / "out") == 4
    torn = tmp_path / "out/train/07.Stonehenge/a.jpg"
    torn.write_bytes(PHOTO[:100])
    unpack(path, tmp_path / "out")
    assert torn.read_bytes() == PHOTO
