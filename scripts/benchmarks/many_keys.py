"""A bucket of as many photos as one likes, made up as they are asked for: an S3 server's stub.

python scripts/benchmarks/many_keys.py KEYS prints its port and serves until it is ended.
"""

from __future__ import annotations

import io
import sys
import time
from bisect import bisect_right
from collections.abc import Sequence
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import overload
from urllib.parse import parse_qs, unquote, urlsplit

from PIL import Image

PAGE = 1000
LAST = "\U0010ffff"
_ENTRY = (
    '<Contents><Key>%s</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>'
    "<ETag>&quot;%032x&quot;</ETag><Size>%d</Size></Contents>"
)  # fmt: skip


class Keys(Sequence[str]):
    """The keys in order: those of a thousand photos a folder, in a thousand folders each."""

    def __init__(self, count: int) -> None:
        self.total = count

    def __len__(self) -> int:
        return self.total

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[str]: ...
    def __getitem__(self, at: int | slice) -> str | Sequence[str]:
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(self.total))]
        digits = f"{at:09d}"
        return f"{digits[:3]}/{digits[3:6]}/IMG_{digits[6:]}.jpg"


def photo() -> bytes:
    """A photo with a position, so that its header is all that is read of it."""
    exif = Image.Exif()
    gps = exif.get_ifd(0x8825)
    gps.update({1: "N", 2: (48.0, 51.0, 0.0), 3: "E", 4: (2.0, 21.0, 0.0)})
    exif[0x8825] = gps
    data = io.BytesIO()
    Image.new("RGB", (64, 48), (90, 120, 150)).save(data, "JPEG", exif=exif)
    return data.getvalue()


class Bucket:
    """Answers listings and reads; each listing takes at least `latency` seconds, as far away."""

    def __init__(self, count: int, latency: float = 0.0) -> None:
        self.keys = Keys(count)
        self.photo = photo()
        self.latency = latency
        self.listings = 0

    def listing(self, query: dict[str, list[str]]) -> bytes:
        """The XML of one page."""
        time.sleep(self.latency)
        self.listings += 1
        (prefix,) = query.get("prefix", [""])
        (after,) = query.get("continuation-token") or query.get("start-after", [""])
        size = min(PAGE, int(query.get("max-keys", [str(PAGE)])[0]))
        least = 0 if not prefix else bisect_right(self.keys, prefix)
        end = bisect_right(self.keys, prefix + LAST) if prefix else len(self.keys)
        start = max(least, bisect_right(self.keys, after) if after else 0)
        stop = min(start + size, end)
        entries = "".join(
            _ENTRY % (self.keys[at], at, len(self.photo)) for at in range(start, stop)
        )
        more = stop < end
        token = self.keys[stop - 1] if more and stop > start else ""
        tail = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
        return (
            '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"{entries}<IsTruncated>{str(more).lower()}</IsTruncated>{tail}</ListBucketResult>"
        ).encode()


def server(bucket: Bucket) -> ThreadingHTTPServer:
    """The bucket on a free port of loopback, to be served by the caller."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            if "list-type" in query:
                self._send(200, bucket.listing(query))
                return
            data = bucket.photo
            first, _, last = (
                self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
            )
            end = min(int(last or len(data) - 1), len(data) - 1)
            part = f"bytes {first}-{end}/{len(data)}"
            self._send(206, data[int(first) : end + 1], {"Content-Range": part})

        def do_HEAD(self) -> None:
            self._send(404, b"")

        def _send(self, status: int, data: bytes, more: dict[str, str] | None = None) -> None:
            self.send_response(status)
            key = unquote(urlsplit(self.path).path).partition("/")[2].partition("/")[2]
            digits = "".join(letter for letter in key if letter.isdigit())
            fields = {
                "ETag": f'"{int(digits or 0):032x}"',
                "Last-Modified": formatdate(usegmt=True),
            }
            fields |= {"Content-Length": str(len(data)), **(more or {})}
            for name, value in fields.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

    return Server(("127.0.0.1", 0), Handler)


if __name__ == "__main__":
    serving = server(Bucket(int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0))
    print(serving.server_address[1], flush=True)
    serving.serve_forever()
