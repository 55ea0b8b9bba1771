"""Objects in S3 and what speaks its protocol, by s3fs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from geotag.stores.base import (
    CONNECT_TIMEOUT,
    CONNECTIONS,
    READ_TIMEOUT,
    AbsentError,
    ChangedError,
    Object,
    Part,
    StoreError,
    retried,
)

_RETRIED_CODES = frozenset(
    ("SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "Throttling",
     "ThrottlingException", "RequestLimitExceeded", "BandwidthLimitExceeded")
)  # fmt: skip
_ABSENT_CODES = frozenset(("NoSuchKey", "NoSuchBucket", "NotFound", "404"))
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

    def list(self, uri: str) -> Iterator[Object]:
        """The objects below a prefix that ends at a slash, or the one object that it names."""
        bucket, key = _split(uri)
        single = self.stat(uri) if key and not key.endswith("/") else None
        if single is not None:
            yield single
            return
        prefix = key.rstrip("/") + "/" if key else ""
        arguments: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": PAGE}
        while True:
            page = self._call("list_objects_v2", **arguments)
            for entry in page.get("Contents", ()):
                yield _object(f"s3://{bucket}/{entry['Key']}", entry["Size"], entry["ETag"])
            if not page.get("IsTruncated"):
                return
            arguments["ContinuationToken"] = page["NextContinuationToken"]

    def stat(self, uri: str) -> Object | None:
        """One object; None when there is none."""
        bucket, key = _split(uri)
        try:
            head = self._call("head_object", Bucket=bucket, Key=key)
        except AbsentError:
            return None
        return _object(uri, head["ContentLength"], head["ETag"])

    def get(self, uri: str, start: int, length: int, version: str = "") -> Part:
        """Bytes of an object, of this version if one is named; fewer only at its end."""
        bucket, key = _split(uri)
        arguments = {"Bucket": bucket, "Key": key, "Range": f"bytes={start}-{start + length - 1}"}
        if version:
            arguments["IfMatch"] = f'"{version}"'

        async def fetch(client: Any) -> Part:
            answer = await client.get_object(**arguments)
            async with answer["Body"] as body:
                data = await body.read()
            self.bytes_fetched += len(data)
            if len(data) != answer["ContentLength"]:
                raise StoreError("the connection broke off", retry=True)
            if version and answer["ETag"].strip('"') != version:
                raise ChangedError
            total = answer.get("ContentRange", "").rpartition("/")[2]
            return Part(data, int(total) if total.isdigit() else start + len(data))

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
            if present is not None and present.version == _md5(path):
                return present.version
            raise

    def delete(self, uri: str) -> None:
        """Remove an object, if there is one."""
        bucket, key = _split(uri)
        self._call("delete_object", Bucket=bucket, Key=key)

    def _put(self, bucket: str, key: str, path: Path, condition: dict[str, str]) -> str:
        async def upload(client: Any) -> str:
            with path.open("rb") as file:
                answer = await client.put_object(Bucket=bucket, Key=key, Body=file, **condition)
            return str(answer["ETag"]).strip('"')

        return self._run(bucket, upload)

    def _call(self, method: str, **arguments: Any) -> Any:
        async def call(client: Any) -> Any:
            return await getattr(client, method)(**arguments)

        return self._run(arguments["Bucket"], call)

    def _run(self, bucket: str, request: Callable[[Any], Awaitable[_Result]]) -> _Result:
        """Run a request on s3fs's loop, from any thread, with retries."""
        from fsspec.asyn import sync

        async def attempt() -> _Result:
            try:
                await self._fs.set_session()
                return await request(await self._fs.get_s3(bucket))
            except StoreError:
                raise
            except Exception as error:
                raise _store_error(error) from None

        def run() -> _Result:
            result: _Result = sync(self._fs.loop, attempt)
            return result

        return retried(run)


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key


def _object(uri: str, size: int, etag: str) -> Object:
    return Object(uri, size, etag.strip('"'))


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _store_error(error: Exception) -> StoreError:
    """Told by code and status alone: a server's words may hold key ids or signed addresses."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return client_error(code, status)
    if isinstance(error, NoCredentialsError):
        return StoreError("no credentials for the bucket were found")
    if isinstance(error, (asyncio.TimeoutError, TimeoutError)) or "Timeout" in type(error).__name__:
        return StoreError("the bucket did not answer in time", retry=True)
    if isinstance(error, BotoCoreError) and type(error).__name__ in ("ParamValidationError",):
        return StoreError("no valid bucket or object name")
    return StoreError(f"the connection to the bucket failed ({type(error).__name__})", retry=True)


def client_error(code: str, status: int) -> StoreError:
    """What an S3 error code and HTTP status mean."""
    if code in _ABSENT_CODES or status == 404:
        return AbsentError()
    if status in (409, 412) or code in ("PreconditionFailed", "ConditionalRequestConflict"):
        return ChangedError()
    if code in _RETRIED_CODES or status == 429 or status >= 500:
        return StoreError(f"the bucket is overloaded or failing ({code or status})", retry=True)
    if status in (401, 403):
        return StoreError(f"no permission to read or write it ({code or status})")
    return StoreError(f"the bucket refused the request ({code or status})")
