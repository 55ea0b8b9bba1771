"""Objects in S3 and what speaks its protocol, by s3fs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from geotag.stores.base import (
    CONNECT_TIMEOUT,
    CONNECTIONS,
    PAGES,
    READ_TIMEOUT,
    AbsentError,
    ChangedError,
    Enters,
    ForbiddenError,
    Object,
    Part,
    StoreError,
    always,
    asked,
    broken_off,
    check_order,
    check_range,
    md5_of,
    seconds_for,
)
from geotag.stores.stretches import Found, Page, Stretch, declined, listed_behind

_RETRIED_CODES = frozenset(
    ("SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "Throttling",
     "ThrottlingException", "RequestLimitExceeded", "BandwidthLimitExceeded")
)  # fmt: skip
_ABSENT_CODES = frozenset(("NoSuchKey", "NotFound", "404"))
_CHANGED_CODES = frozenset(("PreconditionFailed", "ConditionalRequestConflict"))
# What a listing says of itself, also of an empty bucket.
_OF_LISTINGS = frozenset(("IsTruncated", "KeyCount", "Name", "Contents"))
_PAGE = "the answer is not that of a bucket: must somebody log in to the network?"
_CLOCK = "this machine's clock is wrong by more than the bucket allows: set it"
_REGION = "the bucket is in another region: set AWS_REGION, or for a store of your own its endpoint"
_EXPIRED = "the credentials have expired: log in or renew them"
_FORBIDDEN = "no permission to read or write it with these credentials"
_SECRET = "the secret key is not that of the key id (or this machine's clock is wrong)"
_REASONS = {
    "NoSuchBucket": "no such bucket: is its name right, and AWS_ENDPOINT_URL_S3?",
    "InvalidBucketName": "no bucket can have this name",
    "RequestTimeTooSkewed": _CLOCK,
    "RequestInTheFuture": _CLOCK,
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "301": _REGION,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "RequestExpired": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "InvalidToken": "the session token is not valid: log in anew",
    "InvalidAccessKeyId": "the access key id is not known there: are key and endpoint right?",
    "SignatureDoesNotMatch": _SECRET,
    "AccessDenied": _FORBIDDEN,
    "AllAccessDisabled": _FORBIDDEN,
    "AccountProblem": "its account is blocked: ask the provider",
    "InvalidObjectState": "it is archived (Glacier): restore it first",
    "NotImplemented": "the store does not support this request",
}
# Errors of botocore itself, by class.
_LOCAL_REASONS = {
    "NoCredentialsError": "no credentials were found (AWS_ACCESS_KEY_ID, AWS_PROFILE or ~/.aws)",
    "PartialCredentialsError": "the credentials are incomplete: key id and secret go together",
    "CredentialRetrievalError": "no credentials could be had: log in anew",
    "ProfileNotFound": "there is no such profile in ~/.aws: is AWS_PROFILE right?",
    "SSOTokenLoadError": _EXPIRED,
    "UnauthorizedSSOTokenError": _EXPIRED,
    "TokenRetrievalError": _EXPIRED,
    "NoRegionError": "the bucket's region is not known: set AWS_REGION",
    "InvalidEndpointDiscoveryConfigurationError": "AWS_ENDPOINT_URL_S3 is no address",
    "ParamValidationError": "no bucket or object can have this name",
}
_Result = TypeVar("_Result")
_SINGLE_PUT_LIMIT = 5 * 2**30
_PARTS_FROM = 2**29
PAGE = 1000


class S3Store:
    """Credentials, region and endpoint come from botocore's usual chain."""

    def __init__(self) -> None:
        from s3fs import S3FileSystem

        self.bytes_fetched = 0
        config = {
            "retries": {"max_attempts": 0},
            "max_pool_connections": CONNECTIONS,
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": READ_TIMEOUT,
        }
        self._fs = S3FileSystem(
            config_kwargs=config, use_listings_cache=False, skip_instance_cache=True
        )
        self._fs.retries = 1

    def list(self, uri: str, enters: Enters = always) -> Iterator[Object]:
        """The objects below a prefix that ends at a slash, after the one that the URI names.

        One without bytes that is named like the prefix only stands for a folder.
        """
        bucket, key = _split(uri)
        below = self._below(bucket, key.rstrip("/") + "/" if key else "", enters)
        first = next(below, None)
        if key and not key.endswith("/"):
            try:
                single = self.stat(uri)
            except ForbiddenError:  # as by a policy for what lies below the prefix
                if first is None:
                    raise
                single = None
            if single is not None and (first is None or single.size):
                yield single
        if first is not None:
            yield first
            yield from below

    def list_behind(self, uri: str, last: str, enters: Enters = always) -> Iterator[Found] | None:
        """The objects below a URI behind that of another one, in stretches, several at once.

        `enters` is called in threads. None where the server does not begin where it is asked to.
        """
        bucket, key = _split(uri)
        whole = Stretch(key.rstrip("/") + "/" if key else "", _split(last)[1])

        def page(stretch: Stretch, size: int) -> Page:
            return self._page(bucket, stretch, size, enters)

        return listed_behind(page, lambda found: _split(found.uri)[1], PAGE, whole)

    def _page(self, bucket: str, stretch: Stretch, size: int, enters: Enters) -> Page:
        start = {"StartAfter": stretch.after} if stretch.after else {}
        found = self._list_page(Bucket=bucket, Prefix=stretch.prefix, MaxKeys=size, **start)
        entries = found.get("Contents", ())
        last = check_order(stretch.after, (entry["Key"] for entry in entries))
        objects = [_object_in(bucket, entry) for entry in entries]
        if found.get("IsTruncated") and not objects:
            raise broken_off()
        behind = declined(last, len(stretch.prefix), _entered(bucket, enters))
        return Page(objects, behind or last, not found.get("IsTruncated"))

    def _below(self, bucket: str, prefix: str, enters: Enters) -> Iterator[Object]:
        """The objects below a prefix, page by page. Raises StoreError for pages that do not follow
        one another, rather than list a part or list for ever."""
        listing = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": PAGE}
        start: dict[str, str] = {}
        last, token, tokens = "", "", set[str]()
        while True:
            page = self._list_page(**listing, **start)
            entries = page.get("Contents", ())
            if "StartAfter" in start and entries and entries[0]["Key"] <= last:
                # The server does not know StartAfter: nothing is left out.
                start, enters = {"ContinuationToken": token}, always
                continue
            last = check_order(last, (entry["Key"] for entry in entries))
            yield from (_object_in(bucket, entry) for entry in entries)
            token = page.get("NextContinuationToken", "")
            if not token and not page.get("IsTruncated"):
                return
            if not token or token in tokens:
                raise broken_off()
            tokens.add(token)
            start = {"ContinuationToken": token}
            if behind := declined(last, len(prefix), _entered(bucket, enters)):
                start = {"StartAfter": behind}

    def _list_page(self, **arguments: Any) -> Any:
        """Raises StoreError for an answer that says nothing of a bucket: it is no empty one."""
        page = self._call("list_objects_v2", **arguments)
        if _OF_LISTINGS.isdisjoint(page):
            raise StoreError(_PAGE)
        return page

    def stat(self, uri: str) -> Object | None:
        bucket, key = _split(uri)
        try:
            head = self._call("head_object", Bucket=bucket, Key=key)
        except AbsentError:
            return None
        _check_object(head)
        return _object(uri, head["ContentLength"], head)

    def get(self, uri: str, start: int, length: int, version: str = "") -> Part:
        """Bytes of an object, of this version if one is named; fewer only at its end."""
        bucket, key = _split(uri)
        arguments = {"Bucket": bucket, "Key": key, "Range": f"bytes={start}-{start + length - 1}"}
        if version:
            arguments["IfMatch"] = f'"{version}"'

        async def fetch(client: Any) -> Part:
            try:
                answer = await client.get_object(**arguments)
            except Exception as error:
                if start == 0 and _code(error) == "InvalidRange":  # it has no bytes
                    return Part(b"", 0)
                raise
            _check_object(answer)
            async with asyncio.timeout(seconds_for(length, READ_TIMEOUT)), answer["Body"] as body:
                data = await body.read()
            self.bytes_fetched += len(data)
            if len(data) != answer["ContentLength"]:
                raise StoreError("the connection broke off", retry=True)
            if version and _etag(answer) != version:
                raise ChangedError
            return _part(data, start, length, answer.get("ContentRange"))

        return self._run(bucket, fetch)

    def put(self, uri: str, path: Path) -> str:
        """Write an object from a file, in parts where it is large; returns its version."""
        bucket, key = _split(uri)
        if path.stat().st_size <= _PARTS_FROM:
            return self._put(bucket, key, path, {})

        async def upload(client: Any) -> None:
            await self._fs._put_file(str(path), f"{bucket}/{key}")

        self._run(bucket, upload)
        written = self.stat(uri)
        return written.version if written is not None else ""

    def put_if(self, uri: str, path: Path, version: str | None) -> str:
        """Write it only over this version, by a conditional request and, for servers that know
        none, a look beforehand."""
        present = self.stat(uri)
        if (present.version if present is not None else None) != version:
            raise ChangedError
        if path.stat().st_size > _SINGLE_PUT_LIMIT:
            return self.put(uri, path)
        bucket, key = _split(uri)
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": f'"{version}"'}
        try:
            return self._put(bucket, key, path, condition)
        except ChangedError:
            # Our own write may have succeeded while its answer was lost.
            present = self.stat(uri)
            if present is not None and present.version == md5_of(path):
                return present.version
            raise

    def delete(self, uri: str) -> None:
        bucket, key = _split(uri)
        self._call("delete_object", Bucket=bucket, Key=key)

    def _put(self, bucket: str, key: str, path: Path, condition: dict[str, str]) -> str:
        async def upload(client: Any) -> str:
            with path.open("rb") as file:
                answer = await client.put_object(Bucket=bucket, Key=key, Body=file, **condition)
            if not _etag(answer):
                raise StoreError(_PAGE)
            return _etag(answer)

        return self._run(bucket, upload)

    def _call(self, method: str, **arguments: Any) -> Any:
        async def call(client: Any) -> Any:
            return await getattr(client, method)(**arguments)

        return self._run(arguments["Bucket"], call)

    def _run(self, bucket: str, request: Callable[[Any], Awaitable[_Result]]) -> _Result:
        """Run a request on s3fs's loop, from any thread, with retries."""

        async def attempt() -> _Result:
            try:
                await self._fs.set_session()
                return await request(await self._fs.get_s3(bucket))
            except StoreError:
                raise
            except Exception as error:
                raise _store_error(error) from None

        return asked(self._fs.loop, attempt)


def _entered(bucket: str, enters: Enters) -> Enters:
    return lambda folder: enters(f"s3://{bucket}/{folder}")


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key


def _object_in(bucket: str, entry: Mapping[str, Any]) -> Object:
    """An object as a listing tells it."""
    return _object(f"s3://{bucket}/{entry['Key']}", entry["Size"], entry)


def _object(uri: str, size: int, entry: Mapping[str, Any]) -> Object:
    modified = entry.get("LastModified")
    seconds = modified.timestamp() if modified is not None else 0.0
    return Object(uri, size, _etag(entry), seconds)


def _etag(answer: Mapping[str, Any]) -> str:
    return str(answer.get("ETag", "")).strip('"')


def _check_object(answer: Mapping[str, Any]) -> None:
    """Raise StoreError for a web page in place of an object: all objects have an ETag."""
    kind = str(answer.get("ContentType", "")).partition(";")[0]
    if not _etag(answer) and kind in PAGES:
        raise StoreError(_PAGE)


def _part(data: bytes, start: int, length: int, content_range: str | None) -> Part:
    """The bytes that were asked for. Raises StoreError where these are others, or too few."""
    if content_range is None:  # the server knows no ranges: these are all bytes
        return Part(data[start : start + length], len(data))
    total = check_range(content_range, start)
    if total is None or len(data) != min(length, total - start):
        raise StoreError("other bytes came than those that were asked for", retry=True)
    return Part(data, total)


def _store_error(error: Exception) -> StoreError:
    """Told by code and status alone: a server's words may hold key ids or signed addresses."""
    from botocore.exceptions import ClientError

    kind = type(error).__name__
    if isinstance(error, ClientError):
        code = _code(error)
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return client_error(code, status)
    if kind in _LOCAL_REASONS:
        return StoreError(_LOCAL_REASONS[kind])
    if isinstance(error, TimeoutError) or "Timeout" in kind:
        return StoreError("the bucket did not answer in time", retry=True)
    if kind == "SSLError":
        return StoreError("the bucket's certificate is not trusted, or it speaks no TLS")
    if kind == "EndpointConnectionError":
        hint = "is the network up, and AWS_ENDPOINT_URL_S3 right?"
        return StoreError(f"there is no connection to the bucket: {hint}", retry=True)
    if isinstance(error, ValueError):
        return StoreError(f"the bucket's address or answer makes no sense ({kind})")
    return StoreError(f"the connection to the bucket failed ({kind})", retry=True)


def _code(error: Exception) -> str:
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def client_error(code: str, status: int) -> StoreError:
    """What an S3 error code and HTTP status mean."""
    if code in _RETRIED_CODES or status == 429 or status >= 500:
        return StoreError(f"the bucket is overloaded or failing ({code or status})", retry=True)
    if code in _CHANGED_CODES or status in (409, 412):
        return ChangedError()
    reason = _REASONS.get(code, "the bucket refused the request")
    if code in _ABSENT_CODES or status == 404:
        return AbsentError(reason) if code in _REASONS else AbsentError()
    if reason == _FORBIDDEN or (code not in _REASONS and status in (401, 403)):
        return ForbiddenError(f"{_FORBIDDEN} ({code or status})")
    return StoreError(f"{reason} ({code or status})")
