"""Objects on web servers, by aiohttp under fsspec."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NoReturn, TypeVar

from geotag.files.extensions import PHOTO_EXTENSIONS, extension
from geotag.stores.base import (
    CONNECT_TIMEOUT,
    PAGES,
    READ_TIMEOUT,
    UNKNOWN_SIZE,
    AbsentError,
    ChangedError,
    Enters,
    ForbiddenError,
    Object,
    Part,
    StoreError,
    always,
    asked,
    check_range,
    seconds_for,
)

_Result = TypeVar("_Result")
# Of a photo's address; other files may be text.
_NO_PHOTO = re.compile(r"text/.*|application/(json|problem\+json|xml)")
_SIZE = re.compile(r"\d{1,18}", re.ASCII)


class HttpStore:
    """Read only. User names and passwords come from ~/.netrc, never from addresses."""

    def __init__(self) -> None:
        from aiohttp import ClientTimeout, InvalidURL, TooManyRedirects
        from fsspec.implementations.http import HTTPFileSystem

        self.bytes_fetched = 0
        self._final = InvalidURL, TooManyRedirects
        timeout = ClientTimeout(total=None, connect=CONNECT_TIMEOUT, sock_read=READ_TIMEOUT)
        options = {"trust_env": True, "timeout": timeout, "auto_decompress": False}
        options["headers"] = {"Accept-Encoding": "identity"}
        self._fs = HTTPFileSystem(
            client_kwargs=options, use_listings_cache=False, skip_instance_cache=True
        )

    def list(self, uri: str, enters: Enters = always) -> Iterator[Object]:
        """The object that an address names; web servers have no folders."""
        found = self.stat(uri)
        if found is None:
            raise AbsentError
        yield found

    def stat(self, uri: str) -> Object | None:
        async def head(session: Any) -> Object:
            async with session.head(uri, allow_redirects=True) as answer:
                if answer.status in (405, 501):
                    return Object(uri, UNKNOWN_SIZE, "")
                _check(answer)
                size = answer.headers.get("Content-Length", "")
                size = int(size) if _SIZE.fullmatch(size) else UNKNOWN_SIZE
                return Object(uri, size, _version(answer))

        try:
            return self._run(head)
        except AbsentError:
            return None

    def get(self, uri: str, start: int, length: int, version: str = "") -> Part:
        """Bytes of an object; a server that sends all of it is cut short."""
        headers = {"Range": f"bytes={start}-{start + length - 1}"}

        async def fetch(session: Any) -> Part:
            async with session.get(uri, headers=headers) as answer:
                if answer.status == 416:
                    return Part(b"", 0)
                _check(answer)
                if version and _version(answer) != version:
                    raise ChangedError
                skipped = start if answer.status == 200 else 0
                total = _total(answer, start)
                data = await _read(answer.content, skipped + length)
                self.bytes_fetched += len(data)
                expected = length if total is None else max(0, min(length, total - start))
                data = data[skipped:]
                if total is not None and len(data) != expected:
                    raise StoreError("the connection broke off", retry=True)
                return Part(data, start + len(data) if total is None else total)

        return self._run(fetch, start + length)

    def put(self, *_: Any, **__: Any) -> NoReturn:
        raise StoreError("a web server cannot be written to")

    put_if = delete = put

    def _run(self, request: Callable[[Any], Awaitable[_Result]], length: int = 0) -> _Result:
        """The result of a request that may fetch so many bytes, and is given up in time."""

        async def attempt() -> _Result:
            try:
                async with asyncio.timeout(seconds_for(length, READ_TIMEOUT)):
                    return await request(await self._fs.set_session())
            except StoreError:
                raise
            except TimeoutError:
                raise StoreError("the server did not answer in time", retry=True) from None
            except Exception as error:
                kind = type(error).__name__
                retry = not isinstance(error, self._final)
                raise StoreError(f"the connection failed ({kind})", retry=retry) from None

        return asked(self._fs.loop, attempt)


async def _read(content: Any, length: int) -> bytes:
    parts, missing = [], length
    while missing > 0 and (part := await content.read(min(missing, 2**20))):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _version(answer: Any) -> str:
    text = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
    return str(text.replace(" ", "_").encode("ascii", "backslashreplace"), "ascii")


def _total(answer: Any, start: int) -> int | None:
    """The size of the whole object, if the server says. Raises StoreError for a part of the object
    that was not asked for."""
    if answer.status == 206:
        return check_range(answer.headers.get("Content-Range", ""), start)
    total = answer.headers.get("Content-Length", "")
    return int(total) if _SIZE.fullmatch(total) else None


def _check(answer: Any) -> None:
    """Raise StoreError for what is not the object that was asked for."""
    status: int = answer.status
    if status in (200, 206) and answer.content_type in PAGES:
        raise StoreError("the server sent a web page instead: must somebody log in there?")
    if status in (200, 206):
        is_photo = extension(answer.url.path) in PHOTO_EXTENSIONS
        if is_photo and _NO_PHOTO.fullmatch(answer.content_type):
            raise StoreError(f"the server sent {answer.content_type} instead of a photo")
        coding = answer.headers.get("Content-Encoding", "identity")
        if coding != "identity":
            raise StoreError("the server sent it compressed, which was not asked for")
        return
    if status in (404, 410):
        raise AbsentError
    if status == 412:
        raise ChangedError
    if status in (408, 425, 429) or status >= 500:
        raise StoreError(f"the server is overloaded or failing (HTTP {status})", retry=True)
    if status in (401, 403):
        raise ForbiddenError(f"no permission to read it (HTTP {status})")
    raise StoreError(f"the server refused the request (HTTP {status})")
