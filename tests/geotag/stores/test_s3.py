"""S3 as other servers speak it: listings that break off, narrow policies, and what errors say."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

import pytest

from geotag.errors import SourceError
from geotag.sources import Library
from geotag.sources.base import Filters
from geotag.stores import open_store
from geotag.stores.base import AbsentError, ChangedError, ForbiddenError, StoreError
from geotag.stores.s3 import client_error
from tests.geotag.conftest import lead_to


class Page(NamedTuple):
    """An answer to a listing; `token` None: it tells of none."""

    keys: tuple[str, ...]
    truncated: bool = False
    token: str | None = None


class Bucket:
    """Answers listings with pages, by what they start with; objects are forbidden."""

    def __init__(self, pages: dict[str, Page]) -> None:
        self.pages = pages
        self.prefixes: list[str] = []

    def listing(self, query: dict[str, list[str]]) -> str:
        """The XML of a page."""
        self.prefixes.append(query.get("prefix", [""])[0])
        start = query.get("start-after") or query.get("continuation-token", [""])
        page = self.pages[start[0]]
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>3</Size><ETag>&quot;e&quot;</ETag></Contents>"
            for key in page.keys
        )
        token = page.token
        following = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
        truncated = str(page.truncated).lower()
        return (
            f"<ListBucketResult>{entries}<IsTruncated>{truncated}</IsTruncated>{following}"
            "</ListBucketResult>"
        )


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A bucket s3://photos whose pages the test makes."""
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    served = Bucket({})

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            self._send(200, served.listing(query) if "list-type" in query else "")

        def do_HEAD(self) -> None:
            self._send(403, "")

        def _send(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    lead_to(server.server_address[1], monkeypatch)
    yield served
    server.shutdown()
    server.server_close()
    open_store.cache_clear()


def listed(source: str = "s3://photos", **filters: Any) -> list[str]:
    return [photo.uri for photo in Library((source,), Filters(**filters)).photos()]


def test_pages_follow_one_another_also_empty_ones(bucket: Bucket) -> None:
    bucket.pages = {
        "": Page(("a.jpg",), True, "t1"),
        "t1": Page((), True, "t2"),
        "t2": Page(("b.jpg",), False, "t3"),  # a token counts, whatever else is said
        "t3": Page(("c.jpg",)),
    }
    assert listed() == ["s3://photos/a.jpg", "s3://photos/b.jpg", "s3://photos/c.jpg"]


@pytest.mark.parametrize(
    ("pages", "reason"),
    [
        ({"": Page(("a.jpg",), True)}, "broke off"),
        ({"": Page(("a.jpg",), True, "t"), "t": Page(("b.jpg",), True, "t")}, "broke off"),
        ({"": Page((), True, "t"), "t": Page((), True, "u"), "u": Page((), True, "t")},
         "broke off"),
        ({"": Page(("b.jpg",), True, "t"), "t": Page(("a.jpg",))}, "in order"),
        ({"": Page(("a.jpg",), True, "t"), "t": Page(("a.jpg",), True, "u")}, "in order"),
        ({"": Page(("a.jpg", "a.jpg"))}, "in order"),
    ],
)  # fmt: skip
def test_a_listing_that_breaks_off_is_an_error(
    bucket: Bucket, pages: dict[str, Page], reason: str
) -> None:
    bucket.pages = pages
    with pytest.raises(SourceError, match=f"s3://photos: .*{reason}"):
        listed()


@pytest.mark.parametrize("ignored", [False, True])
def test_a_folder_that_is_excluded_is_not_listed_to_its_end(bucket: Bucket, ignored: bool) -> None:
    """Also where the server does not know how to start behind it."""
    first = Page(("a.jpg", "dir/1.jpg", "dir/deep/2.jpg"), True, "t")
    bucket.pages = {
        "": first,
        "dir/\U0010ffff": first if ignored else Page(("z.jpg",)),
        "t": Page(("dir/deep/3.jpg", "z.jpg")) if ignored else Page((), True),
    }
    assert listed(exclude=("dir/*",)) == ["s3://photos/a.jpg", "s3://photos/z.jpg"]
    assert len(bucket.prefixes) == (3 if ignored else 2)


def test_a_policy_for_a_prefix_is_enough(bucket: Bucket) -> None:
    """HEAD requests and what lies beside the prefix are forbidden."""
    bucket.pages = {"": Page(("in/a.jpg", "in/a.xmp", "in/b.jpg"))}
    (first, second) = Library(("s3://photos/in",), Filters()).photos()
    assert first.sidecars == ("s3://photos/in/a.xmp",)
    assert second.uri == "s3://photos/in/b.jpg"
    assert set(bucket.prefixes) == {"in/"}
    bucket.pages = {"": Page(())}
    with pytest.raises(SourceError, match="no permission"):
        listed("s3://photos/in")


@pytest.mark.parametrize(
    ("code", "status", "kind", "words"),
    [
        ("NoSuchBucket", 404, AbsentError, "no such bucket"),
        ("NoSuchKey", 404, AbsentError, "no such file"),
        ("", 404, AbsentError, "no such file"),
        ("AccessDenied", 403, ForbiddenError, "no permission"),
        ("", 403, ForbiddenError, "no permission"),
        ("RequestTimeTooSkewed", 403, StoreError, "clock is wrong"),
        ("PermanentRedirect", 301, StoreError, "another region"),
        ("AuthorizationHeaderMalformed", 400, StoreError, "another region"),
        ("ExpiredToken", 400, StoreError, "have expired"),
        ("InvalidAccessKeyId", 403, StoreError, "key id is not known"),
        ("SignatureDoesNotMatch", 403, StoreError, "secret key"),
        ("InvalidObjectState", 403, StoreError, "archived"),
        ("PreconditionFailed", 412, ChangedError, "changed"),
        ("SlowDown", 503, StoreError, "overloaded"),
        ("Odd", 400, StoreError, r"refused the request \(Odd\)"),
    ],
)
def test_what_an_error_code_means(
    code: str, status: int, kind: type[StoreError], words: str
) -> None:
    error = client_error(code, status)
    assert type(error) is kind
    assert error.retry is (status >= 500)
    with pytest.raises(StoreError, match=words):
        raise error


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no credentials were found"),
        ({"AWS_PROFILE": "nobody"}, "no such profile"),
        ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}, "no connection to the bucket"),
        ({"AWS_ENDPOINT_URL_S3": "nonsense"}, "makes no sense"),
    ],
)
def test_what_is_wrong_on_this_machine(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str,
    tmp_path: Any,
) -> None:  # fmt: skip
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name, value in variables.items():
        if value:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name)
    with pytest.raises((SourceError, StoreError), match=words):
        listed()
